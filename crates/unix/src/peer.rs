//! Whether the peer of a socket is still there, without reading what it has sent.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether the peer of a stream socket has closed the connection or its writing side, or has reset it, even if bytes of
/// it stand before that and are not read (`POLLRDHUP`, poll(2)). False as well if the kernel cannot be asked.
#[must_use]
pub fn has_left(socket: BorrowedFd<'_>) -> bool {
    let mut polled = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: the descriptor is open for as long as it is borrowed, and the call stores into the one entry that it is
    // given.
    let found = unsafe { libc::poll(&raw mut polled, 1, 0) };
    found == 1 && polled.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::has_left;

    fn tcp() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, peer)
    }

    /// Writes what nobody reads, then leaves.
    fn is_seen<S: AsFd, P: Write>((mut socket, mut peer): (S, P), leave: impl FnOnce(&mut S, P)) {
        peer.write_all(b"unread").unwrap();
        assert!(!has_left(socket.as_fd()));
        leave(&mut socket, peer);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !has_left(socket.as_fd()) {
            assert!(Instant::now() < deadline, "the peer has left, and nobody sees it");
            sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_peer_that_closes_half_closes_or_resets_has_left() {
        is_seen(tcp(), |_, peer| drop(peer));
        let mut half = None;
        is_seen(tcp(), |_, peer| {
            peer.shutdown(Shutdown::Write).unwrap();
            half = Some(peer);
        });
        // What is closed with bytes that were not read is reset.
        is_seen(tcp(), |socket, peer| {
            socket.write_all(b"unread").unwrap();
            peer.peek(&mut [0]).unwrap();
            drop(peer);
        });
        is_seen(UnixStream::pair().unwrap(), |_, peer| drop(peer));
    }
}
