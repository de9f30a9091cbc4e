//! A call of the application: how it begins, and what becomes of its end.

use std::sync::Arc;

use ferricorn_protocol::{AppFault, Request};
use ferricorn_telemetry::tell_fault;
use pyo3::exceptions::asyncio::CancelledError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::agenda::Agenda;
use super::app::Bridge;
use super::awaitable::ClientDisconnected;
use super::http;
use super::scope::Kind;
use super::tasks::{Begun, Ending, Tasks, failure};
use super::websocket;
use crate::fault::{app_fault, one_line};
use crate::forked::end_if_forked;

/// How deep what a client brings about may be in an exception.
const DEEPEST: u8 = 8;

/// A request that waits for its call.
pub(super) struct Call {
    pub(super) request: Box<Request>,
    pub(super) kind: Kinds,
}

/// What the call is about.
pub(super) enum Kinds {
    /// A request that wants a response.
    Http(Arc<http::Exchange>),
    /// One that wants a WebSocket.
    WebSocket(Arc<websocket::Exchange>),
}

/// What a call is told to when it ends, or is to end.
pub(super) trait Exchange: Send + Sync {
    fn agenda(&self) -> &Agenda;

    fn ending(&self) -> &Ending;

    /// Takes the end of the task, with a fault or without. Gives back a fault that nobody else will tell of.
    fn ended(&self, fault: Option<AppFault>) -> Option<AppFault>;

    /// The request, for the log: `GET /`.
    fn request(&self) -> String;

    /// Where an error is that nobody else tells of, for the log: `after the response to GET /`.
    fn place(&self) -> String;

    /// Whether the client has left.
    fn is_gone(&self) -> bool;

    /// The client has left: sees to it that the task ends in time.
    fn let_go(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        self.ending().let_go(event_loop)
    }
}

impl Call {
    /// Calls the application, and begins its task.
    ///
    /// # Errors
    /// The status with which the application asked its process to end.
    pub(super) fn begin(self, py: Python<'_>, bridge: &Bridge, tasks: &Tasks) -> Result<(), u8> {
        let Self { request, kind } = self;
        match kind {
            Kinds::Http(exchange) => {
                begin(py, (bridge, tasks), (Kind::Http, &request), exchange, http::channel)
            }
            Kinds::WebSocket(exchange) => {
                begin(py, (bridge, tasks), (Kind::WebSocket, &request), exchange, websocket::channel)
            }
        }
    }
}

/// `channel` makes `receive` and `send`.
#[inline]
fn begin<'py, E: Exchange + 'static>(
    py: Python<'py>,
    (bridge, tasks): (&Bridge, &Tasks),
    (kind, request): (Kind, &Request),
    exchange: Arc<E>,
    channel: impl FnOnce(Python<'py>, Arc<E>) -> PyResult<[Bound<'py, PyAny>; 2]>,
) -> Result<(), u8> {
    if exchange.is_gone() {
        return Ok(());
    }
    let announced = if kind == Kind::Http { bridge.begins(py, request) } else { Ok(()) };
    let begun = announced.and_then(|()| bridge.scope(py, kind, request)).and_then(|scope| {
        let [receive, send] = channel(py, exchange.clone())?;
        let coroutine = bridge.call(&scope, &receive, &send)?;
        tasks.begin(&coroutine)
    });
    follow(py, begun, exchange)
}

/// Sees to the end of a task, which may have come already.
fn follow<E: Exchange + 'static>(
    py: Python<'_>,
    begun: PyResult<Begun<'_>>,
    exchange: Arc<E>,
) -> Result<(), u8> {
    let task = match begun {
        Err(error) => return end(py, &*exchange, Some(error)),
        Ok(Begun::Ended(error)) => return end(py, &*exchange, error),
        Ok(Begun::Waits(task)) => task,
    };
    exchange.ending().set_task(&task);
    let number = exchange.agenda().running().begin(exchange.clone());
    let finished = Bound::new(py, Finished { exchange: exchange.clone(), number });
    let added =
        finished.and_then(|finished| task.call_method1(intern!(py, "add_done_callback"), (finished,)));
    added.map(drop).or_else(|error| {
        exchange.agenda().running().end(number);
        end(py, &*exchange, Some(error))
    })
}

/// Called by asyncio when a task ends that did not end at its first step.
#[pyclass(module = "ferricorn", frozen)]
struct Finished {
    exchange: Arc<dyn Exchange>,
    /// The call's number in the agenda.
    number: u64,
}

#[pymethods]
impl Finished {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        let py = task.py();
        let Self { exchange, number } = self;
        exchange.agenda().running().end(*number);
        exchange.ending().ended(py);
        if let Err(status) = end(py, &**exchange, failure(task)) {
            exchange.agenda().leave(status);
        }
    }
}

/// The task has ended.
///
/// # Errors
/// The status with which the application asked its process to end, if nobody else will hear of it.
fn end(py: Python<'_>, exchange: &dyn Exchange, error: Option<PyErr>) -> Result<(), u8> {
    end_if_forked(py, error.as_ref());
    let Some(error) = error else {
        exchange.ended(None);
        return Ok(());
    };
    if (exchange.is_gone() || exchange.ending().is_cancelled()) && comes_of_the_client(py, &error) {
        let fault = AppFault::new(one_line(py, &error));
        let why = if exchange.is_gone() { "whose client had left" } else { "which was cancelled" };
        tracing::debug!("An error {}, {why}: {fault}", exchange.place());
        exchange.ended(Some(fault));
        return Ok(());
    }
    let fault = app_fault(py, &error);
    let exit = fault.exit;
    let Some(fault) = exchange.ended(Some(fault)) else { return Ok(()) };
    tell_fault(&format!("Error {}", exchange.place()), &fault);
    exit.map_or(Ok(()), Err)
}

/// Whether an exception is what a client who leaves brings about: a cancellation, or what `send()` raised, also
/// behind an exception of the framework's own, or as all that is in a group.
fn comes_of_the_client(py: Python<'_>, error: &PyErr) -> bool {
    is_of_the_client(error.value(py).as_any(), DEEPEST)
}

fn is_of_the_client(exception: &Bound<'_, PyAny>, depth: u8) -> bool {
    if exception.is_instance_of::<ClientDisconnected>() || exception.is_instance_of::<CancelledError>() {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else { return false };
    let inner = |name: &str| exception.getattr(name).ok().filter(|inner| !inner.is_none());
    if let Some(Ok(parts)) = inner("exceptions").map(Bound::cast_into::<PyTuple>) {
        return parts.iter().all(|part| is_of_the_client(&part, depth));
    }
    // What is merely raised meanwhile may be an error of the app's own, unless it says what it is, as those of
    // frameworks do.
    let meanwhile = || {
        let name = exception.get_type().qualname().ok()?;
        name.to_string_lossy().contains("Disconnect").then(|| inner("__context__"))?
    };
    inner("__cause__").or_else(meanwhile).is_some_and(|next| is_of_the_client(&next, depth))
}
