//! Makes the heap of a mold one that the workers forked from it share for long.

use pyo3::prelude::*;

use crate::process;

/// Collects garbage, and has what is left be copied as little as possible in processes that are forked from this one.
///
/// # Errors
/// What CPython raises.
pub(super) fn settle(py: Python<'_>) -> PyResult<()> {
    // What is in a buffer would be written by each worker.
    process::flush_streams(py)?;
    process::settle(py, || {
        #[cfg(immortal)]
        super::immortal::make(py)?;
        Ok(())
    })
}
