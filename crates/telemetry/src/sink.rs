//! An open log: a standard stream, or a file that is appended to and can be opened again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use ferricorn_config::LogTarget;

/// The destination of a log, open.
#[derive(Debug)]
pub(crate) struct Sink {
    target: LogTarget,
    /// Absent for the standard streams.
    file: Option<File>,
}

impl Sink {
    /// Opens the target; `what` names the log in the error.
    pub(crate) fn open(target: &LogTarget, what: &str) -> io::Result<Self> {
        let file = match target {
            LogTarget::Stdout | LogTarget::Stderr => None,
            LogTarget::File(path) => Some(append_to(path, what)?),
        };
        Ok(Self { target: target.clone(), file })
    }

    /// The same target opened again, after a log rotation has moved the file.
    pub(crate) fn opened_again(&self, what: &str) -> io::Result<Self> {
        Self::open(&self.target, what)
    }

    /// The open file; `None` for the standard streams.
    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Writes the bytes, with one `write(2)` unless the kernel takes less.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match (&mut self.file, &self.target) {
            (Some(file), _) => file.write_all(bytes),
            (None, LogTarget::Stdout) => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            (None, _) => io::stderr().lock().write_all(bytes),
        }
    }
}

fn append_to(path: &Path, what: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path).map_err(|error| explained(path, what, error))
}

fn explained(path: &Path, what: &str, error: io::Error) -> io::Error {
    let message = format!("cannot open the {what} '{}' for writing: {error}", path.display());
    io::Error::new(error.kind(), message)
}

/// Whether a file, such as a log, could be written, without a trace of that in the file system. `what` names it in the
/// error.
///
/// # Errors
/// Why not.
pub fn check_file(path: &Path, what: &str) -> io::Result<()> {
    let checked = match path.metadata() {
        // Of a pipe or a terminal somebody else would notice.
        Ok(file) if !file.is_file() && !file.is_dir() => Ok(()),
        Ok(_) => OpenOptions::new().append(true).open(path).map(drop),
        Err(_) => {
            let made = OpenOptions::new().append(true).create_new(true).open(path);
            made.and_then(|_| std::fs::remove_file(path))
        }
    };
    checked.map_err(|error| explained(path, what, error))
}
