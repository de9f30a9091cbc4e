//! The two callables of PEP 3333 that an application calls: `start_response`, and the `write` it returns.

use std::sync::Arc;

use ferricorn_protocol::{Early, Head};
use http::HeaderMap;
use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::head;
use super::pieces::piece;
use crate::data::to_bytes;

/// `start_response`, made for each request.
#[pyclass(module = "ferricorn")]
pub(super) struct StartResponse {
    state: State,
    early: Option<Arc<dyn Early>>,
}

enum State {
    /// It was not called yet.
    Waiting,
    /// It was called; nothing is sent.
    Given(Head),
    /// The head has left, with the first bytes of `write`, or with the application's answer.
    Sent,
}

impl StartResponse {
    pub(super) fn new(early: Option<Arc<dyn Early>>) -> Self {
        Self { state: State::Waiting, early }
    }

    /// Whether `write` has sent the head.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.state, State::Sent)
    }

    /// Sends hints, unless the head was sent.
    pub(super) fn hint(&self, headers: &HeaderMap) {
        if let (false, Some(early)) = (self.is_sent(), &self.early) {
            early.hint(headers);
        }
    }

    /// The head, unless it was sent.
    pub(super) fn head(&self) -> Option<&Head> {
        match &self.state {
            State::Given(head) => Some(head),
            State::Waiting | State::Sent => None,
        }
    }

    /// Takes the head for sending, so that from now on it cannot be replaced.
    ///
    /// # Errors
    /// `AssertionError` if the application has given none.
    pub(super) fn take_head(&mut self) -> PyResult<Head> {
        match std::mem::replace(&mut self.state, State::Sent) {
            State::Given(head) => Ok(head),
            State::Waiting | State::Sent => {
                Err(PyAssertionError::new_err("the application sent a body before it called start_response"))
            }
        }
    }
}

#[pymethods]
impl StartResponse {
    /// Sets status and headers. With `exc_info` it replaces what was set before, or raises the exception again
    /// if the head is already on its way.
    #[pyo3(signature = (status, headers, exc_info=None))]
    fn __call__(
        this: &Bound<'_, Self>,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Write> {
        let replaces = match exc_info {
            Some(exc_info) => exc_info.is_truthy()?.then_some(exc_info),
            None => None,
        };
        match (&this.borrow().state, replaces) {
            (State::Sent, Some(exc_info)) => return Err(raised(exc_info)?),
            (State::Given(_) | State::Sent, None) => {
                return Err(PyAssertionError::new_err("start_response was called twice, without exc_info"));
            }
            (State::Waiting, _) | (State::Given(_), Some(_)) => {}
        }
        let head = head::parse(status, headers)?;
        this.borrow_mut().state = State::Given(head);
        Ok(Write { start: this.clone().unbind() })
    }
}

/// The exception of a `sys.exc_info()` tuple, its traceback included.
fn raised(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let exc_info = exc_info.cast::<PyTuple>()?;
    let (value, traceback) = (exc_info.get_item(1)?, exc_info.get_item(2)?);
    let value = value.call_method1(intern!(value.py(), "with_traceback"), (traceback,))?;
    Ok(PyErr::from_value(value))
}

/// The `write` callable, which sends bytes before the application returns.
#[pyclass(module = "ferricorn", frozen)]
pub(super) struct Write {
    start: Py<StartResponse>,
}

#[pymethods]
impl Write {
    /// Sends the bytes, the head before the first of them, and returns when they were written to the client.
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data: &Bound<'_, PyBytes> = piece(data)?;
        if data.as_bytes().is_empty() {
            return Ok(());
        }
        let bytes = to_bytes(data);
        let (early, head) = {
            let mut start = self.start.bind(py).borrow_mut();
            let Some(early) = start.early.clone() else {
                return Err(PyRuntimeError::new_err(
                    "this server cannot send bytes before the application returns",
                ));
            };
            let head = if start.is_sent() { None } else { Some(start.take_head()?) };
            (early, head)
        };
        py.detach(|| match head {
            Some(head) => early.begin(head, bytes),
            None => early.write(bytes),
        })
        .map_err(|gone| PyBrokenPipeError::new_err(gone.to_string()))
    }
}
