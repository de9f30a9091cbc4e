//! `receive()` of an HTTP request.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::exchange::{Exchange, Received};
use crate::asgi::awaitable::awaitable;

/// An awaitable of the next message.
pub(super) fn next<'py>(py: Python<'py>, exchange: &Arc<Exchange>) -> PyResult<Bound<'py, PyAny>> {
    awaitable(py, &exchange.agenda, exchange, |exchange, py, cx| {
        exchange.poll_receive(cx).map(|received| message(py, received).map(Some))
    })
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
