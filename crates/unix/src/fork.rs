//! Forks, and makes sure that nothing is lost by it.

use std::fs;
use std::io;

use nix::unistd::{self, ForkResult};

use crate::signal;

/// Which of the two processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The process that forked; holds the pid of its new child.
    Parent(i32),
    /// The new process.
    Child,
}

/// Forks a process that has one thread.
///
/// Only the calling thread lives on in the child. A lock that another thread holds at that moment stays locked
/// there for ever, so a process with further threads is refused.
///
/// # Errors
/// `ErrorKind::Unsupported` if the process has other threads, else what fork(2) reports (`EAGAIN`, `ENOMEM`).
pub fn fork() -> io::Result<Fork> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("cannot fork: the process has {threads} threads, and only one of them would live on"),
        ));
    }
    fork_beside_threads()
}

/// Forks a process whose other threads are known of and accounted for.
///
/// This is for an interpreter. A configuration file may start threads (an exporter of metrics, say); Python's
/// own locks are then put in order by `PyOS_BeforeFork` and `PyOS_AfterFork_*`, which the caller runs around
/// this call, and those of malloc by the C library.
///
/// # Errors
/// What fork(2) reports (`EAGAIN`, `ENOMEM`).
pub fn fork_beside_threads() -> io::Result<Fork> {
    let forking = signal::Forking::begin();
    // SAFETY: the child runs this thread only; that the others hold no lock it needs is checked by `fork` above
    // or vouched for by the caller. A lock left behind could block the child, but not corrupt memory.
    let result = unsafe { unistd::fork() };
    match result {
        Ok(ForkResult::Parent { child }) => {
            drop(forking);
            Ok(Fork::Parent(child.as_raw()))
        }
        Ok(ForkResult::Child) => {
            // The child goes on to be "forking" until it has handlers of its own.
            std::mem::forget(forking);
            Ok(Fork::Child)
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::sync::{PoisonError, RwLock};

    use super::{Fork, fork, fork_beside_threads};
    use crate::wait::{self, Change};

    /// Held by whoever has a child, and alone by a test that must not share its descriptors with one.
    static CHILDREN: RwLock<()> = RwLock::new(());

    /// Whether this process is such a child. Who holds the lock in its parent is nothing to it.
    static IS_CHILD: AtomicBool = AtomicBool::new(false);

    /// Runs `body` in a child process and returns how that child ended. A panic is status 101.
    pub(crate) fn in_child(body: impl FnOnce() -> i32) -> Change {
        let _shared =
            (!IS_CHILD.load(Relaxed)).then(|| CHILDREN.read().unwrap_or_else(PoisonError::into_inner));
        match fork_beside_threads().unwrap() {
            Fork::Parent(pid) => wait::until_gone(pid).unwrap(),
            Fork::Child => {
                IS_CHILD.store(true, Relaxed);
                let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
                // SAFETY: _exit only ends the process.
                unsafe { libc::_exit(status) }
            }
        }
    }

    /// Keeps the other tests from having children, in which what this test closes would still be open.
    pub(crate) fn without_children() -> impl Drop {
        CHILDREN.write().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn the_child_is_another_process() {
        let parent = std::process::id();
        assert_eq!(in_child(|| i32::from(std::process::id() == parent)), Change::Exited(0));
    }

    #[test]
    fn a_process_with_threads_is_refused_and_one_without_is_not() {
        // The test harness itself has several threads.
        let error = fork().unwrap_err();
        assert!(error.to_string().contains("threads"), "{error}");
        let end = in_child(|| match fork() {
            Ok(Fork::Parent(pid)) => i32::from(wait::until_gone(pid).unwrap() != Change::Exited(7)),
            // SAFETY: _exit only ends the process.
            Ok(Fork::Child) => unsafe { libc::_exit(7) },
            Err(_) => 2,
        });
        assert_eq!(end, Change::Exited(0));
    }
}
