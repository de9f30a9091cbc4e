//! Messages as datagrams, to a daemon that may come and go.

use std::io;

use nix::libc::MSG_NOSIGNAL;
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Target;

/// A socket for datagrams to one address.
#[derive(Debug)]
pub(super) struct Datagrams {
    target: Target,
    socket: Option<Socket>,
}

impl Datagrams {
    pub(super) fn new(target: Target) -> Self {
        Self { target, socket: None }
    }

    pub(super) fn is_unix(&self) -> bool {
        matches!(&self.target, Target::Address(address) if address.domain() == Domain::UNIX)
    }

    /// Sends one, unless the kernel has no room for it.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self.attempt(message) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // Of UDP the error may be that of the datagram before; of a Unix socket the daemon may be a new one.
                self.socket = None;
                let again = self.attempt(message);
                if self.is_unix() { again } else { Err(error) }
            }
            sent => sent,
        }
    }

    fn attempt(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connected(&self.target.address()?)?),
        };
        socket.send_with_flags(message, MSG_NOSIGNAL).map(drop)
    }
}

fn connected(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    Ok(socket)
}

/// Whether a socket in the file system is one for streams.
pub(super) fn is_stream(address: &SockAddr) -> bool {
    connected(address).is_err_and(|error| error.raw_os_error() == Some(nix::libc::EPROTOTYPE))
}
