//! The files that the application's code comes from, for whoever watches them (`--reload`).

use std::path::{Path, PathBuf, absolute};

use ferricorn_protocol::Sources;
use pyo3::exceptions::PySyntaxError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTraceback};

use crate::visit::visit;

/// The modules that are imported.
pub(super) struct Modules;

impl Sources for Modules {
    fn files(&self) -> Option<Vec<PathBuf>> {
        visit(|py| imported(py).unwrap_or_default())
    }
}

fn imported(py: Python<'_>) -> PyResult<Vec<PathBuf>> {
    // A copy, since other threads may import something meanwhile.
    let modules: Bound<'_, PyDict> =
        py.import("sys")?.getattr("modules")?.call_method0("copy")?.cast_into()?;
    // Not `getattr`: what stands for a module may run code of its own at that, such as one that imports lazily.
    let file = |module: Bound<'_, PyAny>| {
        let dict = module.getattr("__dict__").ok()?.cast_into::<PyDict>().ok()?;
        dict.get_item("__file__").ok()??.extract::<PathBuf>().ok()
    };
    Ok(modules.values().iter().filter_map(file).filter_map(|path| absolute(path).ok()).collect())
}

/// The files of an exception's traceback, and the one that does not parse.
pub(super) fn of_failure(py: Python<'_>, error: &PyErr) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let value = error.value(py);
    if error.is_instance_of::<PySyntaxError>(py)
        && let Ok(file) = value.getattr("filename").and_then(|name| name.extract::<PathBuf>())
    {
        files.push(file);
    }
    let mut frames = error.traceback(py);
    while let Some(frame) = frames {
        let code = frame.getattr("tb_frame").and_then(|frame| frame.getattr("f_code"));
        if let Ok(file) = code.and_then(|code| code.getattr("co_filename")).and_then(|name| name.extract()) {
            files.push(file);
        }
        let next = frame.getattr("tb_next").ok();
        frames = next.and_then(|next| next.cast_into::<PyTraceback>().ok());
    }
    files.iter().filter_map(|file| absolute(file).ok()).collect()
}

/// The files in which a module that is missing may appear.
pub(super) fn of_module(directory: &Path, module: &str) -> Vec<PathBuf> {
    let path = directory.join(module.replace('.', "/"));
    let files = [path.with_extension("py"), path.join("__init__.py")];
    files.iter().filter_map(|file| absolute(file).ok()).collect()
}
