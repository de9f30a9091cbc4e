//! The file that holds the master's pid.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Pid;

/// Why a pidfile cannot be made.
#[derive(Debug)]
pub enum PidfileError {
    /// It names a process that lives.
    Running {
        /// That process.
        pid: i32,
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for PidfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { pid, path } => {
                write!(f, "Already running on PID {pid} (or pid file '{}' is stale)", path.display())
            }
            Self::Io { path, source } => write!(
                f,
                "The pid file '{}' cannot be written: {source}. Its directory must exist and be writable.",
                path.display()
            ),
        }
    }
}

impl std::error::Error for PidfileError {}

/// A pidfile of this process. Dropping it unlinks the file, but only in the process that made it and only if it
/// still holds that process's pid.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    pid: u32,
}

impl Pidfile {
    /// Writes this process's pid, all at once (a temporary file that is renamed), with mode 0644. A file that
    /// names a dead process, or holds no pid, is replaced.
    ///
    /// # Errors
    /// [`PidfileError`], which says all there is to say to the operator.
    pub fn create(path: &Path) -> Result<Self, PidfileError> {
        let pid = std::process::id();
        // Absolute, since a reload may change the working directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match read(&path) {
            Some(other) if other.cast_unsigned() != pid && lives(other) => {
                return Err(PidfileError::Running { pid: other, path });
            }
            _ => {}
        }
        match write(&path, pid) {
            Ok(()) => Ok(Self { path, pid }),
            Err(source) => Err(PidfileError::Io { path, source }),
        }
    }

    /// Whether this is the file of that path.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        std::path::absolute(path).is_ok_and(|path| path == self.path)
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let own = std::process::id() == self.pid;
        if own && read(&self.path).map(i32::cast_unsigned) == Some(self.pid) {
            // Nothing can be done if the directory has become unwritable; the next start finds the pid dead.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The pid in a file; `None` if there is no file or no pid in it.
fn read(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok().filter(|&pid| pid > 0)
}

/// Whether a process exists, be it ours or not.
fn lives(pid: i32) -> bool {
    !matches!(nix::sys::signal::kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

fn write(path: &Path, pid: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{pid}.tmp"));
    let temporary = path.with_file_name(name);
    let attempt = || {
        // A file of that name can only be left over from a dead process that had our pid.
        let _ = fs::remove_file(&temporary);
        let mut file = File::create_new(&temporary)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(format!("{pid}\n").as_bytes())?;
        fs::rename(&temporary, path)
    };
    attempt().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{Pidfile, PidfileError};
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    #[test]
    fn it_holds_the_pid_for_everyone_to_read_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pid");
        let pidfile = Pidfile::create(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let copy = &pidfile;
        let end = in_child(|| {
            drop(Pidfile { path: copy.path.clone(), pid: copy.pid });
            0
        });
        assert_eq!(end, Change::Exited(0));
        assert!(path.exists(), "a child has removed its parent's pidfile");
        drop(pidfile);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_living_process_is_respected_a_dead_one_or_garbage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pid");
        fs::write(&path, "1\n").unwrap();
        let error = Pidfile::create(&path).unwrap_err();
        assert!(matches!(error, PidfileError::Running { pid: 1, .. }));
        let text = error.to_string();
        assert_eq!(text, format!("Already running on PID 1 (or pid file '{}' is stale)", path.display()));
        // Larger than any pid can be.
        for stale in ["99999999\n", "hello", "", "-1", "0"] {
            fs::write(&path, stale).unwrap();
            Pidfile::create(&path).unwrap();
        }
    }

    #[test]
    fn a_file_that_was_taken_over_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pid");
        let pidfile = Pidfile::create(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(pidfile);
        assert!(path.exists());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Pidfile::create("/nonexistent/a.pid".as_ref()).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/a.pid"), "{error}");
    }
}
