//! The address behind a host name: looked up where the server starts or reloads, and inherited by its workers.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};

use socket2::SockAddr;

#[derive(Debug)]
struct Known {
    host: String,
    port: u16,
    address: SocketAddr,
    /// The process that looked it up.
    pid: u32,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// The address of a host. A worker takes the one that its master found, since names may be slow to resolve; and one
/// that was found before is better than none.
pub(super) fn resolve(host: &str, port: u16) -> io::Result<SockAddr> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    let before = known.iter().position(|known| known.host == host && known.port == port);
    if let Some(inherited) = before.map(|at| &known[at])
        && inherited.pid != pid
    {
        return Ok(inherited.address.into());
    }
    match (look_up(host, port), before) {
        (Ok(address), before) => {
            if let Some(at) = before {
                known.swap_remove(at);
            }
            known.push(Known { host: host.to_owned(), port, address, pid });
            Ok(address.into())
        }
        (Err(_), Some(at)) => Ok(known[at].address.into()),
        (Err(error), None) => {
            Err(io::Error::new(error.kind(), format!("the address of {host} cannot be found: {error}")))
        }
    }
}

/// IPv4 comes first: a daemon that listens on one of both rarely chooses the other.
fn look_up(host: &str, port: u16) -> io::Result<SocketAddr> {
    let found: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| io::Error::other("it has none"))
}
