//! What a turn of the server's loop leaves for Python to do, once the turn is over.
//!
//! Connections never call Python. They note here what is to be done: a request to begin, an awaitable whose task
//! goes on, a client who left. The host works it off between two pumps, on the same thread and outside of any task.

use std::mem;
use std::sync::{Arc, Mutex, OnceLock};

use ferricorn_protocol::TellStack;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::app::Over;
use super::awaitable::Waiting;
use super::call::{Call, Exchange};
use crate::hosted::{Bell, Running, lock};

/// See the module's first line.
#[derive(Default)]
pub(super) struct Agenda {
    items: Mutex<Items>,
    bell: Bell,
    event_loop: OnceLock<Py<PyAny>>,
    running: Running<Arc<dyn Exchange>>,
}

/// What is to be done, in this order.
#[derive(Default)]
pub(super) struct Items {
    /// Awaitables whose tasks go on.
    pub(super) ready: Vec<Py<Waiting>>,
    /// Requests that begin.
    pub(super) calls: Vec<Call>,
    /// Requests whose time is over, by their numbers, and who is told where their calls are.
    pub(super) late: Vec<(u64, TellStack)>,
    /// Calls whose clients have left.
    pub(super) left: Vec<Arc<dyn Exchange>>,
    /// Requests that are over.
    pub(super) over: Vec<Over>,
    /// Whether all calls are to be cancelled that run.
    pub(super) cancel: bool,
    /// The application asked for the end of its process, with this status.
    pub(super) leave: Option<u8>,
}

impl Agenda {
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Rings reach `event_loop` from now on, which then calls `pump`, in a context of its own: what rings does not
    /// lend its context to what is begun.
    pub(super) fn hang(&self, event_loop: &Bound<'_, PyAny>, pump: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = pump.py();
        let options = PyDict::new(py);
        options.set_item("context", py.import("contextvars")?.call_method0("copy_context")?)?;
        let (host, pump, options) = (event_loop.clone().unbind(), pump.clone().unbind(), options.unbind());
        let _ = self.event_loop.set(host.clone_ref(py));
        self.bell.hang(move |py| {
            let options = options.bind(py);
            host.bind(py).call_method(intern!(py, "call_soon"), (&pump,), Some(options)).map(drop)
        });
        Ok(())
    }

    /// The host's loop, once it is there.
    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.event_loop.get().map(|event_loop| event_loop.bind(py).clone())
    }

    /// Has a request begun.
    pub(super) fn begin(&self, call: Call) {
        lock(&self.items).calls.push(call);
        self.bell.ring();
    }

    /// Has the task go on that waits so.
    pub(super) fn resume(&self, waiting: Py<Waiting>) {
        lock(&self.items).ready.push(waiting);
        self.bell.ring();
    }

    /// Has a call come to its end, for its client has left.
    pub(super) fn let_go(&self, call: Arc<dyn Exchange>) {
        lock(&self.items).left.push(call);
        self.bell.ring();
    }

    /// Has a call cancelled, for the time of its request is over.
    pub(super) fn interrupt(&self, number: u64, tell: TellStack) {
        lock(&self.items).late.push((number, tell));
        self.bell.ring();
    }

    /// Has a hook told that a request is over.
    pub(super) fn tell_over(&self, over: Over) {
        lock(&self.items).over.push(over);
        self.bell.ring();
    }

    /// Has the worker leave.
    pub(super) fn leave(&self, status: u8) {
        lock(&self.items).leave = Some(status);
        self.bell.ring();
    }

    /// Gives what there is in exchange for lists that are empty.
    pub(super) fn take(&self, emptied: &mut Items) {
        mem::swap(&mut *lock(&self.items), emptied);
    }

    /// Calls whose tasks did not end at their first step, and have not ended.
    pub(super) fn running(&self) -> &Running<Arc<dyn Exchange>> {
        &self.running
    }

    /// Has all calls cancelled that run, and gives the requests of those whose clients have not left.
    pub(super) fn cancel(&self) -> Vec<String> {
        lock(&self.items).cancel = true;
        self.bell.ring();
        let calls = self.running.each(Arc::clone);
        calls.into_iter().filter(|call| !call.is_gone()).map(|call| call.request()).collect()
    }
}
