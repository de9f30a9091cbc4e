//! Daemons that take logs or metrics over a socket. Nobody waits for them: what they do not take at once is lost, or
//! kept within bounds.

mod address;
mod datagrams;
pub(crate) mod statsd;
mod stream;
pub(crate) mod syslog;

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferricorn_config::{RemoteAddress, Settings, UnixKind};

use address::Target;
use datagrams::Datagrams;
use stream::Stream;

/// A way to such a daemon.
#[derive(Debug)]
enum Remote {
    Datagrams(Datagrams),
    Stream(Stream),
}

impl Remote {
    /// Looks for the daemon's address. Neither need be there yet.
    fn open(address: &RemoteAddress) -> io::Result<Self> {
        Ok(match address {
            RemoteAddress::Udp(host, port) => Self::Datagrams(Datagrams::new(Target::named(host, *port)?)),
            RemoteAddress::Tcp(host, port) => Self::Stream(Stream::new(Target::named(host, *port)?, b'\n')),
            RemoteAddress::Unix(path, kind) => {
                let address = socket2::SockAddr::unix(path)?;
                // As syslog(3) does, a NUL ends a message in a stream.
                if *kind == UnixKind::Stream || *kind == UnixKind::Either && datagrams::is_stream(&address) {
                    Self::Stream(Stream::new(Target::Address(address), 0))
                } else {
                    Self::Datagrams(Datagrams::new(Target::Address(address)))
                }
            }
        })
    }

    /// Sends a message.
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagrams(datagrams) => datagrams.send(message),
            Self::Stream(stream) => stream.send(message),
        }
    }
}

/// What there is to tell of names that are not known: one warning for each. To be called in the master when the logs
/// are open, or without logs.
#[must_use]
pub fn unknown_names(settings: &Settings) -> Vec<String> {
    let mut told = Vec::new();
    for (setting, what, address) in named(settings) {
        let (RemoteAddress::Udp(host, port) | RemoteAddress::Tcp(host, port)) = address else { continue };
        let Some(fault) = address::unknown(host, *port) else { continue };
        away().push((name_of(what, address), std::process::id()));
        told.push(format!(
            "{setting}: the address of {host} cannot be found, workers go on looking for it, and what is for {what} is lost \
             until then: {fault}"
        ));
    }
    told
}

/// Has this worker look for the addresses that its master has not found.
pub fn seek_names(settings: &Settings) {
    for (_, _, address) in named(settings) {
        if let RemoteAddress::Udp(host, port) | RemoteAddress::Tcp(host, port) = address {
            address::seek(host, *port);
        }
    }
}

/// The daemons of the settings: the setting, what it is, where. A logger of Python's speaks to the syslog itself.
fn named(settings: &Settings) -> impl Iterator<Item = (&'static str, &'static str, &RemoteAddress)> {
    let syslog = settings.logs.syslog.as_ref().filter(|_| !settings.logs.python);
    let syslog = syslog.map(|syslog| ("syslog_addr", syslog::WHAT, &syslog.address));
    let statsd = settings.logs.statsd.as_ref().map(|statsd| ("statsd_host", statsd::WHAT, &statsd.address));
    syslog.into_iter().chain(statsd)
}

/// The daemons that are known not to be reached, with the process that has told it.
static AWAY: Mutex<Vec<(String, u32)>> = Mutex::new(Vec::new());

fn away() -> MutexGuard<'static, Vec<(String, u32)>> {
    AWAY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name_of(what: &str, address: &RemoteAddress) -> String {
    format!("{what} at {address}")
}

/// Whether a daemon is known not to be reached, so that each change is told once in a process, and what its master has
/// told before the fork not again.
#[derive(Debug)]
struct Health {
    name: String,
    failing: bool,
}

impl Health {
    fn of(what: &str, address: &RemoteAddress) -> Self {
        Self { name: name_of(what, address), failing: false }
    }

    /// What there is to tell after an attempt, if anything.
    fn news(&mut self, sent: &io::Result<()>) -> Option<String> {
        let failing = sent.is_err();
        if failing == std::mem::replace(&mut self.failing, failing) {
            return None;
        }
        let (mut away, pid, name) = (away(), std::process::id(), &self.name);
        let known = away.iter().position(|(known, _)| known == name);
        match (sent, known) {
            (Err(error), None) => {
                away.push((name.clone(), pid));
                Some(format!("{name} cannot be reached, what is for it is lost until it can: {error}"))
            }
            (Ok(()), Some(at)) => {
                let (_, by) = away.swap_remove(at);
                (by == pid).then(|| format!("{name} can be reached again"))
            }
            _ => None,
        }
    }
}
