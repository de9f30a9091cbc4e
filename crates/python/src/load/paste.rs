//! An app that an ini file describes, by way of PasteDeploy.

use ferricorn_config::Paste;
use ferricorn_protocol::LoadError;
use pyo3::exceptions::PyModuleNotFoundError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

use super::{boot_error, unusable};

/// Loads it.
pub(super) fn load<'py>(py: Python<'py>, paste: &Paste) -> Result<Bound<'py, PyAny>, LoadError> {
    deploy(py, paste).map_err(|error| {
        let missing = error.value(py).getattr("name").and_then(|name| name.extract::<String>());
        let missing = error.is_instance_of::<PyModuleNotFoundError>(py)
            && missing.is_ok_and(|name| name == "paste" || name == "paste.deploy");
        match missing {
            true => unusable("--paste needs PasteDeploy: run `pip install PasteDeploy`.".to_owned()),
            false => boot_error(py, &error, &format!("Failed to load {}", paste.file.display())),
        }
    })
}

fn deploy<'py>(py: Python<'py>, paste: &Paste) -> PyResult<Bound<'py, PyAny>> {
    let options = PyDict::new(py);
    options.set_item("name", paste.section.as_deref().unwrap_or("main"))?;
    options
        .set_item("global_conf", paste.globals.iter().map(|(name, value)| (name, value)).into_py_dict(py)?)?;
    let uri = format!("config:{}", paste.file.display());
    py.import("paste.deploy")?.call_method("loadapp", (uri,), Some(&options))
}
