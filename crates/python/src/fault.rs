//! Turns Python's exceptions into what the server logs.

use ferricorn_protocol::AppFault;
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;

use crate::logging;
use crate::process::aborted;

/// The status with which a shell reports a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The fault that stands for an exception of the application.
pub(crate) fn app_fault(py: Python<'_>, error: &PyErr) -> AppFault {
    let exit = exit_status(py, error);
    AppFault {
        message: one_line(py, error),
        traceback: traceback(py, error),
        exit,
        // The master has told of the timeout, with the request and the stack.
        told: exit.is_some() && aborted(),
        cause: logging::cause(py, error),
    }
}

/// The exception in one line, as the last line of a traceback has it: `ValueError: bad status`.
pub(crate) fn one_line(py: Python<'_>, error: &PyErr) -> String {
    let value = error.value(py);
    let name = value.get_type().qualname().map_or_else(|_| "exception".to_owned(), |name| name.to_string());
    // `str()` of an exception is user code, and may fail itself.
    let text =
        value.str().map_or_else(|_| "<unprintable>".to_owned(), |text| text.to_string_lossy().into_owned());
    match text.lines().next().map(str::trim_end) {
        Some(line) if !line.is_empty() => format!("{name}: {line}"),
        _ => name,
    }
}

/// The whole traceback, causes and contexts included, as the `traceback` module writes it.
pub(crate) fn traceback(py: Python<'_>, error: &PyErr) -> Option<String> {
    let value = error.value(py);
    let format = || -> PyResult<String> {
        // Not the value's own `__traceback__`: before Python 3.12 that may be missing, or hold frames of the
        // import system.
        let frames = error.traceback(py);
        let lines =
            py.import("traceback")?.call_method1("format_exception", (value.get_type(), value, frames))?;
        let lines: Vec<Bound<'_, PyAny>> = lines.extract()?;
        Ok(lines
            .iter()
            .map(|line| line.str().map_or_else(|_| String::new(), |line| line.to_string_lossy().into_owned()))
            .collect())
    };
    format().ok()
}

/// The exit status that an exception asks for, if it is one that ends the process.
pub(crate) fn exit_status(py: Python<'_>, error: &PyErr) -> Option<u8> {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        return Some(INTERRUPTED);
    }
    if !error.is_instance_of::<PySystemExit>(py) {
        return None;
    }
    let status = match error.value(py).getattr("code") {
        Ok(code) if code.is_none() => 0,
        // The kernel keeps the low byte of what `exit(3)` is given.
        Ok(code) => code.extract::<i64>().map_or(1, |code| (code & 0xff) as u8),
        Err(_) => 1,
    };
    Some(status)
}
