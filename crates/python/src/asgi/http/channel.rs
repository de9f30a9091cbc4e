//! What the application is called with: `receive` and `send`, bound to one request.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::exchange::Exchange;
use super::{receive, send};

/// The object whose methods they are: calling a bound method costs less than calling an object.
#[pyclass(module = "ferricorn", frozen)]
pub(in crate::asgi) struct HttpRequest(Arc<Exchange>);

impl HttpRequest {
    pub(in crate::asgi) fn new(exchange: Arc<Exchange>) -> Self {
        Self(exchange)
    }
}

#[pymethods]
impl HttpRequest {
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        receive::next(py, &self.0)
    }

    fn send<'py>(&self, message: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        send::message(&self.0, message)
    }
}
