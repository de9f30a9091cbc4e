//! The file that holds the master's pid.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Pid;

/// How much of a command line is shown, in characters.
const COMMAND: usize = 80;

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
    /// Something that is no ordinary file has its name.
    NoFile {
        /// What it is: `a directory`.
        what: &'static str,
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
                write!(f, "Already running on PID {pid} (or pid file '{}' is stale). ", path.display())?;
                match command(*pid) {
                    Some(command) => write!(f, "Process {pid} is `{command}`. ")?,
                    None => write!(f, "What process {pid} is cannot be seen from here. ")?,
                }
                write!(
                    f,
                    "If it is the server, stop it (kill {pid}) or choose another file with --pid; if it is not, "
                )?;
                f.write_str("remove the file")
            }
            Self::NoFile { what, path } => {
                write!(f, "The pid file '{}' cannot be written: it is {what}; ", path.display())?;
                match *what {
                    DIRECTORY => {
                        write!(f, "name a file in it, as in --pid {}", path.join("ferricorn.pid").display())
                    }
                    _ => f.write_str("choose another file with --pid"),
                }
            }
            Self::Io { path, source } => {
                write!(f, "The pid file '{}' cannot be written: ", path.display())?;
                let parent = path.parent().unwrap_or(path);
                let directory = parent.display();
                match source.raw_os_error() {
                    Some(libc::ENOENT) if !parent.exists() => {
                        write!(f, "{directory} does not exist; make it")
                    }
                    Some(libc::ENOTDIR) => write!(f, "{directory} is no directory"),
                    Some(libc::EACCES | libc::EPERM) => {
                        write!(f, "this user may not write to {directory}; permit it")
                    }
                    Some(libc::EROFS) => write!(f, "{directory} is read-only"),
                    Some(libc::ENOSPC | libc::EDQUOT) => write!(f, "{directory} is full; make room"),
                    _ => write!(f, "{source}; put that right"),
                }?;
                f.write_str(", or choose another file with --pid")
            }
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
        Self::replace(path, None)
    }

    /// The same in place of a process that is known to have ended, though it may not have been reaped.
    ///
    /// # Errors
    /// As [`Pidfile::create`].
    pub fn create_after(path: &Path, dead: i32) -> Result<Self, PidfileError> {
        Self::replace(path, Some(dead))
    }

    /// The name that the file of a master has while the one before it lives, as in gunicorn: `PATH.2`.
    #[must_use]
    pub fn second(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".2");
        PathBuf::from(name)
    }

    /// Removes the file of a process that has ended and could not do so itself.
    pub fn clean_up(path: &Path, dead: i32) {
        if no_file(path).is_none() && read(path) == Some(dead) {
            // As for the own one.
            let _ = fs::remove_file(path);
        }
    }

    fn replace(path: &Path, dead: Option<i32>) -> Result<Self, PidfileError> {
        let pid = std::process::id();
        // Absolute, since a reload may change the working directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if let Some(what) = no_file(&path) {
            return Err(PidfileError::NoFile { what, path });
        }
        match read(&path) {
            Some(other) if other.cast_unsigned() != pid && Some(other) != dead && lives(other) => {
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

const DIRECTORY: &str = "a directory";

/// What has this name, if that is no file. Such a thing must not be replaced (`/dev/null`), and reading it might
/// never end.
fn no_file(path: &Path) -> Option<&'static str> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Some(DIRECTORY);
    }
    let kind = fs::metadata(path).ok()?.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some(DIRECTORY),
        () if kind.is_fifo() => Some("a named pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}

/// The command line of a process, or its name if it has none; `None` if that cannot be read.
fn command(pid: i32) -> Option<String> {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).ok();
    let text = read("cmdline").filter(|text| !text.is_empty()).or_else(|| read("comm"))?;
    let text = String::from_utf8_lossy(&text).replace(|letter: char| letter.is_control(), " ");
    let text: String = text.trim().chars().take(COMMAND).collect();
    (!text.is_empty()).then_some(text)
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
        let words =
            format!("Already running on PID 1 (or pid file '{}' is stale). Process 1 is `", path.display());
        assert!(text.starts_with(&words) && text.contains("kill 1"), "{text}");
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
    fn what_is_no_file_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let told = |path: &std::path::Path| Pidfile::create(path).unwrap_err().to_string();
        let text = told(dir.path());
        assert!(text.contains("is a directory") && text.contains("ferricorn.pid"), "{text}");
        assert!(told(&dir.path().join("missing/")).contains("is a directory"));
        assert!(told("/dev/null".as_ref()).contains("is a device"));
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Without waiting for somebody who writes into it.
        assert!(told(&pipe).contains("is a named pipe"));
        assert!(pipe.exists());
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let text = told(&file.join("a.pid"));
        assert!(text.contains("file is no directory, or choose another"), "{text}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Pidfile::create("/nonexistent/a.pid".as_ref()).unwrap_err().to_string();
        assert!(
            error.contains("'/nonexistent/a.pid'") && error.contains("/nonexistent does not exist"),
            "{error}"
        );
    }
}
