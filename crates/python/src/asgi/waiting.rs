//! What `receive()` and `send()` return: awaitables.
//!
//! Most of the time there is nothing to wait for, and awaiting [`Done`] or [`Given`] goes on at once. [`Waiting`] is
//! a future in the eyes of asyncio (it has `_asyncio_future_blocking`, as duck-typed futures do), and a poll in
//! Rust's: when its waker is called its task takes the next step between two pumps, without another turn of the
//! host's loop. All are coroutines too, since applications pass `receive()` to `create_task`.

use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTypeInfo, create_exception, intern};

use super::agenda::{Agenda, lock};

create_exception!(
    ferricorn,
    ClientDisconnected,
    pyo3::exceptions::PyOSError,
    "The client has closed the connection."
);

/// What an awaitable waits for.
pub(super) trait Operation: Send + Sync {
    /// What it is awaited for; `None` for Python's `None`. It may be asked as often as one likes.
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Option<Py<PyAny>>>>;

    /// Nobody waits with this waker any more.
    fn forget(&self, waker: &Waker);
}

/// Who waits for the same thing: one, as a rule.
#[derive(Default)]
pub(super) struct Waiters(Vec<Waker>);

impl Waiters {
    /// Adds whoever polls, unless nobody waits behind the poll, or is there already.
    pub(super) fn add(&mut self, cx: &Context<'_>) {
        let waker = cx.waker();
        if !waker.will_wake(Waker::noop()) && !self.0.iter().any(|known| known.will_wake(waker)) {
            self.0.push(waker.clone());
        }
    }

    /// Takes one out. The caller drops it when it holds no lock.
    #[must_use]
    pub(super) fn remove(&mut self, waker: &Waker) -> Option<Waker> {
        let at = self.0.iter().position(|known| known.will_wake(waker))?;
        Some(self.0.swap_remove(at))
    }

    /// Takes out all.
    pub(super) fn take(&mut self) -> Self {
        mem::take(self)
    }

    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// An awaitable for what is to be had now or later.
pub(super) fn awaitable<'py, O: Operation + 'static>(
    py: Python<'py>,
    agenda: &Arc<Agenda>,
    operation: O,
) -> PyResult<Bound<'py, PyAny>> {
    match operation.poll(py, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(None)) => done(py),
        Poll::Ready(Ok(Some(value))) => given(py, value),
        Poll::Ready(Err(error)) => Err(error),
        Poll::Pending => {
            let waiting =
                Waiting { operation: Box::new(operation), agenda: agenda.clone(), state: Mutex::default() };
            Ok(Bound::new(py, waiting)?.into_any())
        }
    }
}

/// An awaitable of `None` that does not wait.
pub(super) fn done(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static DONE: PyOnceLock<Py<Done>> = PyOnceLock::new();
    Ok(DONE.get_or_try_init(py, || Py::new(py, Done))?.bind(py).clone().into_any())
}

/// An awaitable of `value` that does not wait.
pub(super) fn given(py: Python<'_>, value: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    Ok(Bound::new(py, Given(Mutex::new(Some(value))))?.into_any())
}

/// Makes coroutines of the awaitables, in the eyes of whoever asks.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    let coroutine = py.import("collections.abc")?.getattr("Coroutine")?;
    for kind in [Done::type_object(py), Given::type_object(py), Waiting::type_object(py)] {
        coroutine.call_method1("register", (kind,))?;
    }
    Ok(())
}

/// Throws what a coroutine's `throw()` is given.
fn thrown(py: Python<'_>, kind: Bound<'_, PyAny>, value: Option<Bound<'_, PyAny>>) -> PyErr {
    let value = value.filter(|value| !value.is_none());
    match value {
        Some(value) if value.is_instance_of::<pyo3::exceptions::PyBaseException>() => {
            PyErr::from_value(value)
        }
        Some(value) => kind.call1((value,)).map_or_else(|error| error, PyErr::from_value),
        None if kind.is_instance_of::<pyo3::types::PyType>() => {
            kind.call0().map_or_else(|error| error, PyErr::from_value)
        }
        None => {
            let _ = py;
            PyErr::from_value(kind)
        }
    }
}

/// See [`done`].
#[pyclass(module = "ferricorn", frozen)]
pub(super) struct Done;

#[pymethods]
#[expect(clippy::unused_self, clippy::needless_pass_by_value, reason = "Python's protocols")]
impl Done {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> Option<Py<PyAny>> {
        None
    }

    fn send(&self, _value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw(
        &self,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        Err(thrown(kind.py(), kind.clone(), value))
    }

    fn close(&self) {}
}

/// See [`given`].
#[pyclass(module = "ferricorn", frozen)]
pub(super) struct Given(Mutex<Option<Py<PyAny>>>);

#[pymethods]
#[expect(clippy::unused_self, clippy::needless_pass_by_value, reason = "Python's protocols")]
impl Given {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> PyResult<Option<Py<PyAny>>> {
        match lock(&self.0).take() {
            Some(value) => Err(PyStopIteration::new_err((value,))),
            None => Ok(None),
        }
    }

