//! Going to the background: a process lets go of the terminal and of whoever has started it.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, pipe2, read, setsid, write};

use crate::{Fork, exit_now};

/// A process in the background, for whose start somebody still waits.
#[derive(Debug)]
pub struct Parting {
    pipe: OwnedFd,
}

/// What becomes of standard output and standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// They lead to /dev/null.
    Closed,
    /// They stay what they are, unless that is a terminal.
    Kept,
}

/// Goes on in a grandchild, in a session of its own that never has a terminal, with the umask 022 as gunicorn's.
///
/// The process that called it waits until [`Parting::part`] is called there, and exits with 0 then; with 1 if the
/// grandchild ends before, which has said why by itself.
///
/// # Errors
/// What pipe2(2), fork(2) and setsid(2) report, in whichever process it is.
pub fn enter(fork: impl Fn() -> io::Result<Fork>) -> io::Result<Parting> {
    let (waits, pipe) = pipe2(OFlag::O_CLOEXEC)?;
    if let Fork::Parent(_) = fork()? {
        drop(pipe);
        exit_now(u8::from(!has_word(&waits)));
    }
    drop(waits);
    setsid()?;
    // The leader of a session could get a terminal; its child cannot.
    if let Fork::Parent(_) = fork()? {
        exit_now(0);
    }
    umask(Mode::from_bits_truncate(0o022));
    Ok(Parting { pipe })
}

/// Waits for a word, or for the end of who could send one.
fn has_word(pipe: &OwnedFd) -> bool {
    loop {
        match read(pipe, &mut [0]) {
            Err(Errno::EINTR) => {}
            result => return result == Ok(1),
        }
    }
}

impl Parting {
    /// Lets go of standard input, and of the outputs if they are to be closed, and of who waits.
    ///
    /// # Errors
    /// What opening /dev/null reports.
    pub fn part(self, outputs: Outputs) -> io::Result<()> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&null)?;
        if outputs == Outputs::Closed || io::stdout().is_terminal() {
            dup2_stdout(&null)?;
        }
        if outputs == Outputs::Closed || io::stderr().is_terminal() {
            dup2_stderr(&null)?;
        }
        // Whoever has gone in the meantime need not know.
        let _ = write(&self.pipe, b"1");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::{getpid, getsid};

    use super::{Outputs, enter};
    use crate::fork::tests::in_child;
    use crate::wait::Change;
    use crate::{exit_now, fork_beside_threads, terminal};

    #[test]
    fn who_has_started_it_learns_whether_it_has_begun() {
        let good = in_child(|| {
            let parting = enter(fork_beside_threads).unwrap();
            let apart = getsid(None).unwrap() != getpid() && !terminal::is_controlled();
            if apart {
                parting.part(Outputs::Kept).unwrap();
            }
            exit_now(7)
        });
        assert_eq!(good, Change::Exited(0));
        let bad = in_child(|| {
            let _parting = enter(fork_beside_threads).unwrap();
            exit_now(7)
        });
        assert_eq!(bad, Change::Exited(1));
    }
}
