//! Runs asyncio with the server's loop as its guest.

use std::cell::Cell;
use std::mem;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use ferricorn_protocol::{AppFault, Guest, Look};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::agenda::Items;
use super::app::Bridge;
use super::awaitable::{Waiting, register};
use super::call::Exchange;
use super::event_loop;
use super::tasks::Tasks;
use crate::fault::{app_fault, exit_status};
use crate::hosted::{Bell, Host, pump};

/// How long tasks that are left may take to end when they are cancelled, in seconds.
const PATIENCE: f64 = 1.0;

/// Runs the loop until the worker's life is over.
pub(super) fn run(bridge: &Arc<Bridge>, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
    Python::attach(|py| {
        let fault = |error: PyErr| app_fault(py, &error);
        let event_loop = event_loop::of_thread(py, bridge.settings.event_loop).map_err(fault)?;
        let result = serve(bridge, &guest, &event_loop);
        let closed = close(&event_loop);
        result.map_err(fault)?;
        closed.map_err(fault)
    })
}

fn serve(bridge: &Arc<Bridge>, guest: &Rc<dyn Guest>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    register(py)?;
    let turns = Rc::new(Turns {
        bridge: bridge.clone(),
        guest: guest.clone(),
        tasks: Tasks::new(event_loop)?,
        event_loop: event_loop.clone().unbind(),
        over: Cell::new(false),
        items: Cell::default(),
    });
    let pumping = |look| Bound::new(py, Pump { turns: turns.clone(), look });
    let (readable, rung) = (pumping(Look::Kernel)?, pumping(Look::Tasks)?);
    bridge.agenda.hang(event_loop, rung.as_any())?;
    let agenda = bridge.agenda.clone();
    guest.set_bell(Box::new(move || agenda.bell().ring()));
    let descriptor = guest.descriptor().as_raw_fd();
    event_loop.call_method1("add_reader", (descriptor, &readable))?;
    event_loop.call_method1("call_soon", (&readable,))?;
    bridge.lifespan.begin(bridge, event_loop)?;
    while !turns.over.get() {
        if let Err(error) = event_loop.call_method0("run_forever") {
            // asyncio lets through what ends a process. The worker drains first.
            match exit_status(py, &error) {
                // Before the application has started, it is its start that has failed.
                Some(_) if bridge.lifespan.fails(py, &error) => {}
                Some(status) => guest.leave(status),
                None => return Err(error),
            }
        } else if !turns.over.get() {
            // The application has stopped the loop, which is not its own to stop.
            tracing::warn!("The app has stopped the event loop; this worker leaves");
            guest.leave(0);
        }
    }
    event_loop.call_method1("remove_reader", (descriptor,))?;
    Ok(())
}

/// Ends what is left in the loop, and closes it.
fn close(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let asyncio = py.import("asyncio")?;
    let tasks = asyncio.call_method1("all_tasks", (event_loop,))?;
    if tasks.is_truthy()? {
        for task in tasks.try_iter()? {
            task?.call_method0("cancel")?;
        }
        let options = PyDict::new(py);
        options.set_item("timeout", PATIENCE)?;
        let wait = asyncio.call_method("wait", (tasks,), Some(&options))?;
        event_loop.call_method1("run_until_complete", (wait,))?;
    }
    for ending in ["shutdown_asyncgens", "shutdown_default_executor"] {
        let ending = event_loop.call_method0(ending)?;
        event_loop.call_method1("run_until_complete", (ending,))?;
    }
    asyncio.call_method1("set_event_loop", (py.None(),))?;
    event_loop.call_method0("close")?;
    Ok(())
}

/// What a pump does: a turn of the server's loop, and what that leaves for Python to do.
struct Turns {
    bridge: Arc<Bridge>,
    guest: Rc<dyn Guest>,
    tasks: Tasks,
    event_loop: Py<PyAny>,
    over: Cell<bool>,
    /// Lists that are empty, for the agenda to fill.
    items: Cell<Items>,
}

fn cancel(py: Python<'_>, call: &dyn Exchange) {
    if let Err(error) = call.ending().cancel(py) {
        tracing::error!("The task of {} cannot be cancelled: {error}", call.request());
    }
}

/// The callable that asyncio calls.
#[pyclass(module = "ferricorn", unsendable, frozen)]
struct Pump {
    turns: Rc<Turns>,
    look: Look,
}

#[pymethods]
impl Pump {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        pump(&*self.turns, py, self.look)
    }
}

impl Host for Turns {
    fn bell(&self) -> &Bell {
        self.bridge.agenda.bell()
    }

    fn guest(&self) -> &dyn Guest {
        &*self.guest
    }

    fn over(&self) -> &Cell<bool> {
        &self.over
    }

    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let mut last = Items::default();
        self.bridge.agenda.take(&mut last);
        for code in last.over.iter().filter_map(|over| self.bridge.over(py, over)) {
            self.guest.leave(code.0);
        }
        self.event_loop.bind(py).call_method0(intern!(py, "stop")).map(drop)
    }

    fn work_off(&self, py: Python<'_>) {
        let agenda = &self.bridge.agenda;
        let mut items = self.items.take();
        agenda.take(&mut items);
        for waiting in items.ready.drain(..) {
            if let Err(error) = Waiting::resume(waiting.bind(py)) {
                self.stepped(py, &error);
            }
        }
        if !items.calls.is_empty()
            && let Err(error) = self.tasks.look(py)
        {
            tracing::error!("The event loop has no task factory: {error}");
        }
        for call in items.calls.drain(..) {
            if let Err(status) = call.begin(py, &self.bridge, &self.tasks) {
                self.guest.leave(status);
            }
        }
        for (number, tell) in items.late.drain(..) {
            let call = agenda.running().each(Arc::clone).into_iter().find(|call| call.ending().is_of(number));
            tell(call.as_ref().and_then(|call| call.ending().stack(py)));
            if let Some(call) = call {
                cancel(py, &*call);
            }
        }
        for call in items.left.drain(..) {
            if let Err(error) = call.let_go(self.event_loop.bind(py)) {
                tracing::error!("A task whose client has left cannot be cancelled: {error}");
            }
        }
        for over in items.over.drain(..) {
            if let Some(code) = self.bridge.over(py, &over) {
                self.guest.leave(code.0);
            }
        }
        if mem::take(&mut items.cancel) {
            for call in agenda.running().each(Arc::clone) {
                cancel(py, &*call);
            }
        }
        if let Some(status) = items.leave.take() {
            self.guest.leave(status);
        }
        self.items.replace(items);
    }
}

impl Turns {
    /// A task's step raised what asyncio lets through. The task itself has ended with it, and tells of it.
    fn stepped(&self, py: Python<'_>, error: &PyErr) {
        match exit_status(py, error) {
            Some(status) => self.guest.leave(status),
            None => tracing::error!("A task could not go on: {error}"),
        }
    }
}
