//! The lifespan of an ASGI application (the ASGI specification, "Lifespan"): one task, from before the first request
//! until after the last.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use ferricorn_config::Lifespan as Mode;
use ferricorn_protocol::AppFault;
use ferricorn_telemetry::tell_fault;
use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::agenda::Agenda;
use super::app::Bridge;
use super::awaitable::{Outcome, Source, Waiters, awaitable, done};
use super::message::{as_dict, field, kind};
use crate::fault::app_fault;
use crate::hosted::lock;

/// See the module's first line.
pub(super) struct Lifespan {
    agenda: Arc<Agenda>,
    mode: Mode,
    progress: Mutex<Progress>,
    /// What the application keeps for its requests, if it has a lifespan.
    state: OnceLock<Py<PyDict>>,
}

#[derive(Default)]
struct Progress {
    /// How the start-up ended.
    started: Option<Result<(), AppFault>>,
    /// Whether it has failed, and that is told.
    failed: bool,
    /// Whether the application has got `lifespan.startup`.
    startup_told: bool,
    /// Whether the server wants it to end.
    stopping: bool,
    /// Whether the application has got `lifespan.shutdown`.
    shutdown_told: bool,
    /// Whether it has answered that.
    stopped: bool,
    /// Whether its task has ended.
    over: bool,
    /// Whether the server waits no longer for what it has asked for, and ends the task.
    given_up: bool,
    server: Option<Waker>,
    receivers: Waiters,
}

impl Lifespan {
    pub(super) fn new(agenda: &Arc<Agenda>, mode: Mode) -> Arc<Self> {
        let mut progress = Progress::default();
        if mode == Mode::Off {
            progress.started = Some(Ok(()));
            progress.over = true;
        }
        Arc::new(Self {
            agenda: agenda.clone(),
            mode,
            progress: Mutex::new(progress),
            state: OnceLock::new(),
        })
    }

    /// What the application keeps for its requests, if it has a lifespan.
    pub(super) fn state(&self) -> Option<&Py<PyDict>> {
        self.state.get()
    }

    /// Begins the task, once the loop is there.
    pub(super) fn begin(self: &Arc<Self>, bridge: &Bridge, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        let py = event_loop.py();
        let state = PyDict::new(py);
        let scope = bridge.scopes().lifespan(&state)?;
        let receive = Bound::new(py, Receive(self.clone()))?;
        let send = Bound::new(py, Send { lifespan: self.clone(), state: state.unbind() })?;
        let options = PyDict::new(py);
        options.set_item("loop", event_loop)?;
        let begun = bridge
            .call(&scope, receive.as_any(), send.as_any())
            .and_then(|awaitable| {
                py.import("asyncio")?.call_method("ensure_future", (awaitable,), Some(&options))
            })
            .and_then(|task| {
                task.call_method1("add_done_callback", (Bound::new(py, Ended(self.clone()))?,)).map(drop)
            });
        if let Err(error) = begun {
            self.ended(py, Some(&error));
        }
        Ok(())
    }

    /// Returns when the application has started, or has failed to.
    pub(super) async fn started(&self) -> Result<(), AppFault> {
        let waits = Waits(self);
        let started = poll_fn(|cx| {
            let mut progress = lock(&self.progress);
            match progress.started.take() {
                Some(result) => {
                    progress.started = Some(Ok(()));
                    Poll::Ready(result)
                }
                None => progress.wait(cx),
            }
        })
        .await;
        waits.end();
        started
    }

    /// Takes an exception that ends a process as the end of the start-up, if that is not over.
    pub(super) fn fails(&self, py: Python<'_>, error: &PyErr) -> bool {
        {
            let progress = lock(&self.progress);
            // uvloop raises it only when its turn is over, in which the server may have taken the failure already.
            if progress.failed || matches!(progress.started, Some(Ok(()))) {
                return progress.failed;
            }
        }
        let fault = app_fault(py, error);
        let mut progress = lock(&self.progress);
        progress.failed = true;
        // What the application has said of it itself counts.
        progress.started.get_or_insert(Err(fault));
        let server = progress.server.take();
        drop(progress);
        if let Some(waker) = server {
            waker.wake();
        }
        true
    }

    /// Whether the application waits for the server's end.
    pub(super) fn goes_on(&self) -> bool {
        !lock(&self.progress).over
    }

    /// Tells the application that the last request is over, and returns when it is done with that.
    pub(super) async fn stopped(&self) {
        let receivers = {
            let mut progress = lock(&self.progress);
            progress.stopping = true;
            progress.receivers.take()
        };
        receivers.wake();
        let waits = Waits(self);
        poll_fn(|cx| {
            let mut progress = lock(&self.progress);
            if progress.stopped || progress.over { Poll::Ready(()) } else { progress.wait(cx) }
        })
        .await;
        waits.end();
    }

    /// The task has ended.
    fn ended(&self, py: Python<'_>, error: Option<&PyErr>) {
        let cancelled = error.is_some_and(|error| error.is_instance_of::<CancelledError>(py));
        let fault = error.map(|error| app_fault(py, error));
        let mut progress = lock(&self.progress);
        progress.over = true;
        if progress.given_up && cancelled {
            return;
        }
        let failed = progress.failed;
        let before = progress.started.is_none();
        if before {
            let judged = self.judge(fault.as_ref());
            progress.failed = judged.is_err();
            progress.started = Some(judged);
        }
        let stopping = progress.shutdown_told;
        let server = progress.server.take();
        drop(progress);
        if let Some(waker) = server {
            waker.wake();
        }
        if let Some(fault) = fault.filter(|fault| !before && !failed && !fault.told) {
            let when = if stopping { "while it shut down" } else { "before the server ended" };
            tell_fault(&format!("The lifespan of the app failed {when}"), &fault);
        }
    }

