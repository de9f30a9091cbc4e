//! What is used of gevent.

use std::thread::{self, ThreadId};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// For which event a descriptor is watched: that it is readable.
const READ: i32 = 1;

/// The hub of a thread.
pub(super) struct Hub {
    thread: ThreadId,
    hub: Py<PyAny>,
    event_loop: Py<PyAny>,
    /// `gevent.hub.Waiter`.
    waiter: Py<PyAny>,
    /// `gevent.Greenlet`.
    greenlet: Py<PyAny>,
}

impl Hub {
    /// That of the calling thread.
    pub(super) fn of_thread(py: Python<'_>) -> PyResult<Self> {
        let gevent = py.import("gevent")?;
        let hub = gevent.call_method0("get_hub")?;
        Ok(Self {
            thread: thread::current().id(),
            event_loop: hub.getattr("loop")?.unbind(),
            hub: hub.unbind(),
            waiter: py.import("gevent.hub")?.getattr("Waiter")?.unbind(),
            greenlet: gevent.getattr("Greenlet")?.unbind(),
        })
    }

    /// What a greenlet of this thread waits with.
    ///
    /// # Errors
    /// `RuntimeError` in another thread, whose hub is another one.
    pub(super) fn waiter<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if thread::current().id() != self.thread {
            return Err(PyRuntimeError::new_err(
                "a request can be read and answered only in the thread of its greenlet, not in another one",
            ));
        }
        self.waiter.bind(py).call1((&self.hub,))
    }

    /// A greenlet that will call `errand`.
    pub(super) fn greenlet<'py>(&self, errand: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.greenlet.bind(errand.py()).call1((errand,))
    }

    /// Has the hub call something soon, and outside of any greenlet.
    pub(super) fn call_soon(&self, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = callback.py();
        self.event_loop.bind(py).call_method1(intern!(py, "run_callback"), (callback,)).map(drop)
    }

    /// Has the main greenlet go on, soon.
    pub(super) fn go_on(&self, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = waiter.py();
        let switch = waiter.getattr("switch")?;
        self.event_loop.bind(py).call_method1("run_callback", (switch, py.None())).map(drop)
    }

    /// Has the hub call something whenever the descriptor is readable. Gives the watcher.
    pub(super) fn watch<'py>(
        &self,
        descriptor: i32,
        callback: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let watcher = self.event_loop.bind(callback.py()).call_method1("io", (descriptor, READ))?;
        watcher.call_method1("start", (callback,))?;
        Ok(watcher)
    }
}

/// The greenlet that runs in the calling thread.
pub(super) fn current(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("gevent")?.call_method0(intern!(py, "getcurrent"))
}

/// Kills a greenlet, soon.
pub(super) fn kill(greenlet: &Bound<'_, PyAny>) -> PyResult<()> {
    let exit = greenlet.py().import("gevent")?.getattr(intern!(greenlet.py(), "GreenletExit"))?;
    kill_with(greenlet, &exit)
}

/// The same, with this type of exception.
pub(super) fn kill_with(greenlet: &Bound<'_, PyAny>, kind: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = greenlet.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "block"), false)?;
    greenlet.call_method("kill", (kind,), Some(&options)).map(drop)
}

/// Has the calling greenlet wait until these have ended, but no longer than so many seconds.
pub(super) fn join(py: Python<'_>, greenlets: Vec<Py<PyAny>>, patience: f64) -> PyResult<()> {
    let arguments = (PyList::new(py, greenlets)?, patience);
    py.import("gevent")?.call_method1("joinall", arguments).map(drop)
}
