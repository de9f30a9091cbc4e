//! Asks what the import of an app left behind; what counts is said in Python, in `leftovers.py`.

use std::ffi::{CStr, CString};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::fault::one_line;

const FILE: &CStr = c"ferricorn/leftovers.py";
const NAME: &CStr = c"ferricorn.leftovers";

/// What there was before an import; `None` if it could not be seen.
pub(super) struct Before<'py>(Option<(Bound<'py, PyModule>, Bound<'py, PyAny>)>);

/// Looks at what there is before an import.
pub(super) fn look(py: Python<'_>) -> Before<'_> {
    let look = || -> PyResult<_> {
        let module = module(py)?;
        let before = module.call_method0("look")?;
        Ok((module, before))
    };
    Before(look().map_err(|error| explain(py, &error)).ok())
}

/// Warns of what is there now and does not get along with a fork.
pub(super) fn tell(py: Python<'_>, before: Before<'_>, app: &str) {
    let Some((module, before)) = before.0 else { return };
    let left: PyResult<(String, usize)> =
        module.call_method1("leftovers", (before,)).and_then(|left| left.extract());
    match left {
        Ok((words, foreign)) => {
            if !words.is_empty() {
                tracing::warn!(
                    "The import of '{app}' left behind {words}. Make them in a post_fork hook, or when they are first needed \
                     (docs/preload.md)"
                );
            }
            if foreign > 0 {
                tracing::info!(
                    "The import of '{app}' left behind threads of extension modules ({foreign}), which do not run in workers; \
                     most libraries start theirs again"
                );
            }
        }
        Err(error) => explain(py, &error),
    }
}

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let code = CString::new(include_str!("leftovers.py"))
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    PyModule::from_code(py, &code, FILE, NAME)
}

fn explain(py: Python<'_>, error: &PyErr) {
    tracing::debug!("It cannot be seen what the import left behind: {}", one_line(py, error));
}
