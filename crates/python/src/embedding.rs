//! A program that embeds the server: its application object tells the settings and loads the app.

use ferricorn_config::{Dict, table};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::config_file::{explain, public};
use crate::hooks;

/// What such a program says of the settings.
#[derive(Debug, Default)]
pub struct Told {
    /// What counts less than a config file.
    pub below: Dict,
    /// What counts more than anything else.
    pub above: Dict,
    /// Whether a config file and a command line count as well.
    pub with_others: bool,
}

/// An object of the class `ferricorn.app.base.BaseApplication`, or of one derived from it.
#[derive(Debug)]
pub struct Embedding(Py<PyAny>);

impl Embedding {
    /// Takes the object.
    #[must_use]
    pub fn new(application: Py<PyAny>) -> Self {
        Self(application)
    }

    /// Asks for the settings; from the second time on it runs the program's `load_config` again.
    ///
    /// # Errors
    /// The traceback of its code.
    pub fn told(&self) -> Result<Told, String> {
        Python::attach(|py| {
            let ask = || {
                let told = self.0.bind(py).call_method0("_tell")?;
                let (below, above, with_others): (Bound<'_, PyDict>, Bound<'_, PyDict>, bool) =
                    told.extract()?;
                let all = below.copy()?;
                all.update(above.as_mapping())?;
                hooks::keep_told(&all);
                Ok(Told { below: public(&below)?, above: public(&above)?, with_others })
            };
            ask().map_err(|error: PyErr| explain(py, &error))
        })
    }

    /// What loads the app in its stead, if it brings one: else the settings name it.
    #[must_use]
    pub fn loader(&self) -> Option<Py<PyAny>> {
        Python::attach(|py| {
            let loads = self.0.bind(py).call_method0("_loads").and_then(|loads| loads.is_truthy());
            loads.unwrap_or(true).then(|| self.0.clone_ref(py))
        })
    }
}

/// The table of settings: name, chapter, flags, default and description of each.
///
/// # Errors
/// `MemoryError`.
pub fn settings(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for setting in table::settings() {
        let flags = PyTuple::new(py, setting.flags)?;
        let default = hooks::object(py, &setting.default.value())?;
        list.append((setting.name, setting.section.title(), flags, default, setting.help))?;
    }
    Ok(list)
}
