//! A host that is nothing but this process, for apps written in Rust.

use std::cell::RefCell;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::process;
use std::sync::Arc;

use ferricorn_config::{FileValues, Settings};
use ferricorn_protocol::{App, AppFault, LoadError, Loader, WorkerInfo};
use ferricorn_unix::{Away, Fork, environment};
use tower_service::Service;

use crate::service::ServiceApp;
use crate::{Body, ConfigFile, Host, run};

/// Runs the command line of `ferricorn` for an app written in Rust, a tower service such as an axum `Router`.
///
/// `make` is called once in each worker, after the fork and outside the event loop. Start no threads and no
/// runtime before this call: a process with several threads is not forked. The positional argument of the
/// command line has no meaning here, and a config file is `ferricorn.toml`, since the other kind is Python.
///
/// The request's extensions hold the connection as `Arc<ferricorn_protocol::Connection>`.
pub fn main<M, S, B>(make: M) -> process::ExitCode
where
    M: Fn() -> S + 'static,
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let make = Arc::new(move || Arc::new(ServiceApp::new(make())) as Arc<dyn App>);
    let code = run(std::env::args_os(), &NativeHost { make, before: RefCell::default() });
    process::ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Makes the app in a worker.
type Make = Arc<dyn Fn() -> Arc<dyn App>>;

struct NativeHost {
    make: Make,
    /// The variables of `raw_env`, with what they were before.
    before: RefCell<Vec<(String, Option<OsString>)>>,
}

impl Host for NativeHost {
    fn description(&self) -> String {
        "native".to_owned()
    }

    fn read_config(&self, source: &ConfigFile) -> Result<FileValues, AppFault> {
        Err(AppFault::new(format!(
            "{source} is Python, which an app written in Rust does not run; write ferricorn.toml instead"
        )))
    }

    fn fork(&self) -> io::Result<Fork> {
        ferricorn_unix::fork()
    }

    fn fork_away(&self) -> io::Result<Away> {
        ferricorn_unix::fork_away()
    }

    fn detached(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn set_environment(&self, variables: &[(String, String)]) -> Result<(), String> {
        let mut before = self.before.borrow_mut();
        for (name, value) in before.drain(..).rev() {
            environment::set(&name, value.as_deref());
        }
        for (name, value) in variables {
            before.push((name.clone(), std::env::var_os(name)));
            environment::set(name, Some(OsStr::new(value)));
        }
        Ok(())
    }

    fn loader(&self, _settings: &Settings) -> Box<dyn Loader> {
        Box::new(NativeLoader(Arc::clone(&self.make)))
    }

    fn imports(&self) -> bool {
        false
    }

    fn needs_app(&self) -> bool {
        false
    }

    fn prepare_worker(&self, _stack_fd: BorrowedFd<'_>, _stack_signal: i32) {}
}

struct NativeLoader(Make);

impl Loader for NativeLoader {
    fn load(&self, _worker: &WorkerInfo) -> Result<Arc<dyn App>, LoadError> {
        Ok((self.0)())
    }
}
