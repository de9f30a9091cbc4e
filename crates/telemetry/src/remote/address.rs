//! The addresses behind host names: looked up where the server starts or reloads, and inherited by its workers. A name
//! that nobody knows yet is no fault. Workers go on looking for it, each on a thread of its own, and tell the master,
//! which has no threads.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockAddr;

/// What was looked up so lately is not looked up again: logs that are opened together ask for the same.
const FRESH: Duration = Duration::from_secs(1);
/// The pauses between attempts to find a name: the first, and the longest; each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What is known of a name.
#[derive(Debug)]
struct Known {
    host: String,
    port: u16,
    address: Option<SocketAddr>,
    /// Why no address was found, the last time.
    fault: String,
    /// The process that looked it up, and when.
    pid: u32,
    looked: Instant,
    /// Where a worker that has found it tells so; there if the master has not found it.
    news: Option<Arc<(UnixDatagram, UnixDatagram)>>,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// Where a daemon is.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Address(SockAddr),
    /// Behind a host name.
    Name(String, u16),
}

impl Target {
    /// What is behind a name. A worker has what its master found, since names may be slow to resolve; and an address
    /// that was found before is better than none.
    ///
    /// # Errors
    /// The kernel gives no socket pair; a name that is not known is none.
    pub(super) fn named(host: &str, port: u16) -> io::Result<Self> {
        look(host, port)?;
        Ok(Self::Name(host.to_owned(), port))
    }

    /// The address.
    ///
    /// # Errors
    /// The name is not known yet.
    pub(super) fn address(&self) -> io::Result<SockAddr> {
        let (host, port) = match self {
            Self::Address(address) => return Ok(address.clone()),
            Self::Name(host, port) => (host, *port),
        };
        let mut known = known();
        let Some(known) = known.iter_mut().find(|known| known.is(host, port)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        known.hear();
        known.address.map(SockAddr::from).ok_or_else(|| io::Error::other("its address is not known yet"))
    }
}

impl Known {
    fn is(&self, host: &str, port: u16) -> bool {
        self.host == host && self.port == port
    }

    /// Takes in what a worker has found.
    fn hear(&mut self) {
        let mut text = [0; 64];
        if self.address.is_none()
            && self.pid == std::process::id()
            && let Some(news) = &self.news
            && let Ok(length) = news.0.recv(&mut text)
        {
            self.address = str::from_utf8(&text[..length]).ok().and_then(|text| text.parse().ok());
        }
    }
}

/// Why no address of the name is known, if so.
pub(super) fn unknown(host: &str, port: u16) -> Option<String> {
    let _ = look(host, port);
    let known = known();
    let known = known.iter().find(|known| known.is(host, port) && known.address.is_none())?;
    Some(known.fault.clone())
}

/// In a worker, looks for the name until it is found, without anybody waiting for that. Does nothing if it is known.
pub(super) fn seek(host: &str, port: u16) {
    let news = {
        let known = known();
        let Some(known) = known.iter().find(|known| known.is(host, port)) else { return };
        if known.address.is_some() || known.pid == std::process::id() {
            return;
        }
        known.news.clone()
    };
    let name = host.to_owned();
    let search = move || {
        let mut pause = PAUSES.0;
        loop {
            if let Ok(address) = look_up(&name, port) {
                if let Some(known) = known().iter_mut().find(|known| known.is(&name, port)) {
                    known.address = Some(address);
                }
                if let Some(news) = &news {
                    // Nobody reads what others have told already.
                    let _ = news.1.send(address.to_string().as_bytes());
                }
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("ferricorn-names".to_owned()).spawn(search) {
        tracing::warn!("The address of {host} is not looked for again in this worker: {error}");
    }
}

/// Looks the name up, if this process is the one to do it.
fn look(host: &str, port: u16) -> io::Result<()> {
    let pid = std::process::id();
    {
        let mut known = known();
        if let Some(before) = known.iter_mut().find(|known| known.is(host, port)) {
            before.hear();
            if before.pid != pid || before.looked.elapsed() < FRESH {
                return Ok(());
            }
        }
    }
    let found = look_up(host, port);
    let mut known = known();
    let at = known.iter().position(|known| known.is(host, port));
    let mut now = at.map_or_else(
        || Known {
            host: host.to_owned(),
            port,
            address: None,
            fault: String::new(),
            pid,
            looked: Instant::now(),
            news: None,
        },
        |at| known.swap_remove(at),
    );
    now.looked = Instant::now();
    match found {
        Ok(address) => now.address = Some(address),
        Err(error) => now.fault = error.to_string(),
    }
    if now.address.is_none() && now.news.is_none() {
        now.news = Some(Arc::new(pair()?));
    }
    known.push(now);
    Ok(())
}

fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
    let (ours, theirs) = UnixDatagram::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours, theirs))
}

fn known() -> MutexGuard<'static, Vec<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// IPv4 comes first: a daemon that listens on one of both rarely chooses the other.
fn look_up(host: &str, port: u16) -> io::Result<SocketAddr> {
    let found: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| io::Error::other("it has none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a process that is not this one has not found.
    fn forget(port: u16, pid: u32, news: &Arc<(UnixDatagram, UnixDatagram)>) {
        let (host, fault, looked) = ("localhost".to_owned(), "no".to_owned(), Instant::now());
        let forgotten = Known { host, port, address: None, fault, pid, looked, news: Some(news.clone()) };
        let mut known = known();
        known.retain(|known| !known.is("localhost", port));
        known.push(forgotten);
    }

    #[test]
    fn what_a_worker_finds_is_known_to_its_master_too() {
        let (port, news) = (4711, Arc::new(pair().unwrap()));
        forget(port, 1, &news);
        let target = Target::named("localhost", port).unwrap();
        assert!(target.address().is_err());
        seek("localhost", port);
        while target.address().is_err() {
            std::thread::yield_now();
        }
        let found = target.address().unwrap();
        // The message is on its way once the address is known.
        news.0.set_nonblocking(false).unwrap();
        let mut text = [0; 64];
        let length = news.0.recv(&mut text).unwrap();
        assert_eq!(str::from_utf8(&text[..length]).unwrap(), found.as_socket().unwrap().to_string());
        // In the master, which has asked lately and does not look again.
        news.1.send(&text[..length]).unwrap();
        forget(port, std::process::id(), &news);
        assert_eq!(target.address().unwrap(), found);
    }

    #[test]
    fn a_name_that_nobody_knows_is_told_with_the_reason() {
        let target = Target::named("no-such-host.invalid", 1).unwrap();
        assert!(target.address().is_err());
        assert!(unknown("no-such-host.invalid", 1).is_some_and(|fault| !fault.is_empty()));
        assert_eq!(unknown("127.0.0.1", 1), None);
    }
}
