//! A fork whose child belongs to this process's own parent: the way of a mold to make workers for its master.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

use crate::fork::{Fork, fork_beside_threads};
use crate::{exit_now, wait};

/// Which of the two processes this is, after [`fork_away`].
#[derive(Debug)]
pub enum Away {
    /// The process that forked.
    Parent(Newborn),
    /// The new process; the one that forked has called [`Newborn::release`].
    Child,
}

/// A process that was forked away and does nothing yet. If this is dropped it ends without a word.
#[derive(Debug)]
pub struct Newborn {
    pid: i32,
    go: OwnedFd,
}

impl Newborn {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Lets it go on.
    pub fn release(self) {
        // One that was killed meanwhile needs no word.
        let _ = std::fs::File::from(self.go).write(&[1]);
    }
}

/// Becomes the parent of processes below this one whose own parents end, so that it hears of their ends
/// (`PR_SET_CHILD_SUBREAPER`). It lasts as long as the process, and children do not inherit it.
///
/// # Errors
/// What prctl(2) reports.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Has the kernel end this process when its parent ends, however that ends.
///
/// # Errors
/// What prctl(2) reports.
pub fn end_with_parent() -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)
}

/// Forks a process that becomes a child of the nearest process above this one which has called [`adopt_orphans`]. It
/// returns there once it has that parent and [`Newborn::release`] was called.
///
/// It forks twice. The process in the middle ends at once, and runs nothing but this function. Threads are treated as
/// [`fork_beside_threads`] says.
///
/// # Errors
/// What fork(2) and pipe2(2) report (`EAGAIN`, `ENOMEM`, `EMFILE`), or that the process in the middle was killed.
pub fn fork_away() -> io::Result<Away> {
    let (told, tell) = pipe2(OFlag::O_CLOEXEC)?;
    let (ready, go) = pipe2(OFlag::O_CLOEXEC)?;
    match fork_beside_threads()? {
        Fork::Parent(middle) => {
            drop((tell, ready));
            let mut answer = [0; 8];
            let told = std::fs::File::from(told).read_exact(&mut answer);
            // Only now has its child a new parent.
            wait::until_gone(middle)?;
            told.map_err(|_| io::Error::other("the process in the middle was killed"))?;
            match i64::from_le_bytes(answer) {
                pid @ 1.. => Ok(Away::Parent(Newborn { pid: i32::try_from(pid).unwrap_or(0), go })),
                errno => Err(io::Error::from_raw_os_error(i32::try_from(-errno).unwrap_or(0))),
            }
        }
        Fork::Child => match fork_beside_threads() {
            Ok(Fork::Child) => {
                drop((told, tell, go));
                // Without a word nobody knows of this process, and it must not go on.
                match std::fs::File::from(ready).read(&mut [0]) {
                    Ok(1) => Ok(Away::Child),
                    _ => exit_now(0),
                }
            }
            child => {
                let answer = match child {
                    Ok(Fork::Parent(pid)) => i64::from(pid),
                    Err(error) => -i64::from(error.raw_os_error().unwrap_or(libc::EAGAIN)),
                    Ok(Fork::Child) => 0,
                };
                // One that cannot tell has lost its reader.
                let _ = std::fs::File::from(tell).write_all(&answer.to_le_bytes());
                exit_now(0)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Away, adopt_orphans, end_with_parent, fork_away};
    use crate::fork::tests::in_child;
    use crate::wait::{self, Change};

    fn parent() -> u32 {
        std::os::unix::process::parent_id()
    }

    #[test]
    fn the_child_belongs_to_the_process_above_which_hears_of_its_end() {
        let end = in_child(|| {
            adopt_orphans().unwrap();
            let master = std::process::id();
            let (mut read, write) = std::io::pipe().unwrap();
            let mold = in_child(|| match fork_away().unwrap() {
                Away::Parent(newborn) => {
                    std::io::Write::write_all(&mut (&write), &newborn.pid().to_le_bytes()).unwrap();
                    newborn.release();
                    0
                }
                Away::Child => 40 + i32::from(parent() == master),
            });
            assert_eq!(mold, Change::Exited(0));
            let mut pid = [0; 4];
            std::io::Read::read_exact(&mut read, &mut pid).unwrap();
            let end = wait::until_gone(i32::from_le_bytes(pid)).unwrap();
            i32::from(end != Change::Exited(41))
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn one_that_is_not_released_ends_by_itself() {
        let end = in_child(|| {
            adopt_orphans().unwrap();
            let (mut read, write) = std::io::pipe().unwrap();
            let mold = in_child(|| match fork_away().unwrap() {
                Away::Parent(newborn) => {
                    std::io::Write::write_all(&mut (&write), &newborn.pid().to_le_bytes()).unwrap();
                    0
                }
                Away::Child => 7,
            });
            assert_eq!(mold, Change::Exited(0));
            let mut pid = [0; 4];
            std::io::Read::read_exact(&mut read, &mut pid).unwrap();
            i32::from(wait::until_gone(i32::from_le_bytes(pid)).unwrap() != Change::Exited(0))
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn what_ends_with_its_parent_outlives_it_by_nothing() {
        let end = in_child(|| {
            adopt_orphans().unwrap();
            let (mut read, write) = std::io::pipe().unwrap();
            // The parent ends as soon as the child is ready.
            let parent = in_child(|| match crate::fork_beside_threads().unwrap() {
                crate::Fork::Parent(_) => {
                    std::io::Read::read_exact(&mut (&read), &mut [0]).unwrap();
                    0
                }
                crate::Fork::Child => {
                    end_with_parent().unwrap();
                    std::io::Write::write_all(&mut (&write), &[1]).unwrap();
                    loop {
                        std::thread::park();
                    }
                }
            });
            assert_eq!(parent, Change::Exited(0));
            drop(write);
            // Its end is the end of the last writer.
            i32::from(std::io::Read::read(&mut read, &mut [0]).unwrap() != 0)
        });
        assert_eq!(end, Change::Exited(0));
    }
}
