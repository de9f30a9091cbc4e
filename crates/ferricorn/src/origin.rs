//! How this process was started, so that the program can be started again in the same way.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use ferricorn_unix::upgrade;

/// Command line, directory and environment, as they were at the start.
#[derive(Debug)]
pub(crate) struct Origin {
    command: Vec<OsString>,
    directory: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Origin {
    /// Notes it. `command` is what was executed, the program first.
    ///
    /// # Errors
    /// The current directory cannot be used.
    pub(crate) fn note(command: Vec<OsString>) -> io::Result<Self> {
        let environment = env::vars_os().filter(|(name, _)| !upgrade::is_variable(name)).collect();
        Ok(Self { command, directory: directory()?, environment })
    }

    /// Executes the program again in this process, with these variables in addition. Returns only if that fails.
    pub(crate) fn execute(&self, variables: &[(&'static str, String)]) -> io::Error {
        let Some((program, arguments)) = self.command.split_first() else {
            return io::Error::other("it is not known how the program was started");
        };
        Command::new(program)
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .exec()
    }
}

/// The current directory, by the name under which the shell has gone there: behind a symbolic link such as `current`
/// there may be another directory at the next reload or upgrade.
///
/// # Errors
/// What getcwd(2) reports.
pub(crate) fn directory() -> io::Result<PathBuf> {
    let current = env::current_dir()?;
    let identity = |path: &PathBuf| path.metadata().map(|meta| (meta.dev(), meta.ino())).ok();
    let named = env::var_os("PWD").map(PathBuf::from).filter(|path| path.is_absolute());
    Ok(named.filter(|path| identity(path) == identity(&current)).unwrap_or(current))
}
