//! What the application is called with: `receive` and `send`, bound to one request.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::exchange::Exchange;
use super::{receive, send};
use crate::asgi::message::as_dict;
use crate::raw::bound;

/// The object whose methods they are: calling a bound method costs less than calling an object.
#[pyclass(module = "ferricorn", frozen)]
struct HttpRequest(Arc<Exchange>);

/// The methods of the type. To look them up on each object would cost more than the object.
struct Methods {
    receive: Py<PyAny>,
    send: Py<PyAny>,
}

impl Methods {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        static METHODS: PyOnceLock<Methods> = PyOnceLock::new();
        METHODS.get_or_try_init(py, || {
            let kind = py.get_type::<HttpRequest>();
            let method = |name| Ok::<_, PyErr>(kind.getattr(name)?.unbind());
            Ok(Self { receive: method("receive")?, send: method("send")? })
        })
    }
}

/// `receive` and `send` of a request.
#[inline]
pub(in crate::asgi) fn channel(py: Python<'_>, exchange: Arc<Exchange>) -> PyResult<[Bound<'_, PyAny>; 2]> {
    let request = Bound::new(py, HttpRequest(exchange))?.into_any();
    let methods = Methods::get(py)?;
    Ok([bound(methods.receive.bind(py), &request)?, bound(methods.send.bind(py), &request)?])
}

#[pymethods]
impl HttpRequest {
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        receive::next(py, &self.0)
    }

    fn send<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        send::message(&self.0, as_dict(message)?)
    }
}
