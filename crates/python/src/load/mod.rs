//! Brings a WSGI or ASGI application into a worker.

#[cfg(immortal)]
mod immortal;
mod kind;
mod leftovers;
mod paste;
mod share;
mod sources;
mod target;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ferricorn_config::{AsgiLoop, AsgiSettings, Interface, Paste, Settings, WorkerClass};
use ferricorn_protocol::{App, ExitCode, LoadError, Loader, Sources, WorkerInfo};
use pyo3::exceptions::{PyModuleNotFoundError, PySystemExit, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyList;

pub use self::kind::Kind;
use self::sources::Modules;
use self::target::{Object, Target};
use crate::asgi::{self, AsgiApp};
use crate::fault::{exit_status, one_line, traceback};
use crate::gevent::{self, GreenletApp};
use crate::hooks;
use crate::logging;
use crate::wsgi::{EnvironFactory, ErrorSink, WsgiApp, make_types};

/// Loads the application that the settings name.
pub struct AppLoader {
    /// `module`, `module:name` or `module:factory("x", y=1)`.
    pub app: String,
    /// What loads the application instead, by its method `wsgi()`: a program that embeds the server.
    pub embedding: Option<Py<PyAny>>,
    /// The ini file that describes the application instead.
    pub paste: Option<Paste>,
    /// The directory to load it in, which comes first in `sys.path`.
    pub chdir: PathBuf,
    /// Directories that come before it, the last one first, as in gunicorn.
    pub pythonpath: Vec<PathBuf>,
    /// Variables to set in `os.environ`.
    pub raw_env: Vec<(String, String)>,
    /// How the application is called.
    pub interface: Interface,
    /// What the operator believes to drive it.
    pub worker_class: WorkerClass,
    /// How many greenlets of gevent's may run at the same time.
    pub worker_connections: usize,
    /// The prefix that is taken off each path for WSGI; empty for none.
    pub script_name: String,
    /// What concerns it if it is an ASGI application.
    pub asgi: AsgiSettings,
    /// Whether its requests have a deadline.
    pub deadlines: bool,
    /// Where that goes which the application writes to `wsgi.errors`.
    pub errors: ErrorSink,
    /// What was imported before this process was forked, if anything was.
    pub preloaded: Mutex<Option<Preloaded>>,
}

/// An application that workers find imported, and what was done once for all of them.
pub struct Preloaded {
    app: Py<PyAny>,
    kind: Kind,
    environs: Option<EnvironFactory>,
}

impl AppLoader {
    /// Takes what concerns it from the settings. What the application writes to `wsgi.errors` goes to `errors`.
    #[must_use]
    pub fn new(settings: &Settings, errors: ErrorSink) -> Self {
        Self {
            app: match &settings.paste {
                Some(paste) => paste.file.display().to_string(),
                None => settings.app.clone().unwrap_or_default(),
            },
            embedding: None,
            paste: settings.paste.clone(),
            chdir: settings.chdir.clone(),
            pythonpath: settings.pythonpath.clone(),
            raw_env: settings.raw_env.clone(),
            interface: settings.interface,
            worker_class: settings.worker_class,
            worker_connections: settings.worker_connections,
            script_name: settings.script_name.clone(),
            asgi: settings.asgi.clone(),
            deadlines: settings.request_timeout.is_some(),
            errors,
            preloaded: Mutex::default(),
        }
    }

    fn load_attached(&self, py: Python<'_>, worker: &WorkerInfo) -> Result<Arc<dyn App>, LoadError> {
        let preloaded = self.preloaded.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (app, kind, environs) = match preloaded {
            Some(Preloaded { app, kind, environs }) => {
                if self.worker_class == WorkerClass::Gevent {
                    gevent::come_from_fork(py)
                        .map_err(|error| boot_error(py, &error, "Failed to prepare gevent after the fork"))?;
                }
                self.make_loop(py)?;
                (app.into_bound(py), kind, environs)
            }
            None => {
                self.prepare_import(py)?;
                // What the application makes while it is imported may look for its loop.
                self.make_loop(py)?;
                let app = self.find(py)?;
                let kind = self.judge(py, &app)?;
                (app, kind, None)
            }
        };
        let callable = app.clone();
        let prepared: PyResult<Arc<dyn App>> = match kind {
            Kind::Wsgi if self.worker_class == WorkerClass::Gevent => {
                let (name, greenlets) = (&self.script_name, self.worker_connections);
                self.environs(py, environs)
                    .and_then(|environs| GreenletApp::new(app, worker, name, environs, greenlets))
                    .map(|app| Arc::new(app) as Arc<dyn App>)
            }
            Kind::Wsgi => {
                self.environs(py, environs).and_then(|environs| self.wsgi(py, app, worker, environs))
            }
            Kind::Asgi(calling) => {
                self.tell_of_threads(worker);
                AsgiApp::new(&app, calling, self.asgi.clone()).map(|app| Arc::new(app) as Arc<dyn App>)
            }
        };
        let prepared =
            prepared.map_err(|error| boot_error(py, &error, "Failed to prepare the application"))?;
        hooks::loaded(py, &callable)
            .map_err(|error| boot_error(py, &error, "Exception in post_worker_init hook"))?;
        logging::settle(py).map_err(|error| boot_error(py, &error, "Failed to prepare the logs"))?;
        Ok(prepared)
    }

    /// Imports the application for processes that will be forked from this one. There is no loop and no hub yet that
    /// would have to live through the fork.
    fn preload_attached(&self, py: Python<'_>) -> Result<(), LoadError> {
        let before = leftovers::look(py);
        self.prepare_import(py)?;
        let app = self.find(py)?;
        let kind = self.judge(py, &app)?;
        leftovers::tell(py, before, &self.app);
        let share = || -> PyResult<_> {
            let environs = match kind {
                Kind::Wsgi => {
                    make_types(py);
                    Some(self.environs(py, None)?)
                }
                Kind::Asgi(_) => None,
            };
            share::settle(py)?;
            Ok(environs)
        };
        let environs =
            share().map_err(|error| boot_error(py, &error, "Failed to prepare the application for forks"))?;
        let preloaded = Preloaded { app: app.unbind(), kind, environs };
        *self.preloaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(preloaded);
        Ok(())
    }

    /// What makes environs, unless it was made before the fork.
    fn environs(&self, py: Python<'_>, made: Option<EnvironFactory>) -> PyResult<EnvironFactory> {
        made.map_or_else(|| EnvironFactory::new(py, self.errors.clone()), Ok)
    }

    /// What kind of application it is, if that can be served.
    fn judge(&self, py: Python<'_>, app: &Bound<'_, PyAny>) -> Result<Kind, LoadError> {
        let kind = Kind::of(app, &self.app, self.interface)?;
        if matches!(kind, Kind::Asgi(_)) {
            if self.worker_class == WorkerClass::Gevent {
                return Err(unusable(format!(
                    "'{}' is an ASGI application, and worker_class gevent runs WSGI applications: remove the worker class, or \
                     name the WSGI application.",
                    self.app
                )));
            }
            self.require_loop(py)?;
        }
        Ok(kind)
    }

    /// Sees to what an import depends on.
    fn prepare_import(&self, py: Python<'_>) -> Result<(), LoadError> {
        self.prepare(py)
            .map_err(|error| boot_error(py, &error, "Failed to prepare the application's environment"))?;
        if self.worker_class == WorkerClass::Gevent {
            patch(py)?;
        }
        if self.interface == Interface::Asgi {
            self.require_loop(py)?;
        }
        Ok(())
    }

    /// Makes the event loop of an application that is known to need one.
    fn make_loop(&self, py: Python<'_>) -> Result<(), LoadError> {
        if self.interface != Interface::Asgi {
            return Ok(());
        }
        asgi::make_loop(py, self.asgi.event_loop)
            .map(drop)
            .map_err(|error| boot_error(py, &error, "Failed to make the event loop"))
    }

    fn wsgi(
        &self,
        py: Python<'_>,
        app: Bound<'_, PyAny>,
        worker: &WorkerInfo,
        environs: EnvironFactory,
    ) -> PyResult<Arc<dyn App>> {
        let app = WsgiApp::new(app, worker, &self.script_name, environs)?;
        if self.deadlines {
            app.prepare_for_deadlines(py)?;
        }
        Ok(Arc::new(app))
    }

    /// A loop that is not there is told before anything is served, by `--check-config` too.
    fn require_loop(&self, py: Python<'_>) -> Result<(), LoadError> {
        match self.asgi.event_loop {
            AsgiLoop::Uvloop => py.import("uvloop").map(drop).map_err(|error| {
                unusable(format!(
                    "asgi_loop is uvloop, which cannot be imported ({}): install it, or set --asgi-loop auto.",
                    one_line(py, &error)
                ))
            }),
            AsgiLoop::Auto | AsgiLoop::Asyncio => Ok(()),
        }
    }

    /// gunicorn's sync and gthread workers call an ASGI application as a WSGI one, and each request fails.
    fn tell_of_threads(&self, worker: &WorkerInfo) {
        let what = match self.worker_class {
            WorkerClass::Sync => "worker_class sync has",
            WorkerClass::Gthread => "worker_class gthread has",
            _ if worker.app_threads > 1 => "threads has",
            _ => return,
        };
        if worker.age == 1 {
            tracing::warn!(
                "{what} no effect: '{}' is an ASGI application, so one event loop in each worker serves many requests at \
                 the same time",
                self.app
            );
        }
    }

    /// Sets what an import depends on: the directory, `sys.path` and the environment.
    fn prepare(&self, py: Python<'_>) -> PyResult<()> {
        std::env::set_current_dir(&self.chdir)?;
        let path: Bound<'_, PyList> = py.import("sys")?.getattr("path")?.cast_into()?;
        for directory in std::iter::once(&self.chdir).chain(&self.pythonpath) {
            // As a `str`: the import system passes over a `pathlib.Path`.
            let directory = std::path::absolute(directory)?.into_os_string();
            if !path.contains(&directory)? {
                path.insert(0, directory)?;
            }
        }
        let environ = py.import("os")?.getattr("environ")?;
        for (name, value) in &self.raw_env {
            environ.set_item(name, value)?;
        }
        Ok(())
    }

    fn find<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, LoadError> {
        match (&self.embedding, &self.paste) {
            (Some(program), _) => self.ask(program.bind(py)),
            (None, Some(paste)) => self.usable(paste::load(py, paste)?),
            (None, None) => self.import(py),
        }
    }

    fn import<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, LoadError> {
        let target = Target::parse(py, &self.app)?;
        let module =
            py.import(target.module.as_str()).map_err(|error| self.import_error(py, &error, &target))?;
        let name = target.object.name();
        let Ok(found) = module.getattr(name) else {
            return Err(unusable(format!(
                "Failed to find attribute '{name}' in '{}'.{}",
                target.module,
                target::hint(&module, &target.module)
            )));
        };
        let app = match &target.object {
            Object::Name(_) => found,
            Object::Call { args, kwargs, .. } => found.call(args, Some(kwargs)).map_err(|error| {
                // A call that does not fit the function's parameters fails outside of any Python code.
                if error.is_instance_of::<PyTypeError>(py) && error.traceback(py).is_none() {
                    unusable(one_line(py, &error))
                } else {
                    boot_error(py, &error, &format!("'{}' failed", self.app))
                }
            })?,
        };
        self.usable(app)
    }

    /// Has the program that embeds the server load its application.
    fn ask<'py>(&self, program: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, LoadError> {
        let app = program
            .call_method0("wsgi")
            .map_err(|error| boot_error(program.py(), &error, &format!("'{}' failed", self.app)))?;
        self.usable(app)
    }

    fn usable<'py>(&self, app: Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, LoadError> {
        if app.is_none() {
            return Err(unusable(format!("Failed to find application object: '{}' is None.", self.app)));
        }
        if !app.is_callable() {
            let kind =
                app.get_type().qualname().map_or_else(|_| "object".to_owned(), |kind| kind.to_string());
            let hint = match kind.as_str() {
                // Else Python would warn that nobody has awaited it.
                "coroutine" if app.call_method0("close").is_ok() => {
                    " What makes an application cannot be an `async def`."
                }
                _ => "",
            };
            return Err(unusable(format!(
                "Application object must be callable: '{}' is of type {kind}.{hint}",
                self.app
            )));
        }
        Ok(app)
    }

    fn import_error(&self, py: Python<'_>, error: &PyErr, target: &Target<'_>) -> LoadError {
        if let Some(module) = target::of_path(&self.chdir, &target.module) {
            let object = self.app.split_once(':').map_or("application", |(_, object)| object);
            return LoadError {
                exit: ExitCode::BOOT_ERROR,
                asked: None,
                message: format!("Failed to find application, did you mean '{module}:{object}'?"),
                traceback: None,
                cause: None,
                files: Vec::new(),
            };
        }
        let mut failure = boot_error(py, error, &format!("Failed to import '{}'", target.module));
        if is_itself_missing(py, error, &target.module) {
            failure.message.push_str(&format!(" (looked for it in {} and sys.path)", self.chdir.display()));
            failure.traceback = None;
            failure.files = sources::of_module(&self.chdir, &target.module);
        }
        failure
    }
}

