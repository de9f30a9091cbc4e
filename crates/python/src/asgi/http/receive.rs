//! `receive()` of an HTTP request.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::exchange::{Exchange, Received};
use crate::asgi::awaitable::{Operation, awaitable};

/// An awaitable of the next message.
pub(super) fn next<'py>(py: Python<'py>, exchange: &Arc<Exchange>) -> PyResult<Bound<'py, PyAny>> {
    awaitable(py, &exchange.agenda, Next(exchange.clone()))
}

/// The next message.
struct Next(Arc<Exchange>);

impl Operation for Next {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Option<Py<PyAny>>>> {
        self.0.poll_receive(cx).map(|received| message(py, received).map(Some))
    }

    fn forget(&self, waker: &Waker) {
        self.0.forget(waker);
    }
}

fn message(py: Python<'_>, received: Received) -> PyResult<Py<PyAny>> {
    let message = PyDict::new(py);
    match received {
        Received::Body(data, more) => {
            message.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
            message.set_item(intern!(py, "body"), PyBytes::new(py, &data))?;
            message.set_item(intern!(py, "more_body"), more)?;
        }
        Received::Disconnect => message.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?,
    }
    Ok(message.into_any().unbind())
}
