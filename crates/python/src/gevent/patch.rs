//! Makes what blocks cooperative, before anything of the application is imported.

use pyo3::prelude::*;

/// Makes the hub of a process that was forked its own.
///
/// # Errors
/// What gevent raises.
pub(crate) fn come_from_fork(py: Python<'_>) -> PyResult<()> {
    py.import("gevent.hub")?.call_method0("reinit").map(drop)
}

/// Replaces the parts of the standard library that block (`gevent.monkey.patch_all`). A hub that was made before the
/// fork, as by a configuration file that uses gevent, becomes this process's own.
///
/// # Errors
/// gevent cannot be imported, or refuses.
pub(crate) fn patch(py: Python<'_>) -> PyResult<()> {
    come_from_fork(py)?;
    py.import("gevent.monkey")?.call_method0("patch_all")?;
    Ok(())
}
