//! What became of the children: waitpid(2).

use std::io;
use std::os::raw::c_int;

/// A change in a child's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It ended with this exit status.
    Exited(i32),
    /// A signal of this number ended it.
    Killed(i32),
    /// It is stopped (SIGSTOP, SIGTSTP) and does nothing until it is continued.
    Stopped,
    /// It runs again after a stop.
    Continued,
}

/// Takes the next change of any child, if there is one: its pid, and what happened. Children that ended are
/// reaped by this.
///
/// # Errors
/// What waitpid(2) reports; having no children is not an error.
pub fn next() -> io::Result<Option<(i32, Change)>> {
    match wait(-1, libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED) {
        Ok((0, _)) => Ok(None),
        Ok((pid, status)) => Ok(Some((pid, translate(status)))),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits for one child's end.
///
/// # Errors
/// What waitpid(2) reports, such as `ECHILD` for a process that is no child of this one.
pub fn until_gone(pid: i32) -> io::Result<Change> {
    wait(pid, 0).map(|(_, status)| translate(status))
}

/// Whether a child has ended, which is reaped by this, or is no child any more.
///
/// # Errors
/// What waitpid(2) reports.
pub fn has_gone(pid: i32) -> io::Result<bool> {
    match wait(pid, libc::WNOHANG) {
        Ok((reaped, _)) => Ok(reaped == pid),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(true),
        Err(error) => Err(error),
    }
}

/// waitpid(2), repeated when a signal interrupts it. (`nix` has no name for real-time signals and would lose the
/// end of a child that one of them ended.)
fn wait(pid: i32, options: c_int) -> io::Result<(i32, c_int)> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for one int.
        let pid = unsafe { libc::waitpid(pid, &raw mut status, options) };
        if pid >= 0 {
            return Ok((pid, status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn translate(status: c_int) -> Change {
    if libc::WIFSTOPPED(status) {
        Change::Stopped
    } else if libc::WIFCONTINUED(status) {
        Change::Continued
    } else if libc::WIFSIGNALED(status) {
        Change::Killed(libc::WTERMSIG(status))
    } else {
        Change::Exited(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use super::Change;
    use crate::fork::tests::in_child;
    use crate::signal::{Kill, STACK, send};

    #[test]
    fn exit_status_and_signals_of_every_kind_are_told_apart() {
        assert_eq!(in_child(|| 3), Change::Exited(3));
        let killed_by = |how| {
            in_child(move || {
                send(std::process::id().cast_signed(), how).unwrap();
                0
            })
        };
        assert_eq!(killed_by(Kill::Kill), Change::Killed(libc::SIGKILL));
        // A real-time signal that nobody handles ends a process, too.
        assert_eq!(killed_by(Kill::Stack), Change::Killed(STACK));
    }

    #[test]
    fn stop_and_continue_are_seen_as_they_happen() {
        // In a process of its own, since it waits for any child.
        let end = in_child(|| {
            let crate::Fork::Parent(pid) = crate::fork().unwrap() else {
                loop {
                    std::thread::park();
                }
            };
            let wait = || loop {
                match super::next().unwrap() {
                    Some(change) => return change,
                    None => std::thread::yield_now(),
                }
            };
            let signal = |number| {
                // SAFETY: kill only takes numbers.
                unsafe { libc::kill(pid, number) };
            };
            signal(libc::SIGSTOP);
            assert_eq!(wait(), (pid, Change::Stopped));
            signal(libc::SIGCONT);
            assert_eq!(wait(), (pid, Change::Continued));
            signal(libc::SIGTERM);
            assert_eq!(wait(), (pid, Change::Killed(libc::SIGTERM)));
            i32::from(super::next().unwrap().is_some())
        });
        assert_eq!(end, Change::Exited(0));
    }
}
