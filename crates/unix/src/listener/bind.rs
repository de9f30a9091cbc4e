//! Opens listening sockets, or takes inherited ones over.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReusePort;
use nix::sys::stat::{Mode, umask};
use socket2::{Domain, SockAddr, Socket, Type};

use super::file::{self, SocketFile};
use super::{BindError, Listener, Options};

/// Explains an error in the words of the operator. `permission` says what a lack of permission calls for.
fn failed(what: &str, permission: &str, error: &io::Error) -> BindError {
    if error.raw_os_error() == Some(libc::EADDRINUSE) {
        return BindError::InUse;
    }
    BindError::Failed(match error.raw_os_error() {
        Some(libc::EACCES) => {
            format!("{what}: permission denied; {permission}")
        }
        Some(libc::ENOENT) => format!("{what}: its directory does not exist; make it"),
        Some(libc::EADDRNOTAVAIL) => format!("{what}: this machine does not have the address"),
        Some(libc::EAFNOSUPPORT) => format!("{what}: this machine does not have the address family"),
        _ => format!("{what}: {error}"),
    })
}

/// With `beside` the kernel is told, for a moment, that all of these sockets may have the same port.
pub(super) fn tcp(
    host: &str,
    port: u16,
    options: Options,
    beside: &[&Listener],
) -> Result<Listener, BindError> {
    let address = resolve(host, port)?;
    let open = || {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM.cloexec().nonblocking(), None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(options.reuse_port)?;
        let shared = beside.iter().map(|other| other.as_fd()).chain([socket.as_fd()]);
        let shared = SharedPort::among(shared.filter(|_| !beside.is_empty()))?;
        socket.bind(&address.into())?;
        socket.listen(backlog(options))?;
        drop(shared);
        socket.set_reuse_port(options.reuse_port)?;
        Listener::new(socket, None)
    };
    open().map_err(|error| {
        let capability = "a port below 1024 needs the capability CAP_NET_BIND_SERVICE (systemd's \
                          `AmbientCapabilities=`)";
        failed("cannot listen", capability, &error)
    })
}

pub(super) fn backlog(options: Options) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

/// The first IPv4 address of a name, else its first IPv6 address, as gunicorn chooses.
pub(super) fn resolve(host: &str, port: u16) -> Result<SocketAddr, BindError> {
    let addresses: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Err(BindError::Failed(format!("the host '{host}' cannot be resolved: {error}")));
        }
    };
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.copied().ok_or_else(|| BindError::Failed(format!("the host '{host}' has no address")))
}

pub(super) fn unix(path: &Path, options: Options) -> Result<Listener, BindError> {
    let is_abstract = path.as_os_str().as_bytes().first() == Some(&0);
    if !is_abstract {
        file::make_room(path)?;
    }
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
        let address = SockAddr::unix(path)?;
        {
            let _umask = Umask::set(options.umask);
            socket.bind(&address)?;
        }
        let file = if is_abstract { None } else { Some(SocketFile::of(path)?) };
        socket.listen(backlog(options))?;
        Listener::new(socket, file)
    };
    open().map_err(|error| failed("cannot make the socket", "let this user write to its directory", &error))
}

pub(super) fn inherited(fd: RawFd) -> Result<Listener, BindError> {
    let no_listener = |why: &str| {
        BindError::Failed(format!("the inherited descriptor {fd} {why}; pass an open listening socket"))
    };
    // SAFETY: fcntl takes numbers; it tells whether the descriptor is open.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(no_listener("is not open"));
    }
    // SAFETY: the descriptor is open, and whoever started this process gave it to us to own.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    let socket = Socket::from(owned);
    let listens = matches!(socket.r#type(), Ok(Type::STREAM)) && matches!(socket.is_listener(), Ok(true));
    if !listens {
        // It is not ours after all (it might be the terminal).
        std::mem::forget(socket);
        return Err(no_listener("is no listening stream socket"));
    }
    Listener::new(socket, None).map_err(|error| no_listener(&format!("cannot be used: {error}")))
}

/// Sockets that let each other have their port, as long as this value lives.
struct SharedPort<'a>(Vec<BorrowedFd<'a>>);

impl<'a> SharedPort<'a> {
    fn among(sockets: impl Iterator<Item = BorrowedFd<'a>>) -> io::Result<Self> {
        let shared = Self(sockets.collect());
        shared.0.iter().try_for_each(|socket| setsockopt(socket, ReusePort, &true))?;
        Ok(shared)
    }
}

impl Drop for SharedPort<'_> {
    fn drop(&mut self) {
        for socket in &self.0 {
            // It fails for what is no socket.
            let _ = setsockopt(socket, ReusePort, &false);
        }
    }
}

/// Another umask, as long as this value lives.
struct Umask(Mode);

impl Umask {
    fn set(mask: u32) -> Self {
        Self(umask(Mode::from_bits_truncate(mask)))
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        umask(self.0);
    }
}
