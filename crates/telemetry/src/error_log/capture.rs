//! `--capture-output`: what is written to stdout and stderr goes to the file of the error log.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::unistd::{dup2_stderr, dup2_stdout};

/// The streams as they were, for a reload that wants them back.
#[derive(Debug)]
pub(super) struct Captured {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Captured {
    /// Sends both streams to the file; `before` is what was done by an earlier call.
    pub(super) fn by(file: BorrowedFd<'_>, before: Option<Self>) -> io::Result<Self> {
        let streams = match before {
            Some(streams) => streams,
            None => Self {
                stdout: io::stdout().as_fd().try_clone_to_owned()?,
                stderr: io::stderr().as_fd().try_clone_to_owned()?,
            },
        };
        dup2_stdout(file)?;
        dup2_stderr(file)?;
        Ok(streams)
    }

    /// Gives the streams back.
    pub(super) fn release(self) -> io::Result<()> {
        dup2_stdout(&self.stdout)?;
        dup2_stderr(&self.stderr)?;
        Ok(())
    }
}
