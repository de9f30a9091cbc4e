//! Daemons that take logs or metrics over a socket. Nobody waits for them: what they do not take at once is lost, or
//! kept within bounds.

mod address;
mod datagrams;
pub(crate) mod statsd;
mod stream;
pub(crate) mod syslog;

use std::io;

use ferricorn_config::{RemoteAddress, UnixKind};

use datagrams::Datagrams;
use stream::Stream;

/// A way to such a daemon.
#[derive(Debug)]
enum Remote {
    Datagrams(Datagrams),
    Stream(Stream),
}

impl Remote {
    /// Finds the daemon's address. It need not be there yet.
    fn open(address: &RemoteAddress) -> io::Result<Self> {
        Ok(match address {
            RemoteAddress::Udp(host, port) => Self::Datagrams(Datagrams::new(address::resolve(host, *port)?)),
            RemoteAddress::Tcp(host, port) => {
                Self::Stream(Stream::new(address::resolve(host, *port)?, b'\n'))
            }
            RemoteAddress::Unix(path, kind) => {
                let address = socket2::SockAddr::unix(path)?;
                // As syslog(3) does, a NUL ends a message in a stream.
                if *kind == UnixKind::Stream || *kind == UnixKind::Either && datagrams::is_stream(&address) {
                    Self::Stream(Stream::new(address, 0))
                } else {
                    Self::Datagrams(Datagrams::new(address))
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

/// Whether a daemon is known not to be reached, so that each change is told once.
#[derive(Debug, Default)]
struct Health {
    failing: bool,
}

impl Health {
    /// What there is to tell after an attempt, if anything.
    fn news(&mut self, what: &str, sent: &io::Result<()>) -> Option<String> {
        let failing = sent.is_err();
        if failing == std::mem::replace(&mut self.failing, failing) {
            return None;
        }
        Some(match sent {
            Err(error) => format!("{what} cannot be reached, what is for it is lost until it can: {error}"),
            Ok(()) => format!("{what} can be reached again"),
        })
    }
}
