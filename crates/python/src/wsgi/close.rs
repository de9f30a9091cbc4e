//! Sees to it that the `close()` of a response iterable is called exactly once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ferricorn_telemetry::tell_fault;
use pyo3::intern;
use pyo3::prelude::*;

use http::request::Parts;

use crate::fault::{app_fault, exit_status};

/// Iterables whose owner was dropped before it could close them: by a panic of ours, and then perhaps on a
/// thread that must not run Python. The next call of the application closes them.
static LEFT_OPEN: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());
/// Whether there may be any, so that a call need not take the lock to know that there are none.
static ANY_LEFT_OPEN: AtomicBool = AtomicBool::new(false);

/// The duty to close an iterable, or any object that may have a `close` method.
pub(super) struct Closing(Option<Py<PyAny>>);

impl Closing {
    pub(super) fn new(iterable: Bound<'_, PyAny>) -> Self {
        Self(Some(iterable.unbind()))
    }

    /// Calls `close()`, if the object has it.
    ///
    /// # Errors
    /// What `close()` raises. The response is complete without it.
    pub(super) fn close(mut self, py: Python<'_>) -> PyResult<()> {
        self.0.take().map_or(Ok(()), |iterable| close_one(iterable.bind(py)))
    }

    /// The same, in the call itself: an exception is logged.
    ///
    /// # Errors
    /// One that asks for the end of the process, which must be heeded.
    pub(super) fn close_in_call(self, py: Python<'_>, request: &Parts) -> PyResult<()> {
        match self.close(py) {
            Err(error) if exit_status(py, &error).is_none() => {
                let what =
                    format!("Error while closing the response to {} {}", request.method, request.uri.path());
                tell_fault(&what, &app_fault(py, &error));
                Ok(())
            }
            closed => closed,
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(iterable) = self.0.take() {
            LEFT_OPEN.lock().unwrap_or_else(PoisonError::into_inner).push(iterable);
            ANY_LEFT_OPEN.store(true, Ordering::Release);
        }
    }
}

/// Closes what was left open.
#[inline]
pub(crate) fn close_left_open(py: Python<'_>) {
    if ANY_LEFT_OPEN.load(Ordering::Acquire) && ANY_LEFT_OPEN.swap(false, Ordering::AcqRel) {
        let left = std::mem::take(&mut *LEFT_OPEN.lock().unwrap_or_else(PoisonError::into_inner));
        for iterable in left {
            if let Err(error) = close_one(iterable.bind(py)) {
                tell_fault("Error while closing a response that was given up", &app_fault(py, &error));
            }
        }
    }
}

fn close_one(iterable: &Bound<'_, PyAny>) -> PyResult<()> {
    match iterable.getattr_opt(intern!(iterable.py(), "close"))? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}