    /// What it means that the task ended before the start-up was over.
    fn judge(&self, fault: Option<&AppFault>) -> Result<(), AppFault> {
        match (self.mode, fault) {
            (_, Some(fault)) if fault.exit.is_some() => Err(copy(fault)),
            (Mode::On, Some(fault)) => Err(copy(fault)),
            (Mode::On, None) => Err(AppFault::new(
                "its lifespan ended before lifespan.startup.complete, and --asgi-lifespan on insists on it",
            )),
            (_, fault) => {
                let why = fault.map_or("it ended early", |fault| &fault.message);
                tracing::info!("The app appears not to support the lifespan protocol ({why})");
                Ok(())
            }
        }
    }
}

/// What an application says of its failure is a traceback, as a rule.
fn reported(why: String) -> AppFault {
    let why = why.trim_end();
    match why.lines().last() {
        Some(last) if why.contains('\n') => {
            AppFault { traceback: Some(why.to_owned()), ..AppFault::new(last.trim()) }
        }
        _ => AppFault::new(why),
    }
}

fn copy(fault: &AppFault) -> AppFault {
    AppFault {
        message: fault.message.clone(),
        traceback: fault.traceback.clone(),
        exit: fault.exit,
        told: fault.told,
        cause: fault.cause.clone(),
    }
}

/// The server while it waits: dropped before [`Waits::end`], it has given up.
struct Waits<'a>(&'a Lifespan);

impl Waits<'_> {
    fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        lock(&self.0.progress).given_up = true;
    }
}

impl Progress {
    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.server = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// `receive()` of a lifespan.
#[pyclass(module = "ferricorn", frozen, name = "receive")]
struct Receive(Arc<Lifespan>);

#[pymethods]
impl Receive {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, &self.0.agenda, &self.0, |lifespan, py, cx| lifespan.poll_next(py, cx))
    }
}

impl Lifespan {
    /// The next message.
    fn poll_next(&self, py: Python<'_>, cx: &Context<'_>) -> Outcome {
        let mut progress = lock(&self.progress);
        let kind = if !progress.startup_told {
            progress.startup_told = true;
            "lifespan.startup"
        } else if progress.stopping && !progress.shutdown_told {
            progress.shutdown_told = true;
            "lifespan.shutdown"
        } else {
            progress.receivers.add(cx);
            return Poll::Pending;
        };
        drop(progress);
        let message = PyDict::new(py);
        let set = message.set_item(intern!(py, "type"), PyString::new(py, kind));
        Poll::Ready(set.map(|()| Some(message.into_any().unbind())))
    }
}

impl Source for Lifespan {
    fn forget(&self, waker: &Waker) {
        let forgotten = lock(&self.progress).receivers.remove(waker);
        drop(forgotten);
    }
}

/// `send()` of a lifespan.
#[pyclass(module = "ferricorn", frozen, name = "send")]
struct Send {
    lifespan: Arc<Lifespan>,
    state: Py<PyDict>,
}

#[pymethods]
impl Send {
    fn __call__<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = message.py();
        let message = as_dict(message)?;
        let kind = kind(message)?;
        let name = kind.to_str()?;
        let told = match field(message, intern!(py, "message"))? {
            Some(told) => told.str()?.to_string_lossy().into_owned(),
            None => String::new(),
        };
        let lifespan = &self.lifespan;
        let mut progress = lock(&lifespan.progress);
        let fits = match name {
            "lifespan.startup.complete" | "lifespan.startup.failed" => {
                progress.startup_told && progress.started.is_none()
            }
            "lifespan.shutdown.complete" | "lifespan.shutdown.failed" => {
                progress.shutdown_told && !progress.stopped
            }
            other => {
                return Err(PyValueError::new_err(format!(
                    "{other:?} is not the type of a message of a lifespan"
                )));
            }
        };
        if !fits {
            return Err(PyRuntimeError::new_err(format!("{name} was sent out of order")));
        }
        let mut failed = false;
        match name {
            "lifespan.startup.complete" => {
                progress.started = Some(Ok(()));
                let _ = lifespan.state.set(self.state.clone_ref(py));
            }
            "lifespan.startup.failed" => {
                let why = if told.is_empty() { "lifespan.startup.failed".to_owned() } else { told.clone() };
                progress.failed = true;
                progress.started = Some(Err(reported(why)));
            }
            _ => {
                // Frameworks report the cancellation too.
                failed = name == "lifespan.shutdown.failed" && !progress.given_up;
                progress.stopped = true;
            }
        }
        let server = progress.server.take();
        drop(progress);
        if failed {
            tracing::error!("The app failed to shut down: {}", told.trim_end());
        }
        if let Some(waker) = server {
            waker.wake();
        }
        done(py)
    }
}

/// Called by asyncio when the task ends.
#[pyclass(module = "ferricorn", frozen)]
struct Ended(Arc<Lifespan>);

#[pymethods]
impl Ended {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        let py = task.py();
        let error = task.call_method0(intern!(py, "result")).err();
        self.0.ended(py, error.as_ref());
    }
}
