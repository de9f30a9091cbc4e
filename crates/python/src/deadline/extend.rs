//! The callable with which an application gives a request more time.

use std::sync::Arc;
use std::time::Duration;

use ferricorn_protocol::Deadline;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// As much as can be asked for at once, in seconds: a year.
const MOST: f64 = 31_536_000.0;

/// `environ["ferricorn.extend_deadline"]`, and the same in a scope's extensions.
#[pyclass(module = "ferricorn", frozen)]
pub(crate) struct ExtendDeadline(Arc<dyn Deadline>);

impl ExtendDeadline {
    pub(crate) fn new(deadline: &Arc<dyn Deadline>) -> Self {
        Self(deadline.clone())
    }
}

#[pymethods]
impl ExtendDeadline {
    /// Puts the deadline off by so many seconds, and returns how many are left now; 0.0 if it is over.
    fn __call__(&self, seconds: f64) -> PyResult<f64> {
        if !(0.0..=MOST).contains(&seconds) {
            return Err(PyValueError::new_err(format!(
                "a deadline can be put off by 0 to {MOST} seconds, not by {seconds}"
            )));
        }
        Ok(self.0.extend(Duration::from_secs_f64(seconds)).as_secs_f64())
    }
}