impl Loader for AppLoader {
    fn load(&self, worker: &WorkerInfo) -> Result<Arc<dyn App>, LoadError> {
        Python::attach(|py| self.load_attached(py, worker))
    }

    fn sources(&self) -> Option<Arc<dyn Sources>> {
        Some(Arc::new(Modules))
    }

    fn preload(&self) -> Result<(), LoadError> {
        Python::attach(|py| self.preload_attached(py))
    }
}

/// Makes what blocks cooperative, before anything of the application is imported.
fn patch(py: Python<'_>) -> Result<(), LoadError> {
    if let Err(error) = py.import("gevent") {
        return Err(unusable(format!(
            "worker_class is gevent, which cannot be imported ({}): run `pip install 'ferricorn[gevent]'`.",
            one_line(py, &error)
        )));
    }
    gevent::patch(py)
        .map_err(|error| boot_error(py, &error, "Failed to patch the standard library for gevent"))
}

/// Whether it is the module itself, or a package that it lies in, that does not exist.
fn is_itself_missing(py: Python<'_>, error: &PyErr, module: &str) -> bool {
    let missing = error.value(py).getattr("name").and_then(|name| name.extract::<String>());
    error.is_instance_of::<PyModuleNotFoundError>(py)
        && error.traceback(py).is_none()
        && missing.is_ok_and(|missing| format!("{module}.").starts_with(&format!("{missing}.")))
}

/// The user's code failed before there was an application.
fn boot_error(py: Python<'_>, error: &PyErr, what: &str) -> LoadError {
    let asked = error.is_instance_of::<PySystemExit>(py).then(|| exit_status(py, error)).flatten();
    let message = match asked.is_some() {
        true => format!("{what}: it ended the process with {}", one_line(py, error)),
        false => format!("{what}: {}", one_line(py, error)),
    };
    let files = sources::of_failure(py, error);
    let (exit, asked) = (ExitCode::BOOT_ERROR, asked.map(ExitCode));
    LoadError {
        exit,
        asked,
        message,
        traceback: traceback(py, error),
        cause: logging::cause(py, error),
        files,
    }
}

/// The module is there, but no usable application in it.
fn unusable(message: String) -> LoadError {
    let exit = ExitCode::APP_LOAD_ERROR;
    LoadError { exit, asked: None, message, traceback: None, cause: None, files: Vec::new() }
}
