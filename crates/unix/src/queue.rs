//! What a socket still holds of the bytes that were written to it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How much of what was written to a stream socket its peer has not taken yet: over TCP the bytes that it has not
/// acknowledged (`SIOCOUTQ`, tcp(7)), over a Unix socket the memory that those take which it has not read. The
/// number shrinks only when the peer takes some, and grows only by writing.
///
/// # Errors
/// What ioctl(2) reports, such as `ENOTTY` for a descriptor that has no such queue.
pub fn untaken(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as it is borrowed, and this request, which for sockets is named
    // SIOCOUTQ and has the same number, stores one int at the address.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::untaken;

    const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

    /// Fills a socket, then reads at the other end, and sees the queue shrink.
    fn shrinks(mut socket: impl Write + AsFd, mut peer: impl Read) {
        let full = loop {
            if let Err(error) = socket.write(&[0; 65536]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let full = untaken(socket.as_fd()).unwrap();
        assert!(full > 0);
        while untaken(socket.as_fd()).unwrap() >= full {
            peer.read_exact(&mut [0; 1024]).expect("all was read, and the queue is as full as before");
        }
    }

    #[test]
    fn what_a_tcp_peer_takes_leaves_the_queue() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        peer.set_read_timeout(PATIENCE).unwrap();
        shrinks(socket, peer);
    }

    #[test]
    fn what_a_unix_peer_reads_leaves_the_queue() {
        let (socket, peer) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        peer.set_read_timeout(PATIENCE).unwrap();
        shrinks(socket, peer);
    }
}
