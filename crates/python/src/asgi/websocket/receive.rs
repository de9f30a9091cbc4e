//! `receive()` of a WebSocket.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ferricorn_protocol::Message;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

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
