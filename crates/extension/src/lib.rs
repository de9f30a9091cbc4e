//! The extension module inside the wheel: glue between the command line and the interpreter that it runs in.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ferricorn::hosting::{
    AppFault, Away, Fork, Hooks, Loader, Logger, NoHooks, fork_away, fork_beside_threads, write_raw,
};
use ferricorn::{ConfigFile, FileValues, Host, Resolved, Settings, Told, UvicornClass};
use ferricorn_python::{AppLoader, Embedding, PythonHooks, PythonLogger};
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The native part of Ferricorn.
#[pymodule(gil_used = true)]
mod _native {
    use pyo3::prelude::*;
    use pyo3::types::PyList;

    use super::{Embedding, Interpreter, OsString};

    #[pymodule_export]
    use ferricorn_python::RequestTimeout;

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name is Python's")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// Runs the command line `argv`, its first item being the program's name, and returns the exit code: in
    /// the master when the server has ended, in a worker when that worker has.
    #[pyfunction]
    fn main(py: Python<'_>, argv: Vec<OsString>) -> PyResult<i32> {
        // Detached throughout; what needs Python attaches for as long as it does.
        Ok(py.detach(|| ferricorn::run(argv, &Interpreter::new(None))))
    }

    /// The same for a program that embeds the server: `application` is a `ferricorn.app.base.BaseApplication`.
    #[pyfunction]
    fn embed(py: Python<'_>, application: Py<PyAny>, argv: Vec<OsString>) -> PyResult<i32> {
        let host = Interpreter::new(Some(Embedding::new(application)));
        Ok(py.detach(|| ferricorn::run(argv, &host)))
    }

    /// The table of settings: name, chapter, flags, default and description of each.
    #[pyfunction]
    fn settings(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
        ferricorn_python::settings(py)
    }
}

/// The interpreter as a host of the server.
struct Interpreter {
    version: String,
    embedding: Option<Embedding>,
    /// What loads the app, if no setting names it.
    loader: Option<Py<PyAny>>,
}

impl Interpreter {
    fn new(embedding: Option<Embedding>) -> Self {
        let version = Python::version_str().split(' ').next().unwrap_or_default().to_owned();
        let loader = embedding.as_ref().and_then(Embedding::loader);
        Self { version, embedding, loader }
    }
}

impl Host for Interpreter {
    fn description(&self) -> String {
        format!("CPython {}", self.version)
    }

    fn command(&self, _argv: &[OsString]) -> Vec<OsString> {
        ferricorn_python::command()
    }

    fn read_config(&self, source: &ConfigFile) -> Result<FileValues, AppFault> {
        match source {
            ConfigFile::Path(path) | ConfigFile::Toml(path) => ferricorn_python::read_config_file(path),
            ConfigFile::Module(name) => ferricorn_python::read_config_module(name),
        }
    }

    fn forget_config(&self) {
        ferricorn_python::forget_config();
    }

    fn told(&self) -> Result<Option<Told>, String> {
        let Some(embedding) = &self.embedding else { return Ok(None) };
        let told = embedding.told()?;
        Ok(Some(Told { below: told.below, above: told.above, with_others: told.with_others }))
    }

    fn hooks(&self, resolved: &Resolved) -> Result<Arc<dyn Hooks>, String> {
        if resolved.settings.hooks.is_empty() {
            return Ok(Arc::new(NoHooks));
        }
        Ok(Arc::new(PythonHooks::new(resolved)?))
    }

    fn hook_faults(&self, hooks: &[(&'static str, Option<String>)]) -> Vec<(&'static str, String)> {
        ferricorn_python::faults_of_hooks(hooks)
    }

    fn worker_class(&self, name: &str, places: &[PathBuf]) -> Result<Option<UvicornClass>, String> {
        ferricorn_python::worker_class(name, places)
    }

    fn logger(&self, resolved: &Resolved) -> Result<Option<Arc<dyn Logger>>, String> {
        if !resolved.settings.logs.python {
            return Ok(PythonLogger::connect(resolved)?.map(|logger| logger as Arc<dyn Logger>));
        }
        let logger: Arc<dyn Logger> = PythonLogger::new(resolved)?;
        Ok(Some(logger))
    }

    fn fork(&self) -> io::Result<Fork> {
        ferricorn_python::fork_with_interpreter(fork_beside_threads, |fork| matches!(fork, Ok(Fork::Child)))
    }

    fn fork_away(&self) -> io::Result<Away> {
        ferricorn_python::fork_with_interpreter(fork_away, |fork| matches!(fork, Ok(Away::Child)))
    }

    fn detached(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn set_environment(&self, variables: &[(String, String)]) -> Result<(), String> {
        ferricorn_python::set_environment(variables)
    }

    fn loader(&self, settings: &Settings) -> Box<dyn Loader> {
        let mut loader = AppLoader::new(settings, Arc::new(write_raw));
        if let Some(program) = &self.loader {
            loader.app = "load()".to_owned();
            loader.embedding = Some(Python::attach(|py| program.clone_ref(py)));
        }
        Box::new(loader)
    }

    fn imports(&self) -> bool {
        true
    }

    fn needs_app(&self) -> bool {
        self.loader.is_none()
    }

    fn ending(&self, who: &str, bound: &str, give_up: Option<u8>) {
        ferricorn_python::end_visits();
        ferricorn_python::name_threads_that_hold_up(who, bound, give_up);
    }

    fn settle_heap(&self) {
        ferricorn_python::settle_heap();
    }

    fn prepare_mold(&self, stack_fd: BorrowedFd<'_>, stack_signal: i32) {
        if let Err(message) = ferricorn_python::prepare_mold(stack_fd.as_raw_fd(), stack_signal) {
            tracing::warn!("{message}");
        }
    }

    fn prepare_worker(&self, stack_fd: BorrowedFd<'_>, stack_signal: i32) {
        if let Err(message) = ferricorn_python::prepare_worker(stack_fd.as_raw_fd(), stack_signal) {
            tracing::warn!("{message}");
        }
    }
}
