//! Listening sockets: opened or inherited by the master, shared by all workers.

mod accept;
mod bind;
mod file;
mod refuse;
mod waiting;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use socket2::{Domain, SockRef};

pub use accept::Client;

use file::SocketFile;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host name or IP address, and a port; port 0 lets the kernel choose one.
    Tcp {
        /// The host, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A path in the file system; one that begins with a NUL byte is an abstract name.
    Unix(PathBuf),
    /// A listening socket that this process was started with.
    Fd(RawFd),
}

impl fmt::Display for Address {
    /// As gunicorn's log lines have it: `('127.0.0.1', 8000)`, a path, or `fd://3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "('{host}', {port})"),
            Self::Unix(path) => write_path(f, path),
            Self::Fd(fd) => write!(f, "fd://{fd}"),
        }
    }
}

/// Where a socket does listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// A TCP address, its port being the real one.
    Tcp(SocketAddr),
    /// The path of a Unix socket; empty for an unnamed one.
    Unix(PathBuf),
}

impl fmt::Display for Local {
    /// As gunicorn's log lines have it: `http://127.0.0.1:8000` or `unix:/run/app.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => {
                f.write_str("unix:")?;
                write_path(f, path)
            }
        }
    }
}

fn write_path(f: &mut fmt::Formatter<'_>, path: &std::path::Path) -> fmt::Result {
    // An abstract name begins with NUL, which people write as `@`.
    f.write_str(&path.to_string_lossy().replacen('\0', "@", 1))
}

