//! Makes the objects that hooks are given; what they are is said in Python, in `objects.py`.

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::sync::Arc;

use ferricorn_config::{Account, Bind, RemoteAddress, Resolved, WorkerClass};
use ferricorn_protocol::Attended;
use figment::value::{Num, Value};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};

use super::namespace;

const FILE: &CStr = c"ferricorn/hooks.py";
const NAME: &CStr = c"ferricorn.hooks";

/// The module with their classes, made at the first call.
pub(super) fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || {
        let code = CString::new(include_str!("objects.py"))
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        PyModule::from_code(py, &code, FILE, NAME).map(Bound::unbind)
    })?;
    Ok(module.bind(py))
}

/// gunicorn's `cfg`.
pub(super) fn config<'py>(
    py: Python<'py>,
    objects: &Bound<'py, PyModule>,
    resolved: &Resolved,
) -> PyResult<Bound<'py, PyAny>> {
    let settings = &resolved.settings;
    let dict = PyDict::new(py);
    for (name, value) in &resolved.values {
        let kind = ferricorn_config::table::find(name).map(|setting| setting.kind);
        let value = match (kind, namespace::value(py, name)?) {
            // What only Python understands is as the file has it.
            (Some(kind), Some(found)) if kind.is_foreign() && !is_named(value) => found,
            _ => object(py, value)?,
        };
        dict.set_item(name, value)?;
    }
    let class = match settings.worker_class {
        WorkerClass::Async => "async",
        WorkerClass::Sync => "sync",
        WorkerClass::Gthread => "gthread",
        WorkerClass::Asgi => "asgi",
        WorkerClass::Gevent => "gevent",
    };
    dict.set_item("workers", settings.workers)?;
    dict.set_item("chdir", settings.chdir.components().collect::<PathBuf>().as_os_str())?;
    dict.set_item("proc_name", &settings.proc_name)?;
    dict.set_item("worker_class_str", class)?;
    let paths: Vec<_> = settings.pythonpath.iter().map(|path| path.to_string_lossy()).collect();
    dict.set_item("pythonpath", Some(paths.join(",")).filter(|paths| !paths.is_empty()))?;
    match settings.logs.statsd.as_ref().map(|statsd| &statsd.address) {
        Some(RemoteAddress::Udp(host, port) | RemoteAddress::Tcp(host, port)) => {
            dict.set_item("statsd_host", (host, port))?;
        }
        Some(RemoteAddress::Unix(path, _)) => dict.set_item("statsd_host", path.as_os_str())?,
        None => dict.set_item("statsd_host", py.None())?,
    }
    dict.set_item("env", settings.raw_env.iter().cloned().collect::<std::collections::BTreeMap<_, _>>())?;
    dict.set_item("is_ssl", false)?;
    let os = py.import("os")?;
    let accounts = [("user", "uid", "geteuid", &settings.user), ("group", "gid", "getegid", &settings.group)];
    for (name, number, present, account) in accounts {
        let id = match account {
            Some(Account::Id(id)) => id.into_pyobject(py)?.into_any(),
            Some(Account::Name(_)) | None => os.call_method0(present)?,
        };
        dict.set_item(name, &id)?;
        dict.set_item(number, id)?;
    }
    let addresses = PyList::empty(py);
    for bind in &settings.bind {
        match bind {
            Bind::Tcp { host, port } => addresses.append((host, port))?,
            Bind::Unix(path) => addresses.append(path.as_os_str())?,
            Bind::Fd(fd) => addresses.append(fd)?,
        }
    }
    dict.set_item("address", addresses)?;
    objects.getattr("Config")?.call1((dict,))
}

/// Whether a class is given by its name, which the file may not have said.
fn is_named(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.starts_with("<class '") && text != "a function")
}

/// A setting's value as Python has it.
pub(crate) fn object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::String(_, text) => text.into_pyobject(py)?.into_any(),
        Value::Bool(_, truth) => truth.into_pyobject(py)?.to_owned().into_any(),
        Value::Num(_, Num::F64(number)) => number.into_pyobject(py)?.into_any(),
        Value::Num(_, number) => number.to_i128().into_pyobject(py)?,
        Value::Array(_, items) => {
            let items: Vec<_> = items.iter().map(|item| object(py, item)).collect::<PyResult<_>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Dict(_, items) => {
            let dict = PyDict::new(py);
            for (name, value) in items {
                dict.set_item(name, object(py, value)?)?;
            }
            dict.into_any()
        }
        Value::Char(..) | Value::Empty(..) => py.None().into_bound(py),
    })
}

/// The worker that this process is, for its Python object.
#[pyclass(module = "ferricorn", frozen)]
pub(super) struct This(Arc<dyn Attended>);

impl This {
    pub(super) fn new(worker: Arc<dyn Attended>) -> Self {
        Self(worker)
    }
}

#[pymethods]
impl This {
    fn requests(&self) -> u64 {
        self.0.requests()
    }

    fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    fn leave(&self) {
        self.0.leave();
    }
}