    fn send(&self, _value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let value = lock(&self.0).take();
        Err(PyStopIteration::new_err((value,)))
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw(
        &self,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        Err(thrown(kind.py(), kind.clone(), value))
    }

    fn close(&self) {}
}

/// An awaitable whose task goes on when its operation is ready.
#[pyclass(module = "ferricorn", frozen)]
pub(super) struct Waiting {
    operation: Box<dyn Operation>,
    agenda: Arc<Agenda>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// asyncio's mark of a future that was yielded by `await`. Before that it is none, and asyncio takes this for a
    /// coroutine alone: `gather`, `wait` and `shield` make a task of one, and would never begin a future.
    blocking: Option<bool>,
    /// What asyncio wants to have called, each in its context.
    callbacks: Vec<(Py<PyAny>, Option<Py<PyAny>>)>,
    /// The message of the cancellation, if there was one.
    cancelled: Option<Option<Py<PyAny>>>,
    /// Whether the operation was found to be ready, or nobody waits for it any more.
    over: bool,
    /// With what the operation wakes it, while it waits.
    waker: Option<Waker>,
}

/// Puts an awaitable on the agenda.
struct Resume {
    waiting: Py<Waiting>,
    agenda: Arc<Agenda>,
}

impl Wake for Resume {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiting = Python::attach(|py| self.waiting.clone_ref(py));
        self.agenda.resume(waiting);
    }
}

impl Waiting {
    /// What the next step of the task gets; `None` if it still waits.
    fn step(slf: &Bound<'_, Self>) -> PyResult<Option<Option<Py<PyAny>>>> {
        let this = slf.get();
        if let Some(message) = &lock(&this.state).cancelled {
            return Err(cancelled_error(slf.py(), message.as_ref()));
        }
        let known = lock(&this.state).waker.clone();
        let waker = known.unwrap_or_else(|| {
            let resume = Resume { waiting: slf.clone().unbind(), agenda: this.agenda.clone() };
            Waker::from(Arc::new(resume))
        });
        match this.operation.poll(slf.py(), &mut Context::from_waker(&waker)) {
            Poll::Pending => {
                let mut state = lock(&this.state);
                state.blocking = Some(true);
                state.waker = Some(waker);
                Ok(None)
            }
            Poll::Ready(result) => {
                this.end();
                result.map(Some)
            }
        }
    }

    /// Waits no more. The waker holds this object, and so it goes.
    fn end(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.over = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            self.operation.forget(&waker);
        }
    }

    /// Lets its tasks take their next steps. An exception out of one is of those that end a process.
    pub(super) fn resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let callbacks = mem::take(&mut lock(&slf.get().state).callbacks);
        for (callback, context) in callbacks {
            match context {
                Some(context) => context.bind(py).call_method1(intern!(py, "run"), (callback, slf))?,
                None => callback.bind(py).call1((slf,))?,
            };
        }
        Ok(())
    }
}

fn cancelled_error(py: Python<'_>, message: Option<&Py<PyAny>>) -> PyErr {
    let make = || {
        let kind = py.import("asyncio")?.getattr("CancelledError")?;
        match message {
            Some(message) => kind.call1((message,)),
            None => kind.call0(),
        }
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "Python's protocols")]
impl Waiting {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        match Self::step(slf)? {
            None => Ok(Some(slf.clone().into_any().unbind())),
            Some(None) => Ok(None),
            Some(Some(value)) => Err(PyStopIteration::new_err((value,))),
        }
    }

    fn send(slf: &Bound<'_, Self>, _value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match Self::step(slf)? {
            None => Ok(slf.clone().into_any().unbind()),
            Some(value) => Err(PyStopIteration::new_err((value,))),
        }
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw(
        &self,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        self.end();
        Err(thrown(kind.py(), kind.clone(), value))
    }

    fn close(&self) {
        self.end();
    }

    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> Option<bool> {
        lock(&self.state).blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        lock(&self.state).blocking = Some(blocking);
    }

    fn get_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.agenda.bell().event_loop(py)
    }

    #[pyo3(signature = (callback, *, context=None))]
    fn add_done_callback(&self, callback: Py<PyAny>, context: Option<Py<PyAny>>) {
        lock(&self.state).callbacks.push((callback, context));
    }

    fn remove_done_callback(&self, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let callbacks = mem::take(&mut lock(&self.state).callbacks);
        let before = callbacks.len();
        let mut kept = Vec::new();
        for (own, context) in callbacks {
            if !own.bind(callback.py()).eq(callback)? {
                kept.push((own, context));
            }
        }
        let removed = before - kept.len();
        lock(&self.state).callbacks.extend(kept);
        Ok(removed)
    }

    /// As that of `asyncio.Future`: whoever waits gets a `CancelledError`, soon.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let py = slf.py();
        let mut state = lock(&slf.get().state);
        if state.over || state.cancelled.is_some() {
            return Ok(false);
        }
        state.cancelled = Some(msg);
        let callbacks = mem::take(&mut state.callbacks);
        drop(state);
        let Some(event_loop) = slf.get().agenda.bell().event_loop(py) else { return Ok(true) };
        for (callback, context) in callbacks {
            let options = pyo3::types::PyDict::new(py);
            options.set_item(intern!(py, "context"), context)?;
            event_loop.call_method(intern!(py, "call_soon"), (callback, slf), Some(&options))?;
        }
        Ok(true)
    }

    /// Nothing: the value comes by `await`. asyncio asks only for the exception.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        match &lock(&self.state).cancelled {
            Some(message) => Err(cancelled_error(py, message.as_ref())),
            None => Ok(()),
        }
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.result(py).map(|()| None)
    }

    fn done(&self) -> bool {
        let state = lock(&self.state);
        state.over || state.cancelled.is_some()
    }

    fn cancelled(&self) -> bool {
        lock(&self.state).cancelled.is_some()
    }
}
