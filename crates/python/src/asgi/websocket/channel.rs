//! What the application is called with: `receive` and `send`, bound to one WebSocket.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;

use super::exchange::Exchange;
use super::{receive, send};
use crate::asgi::message::as_dict;

/// The object whose methods they are: calling a bound method costs less than calling an object.
#[pyclass(module = "ferricorn", frozen)]
struct WebSocket(Arc<Exchange>);

/// `receive` and `send` of a WebSocket.
pub(in crate::asgi) fn channel(py: Python<'_>, exchange: Arc<Exchange>) -> PyResult<[Bound<'_, PyAny>; 2]> {
    let websocket = Bound::new(py, WebSocket(exchange))?;
    Ok([websocket.getattr(intern!(py, "receive"))?, websocket.getattr(intern!(py, "send"))?])
}

#[pymethods]
impl WebSocket {
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        receive::next(py, &self.0)
    }

    fn send<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        send::message(&self.0, as_dict(message)?)
    }
}
