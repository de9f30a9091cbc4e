//! The server hooks of a `gunicorn.conf.py`: functions that are told what happens in master and workers.

mod namespace;
mod objects;
mod requests;

use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ferricorn_config::Resolved;
use ferricorn_protocol::{AppFault, Attended, Hooks, Listening, Moment};
use ferricorn_telemetry::tell_fault;
use pyo3::prelude::*;

use self::namespace::Functions;
pub use self::namespace::forget_config;
pub(crate) use self::namespace::{keep, keep_told, value};
use self::objects::This;
pub(crate) use self::objects::object;
pub(crate) use self::requests::{RequestHooks, Seen, of_requests};
use crate::fault::{app_fault, one_line};
use crate::logging;

/// As many as `workers` may be.
const MOST_WORKERS: usize = 1024;

/// The hooks of the worker that this process is.
static WORKER: OnceLock<Arc<Inner>> = OnceLock::new();

/// The server as all hooks of this process know it.
static SERVER: OnceLock<Py<PyAny>> = OnceLock::new();

/// gunicorn's `cfg` for these settings, anew.
pub(crate) fn config<'py>(py: Python<'py>, resolved: &Resolved) -> PyResult<Bound<'py, PyAny>> {
    objects::config(py, objects::module(py)?, resolved)
}

/// What is wrong with these hooks of the config file that was read last, by their names. Each is given with its dotted name,
/// if that is how it is set.
#[must_use]
pub fn faults_of_hooks(hooks: &[(&'static str, Option<String>)]) -> Vec<(&'static str, String)> {
    if hooks.is_empty() {
        return Vec::new();
    }
    let look = |py: Python<'_>| objects::module(py).map(|objects| Functions::faults(objects, hooks));
    // Without the module the start fails later, and tells why.
    Python::attach(look).unwrap_or_default()
}

/// The hooks of one configuration.
#[derive(Debug)]
pub struct PythonHooks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    functions: Functions,
    server: Py<PyAny>,
    cfg: Py<PyAny>,
    log: Py<PyAny>,
    /// Whether the logs go through a logger of Python's, which is what hooks are given then.
    python_log: bool,
    raw_env: Vec<(String, String)>,
    /// Whether the worker's end was told of.
    left: AtomicBool,
    /// The worker that this process is.
    worker: Mutex<Option<Py<PyAny>>>,
}

impl PythonHooks {
    /// The hooks that the config file which was read last has set.
    ///
    /// # Errors
    /// What is wrong with them, a line each.
    pub fn new(resolved: &Resolved) -> Result<Self, String> {
        Python::attach(|py| {
            let explain = |error: PyErr| one_line(py, &error);
            let objects = objects::module(py).map_err(explain)?;
            let functions = Functions::load(objects, resolved)?;
            let make = || -> PyResult<Self> {
                let server = match SERVER.get() {
                    Some(server) => server,
                    None => {
                        let server = objects.getattr("Server")?.call0()?.unbind();
                        SERVER.get_or_init(|| server)
                    }
                };
                let cfg = objects::config(py, objects, resolved)?;
                Ok(Self(Arc::new(Inner {
                    functions,
                    server: server.clone_ref(py),
                    log: logging::own(py, &cfg)?.unbind(),
                    cfg: cfg.unbind(),
                    python_log: resolved.settings.logs.python,
                    raw_env: resolved.settings.raw_env.clone(),
                    left: AtomicBool::new(false),
                    worker: Mutex::default(),
                })))
            };
            make().map_err(explain)
        })
    }
}

impl Hooks for PythonHooks {
    fn call(&self, moment: Moment<'_>) -> Result<(), AppFault> {
        let worker = self.0.clone();
        if let Moment::Born = moment {
            WORKER.get_or_init(|| worker);
        }
        let ends = matches!(moment, Moment::Interrupted | Moment::Leaving);
        Python::attach(|py| {
            let told = self.0.tell(py, moment).map_err(|error| app_fault(py, &error));
            if !ends {
                logging::look(py);
            }
            told
        })
    }

    fn mind_the_end(&self) -> bool {
        self.0.functions.has("worker_int") || self.0.functions.has("worker_exit")
    }

    fn workers(&self) -> Option<usize> {
        let wanted = Python::attach(|py| self.0.server.bind(py).getattr("num_workers")?.extract());
        wanted.ok().filter(|&workers: &usize| workers <= MOST_WORKERS)
    }

    fn attend(&self, worker: Arc<dyn Attended>) {
        Python::attach(|py| {
            let Some(object) = self.0.worker(py) else { return };
            let this = Bound::new(py, This::new(worker));
            if let Err(error) = this.and_then(|this| object.call_method1("_attend", (this,))) {
                tracing::error!("The hooks have no hold of the worker: {}", one_line(py, &error));
            }
        });
    }
}

impl Inner {
    /// Does what gunicorn does at this moment: books first, then the function.
    fn tell(&self, py: Python<'_>, moment: Moment<'_>) -> PyResult<()> {
        let server = self.server.bind(py);
        let function = self.functions.get(py, moment.hook());
        if !matches!(moment, Moment::Born | Moment::Interrupted | Moment::Leaving) {
            self.enter(py)?;
        }
        match moment {
            Moment::Wanted { now, before } => {
                server.setattr("num_workers", now)?;
                function.call((server, now, before))
            }
            Moment::Ready(listeners) => {
                listen(server, listeners)?;
                function.call((server,))
            }
            Moment::Starting | Moment::Replacing | Moment::Ending => function.call((server,)),
            Moment::Reloaded { listeners, workers } => {
                listen(server, listeners)?;
                server.call_method1("_take_stock", (workers.to_vec(),))?;
                function.call((server,))
            }
            Moment::Forking { age } => {
                let worker = server.call_method1("_forking", (age,))?;
                let before = lock(&self.worker).replace(worker.clone().unbind());
                drop(before);
                function.call((server, worker))
            }
            Moment::Forked { age, pid } => server.call_method1("_forked", (age, pid)).map(drop),
            Moment::Beside { predecessor, successor } => {
                server.call_method1("_beside", (predecessor.unwrap_or(0), successor.unwrap_or(0))).map(drop)
            }
            Moment::Gone { age, pid } => {
                let worker = server.call_method1("_gone", (age, pid))?;
                function.call((server, worker))
            }
            Moment::Born => {
                let environ = py.import("os")?.getattr("environ")?;
                for (name, value) in &self.raw_env {
                    environ.set_item(name, value)?;
                }
                let worker = self.worker(py);
                if let Some(worker) = &worker {
                    worker.setattr("pid", std::process::id())?;
                }
                function.call((server, worker))
            }
            Moment::Interrupted => {
                let worker = self.worker(py);
                if let Some(worker) = &worker {
                    // It leaves already, at once.
                    worker.setattr("_alive", false)?;
                }
                function.call((worker,))
            }
            Moment::Leaving if self.left.swap(true, Ordering::SeqCst) => Ok(()),
            Moment::Leaving => function.call((server, self.worker(py))),
        }
    }

    /// Lets this configuration count: after a reload, or after one that failed.
    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let logger = if self.python_log { logging::last(py)? } else { None };
        let log = logger.unwrap_or_else(|| self.log.bind(py).clone());
        self.server.bind(py).call_method1("_enter", (&self.cfg, log)).map(drop)
    }

    fn worker<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        lock(&self.worker).as_ref().map(|worker| worker.bind(py).clone())
    }
}

