//! Both logs through Python's `logging`: at once in the master, and in a worker on a thread of its own.

mod loggers;
mod queue;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferricorn_config::{LogLevel, Resolved, Value};
use ferricorn_protocol::Cause;
use ferricorn_telemetry::{Logger, error_log};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCFunction, PyDict, PyTuple};

use self::queue::{Item, Queue};
use crate::config_file::find_neighbours;
use crate::fault::{one_line, traceback};
use crate::hooks;

/// Names of the class that is taken if nobody wishes for another one.
const OURS: &str = "gunicorn.";

/// The logger that was made last, for which a worker starts a thread.
static LAST: Mutex<Option<Arc<PythonLogger>>> = Mutex::new(None);

/// A logger object of the class that the settings name.
#[derive(Debug)]
pub struct PythonLogger {
    relay: Py<PyAny>,
    level: LogLevel,
    logs_records: bool,
    logs_requests: bool,
    queue: Queue,
}

impl PythonLogger {
    /// Makes the logger of the configuration that was read last, which resolved to this.
    ///
    /// # Errors
    /// What is wrong with it, with the traceback of its code.
    pub fn new(resolved: &Resolved) -> Result<Arc<Self>, String> {
        Python::attach(|py| {
            loggers::leave_alone();
            Ok(remember(Self::make(py, resolved).map_err(|error| explain(py, &error))?))
        })
    }

    /// Connects Python's loggers with the logs of this configuration, which wants no other logger. There is one
    /// nevertheless if the config file has changed what becomes of records.
    ///
    /// # Errors
    /// What went wrong in Python.
    pub fn connect(resolved: &Resolved) -> Result<Option<Arc<Self>>, String> {
        Python::attach(|py| {
            forget_last();
            loggers::connect(py, resolved)
                .and_then(|()| Self::look(py))
                .map(|_| last_logger())
                .map_err(|error| explain(py, &error))
        })
    }

    /// Makes what apps and hooks have changed of Python's loggers count. Whether there was anything new.
    fn look(py: Python<'_>) -> PyResult<bool> {
        let Some((resolved, records, requests)) = loggers::touched(py)? else { return Ok(false) };
        let before = last_logger();
        let has = before.as_ref().map_or((false, false), |last| (last.logs_records, last.logs_requests));
        let wanted = (has.0 || records, has.1 || requests);
        if wanted == has {
            return Ok(false);
        }
        let class = loggers::class(py)?;
        let logger = Self::of(py, Some(class), hooks::config(py, &resolved)?)?;
        remember(Self { logs_records: wanted.0, logs_requests: wanted.1, ..logger });
        if let Some(before) = before {
            before.queue.finish(Duration::ZERO);
        }
        Ok(true)
    }

    fn make(py: Python<'_>, resolved: &Resolved) -> PyResult<Self> {
        find_neighbours(py)?;
        let cfg = hooks::config(py, resolved)?;
        let wanted = match resolved.values.get("logger_class") {
            Some(Value::String(_, name)) if !name.starts_with('<') => {
                let named = name != "simple"
                    && name != "egg:gunicorn#simple"
                    && !name.is_empty()
                    && !name.starts_with(OURS);
                named.then(|| name.into_pyobject(py)).transpose()?.map(Bound::into_any)
            }
            _ => hooks::value(py, "logger_class")?,
        };
        Self::of(py, wanted, cfg)
    }

    /// One of this class; gunicorn's if there is none.
    fn of<'py>(py: Python<'py>, class: Option<Bound<'py, PyAny>>, cfg: Bound<'py, PyAny>) -> PyResult<Self> {
        let relay = py.import("ferricorn.glogging")?.getattr("Relay")?.call1((class, cfg))?;
        let level = match relay.call_method0("level")?.extract()? {
            0..=10 => LogLevel::Debug,
            11..=20 => LogLevel::Info,
            21..=30 => LogLevel::Warning,
            31..=40 => LogLevel::Error,
            _ => LogLevel::Critical,
        };
        let logs_requests = relay.call_method0("logs_requests")?.extract()?;
        Ok(Self { relay: relay.unbind(), level, logs_records: true, logs_requests, queue: Queue::default() })
    }

    /// Hands an item over to the thread of a worker, or logs it here where there is none.
    fn take(&self, item: Item) {
        if let Some(item) = self.queue.push(item) {
            Python::attach(|py| self.log(py, item));
        }
    }

    /// Logs until the process is about to end. The body of a worker's thread.
    fn follow(&self, py: Python<'_>) {
        while let Some(items) = py.detach(|| self.queue.next()) {
            items.into_iter().for_each(|item| self.log(py, item));
        }
    }

    /// What goes wrong in a handler is told on stderr, as Python does: there may be no log to tell it.
    fn log(&self, py: Python<'_>, item: Item) {
        let relay = self.relay.bind(py);
        let logged = match item {
            Item::Record(level, text) => relay.call_method1("record", (method(level), text)).map(drop),
            Item::Fault(what, traceback, error) => {
                relay.call_method1("fault", (what, traceback, error)).map(drop)
            }
            Item::Requests(lines) => {
                for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    if let Err(error) = relay.call_method1("request", (PyBytes::new(py, line),)) {
                        error.write_unraisable(py, Some(relay));
                    }
                }
                Ok(())
            }
            Item::Reopen => relay.call_method0("reopen").map(drop),
        };
        if let Err(error) = logged {
            error.write_unraisable(py, Some(relay));
        }
    }
}

