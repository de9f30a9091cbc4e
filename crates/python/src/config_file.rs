//! Runs a `gunicorn.conf.py` and returns what it defines as settings.

mod lines;

use std::path::Path;

use ferricorn_config::table::{self, Kind};
use ferricorn_config::{FileValues, Foreign};
use ferricorn_protocol::AppFault;
use figment::value::{Dict, Empty, Tag, Value};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyFunction, PyInt, PyList, PyMapping, PyModule, PySet,
    PyString, PyTuple,
};

use crate::fault::{app_fault, one_line, traceback};
use crate::hooks;

/// Python's `ast.PyCF_ONLY_AST`: the syntax tree is wanted, not its code.
const ONLY_TREE: i32 = 0x400;

/// How deep lists and dictionaries may lie in one another.
const DEPTH: usize = 16;

/// Runs a configuration file, as the module `__config__`, and returns its public names with their values and lines.
///
/// Functions and objects that no setting's value can hold become [`Foreign`] values; modules are left out.
///
/// # Errors
/// What the operator must be told: that it cannot be read, or the traceback of its code.
pub fn read_config_file(path: &Path) -> Result<FileValues, AppFault> {
    let source =
        std::fs::read(path).map_err(|error| AppFault::new(format!("the file cannot be read: {error}")))?;
    Python::attach(|py| execute(py, path, &source).map_err(|error| app_fault(py, &error)))
}

/// Runs a module as a configuration file, anew each time; else as [`read_config_file`].
///
/// # Errors
/// The traceback of its import.
pub fn read_config_module(name: &str) -> Result<FileValues, AppFault> {
    Python::attach(|py| import(py, name).map_err(|error| app_fault(py, &error)))
}

pub(crate) fn explain(py: Python<'_>, error: &PyErr) -> String {
    let details = traceback(py, error).unwrap_or_else(|| one_line(py, error));
    details.trim_end().to_owned()
}

fn execute(py: Python<'_>, path: &Path, source: &[u8]) -> PyResult<FileValues> {
    let module = PyModule::new(py, "__config__")?;
    module.setattr("__file__", path.as_os_str())?;
    py.import("sys")?.getattr("modules")?.set_item("__config__", &module)?;
    find_neighbours(py)?;
    let builtins = py.import("builtins")?;
    // Given as bytes, so that a coding line counts.
    let source = PyBytes::new(py, source);
    let tree = builtins.call_method1("compile", (source, path.as_os_str(), "exec", ONLY_TREE, true))?;
    let lines = lines::of(&tree)?;
    let code = builtins.call_method1("compile", (tree, path.as_os_str(), "exec", 0, true))?;
    builtins.call_method1("exec", (code, module.dict()))?;
    Ok(FileValues { values: settings(&module.dict())?, lines, strict: false })
}

/// Imports a module, or runs it again if it was imported by an earlier reading.
fn import(py: Python<'_>, name: &str) -> PyResult<FileValues> {
    find_neighbours(py)?;
    let loaded = py.import("sys")?.getattr("modules")?.call_method1("get", (name,))?;
    let module = if loaded.is_none() {
        py.import(name)?
    } else {
        py.import("importlib")?.call_method1("reload", (loaded,))?.cast_into()?
    };
    settings(&module.dict()).map(FileValues::from)
}

/// Lets the file import modules of the working directory, as gunicorn does.
pub(crate) fn find_neighbours(py: Python<'_>) -> PyResult<()> {
    let path: Bound<'_, PyList> = py.import("sys")?.getattr("path")?.cast_into()?;
    // As a `str`: the import system passes over a `pathlib.Path`.
    let here = std::env::current_dir()?.into_os_string();
    if !path.contains(&here)? {
        path.insert(0, here)?;
    }
    Ok(())
}

fn settings(namespace: &Bound<'_, PyDict>) -> PyResult<Dict> {
    hooks::keep(namespace);
    let mut settings = public(namespace)?;
    if let Some(name) = server_name(namespace.py(), "SERVER", &["gunicorn", "ferricorn"])? {
        settings.entry("server_header".to_owned()).or_insert_with(|| Value::from(name));
    }
    Ok(settings)
}

/// What somebody has made of an attribute of the package `gunicorn`, with which it names itself: it is none of these.
pub(crate) fn server_name(py: Python<'_>, attribute: &str, usual: &[&str]) -> PyResult<Option<String>> {
    let package = py.import("sys")?.getattr("modules")?.call_method1("get", ("gunicorn",))?;
    let name = package.getattr_opt(attribute)?.and_then(|name| name.extract::<String>().ok());
    Ok(name.filter(|name| !usual.contains(&name.as_str())))
}

/// The public names with their values.
pub(crate) fn public(namespace: &Bound<'_, PyDict>) -> PyResult<Dict> {
    let mut settings = Dict::new();
    for (name, value) in namespace {
        let Ok(name) = name.extract::<String>() else { continue };
        if !name.starts_with('_') && !value.is_instance_of::<PyModule>() {
            let value = class(namespace, &name, value)?;
            settings.insert(name, convert(&value, DEPTH)?);
        }
    }
    Ok(settings)
}

/// A class may be given as a function that returns it, as in gunicorn.
fn class<'py>(
    namespace: &Bound<'py, PyDict>,
    name: &str,
    value: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let is_class = table::find(name).is_some_and(|setting| setting.kind == Kind::Class);
    if !is_class || !value.is_instance_of::<PyFunction>() {
        return Ok(value);
    }
    let class = value.call0()?;
    namespace.set_item(name, &class)?;
    Ok(class)
}

fn convert(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if value.is_none() {
        return Ok(Value::Empty(Tag::Default, Empty::None));
    }
    // A boolean is an int to Python, so it is asked first.
    if value.is_instance_of::<PyBool>() {
        return Ok(Value::from(value.extract::<bool>()?));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(value.extract::<i128>().map_or_else(|_| foreign(value), Value::from));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(Value::from(value.extract::<f64>()?));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::from(text.to_string_lossy().into_owned()));
    }
    if depth == 0 {
        return Ok(foreign(value));
    }
    if value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>()
    {
        let items = value.try_iter()?.map(|item| convert(&item?, depth - 1)).collect::<PyResult<Vec<_>>>()?;
        return Ok(Value::from(items));
    }
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let mut dict = Dict::new();
        for item in mapping.items()? {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            dict.insert(key.str()?.to_string_lossy().into_owned(), convert(&value, depth - 1)?);
        }
        return Ok(Value::from(dict));
    }
    // A `pathlib.Path` is as good as its text.
    if let Some(path) = value.getattr_opt("__fspath__")?
        && let Ok(path) = path.call0()
        && path.is_instance_of::<PyString>()
    {
        return Ok(Value::from(path.extract::<String>()?));
    }
    Ok(foreign(value))
}

/// What stands for an object that only Python understands.
fn foreign(value: &Bound<'_, PyAny>) -> Value {
    let is_class = value.is_instance_of::<pyo3::types::PyType>();
    if value.is_callable() && !is_class {
        return Foreign::Function.to_value();
    }
    // `repr()` of an object is user code, and may fail itself.
    let text =
        value.repr().map_or_else(|_| "an object".to_owned(), |text| text.to_string_lossy().into_owned());
    Foreign::Object(&text).to_value()
}
