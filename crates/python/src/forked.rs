//! A process that the app forked during a request, and that comes back from it.
//!
//! Such a process shares the worker's sockets, its event loop and its slot of the scoreboard, and must not go on as
//! if it were the worker. It has no thread but its own, so it ends here, as it would have ended by itself.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::fault::{exit_status, traceback};
use crate::process::flush_streams;

/// Whether this process was forked from a worker.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Has forks noticed from now on, in the worker that is being prepared.
pub(crate) fn notice_forks(py: Python<'_>) -> PyResult<()> {
    let notice = PyCFunction::new_closure(
        py,
        Some(c"notice_fork"),
        None,
        |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| FORKED.store(true, Ordering::Relaxed),
    )?;
    let options = PyDict::new(py);
    options.set_item("after_in_child", notice)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&options))?;
    Ok(())
}

/// Whether this process is no worker, but was forked from one.
pub(crate) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Ends this process if it is no worker. `error` is what the app raised, if it did.
#[inline]
pub(crate) fn end_if_forked(py: Python<'_>, error: Option<&PyErr>) {
    if is_forked() {
        end(py, error);
    }
}

#[cold]
fn end(py: Python<'_>, error: Option<&PyErr>) {
    let status = error.map_or(0, |error| exit_status(py, error).unwrap_or(1));
    if let Some(error) = error.filter(|error| exit_status(py, error).is_none()) {
        tracing::error!(
            "A process that the app forked ended with an exception\n{}",
            traceback(py, error).unwrap_or_default().trim_end()
        );
    }
    // What cannot be flushed is lost; the process must end all the same.
    let _ = flush_streams(py);
    let exit = || py.import("os")?.call_method1("_exit", (status,));
    if let Err(error) = exit() {
        tracing::error!("A process that the app forked cannot end itself: {error}");
    }
}