impl Logger for PythonLogger {
    fn level(&self) -> LogLevel {
        self.level
    }

    fn logs_records(&self) -> bool {
        self.logs_records
    }

    fn logs_requests(&self) -> bool {
        self.logs_requests
    }

    fn record(&self, level: LogLevel, text: &str) {
        self.take(Item::Record(level, text.to_owned()));
    }

    fn fault(&self, what: &str, traceback: &str, cause: &Cause) {
        match cause.downcast_ref::<Raised>().and_then(Raised::take) {
            Some(error) => self.take(Item::Fault(what.to_owned(), traceback.to_owned(), error)),
            None => self.record(LogLevel::Error, &format!("{what}\n{traceback}")),
        }
    }

    fn requests(&self, lines: &[u8]) {
        self.take(Item::Requests(lines.to_vec()));
    }

    fn reopen(&self) {
        self.take(Item::Reopen);
    }

    fn finish(&self, limit: Duration) {
        self.queue.finish(limit);
    }
}

/// An exception on its way to the logger, which takes it out, so that it lives no longer than it must.
#[derive(Debug)]
struct Raised(Mutex<Option<Py<PyBaseException>>>);

impl Raised {
    fn take(&self) -> Option<Py<PyBaseException>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The exception itself, if there is a logger that would take it.
pub(crate) fn cause(py: Python<'_>, error: &PyErr) -> Option<Cause> {
    last_logger()
        .is_some_and(|logger| logger.logs_records)
        .then(|| -> Cause { Arc::new(Raised(Mutex::new(Some(error.clone_ref(py).into_value(py))))) })
}

/// The logger that was made last, if there is one.
fn last_logger() -> Option<Arc<PythonLogger>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Makes it the last one.
fn remember(logger: PythonLogger) -> Arc<PythonLogger> {
    let logger = Arc::new(logger);
    let before = LAST.lock().unwrap_or_else(PoisonError::into_inner).replace(logger.clone());
    drop(before);
    logger
}

/// A configuration has come that wants none.
fn forget_last() {
    let before = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(before);
}

/// Hooks or an app may have changed Python's loggers; from now on that counts for the logs of this process.
pub(crate) fn look(py: Python<'_>) {
    match PythonLogger::look(py) {
        Ok(true) => error_log::set_logger(last_logger().map(|logger| logger as Arc<dyn Logger>)),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!("What has become of Python's loggers is not known: {}", one_line(py, &error))
        }
    }
}

/// The same in a worker whose app has been loaded, which logs on a thread of its own.
pub(crate) fn settle(py: Python<'_>) -> PyResult<()> {
    look(py);
    match last_logger() {
        Some(logger) if !logger.queue.is_open() => start_thread(py),
        _ => Ok(()),
    }
}

/// The `log` of hooks where no setting names a class for it.
pub(crate) fn own<'py>(py: Python<'py>, cfg: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    loggers::class(py)?.call1((cfg, pyo3::wrap_pyfunction!(metric, py)?))
}

/// Tells statsd, if there is one, a metric: its name, and its value with its type.
#[pyfunction]
fn metric(name: &str, value: &str) {
    if let Some(log) = error_log::installed() {
        log.metric(name, value);
    }
}

/// The object of the class that the settings name, as it was made last.
pub(crate) fn last(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    last_logger().map(|logger| logger.relay.bind(py).getattr("logger")).transpose()
}

/// Starts the thread of the logger that was made last, in a worker.
pub(crate) fn start_thread(py: Python<'_>) -> PyResult<()> {
    let Some(logger) = last_logger() else { return Ok(()) };
    logger.queue.open();
    let body = PyCFunction::new_closure(
        py,
        Some(c"log"),
        None,
        move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| logger.follow(arguments.py()),
    )?;
    // A real thread even where the config file has replaced what `threading` is made of: what waits for work outside of
    // Python would hold up a hub for ever.
    let loaded = py.import("sys")?.getattr("modules")?.call_method1("get", ("gevent.monkey",))?;
    let start = match loaded.is_none() {
        true => py.import("_thread")?.getattr("start_new_thread")?,
        false => loaded.call_method1("get_original", ("_thread", "start_new_thread"))?,
    };
    start.call1((body, PyTuple::empty(py)))?;
    Ok(())
}

/// The level that a number of Python's `logging` comes closest to from below.
fn level_from(number: u32) -> LogLevel {
    match number {
        0..20 => LogLevel::Debug,
        20..30 => LogLevel::Info,
        30..40 => LogLevel::Warning,
        40..50 => LogLevel::Error,
        50.. => LogLevel::Critical,
    }
}

/// The method of a logger for records of this level.
fn method(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
        LogLevel::Error => "error",
        LogLevel::Critical => "critical",
    }
}

fn explain(py: Python<'_>, error: &PyErr) -> String {
    // One of ours says it all.
    let plain = error.is_instance_of::<pyo3::exceptions::PyRuntimeError>(py);
    match traceback(py, error).filter(|_| !plain) {
        Some(traceback) => format!("the logs cannot be prepared:\n{}", traceback.trim_end()),
        None => one_line(py, error)
            .trim_start_matches("RuntimeError: Error: ")
            .trim_start_matches("RuntimeError: ")
            .to_owned(),
    }
}
