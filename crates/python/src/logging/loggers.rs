//! Connects Python's loggers `gunicorn.error` and `gunicorn.access` with the logs of the server, and sees what apps and
//! hooks have made of them.

use std::ffi::{CStr, CString};
use std::sync::{Mutex, PoisonError};

use ferricorn_config::{LogLevel, Resolved};
use ferricorn_telemetry::{access_log, error_log};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

/// The configuration whose logs they write to; none where a setting has Python's loggers do the work themselves.
static GIVEN: Mutex<Option<Resolved>> = Mutex::new(None);

/// Has them be what they are under gunicorn, as soon as `logging` is imported.
pub(super) fn connect(py: Python<'_>, resolved: &Resolved) -> PyResult<()> {
    give(Some(resolved.clone()));
    let then = PyCFunction::new_closure(
        py,
        Some(c"connect"),
        None,
        |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| connect_now(arguments.py()),
    )?;
    later(py)?.getattr("when_there")?.call1((then,)).map(drop)
}

/// They are a setting's business now.
pub(super) fn leave_alone() {
    give(None);
}

/// The configuration, and whether somebody has changed what becomes of the records of the one and of the other.
pub(super) fn touched(py: Python<'_>) -> PyResult<Option<(Resolved, bool, bool)>> {
    let Some(resolved) = given() else { return Ok(None) };
    if !py.import("sys")?.getattr("modules")?.contains("logging")? {
        return Ok(None);
    }
    let (records, requests) = loggers(py)?.getattr("touched")?.call0()?.extract()?;
    Ok(Some((resolved, records, requests)))
}

/// The class of the `log` of hooks, and of the logger behind which the server's logs are.
pub(super) fn class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    module(py, &MODULE, include_str!("log.py"), c"ferricorn/log.py", c"ferricorn.log")?.getattr("Log")
}

fn connect_now(py: Python<'_>) -> PyResult<()> {
    let Some(resolved) = given() else { return Ok(()) };
    let settings = &resolved.settings;
    let writes = PyDict::new(py);
    writes.set_item("gunicorn.error", pyo3::wrap_pyfunction!(write_error, py)?)?;
    if settings.accesslog.is_some() || settings.logs.syslog.as_ref().is_some_and(|syslog| syslog.access) {
        writes.set_item("gunicorn.access", pyo3::wrap_pyfunction!(write_access, py)?)?;
    }
    let level = match settings.loglevel {
        LogLevel::Debug => 10,
        LogLevel::Info => 20,
        LogLevel::Warning => 30,
        LogLevel::Error => 40,
        LogLevel::Critical => 50,
    };
    loggers(py)?.getattr("connect")?.call1((level, writes)).map(drop)
}

/// Writes to the error log; `level` is a number of Python's `logging`.
#[pyfunction]
fn write_error(py: Python<'_>, level: u32, text: &[u8], finished: bool, _json: Option<&[u8]>) {
    let level = super::level_from(level);
    let text = String::from_utf8_lossy(text);
    py.detach(|| match error_log::installed() {
        Some(log) => log.write_message(level, &text, finished),
        None => error_log::write_raw(text.as_bytes()),
    });
}

/// Writes to the access log: the object if lines are that, unless a formatter of the user's has finished the text.
#[pyfunction]
fn write_access(py: Python<'_>, _level: u32, text: &[u8], finished: bool, json: Option<&[u8]>) {
    let line = json.filter(|_| !finished).unwrap_or(text);
    if let Some(log) = access_log::installed() {
        py.detach(|| log.write_line(line));
    }
}

fn loggers(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    module(py, &MODULE, include_str!("loggers.py"), c"ferricorn/loggers.py", c"ferricorn.loggers")
}

fn later(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    module(py, &MODULE, include_str!("later.py"), c"ferricorn/later.py", c"ferricorn.later")
}

/// A module that is made at the first call.
fn module<'py>(
    py: Python<'py>,
    place: &'static PyOnceLock<Py<PyModule>>,
    text: &str,
    file: &CStr,
    name: &CStr,
) -> PyResult<&'py Bound<'py, PyModule>> {
    let module = place.get_or_try_init(py, || {
        let code = CString::new(text).map_err(|error| PyValueError::new_err(error.to_string()))?;
        PyModule::from_code(py, &code, file, name).map(Bound::unbind)
    })?;
    Ok(module.bind(py))
}

fn given() -> Option<Resolved> {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn give(resolved: Option<Resolved>) {
    *GIVEN.lock().unwrap_or_else(PoisonError::into_inner) = resolved;
}
