//! Takes clients out of a listener's queue.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use socket2::SockAddr;

use super::{Socket, refuse};

/// A client that was accepted; its socket is non-blocking and closed on exec.
#[derive(Debug)]
pub enum Client {
    /// Over TCP, with its address.
    Tcp(TcpStream, SocketAddr),
    /// Over a Unix socket, where clients have no address.
    Unix(UnixStream),
}

impl Socket {
    /// Takes the next client, with one system call.
    ///
    /// # Errors
    /// What accept4(2) reports: `WouldBlock` if nobody waits.
    pub fn accept(&self) -> io::Result<Client> {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let listener = self.as_raw_fd();
        // SAFETY: the kernel writes an address of at most `length` bytes to `address`, and says how long it is.
        let (client, address) = unsafe {
            SockAddr::try_init(|address, length| {
                match libc::accept4(listener, address.cast(), length, flags) {
                    -1 => Err(io::Error::last_os_error()),
                    // The descriptor is new, and nobody else's.
                    client => Ok(OwnedFd::from_raw_fd(client)),
                }
            })
        }?;
        match self {
            Self::Unix(_) => Ok(Client::Unix(client.into())),
            Self::Tcp(_) => match address.as_socket() {
                Some(peer) => Ok(Client::Tcp(client.into(), peer)),
                // The client was gone before it was accepted.
                None => Err(io::ErrorKind::ConnectionAborted.into()),
            },
        }
    }
}

impl Socket {
    /// Whether no new client gets into the queue ([`Listener::refuse`](super::Listener::refuse)).
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Tcp(_) => refuse::is_tcp(self.as_fd()),
            Self::Unix(_) => refuse::is_unix(self.as_fd()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
