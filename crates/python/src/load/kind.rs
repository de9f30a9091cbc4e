//! Tells a WSGI application from an ASGI one.

use ferricorn_protocol::LoadError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::unusable;

/// Refuses an ASGI application, which a WSGI server could only answer with an error for each request.
pub(super) fn require_wsgi(app: &Bound<'_, PyAny>, name: &str) -> Result<(), LoadError> {
    if is_asgi(app).unwrap_or(false) {
        return Err(unusable(format!(
            "'{name}' is an ASGI application, and this version of ferricorn serves WSGI only; name a WSGI \
             application, or serve this one with an ASGI server."
        )));
    }
    Ok(())
}

/// A coroutine function, an object whose `__call__` is one, or a class of such objects (ASGI 2).
fn is_asgi(app: &Bound<'_, PyAny>) -> PyResult<bool> {
    let inspect = app.py().import("inspect")?;
    let is_coroutine_function =
        |object: &Bound<'_, PyAny>| inspect.call_method1("iscoroutinefunction", (object,))?.is_truthy();
    if is_coroutine_function(app)? {
        return Ok(true);
    }
    let class = match app.cast::<PyType>() {
        Ok(class) => class.clone(),
        Err(_) => app.get_type(),
    };
    is_coroutine_function(&class.getattr("__call__")?)
}
