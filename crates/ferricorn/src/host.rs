//! What the program needs of the process that it runs in: an interpreter, or nothing at all.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use ferricorn_config::{Dict, FileValues, Resolved, Settings, UvicornClass};
use ferricorn_protocol::{AppFault, Hooks, Loader, NoHooks};
use ferricorn_telemetry::Logger;
use ferricorn_unix::{Away, Fork};

/// The process that the server runs in. Its methods are called in the main thread.
pub trait Host {
    /// What the apps of this host are and what runs them, in a few words: `CPython 3.13.1`.
    fn description(&self) -> String;

    /// The command that has started this process, the program first; `argv` is what the server was given.
    fn command(&self, argv: &[OsString]) -> Vec<OsString> {
        argv.to_vec()
    }

    /// Runs a config file that is Python and returns every public name that it left behind.
    ///
    /// # Errors
    /// What is wrong with the file, with the traceback of its code if it is that which failed.
    fn read_config(&self, source: &ConfigFile) -> Result<FileValues, AppFault>;

    /// The configuration has no file that is Python, or none any more.
    fn forget_config(&self) {}

    /// What the program that embeds this server says of the settings, if one does. Asked at the start and at each reload.
    ///
    /// # Errors
    /// What went wrong in its code, with the traceback.
    fn told(&self) -> Result<Option<Told>, String> {
        Ok(None)
    }

    /// The hooks of the config file that was read last, which resolved to this.
    ///
    /// # Errors
    /// What is wrong with them.
    fn hooks(&self, resolved: &Resolved) -> Result<Arc<dyn Hooks>, String> {
        let _ = resolved;
        Ok(Arc::new(NoHooks))
    }

    /// What is wrong with hooks, by their names. Each is given with its dotted name, if that is how it is set; else the
    /// config file that was read last has it.
    fn hook_faults(&self, hooks: &[(&'static str, Option<String>)]) -> Vec<(&'static str, String)> {
        let _ = hooks;
        Vec::new()
    }

    /// What a worker class of that name is, if it is derived from uvicorn's. Modules lie in `places` too.
    ///
    /// # Errors
    /// Why there is no such class.
    fn worker_class(&self, name: &str, places: &[PathBuf]) -> Result<Option<UvicornClass>, String> {
        let _ = (name, places);
        Ok(None)
    }

    /// What all logs go through, if the settings want it to be this host.
    ///
    /// # Errors
    /// What is wrong with their wishes.
    fn logger(&self, resolved: &Resolved) -> Result<Option<Arc<dyn Logger>>, String> {
        match resolved.settings.logs.python {
            true => {
                Err("logger_class, logconfig and logconfig_json are for Python apps; remove them".to_owned())
            }
            false => Ok(None),
        }
    }

    /// Forks the process with whatever care the interpreter needs.
    ///
    /// # Errors
    /// As [`ferricorn_unix::fork`].
    fn fork(&self) -> io::Result<Fork>;

    /// The same, and the child becomes one of the master that this process belongs to ([`ferricorn_unix::fork_away`]).
    ///
    /// # Errors
    /// As [`ferricorn_unix::fork_away`].
    fn fork_away(&self) -> io::Result<Away>;

    /// Calls `wait` once, detached from the interpreter, so that its other threads run meanwhile.
    fn detached(&self, wait: &mut dyn FnMut());

    /// Sets these variables of the environment (`raw_env`), in the place of those that the last call has set.
    ///
    /// # Errors
    /// What prevents it.
    fn set_environment(&self, variables: &[(String, String)]) -> Result<(), String>;

    /// What loads the app of these settings.
    fn loader(&self, settings: &Settings) -> Box<dyn Loader>;

    /// Whether the app is imported at all, so that this can be done before workers are forked.
    fn imports(&self) -> bool;

    /// Whether the command line or a config file must name an app.
    fn needs_app(&self) -> bool;

    /// Workers, or what forks them, are about to be forked from this process, and share what it has in memory for as long
    /// as neither writes to it.
    fn settle_heap(&self) {}

    /// Prepares the interpreter of a worker, before its app is loaded: when `stack_signal` arrives, the stacks of
    /// all threads go to `stack_fd`.
    fn prepare_worker(&self, stack_fd: BorrowedFd<'_>, stack_signal: i32);

    /// The same for a mold, before it imports the app.
    fn prepare_mold(&self, stack_fd: BorrowedFd<'_>, stack_signal: i32) {
        let _ = (stack_fd, stack_signal);
    }

    /// Called last in each process: the server has nothing left to do here, and the host may have. What holds up the
    /// end is to be logged; `who` is the process, and `bound` a sentence on what bounds its wait. With `give_up` the
    /// process must end soon, if need be without more ado, and with this status.
    fn ending(&self, who: &str, bound: &str, give_up: Option<u8>) {
        let _ = (who, bound, give_up);
    }
}

/// What a program that embeds the server says of the settings.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What counts less than a config file.
    pub below: Dict,
    /// What counts more than anything else.
    pub above: Dict,
    /// Whether a config file and a command line count as well.
    pub with_others: bool,
}

/// A config file, as `--config` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// A file of Python, by its absolute path.
    Path(PathBuf),
    /// A file of TOML, by its absolute path; a `pyproject.toml` has the settings in `[tool.ferricorn]`.
    Toml(PathBuf),
    /// A Python module, `python:MODULE`.
    Module(String),
}

impl fmt::Display for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) | Self::Toml(path) => path.display().fmt(f),
            Self::Module(name) => write!(f, "python:{name}"),
        }
    }
}
