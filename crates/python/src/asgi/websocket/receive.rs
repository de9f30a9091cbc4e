//! `receive()` of a WebSocket.

use std::sync::Arc;

use ferricorn_protocol::Message;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

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
    let kind = intern!(py, "type");
    match received {
        Received::Connect => message.set_item(kind, intern!(py, "websocket.connect"))?,
        Received::Message(Message::Text(text)) => {
            message.set_item(kind, intern!(py, "websocket.receive"))?;
            message.set_item(intern!(py, "text"), PyString::from_bytes(py, &text)?)?;
        }
        Received::Message(Message::Binary(bytes)) => {
            message.set_item(kind, intern!(py, "websocket.receive"))?;
            message.set_item(intern!(py, "bytes"), PyBytes::new(py, &bytes))?;
        }
        Received::Disconnect(end) => {
            message.set_item(kind, intern!(py, "websocket.disconnect"))?;
            message.set_item(intern!(py, "code"), end.code)?;
            message.set_item(intern!(py, "reason"), end.reason)?;
        }
    }
    Ok(message.into_any().unbind())
}
