//! The extension module inside the wheel: glue between the command line and the interpreter that it runs in.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use ferricorn::hosting::{Fork, Hooks, Loader, Logger, NoHooks, fork_beside_threads, write_raw};
use ferricorn::{ConfigFile, Dict, Host, Resolved, Settings};
use ferricorn_python::{AppLoader, PythonHooks, PythonLogger};
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The native part of Ferricorn.
#[pymodule(gil_used = true)]
mod _native {
    use super::{Interpreter, OsString, PyResult, Python, pyfunction};

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
        let host = Interpreter(Python::version_str().split(' ').next().unwrap_or_default().to_owned());
        Ok(py.detach(|| ferricorn::run(argv, &host)))
    }
}

/// The interpreter as a host of the server; holds its version.
struct Interpreter(String);

impl Host for Interpreter {
    fn description(&self) -> String {
        format!("CPython {}", self.0)
    }

    fn read_config(&self, source: &ConfigFile) -> Result<Dict, String> {
        match source {
            ConfigFile::Path(path) => ferricorn_python::read_config_file(path),
            ConfigFile::Module(name) => ferricorn_python::read_config_module(name),
        }
    }

    fn hooks(&self, resolved: &Resolved) -> Result<Arc<dyn Hooks>, String> {
        if resolved.settings.hooks.is_empty() {
            return Ok(Arc::new(NoHooks));
        }
        Ok(Arc::new(PythonHooks::new(resolved)?))
    }

    fn logger(&self, resolved: &Resolved) -> Result<Option<Arc<dyn Logger>>, String> {
        if !resolved.settings.logs.python {
            return Ok(None);
        }
        let logger: Arc<dyn Logger> = PythonLogger::new(resolved)?;
        Ok(Some(logger))
    }

    fn fork(&self) -> io::Result<Fork> {
        ferricorn_python::fork_with_interpreter(fork_beside_threads, |fork| matches!(fork, Ok(Fork::Child)))
    }

    fn detached(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn loader(&self, settings: &Settings) -> Box<dyn Loader> {
        Box::new(AppLoader::new(settings, Arc::new(write_raw)))
    }

    fn needs_app(&self) -> bool {
        true
    }

    fn ending(&self, who: &str, bound: &str, give_up: Option<u8>) {
        ferricorn_python::name_threads_that_hold_up(who, bound, give_up);
    }

    fn prepare_worker(&self, stack_fd: BorrowedFd<'_>, stack_signal: i32) {
        if let Err(message) = ferricorn_python::prepare_worker(stack_fd.as_raw_fd(), stack_signal) {
            tracing::warn!("{message}");
        }
    }
}
