//! An awaitable that waits.
//!
//! It is a future in the eyes of asyncio (it has `_asyncio_future_blocking`, as duck-typed futures do), and a poll in
//! Rust's: when its waker is called its task takes the next step between two pumps, without another turn of the host's
//! loop.

use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::operation::{Operation, Outcome};
use super::thrown;
use crate::asgi::agenda::Agenda;
use crate::hosted::lock;

/// An awaitable whose task goes on when its operation is ready.
#[pyclass(module = "ferricorn", frozen)]
pub(in crate::asgi) struct Waiting {
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
    pub(super) fn new(agenda: &Arc<Agenda>, operation: impl Operation + 'static) -> Self {
        Self { operation: Box::new(operation), agenda: agenda.clone(), state: Mutex::default() }
    }

    /// What the next step of the task gets; `None` if it still waits.
    fn step(slf: &Bound<'_, Self>) -> PyResult<Option<Option<Py<PyAny>>>> {
        let this = slf.get();
        this.check(slf.py())?;
        let known = lock(&this.state).waker.clone();
        // As a rule it is ready, and then it needs no waker.
        if known.is_none()
            && let Poll::Ready(result) = this.poll(slf.py(), Waker::noop())
        {
            return result.map(Some);
        }
        let waker = known.unwrap_or_else(|| {
            let resume = Resume { waiting: slf.clone().unbind(), agenda: this.agenda.clone() };
            Waker::from(Arc::new(resume))
        });
        match this.poll(slf.py(), &waker) {
            Poll::Pending => {
                let mut state = lock(&this.state);
                state.blocking = Some(true);
                state.waker = Some(waker);
                Ok(None)
            }
            Poll::Ready(result) => result.map(Some),
        }
    }

    fn poll(&self, py: Python<'_>, waker: &Waker) -> Outcome {
        let polled = self.operation.poll(py, &mut Context::from_waker(waker));
        if polled.is_ready() {
            self.end();
        }
        polled
    }

    /// # Errors
    /// `CancelledError`, if it was cancelled; `RuntimeError`, if it was awaited to its end before.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        let cancelled = {
            let state = lock(&self.state);
            if state.over {
                return Err(PyRuntimeError::new_err("cannot reuse already awaited receive() or send()"));
            }
            state.cancelled.as_ref().map(|message| message.as_ref().map(|message| message.clone_ref(py)))
        };
        cancelled.map_or(Ok(()), |message| Err(cancelled_error(py, message)))
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
    pub(in crate::asgi) fn resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let callbacks = mem::take(&mut lock(&slf.get().state).callbacks);
        if callbacks.is_empty() {
            // No task waits: it was begun by hand. Without its waker, which holds this object, that can go.
            let waker = lock(&slf.get().state).waker.take();
            drop(waker);
        }
        for (callback, context) in callbacks {
            match context {
                Some(context) => context.bind(py).call_method1(intern!(py, "run"), (callback, slf))?,
                None => callback.bind(py).call1((slf,))?,
            };
        }
        Ok(())
    }
}

fn cancelled_error(py: Python<'_>, message: Option<Py<PyAny>>) -> PyErr {
    match message {
        Some(message) => CancelledError::new_err((message.clone_ref(py),)),
        None => CancelledError::new_err(()),
    }
}

#[pymethods]
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
        Err(thrown(kind, value))
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
        self.agenda.event_loop(py)
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
        let Some(event_loop) = slf.get().agenda.event_loop(py) else { return Ok(true) };
        for (callback, context) in callbacks {
            let options = PyDict::new(py);
            options.set_item(intern!(py, "context"), context)?;
            event_loop.call_method(intern!(py, "call_soon"), (callback, slf), Some(&options))?;
        }
        Ok(true)
    }

    /// Nothing: the value comes by `await`. asyncio asks only for the exception.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        if lock(&self.state).over { Ok(()) } else { self.check(py) }
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