/// The app of the worker that this process is has been loaded (`post_worker_init`).
///
/// # Errors
/// What the function raised; the worker has failed to boot then.
pub(crate) fn loaded(py: Python<'_>, app: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(hooks) = WORKER.get() else { return Ok(()) };
    let Some(worker) = hooks.worker(py) else { return Ok(()) };
    worker.call_method1("_load", (app,))?;
    hooks.functions.get(py, "post_worker_init").call((worker,))
}

/// The worker that this process is ends for lack of progress (`worker_abort`).
pub(crate) fn abort(py: Python<'_>) {
    let Some(hooks) = WORKER.get() else { return };
    let Some(worker) = hooks.worker(py) else { return };
    let told = worker
        .setattr("aborted", true)
        .and_then(|()| hooks.functions.get(py, "worker_abort").call((worker,)));
    if let Err(error) = told {
        let fault = AppFault { told: false, ..app_fault(py, &error) };
        tell_fault("Exception in worker_abort hook", &fault);
    }
}

fn listen(server: &Bound<'_, PyAny>, listeners: &[Listening]) -> PyResult<()> {
    let listeners: Vec<(c_int, &str)> =
        listeners.iter().map(|listener| (listener.fd, listener.name.as_str())).collect();
    server.call_method1("_listen", (listeners,)).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
