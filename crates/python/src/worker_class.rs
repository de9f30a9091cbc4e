//! Finds out what a worker class of the user's is: one that is derived from uvicorn's brings settings along.

use std::path::PathBuf;

use ferricorn_config::UvicornClass;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};

use crate::config_file::{find_neighbours, public};
use crate::fault::one_line;
use crate::hooks;

/// uvicorn's class, the arguments, and what else is changed.
type Parts<'py> = Option<(String, Bound<'py, PyDict>, Vec<String>)>;

/// What the worker class of that name is, or the class that the config file which was read last has, if it is derived from
/// uvicorn's. Modules lie in `places` too.
///
/// # Errors
/// Why it cannot be imported.
pub fn worker_class(name: &str, places: &[PathBuf]) -> Result<Option<UvicornClass>, String> {
    Python::attach(|py| {
        find(py, name, places)
            .map_err(|error| format!("{name:?} cannot be imported: {}", one_line(py, &error)))
    })
}

fn find(py: Python<'_>, name: &str, places: &[PathBuf]) -> PyResult<Option<UvicornClass>> {
    find_neighbours(py)?;
    let path: Bound<'_, PyList> = py.import("sys")?.getattr("path")?.cast_into()?;
    for place in places.iter().rev() {
        // As a `str`: the import system passes over a `pathlib.Path`.
        let place = place.as_os_str();
        if !path.contains(place)? {
            path.insert(0, place)?;
        }
    }
    let derived = py.import("ferricorn.workers.derived")?;
    let shown = name.strip_prefix("<class '").and_then(|name| name.strip_suffix("'>"));
    let class = match hooks::value(py, "worker_class")?.filter(|_| shown.is_some()) {
        Some(class) if class.is_instance_of::<PyType>() => class,
        _ => derived.call_method1("load", (name,))?,
    };
    let parts: Parts<'_> = derived.call_method1("parts", (class,))?.extract()?;
    let Some((base, arguments, changes)) = parts else { return Ok(None) };
    let name = shown.unwrap_or(name).to_owned();
    Ok(Some(UvicornClass { name, base, arguments: public(&arguments)?, changes }))
}
