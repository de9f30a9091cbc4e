//! A stream socket on its way out of the runtime, and back.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// See the module's first line.
pub(crate) trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sized + 'static {
    /// Takes it out of the runtime. It blocks from now on.
    ///
    /// # Errors
    /// The kernel's.
    fn leave(self) -> io::Result<OwnedFd>;

    /// Puts it into the runtime that is entered.
    ///
    /// # Errors
    /// The kernel's.
    fn come_back(descriptor: OwnedFd) -> io::Result<Self>;
}

impl Socket for TcpStream {
    fn leave(self) -> io::Result<OwnedFd> {
        let socket = self.into_std()?;
        socket.set_nonblocking(false)?;
        Ok(socket.into())
    }

    fn come_back(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = std::net::TcpStream::from(descriptor);
        socket.set_nonblocking(true)?;
        Self::from_std(socket)
    }
}

impl Socket for UnixStream {
    fn leave(self) -> io::Result<OwnedFd> {
        let socket = self.into_std()?;
        socket.set_nonblocking(false)?;
        Ok(socket.into())
    }

    fn come_back(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(descriptor);
        socket.set_nonblocking(true)?;
        Self::from_std(socket)
    }
}
