//! The two callables of PEP 3333 that an application calls: `start_response`, and the `write` it returns.

use std::os::fd::OwnedFd;

use ferricorn_protocol::Head;
use http::{HeaderMap, Version};
use pyo3::exceptions::{PyAssertionError, PyConnectionError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::head;
use super::outlet::Outlet;
use super::pieces::piece;
use crate::data::to_bytes;

/// `start_response`, made for each request.
#[pyclass(module = "ferricorn")]
pub(crate) struct StartResponse {
    state: State,
    outlet: Outlet,
    /// A client of HTTP/1.0 takes no informational responses.
    takes_hints: bool,
    /// A descriptor of the connection that the application was shown.
    seen: Option<OwnedFd>,
}

enum State {
    /// It was not called yet.
    Waiting,
    /// It was called; nothing is sent.
    Given(Head),
    /// The head has left, with the first bytes of `write`, or with the application's answer.
    Sent,
    /// The application has taken the connection over, so no response is sent.
    Taken,
}

impl StartResponse {
    pub(crate) fn new(outlet: Outlet, version: Version) -> Self {
        Self { state: State::Waiting, outlet, takes_hints: version > Version::HTTP_10, seen: None }
    }

    /// Whether the head is the server's matter no more: `write` has sent it, or there will be none.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.state, State::Sent | State::Taken)
    }

    /// Whether the client takes informational responses, and waits for the head.
    pub(super) fn may_hint(&self) -> bool {
        self.takes_hints && !self.is_sent()
    }

    /// What the application does before its call returns goes there.
    pub(super) fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// The descriptor that the application was shown.
    pub(super) fn seen(&self) -> Option<&OwnedFd> {
        self.seen.as_ref()
    }

    /// Shows a descriptor to the application, for as long as its call lasts.
    pub(super) fn keep(&mut self, seen: OwnedFd) -> &OwnedFd {
        self.seen.insert(seen)
    }

    /// The application has taken the connection over.
    pub(super) fn taken(&mut self) {
        self.state = State::Taken;
    }

    /// Whether an exception is a way to end the call of an application that has taken the connection over: the one by
    /// which libraries say so, or that the client has left.
    pub(super) fn ends_with(&self, error: &PyErr, py: Python<'_>) -> bool {
        matches!(self.state, State::Taken)
            && (error.is_instance_of::<PyStopIteration>(py) || error.is_instance_of::<PyConnectionError>(py))
    }

    /// Sends hints, unless the head was sent.
    pub(super) fn hint(&self, headers: &HeaderMap) {
        if !self.is_sent() {
            self.outlet.hint(headers);
        }
    }

    /// The head, unless it was sent.
    pub(super) fn head(&self) -> Option<&Head> {
        match &self.state {
            State::Given(head) => Some(head),
            State::Waiting | State::Sent | State::Taken => None,
        }
    }

    /// Takes the head for sending, so that from now on it cannot be replaced.
    ///
    /// # Errors
    /// `AssertionError` if the application has given none.
    pub(super) fn take_head(&mut self) -> PyResult<Head> {
        match std::mem::replace(&mut self.state, State::Sent) {
            State::Given(head) => Ok(head),
            State::Waiting | State::Sent | State::Taken => {
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
            (State::Waiting | State::Taken, _) | (State::Given(_), Some(_)) => {}
        }
        let head = head::parse(status, headers)?;
        let mut start = this.borrow_mut();
        if !matches!(start.state, State::Taken) {
            start.state = State::Given(head);
        }
        drop(start);
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
        let (outlet, head) = {
            let mut start = self.start.bind(py).borrow_mut();
            if !start.outlet.is_there() {
                return Err(Outlet::missing());
            }
            let head = if start.is_sent() { None } else { Some(start.take_head()?) };
            (start.outlet.another(), head)
        };
        outlet.write(py, head, bytes)
    }
}
