//! What a service tells its manager: sd_notify(3), and the watchdog.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Where systemd, or something like it, wants to hear from this process.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    /// The one that the environment names (`NOTIFY_SOCKET`), if it names one.
    ///
    /// # Errors
    /// Its name is none of a Unix socket, or the kernel has no socket for it.
    pub fn of_this_process() -> io::Result<Option<Self>> {
        env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()).map(|name| Self::at(&name)).transpose()
    }

    /// The one at a path, or at an abstract name, which begins with `@`.
    fn at(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        let socket = UnixDatagram::unbound()?;
        // The manager may be busy, and the master must not wait for it.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    /// Tells it something, a `NAME=VALUE` each.
    ///
    /// # Errors
    /// What sendto(2) reports, such as `ENOENT` if nobody is there any more.
    pub fn tell(&self, words: &[&str]) -> io::Result<()> {
        self.socket.send_to_addr(words.join("\n").as_bytes(), &self.address).map(drop)
    }
}

/// Whether a manager wants to hear from this process, or from the one that has started it.
#[must_use]
pub fn is_notified() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|name| !name.is_empty())
}

/// How often the manager wants to hear that this process lives, at the least (sd_watchdog_enabled(3)).
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let read = |name| env::var(name).ok();
    interval(read("WATCHDOG_USEC").as_deref(), read("WATCHDOG_PID").as_deref(), std::process::id())
}

fn interval(micros: Option<&str>, target: Option<&str>, own: u32) -> Option<Duration> {
    let micros = micros?.trim().parse().ok().filter(|&micros| micros > 0)?;
    target.is_none_or(|pid| pid.trim().parse() == Ok(own)).then(|| Duration::from_micros(micros))
}

/// Whether systemd has started this very process, as the main one of a service (systemd.exec(5), since version 248).
#[must_use]
pub fn is_main_process() -> bool {
    env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == std::process::id().to_string())
}

/// The time by the clock that a reload is announced with: microseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn monotonic_us() -> u64 {
    // The kernel has this clock since 2.6.32, so the call cannot fail.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| u64::try_from(time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::Duration;

    use super::{Manager, interval};
    use crate::fork::tests::without_children;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 100];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_hears_at_a_path_and_at_an_abstract_name() {
        let _alone = without_children();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("ferricorn-test-{}", std::process::id());
        let ears = [
            UnixDatagram::bind(&path).unwrap(),
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
        ];
        for (ear, name) in ears.iter().zip([path.to_str().unwrap(), &format!("@{name}")]) {
            Manager::at(name.as_ref()).unwrap().tell(&["READY=1", "STATUS=well"]).unwrap();
            assert_eq!(heard(ear), "READY=1\nSTATUS=well");
        }
        assert!(Manager::at("vsock:2:1".as_ref()).is_err());
        drop(ears);
        assert!(Manager::at(path.as_ref()).unwrap().tell(&["READY=1"]).is_err());
    }

    #[test]
    fn one_that_does_not_listen_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let manager = Manager::at(path.as_ref()).unwrap();
        assert!((0..100_000).any(|_| manager.tell(&["WATCHDOG=1"]).is_err()));
    }

    #[test]
    fn the_watchdog_is_for_one_process() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(interval(Some("1000000"), Some("42"), 42), second);
        assert_eq!(interval(Some("1000000"), None, 42), second);
        assert_eq!(interval(Some("1000000"), Some("41"), 42), None);
        assert_eq!(interval(Some("0"), None, 42), None);
        assert_eq!(interval(None, Some("42"), 42), None);
    }
}
