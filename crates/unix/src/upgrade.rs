//! The upgrade of a running program: a master leaves its sockets to a new one, which is started beside it.
//!
//! The new master is a child of the old one. It finds the descriptors in its environment, as gunicorn's does, and
//! learns of the old one's end from the pipe by which workers do.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::control::Alive;
use crate::{Bell, Listener};

/// The pid of the old master (gunicorn's `GUNICORN_PID`).
const PARENT: &str = "FERRICORN_PID";
/// The listening sockets, separated by commas (gunicorn's `GUNICORN_FD`).
const SOCKETS: &str = "FERRICORN_FD";
/// For which process all this is meant, the old master's life pipe, and the bell of its workers.
const TIES: &str = "FERRICORN_TIES";

/// The master that has started this process to take its place.
#[derive(Debug)]
pub struct Predecessor {
    /// Its process.
    pub pid: i32,
    /// Tells when it is gone.
    pub alive: Alive,
    /// The bell that its workers hear. The new ones must hear it, too: all wait at the same sockets.
    pub bell: Bell,
    /// Its listening sockets, in the order in which it has them.
    pub listeners: Vec<Listener>,
}

/// Leaves descriptors to the program that this process is about to execute, and returns the variables that tell it of
/// them. `master` is the pid of the old master.
///
/// # Errors
/// What fcntl(2) reports.
pub fn bequeath<'a>(
    master: u32,
    listeners: impl Iterator<Item = &'a Listener>,
    alive: &Alive,
    bell: &Bell,
) -> io::Result<Vec<(&'static str, String)>> {
    let mut sockets = Vec::new();
    for listener in listeners {
        sockets.push(keep(listener.as_fd())?.to_string());
    }
    let ties = format!("{}:{},{}", std::process::id(), keep(alive.as_fd())?, keep(bell.as_fd())?);
    Ok(vec![(PARENT, master.to_string()), (SOCKETS, sockets.join(",")), (TIES, ties)])
}

/// Has a descriptor stay open over exec(2), and returns its number.
///
/// # Errors
/// What fcntl(2) reports.
pub(crate) fn keep(fd: BorrowedFd<'_>) -> io::Result<RawFd> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(fd.as_raw_fd())
}

/// Whether a master has started this process to take its place, and nobody has asked for what it left yet.
#[must_use]
pub fn is_successor() -> bool {
    env::var(TIES).is_ok_and(|ties| parse(&ties).is_some())
}

/// Whether a variable of the environment is one of those by which masters speak to each other.
#[must_use]
pub fn is_variable(name: &OsStr) -> bool {
    [PARENT, SOCKETS, TIES].iter().any(|known| name == *known)
}

/// Takes what another master has left to this process, if one has, and removes the variables that tell of it.
///
/// Call it once, early, from the only thread: it changes the environment.
///
/// # Errors
/// A line for the operator, if there is not what the environment says.
pub fn take() -> Result<Option<Predecessor>, String> {
    let [master, sockets, ties] = [PARENT, SOCKETS, TIES].map(|name| {
        let value = env::var(name).ok();
        // SAFETY: the master calls this before it has made any thread, so nobody reads the environment now.
        unsafe { env::remove_var(name) };
        value
    });
    inherit(master, sockets, ties)
}

fn inherit(
    master: Option<String>,
    sockets: Option<String>,
    ties: Option<String>,
) -> Result<Option<Predecessor>, String> {
    let Some((alive, bell)) = ties.as_deref().and_then(parse) else { return Ok(None) };
    let pid = master.and_then(|pid| pid.parse().ok()).unwrap_or(0);
    let sockets = sockets.unwrap_or_default();
    let number =
        |text: &str| text.parse().map_err(|_| format!("{SOCKETS} is no list of descriptors: {sockets}"));
    let mut listeners = Vec::new();
    for text in sockets.split(',').filter(|text| !text.is_empty()) {
        listeners.push(Listener::inherit(number(text)?).map_err(|error| error.to_string())?);
    }
    Ok(Some(Predecessor { pid, alive: Alive::from(own(alive)?), bell: Bell::from(own(bell)?), listeners }))
}

/// The descriptors of pipe and bell, if they are meant for this process.
fn parse(ties: &str) -> Option<(RawFd, RawFd)> {
    let (target, fds) = ties.split_once(':')?;
    let (alive, bell) = fds.split_once(',')?;
    (target.parse() == Ok(std::process::id())).then_some((alive.parse().ok()?, bell.parse().ok()?))
}

fn own(fd: RawFd) -> Result<OwnedFd, String> {
    let closed =
        |error: io::Error| format!("{TIES} names the descriptor {fd}, which cannot be used: {error}");
    // SAFETY: fcntl takes numbers; it fails if the descriptor is not open.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(closed(io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is open, and the old master has left it to this process alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::{bequeath, inherit, is_variable, parse};
    use crate::fork::tests::in_child;
    use crate::wait::Change;
    use crate::{Address, Bell, Listener, control, listener};

    #[test]
    fn what_was_left_is_there_in_the_process_that_it_was_left_to() {
        let end = in_child(|| {
            let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
            let options = listener::Options { backlog: 1, umask: 0, reuse_port: false };
            let socket = Listener::bind(&address, options).unwrap();
            let (_life, alive) = control::life().unwrap();
            let bell = Bell::create().unwrap();
            let variables = bequeath(77, [&socket].into_iter(), &alive, &bell).unwrap();
            assert!(variables.iter().all(|(name, _)| is_variable(name.as_ref())));
            let value = |index: usize| Some(variables[index].1.clone());
            let heir = inherit(value(0), value(1), value(2)).unwrap().unwrap();
            assert_eq!(heir.pid, 77);
            assert_eq!(heir.listeners.len(), 1);
            assert_eq!(heir.listeners[0].local(), socket.local());
            assert!(heir.alive.is_alive());
            // Two owners of one descriptor would not do.
            std::mem::forget((socket, alive, bell));
            i32::from(inherit(Some("77".to_owned()), None, None).unwrap().is_some())
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn it_counts_only_for_the_process_it_was_meant_for() {
        let own = std::process::id();
        assert_eq!(parse(&format!("{own}:5,6")), Some((5, 6)));
        assert_eq!(parse("1:5,6"), None);
        assert_eq!(parse(&format!("{own}:5")), None);
        assert_eq!(parse(""), None);
    }
}
