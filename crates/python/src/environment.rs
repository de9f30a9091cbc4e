//! Variables of `raw_env` in `os.environ`, and what was there before.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::fault::one_line;

/// The variables that are set, each with the value that it had before.
static BEFORE: Mutex<Vec<(String, Option<Py<PyAny>>)>> = Mutex::new(Vec::new());

/// Sets these variables in `os.environ`, in the place of those that the last call has set, which become what they were.
///
/// # Errors
/// What `os.environ` says.
pub fn set_environment(variables: &[(String, String)]) -> Result<(), String> {
    let before = std::mem::take(&mut *BEFORE.lock().unwrap_or_else(PoisonError::into_inner));
    if variables.is_empty() && before.is_empty() {
        return Ok(());
    }
    Python::attach(|py| {
        let set = || -> PyResult<Vec<_>> {
            let environ = py.import("os")?.getattr("environ")?;
            for (name, value) in before.into_iter().rev() {
                match value {
                    Some(value) => environ.set_item(name, value)?,
                    None => drop(environ.call_method1("pop", (name, py.None()))?),
                }
            }
            let mut before = Vec::new();
            for (name, value) in variables {
                let old: Option<Py<PyAny>> = environ.call_method1("get", (name,))?.extract()?;
                before.push((name.clone(), old));
                environ.set_item(name, value)?;
            }
            Ok(before)
        };
        let before = set().map_err(|error| format!("raw_env: {}", one_line(py, &error)))?;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = before;
        Ok(())
    })
}
