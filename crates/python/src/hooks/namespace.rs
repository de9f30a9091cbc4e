//! What the config file that was read last has left behind, and the hooks in it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ferricorn_config::{Resolved, Value};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::config_file::find_neighbours;
use crate::fault::one_line;

/// The namespace of that file.
static LAST: Mutex<Option<Py<PyDict>>> = Mutex::new(None);

/// What a program that embeds the server has set itself.
static TOLD: Mutex<Option<Py<PyDict>>> = Mutex::new(None);

/// How many arguments each hook takes, as gunicorn checks it.
const ARITIES: [(&str, &[usize]); 15] = [
    ("on_starting", &[1]),
    ("on_reload", &[1]),
    ("when_ready", &[1]),
    ("pre_fork", &[2]),
    ("post_fork", &[2]),
    ("post_worker_init", &[1]),
    ("worker_int", &[1]),
    ("worker_abort", &[1]),
    ("child_exit", &[2]),
    ("worker_exit", &[2]),
    ("nworkers_changed", &[3]),
    ("pre_exec", &[1]),
    ("on_exit", &[1]),
    ("pre_request", &[2]),
    ("post_request", &[2, 3, 4]),
];

/// Remembers what a config file has left behind.
pub(crate) fn keep(namespace: &Bound<'_, PyDict>) {
    let before = LAST.lock().unwrap_or_else(PoisonError::into_inner).replace(namespace.clone().unbind());
    drop(before);
}

/// Remembers what a program that embeds the server has set.
pub(crate) fn keep_told(settings: &Bound<'_, PyDict>) {
    let before = TOLD.lock().unwrap_or_else(PoisonError::into_inner).replace(settings.clone().unbind());
    drop(before);
}

/// There is no config file that is Python, or none any more.
pub fn forget_config() {
    let before = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
    // What was in it may run code of Python's when it goes.
    if before.is_some() {
        Python::attach(|_| drop(before));
    }
}

/// A value of the file that was read last, or of the program that embeds the server.
pub(crate) fn value<'py>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    for place in [&LAST, &TOLD] {
        let namespace =
            place.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|it| it.clone_ref(py));
        if let Some(value) = namespace.map(|it| it.bind(py).get_item(name)).transpose()?.flatten() {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Hooks by name.
#[derive(Debug)]
pub(super) struct Functions(HashMap<&'static str, Taken>);

/// A function, and how many arguments it takes.
type Taken = (Py<PyAny>, usize);

/// A hook, if there is one.
pub(super) struct Function<'py>(Option<Bound<'py, PyAny>>);

impl Functions {
    /// Takes the hooks of these settings, from the file that was read last or by their dotted names.
    ///
    /// # Errors
    /// What is wrong with them, a line each.
    pub(super) fn load(objects: &Bound<'_, PyModule>, resolved: &Resolved) -> Result<Self, String> {
        let mut functions = HashMap::new();
        let mut faults = Vec::new();
        for &name in &resolved.settings.hooks {
            match find(objects, name, resolved.values.get(name).and_then(Value::as_str)) {
                Ok(Some(function)) => drop(functions.insert(name, function)),
                Ok(None) => {}
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
        if faults.is_empty() { Ok(Self(functions)) } else { Err(faults.join("\n")) }
    }

    /// What is wrong with these hooks, each of which may be given by its dotted name.
    pub(super) fn faults(
        objects: &Bound<'_, PyModule>,
        hooks: &[(&'static str, Option<String>)],
    ) -> Vec<(&'static str, String)> {
        let fault = |(name, named): &(&'static str, Option<String>)| {
            Some((*name, find(objects, name, named.as_deref()).err()?))
        };
        hooks.iter().filter_map(fault).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn get<'py>(&self, py: Python<'py>, name: &str) -> Function<'py> {
        Function(self.0.get(name).map(|(function, _)| function.bind(py).clone()))
    }

    pub(super) fn take(&self, py: Python<'_>, name: &str) -> Option<Taken> {
        self.0.get(name).map(|(function, arity)| (function.clone_ref(py), *arity))
    }
}

/// The function of a hook, in the file that was read last or by its dotted name; or what is wrong with it.
fn find(objects: &Bound<'_, PyModule>, name: &str, named: Option<&str>) -> Result<Option<Taken>, String> {
    let py = objects.py();
    let arities = ARITIES.iter().find(|(hook, _)| *hook == name).map_or(&[][..], |(_, arities)| arities);
    let load = || -> PyResult<Option<Taken>> {
        find_neighbours(py)?;
        let named = || named?.into_pyobject(py).ok().map(Bound::into_any);
        let Some(value) = value(py, name)?.or_else(named) else { return Ok(None) };
        let loaded = objects.getattr("load")?.call1((value, arities.to_vec()))?;
        Ok(Some(loaded.extract()?))
    };
    load().map_err(|error| one_line(py, &error).replacen("TypeError: ", "", 1))
}

impl<'py> Function<'py> {
    /// Calls it, if there is one.
    pub(super) fn call(&self, arguments: impl PyCallArgs<'py>) -> PyResult<()> {
        self.0.as_ref().map_or(Ok(()), |function| function.call1(arguments).map(drop))
    }
}
