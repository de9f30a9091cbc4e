//! `wsgi.input` of a greenlet: the request body as it arrives. Reading waits for the client while other greenlets run.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::exchange::Exchange;
use super::waiting::wait;
use crate::hosted::lock;

/// See the module's first line.
#[pyclass(module = "ferricorn", frozen)]
pub(super) struct Input {
    exchange: Arc<Exchange>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What has come, and was not given to the application.
    bytes: BytesMut,
    ended: bool,
    /// Why no more comes, if that is not the end.
    failure: Option<String>,
    /// Whether a greenlet reads.
    read: bool,
}

/// The greenlet that reads.
struct Reading<'a>(&'a Input);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).read = false;
    }
}

impl Input {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange, state: Mutex::default() }
    }

    /// # Errors
    /// `RuntimeError`, if another greenlet reads.
    fn begin(&self) -> PyResult<Reading<'_>> {
        if std::mem::replace(&mut lock(&self.state).read, true) {
            return Err(PyRuntimeError::new_err("another greenlet reads this request body"));
        }
        Ok(Reading(self))
    }

    /// Waits for more. False at the end.
    ///
    /// # Errors
    /// `OSError`, if the rest does not come.
    fn wait(&self, py: Python<'_>) -> PyResult<bool> {
        {
            let state = lock(&self.state);
            if let Some(failure) = &state.failure {
                return Err(PyOSError::new_err(failure.clone()));
            }
            if state.ended {
                return Ok(false);
            }
        }
        let piece = wait(py, self.exchange.agenda(), |cx| self.exchange.poll_body(cx))?;
        let mut state = lock(&self.state);
        match piece {
            Some(Ok(bytes)) => state.bytes.extend_from_slice(&bytes),
            None => state.ended = true,
            Some(Err(error)) => {
                let failure = error.to_string();
                state.failure = Some(failure.clone());
                return Err(PyOSError::new_err(failure));
            }
        }
        Ok(!state.ended)
    }

    fn length(&self) -> usize {
        lock(&self.state).bytes.len()
    }

    fn take(&self, py: Python<'_>, most: usize) -> Py<PyBytes> {
        let taken = {
            let mut state = lock(&self.state);
            let count = most.min(state.bytes.len());
            state.bytes.split_to(count)
        };
        PyBytes::new(py, &taken).unbind()
    }

    /// The next line, its end included, but at most `limit` bytes of it. Empty at the end of the body.
    fn line(&self, py: Python<'_>, limit: usize) -> PyResult<Py<PyBytes>> {
        let mut seen = 0;
        loop {
            let (end, length) = {
                let state = lock(&self.state);
                let end = state.bytes[seen..].iter().position(|&byte| byte == b'\n');
                (end.map(|at| seen + at + 1), state.bytes.len())
            };
            if let Some(end) = end {
                return Ok(self.take(py, end.min(limit)));
            }
            if length >= limit || !self.wait(py)? {
                return Ok(self.take(py, limit));
            }
            seen = length;
        }
    }
}

#[pymethods]
impl Input {
    /// Reads `size` bytes, fewer only at the end, or all that is left if `size` is negative or `None`.
    #[pyo3(signature = (size=None, /))]
    fn read(&self, py: Python<'_>, size: Option<i64>) -> PyResult<Py<PyBytes>> {
        let _reading = self.begin()?;
        let size = limit(size);
        while self.length() < size && self.wait(py)? {}
        Ok(self.take(py, size))
    }

    /// Reads one line, or at most `size` bytes of it.
    #[pyo3(signature = (size=None, /))]
    fn readline(&self, py: Python<'_>, size: Option<i64>) -> PyResult<Py<PyBytes>> {
        let _reading = self.begin()?;
        self.line(py, limit(size))
    }

    /// Reads lines until the end, or until they hold `hint` bytes together.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        let _reading = self.begin()?;
        // As in the io module, a hint of zero is none.
        let hint = limit(hint.filter(|&hint| hint > 0));
        let lines = PyList::empty(py);
        let mut total = 0;
        while total < hint {
            let line = self.line(py, usize::MAX)?;
            let length = line.as_bytes(py).len();
            if length == 0 {
                break;
            }
            total += length;
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyBytes>>> {
        let _reading = self.begin()?;
        let line = self.line(py, usize::MAX)?;
        Ok(Some(line).filter(|line| !line.as_bytes(py).is_empty()))
    }
}

/// A size as Python gives it: negative or absent means without limit.
fn limit(size: Option<i64>) -> usize {
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX)
}
