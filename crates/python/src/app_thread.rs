//! App threads beyond the main one: threads of Python's own, each with one thread state for as long as it lives.
//!
//! A thread of Rust's would get a new one each time that it enters Python, and with it empty thread-locals.

use std::sync::{Mutex, PoisonError};

use ferricorn_protocol::AppFault;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::fault::app_fault;

/// Runs `body`, detached, on a new `threading.Thread`.
///
/// # Errors
/// Python cannot start one; `body` is dropped then.
pub(crate) fn start(name: String, body: Box<dyn FnOnce() + Send>) -> Result<(), AppFault> {
    Python::attach(|py| start_attached(py, name, body).map_err(|error| app_fault(py, &error)))
}

fn start_attached(py: Python<'_>, name: String, body: Box<dyn FnOnce() + Send>) -> PyResult<()> {
    let body = Mutex::new(Some(body));
    let target = PyCFunction::new_closure(
        py,
        Some(c"app_thread"),
        None,
        move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
            if let Some(body) = body.lock().unwrap_or_else(PoisonError::into_inner).take() {
                arguments.py().detach(body);
            }
        },
    )?;
    let options = PyDict::new(py);
    options.set_item("target", target)?;
    options.set_item("name", name)?;
    // Said, because else Python asks the calling thread, of which it knows nothing. What the app starts in a call has
    // the same from its app thread, as it has from the main one.
    options.set_item("daemon", false)?;
    py.import("threading")?.call_method("Thread", (), Some(&options))?.call_method0("start")?;
    Ok(())
}