/// What applies to sockets that are opened, not to inherited ones.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The backlog of listen(2), in connections.
    pub backlog: u32,
    /// The umask under which the file of a Unix socket is made.
    pub umask: u32,
    /// Whether others, of the same user, may open a socket at the same TCP address (`SO_REUSEPORT`).
    pub reuse_port: bool,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub enum BindError {
    /// Somebody else listens there, perhaps not for long.
    InUse,
    /// Anything else; trying again would not help.
    Failed(String),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("the address is in use"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for BindError {}

/// A listening socket, non-blocking and closed on exec.
///
/// A clone is another handle on the same socket. When the last handle of the process that made a Unix socket is
/// dropped, its file is unlinked; an inherited socket's file is not, unless it was adopted.
#[derive(Clone, Debug)]
pub struct Listener {
    socket: Arc<OwnedFd>,
    local: Local,
    file: Option<Arc<SocketFile>>,
}

/// A listening socket as the standard library has it, for an event loop.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

impl Listener {
    /// Listens on an address, or takes over an inherited socket. Tries once.
    ///
    /// # Errors
    /// [`BindError`]; its text names neither the address nor what to do about it.
    pub fn bind(address: &Address, options: Options) -> Result<Self, BindError> {
        match address {
            Address::Tcp { host, port } => bind::tcp(host, *port, options, &[]),
            Address::Unix(path) => bind::unix(path, options),
            Address::Fd(fd) => Self::inherit(*fd),
        }
    }

    /// The same beside others on the same port, one of which leaves no room for it (`127.0.0.1` for `0.0.0.0`, or the
    /// other way round). Clients of an address that both have go to the one that names it more exactly.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub fn bind_beside(address: &Address, options: Options, others: &[&Self]) -> Result<Self, BindError> {
        match address {
            Address::Tcp { host, port } => bind::tcp(host, *port, options, others),
            _ => Self::bind(address, options),
        }
    }

    /// Takes over a listening socket that this process was started with (`fd://N`, `LISTEN_FDS`).
    ///
    /// # Errors
    /// [`BindError::Failed`] if the descriptor is not open or is no listening stream socket.
    pub fn inherit(fd: RawFd) -> Result<Self, BindError> {
        bind::inherited(fd)
    }

    /// Takes over a listening socket that another process of ours has handed over. The file of a Unix socket stays that
    /// process's.
    ///
    /// # Errors
    /// What the kernel reports, such as that it is neither a TCP nor a Unix socket.
    pub fn handed_over(socket: OwnedFd) -> io::Result<Self> {
        Self::new(socket.into(), None)
    }

    /// Where it listens.
    #[must_use]
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// Lets no new client into the queue, in whatever process, while those who are in it can still be accepted.
    /// It cannot be undone: only for a socket that nobody else has, and that is about to be closed everywhere.
    ///
    /// # Errors
    /// What the kernel reports; the socket is as it was then.
    pub fn refuse(&self) -> io::Result<()> {
        match self.local {
            Local::Tcp(_) => refuse::tcp(self.as_fd()),
            Local::Unix(_) => refuse::unix(self.as_fd()),
        }
    }

    /// How many clients wait in its queue; `None` of a Unix socket, whose kernel does not tell.
    ///
    /// # Errors
    /// What getsockopt(2) reports.
    pub fn waiting(&self) -> io::Result<Option<u32>> {
        match self.local {
            Local::Tcp(_) => waiting::tcp(self.as_fd()).map(Some),
            Local::Unix(_) => Ok(None),
        }
    }

    /// Whether this is the socket for that address: it listens there, be it on a port that the kernel chose.
    #[must_use]
    pub fn is_for(&self, address: &Address) -> bool {
        match (address, &self.local) {
            (Address::Tcp { host, port }, Local::Tcp(local)) => {
                let resolved = bind::resolve(host, *port);
                resolved
                    .is_ok_and(|address| address.ip() == local.ip() && (*port == 0 || *port == local.port()))
            }
            (Address::Unix(path), Local::Unix(local)) => path == local,
            (Address::Fd(fd), _) => *fd == self.as_raw_fd(),
            _ => false,
        }
    }

    /// Gives an inherited socket the backlog of the settings.
    ///
    /// # Errors
    /// What listen(2) reports.
    pub fn set_backlog(&self, options: Options) -> io::Result<()> {
        SockRef::from(&self.socket).listen(bind::backlog(options))
    }

    /// Gives the file of a Unix socket that this process made to a user and a group.
    ///
    /// # Errors
    /// What lchown(2) reports.
    pub fn give_file(&self, (user, group): (u32, u32)) -> io::Result<()> {
        match (&self.file, &self.local) {
            (Some(_), Local::Unix(path)) => std::os::unix::fs::lchown(path, Some(user), Some(group)),
            _ => Ok(()),
        }
    }

    /// Leaves the file of a Unix socket to another process that has the socket.
    pub fn leave_file(&self) {
        if let Some(file) = &self.file {
            file.leave();
        }
    }

    /// Takes over the file of an inherited Unix socket: it goes when this process closes the socket.
    pub fn adopt_file(&mut self) {
        if self.file.is_none()
            && let Local::Unix(path) = &self.local
            && path.file_name().is_some()
        {
            // There is none for an abstract name, and none any more if somebody has removed it.
            self.file = SocketFile::of(path).ok().map(Arc::new);
        }
    }

    /// A handle for an event loop; it shares the socket with this one.
    ///
    /// # Errors
    /// What fcntl(2) reports (`EMFILE`).
    pub fn to_socket(&self) -> io::Result<Socket> {
        let fd = self.socket.try_clone()?;
        Ok(match self.local {
            Local::Tcp(_) => Socket::Tcp(fd.into()),
            Local::Unix(_) => Socket::Unix(fd.into()),
        })
    }

    fn new(socket: socket2::Socket, file: Option<SocketFile>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        let local = local_of(&socket)?;
        if matches!(local, Local::Tcp(_)) {
            // Accepted connections inherit it.
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Self { socket: Arc::new(socket.into()), local, file: file.map(Arc::new) })
    }
}

fn local_of(socket: &socket2::Socket) -> io::Result<Local> {
    let address = socket.local_addr()?;
    if let Some(tcp) = address.as_socket() {
        return Ok(Local::Tcp(tcp));
    }
    if SockRef::from(socket).domain()? != Domain::UNIX {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the socket is neither TCP nor Unix"));
    }
    let path = match address.as_abstract_namespace() {
        Some(name) => {
            let text = [b"\0", name].concat();
            PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(text))
        }
        None => address.as_pathname().map(PathBuf::from).unwrap_or_default(),
    };
    Ok(Local::Unix(path))
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.local.fmt(f)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
