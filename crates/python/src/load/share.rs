//! Makes the heap of a mold one that the workers forked from it share for long.

use pyo3::prelude::*;

/// Collects garbage, and has what is left be copied as little as possible in processes that are forked from this one.
///
/// # Errors
/// What CPython raises.
pub(super) fn settle(py: Python<'_>) -> PyResult<()> {
    flush(py)?;
    let gc = py.import("gc")?;
    // What the master has frozen is looked at, too.
    gc.call_method0("unfreeze")?;
    gc.call_method0("collect")?;
    #[cfg(immortal)]
    super::immortal::make(py)?;
    // The collector, which writes to what it looks at, leaves it alone from now on.
    gc.call_method0("freeze")?;
    Ok(())
}

/// What is in a buffer would be written by each worker.
fn flush(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for name in ["stdout", "stderr"] {
        let stream = sys.getattr(name)?;
        if !stream.is_none() {
            stream.call_method0("flush")?;
        }
    }
    Ok(())
}
