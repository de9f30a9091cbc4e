//! Calls on a socket of which only the descriptor is known.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A second descriptor for what a number stands for, closed on exec. Whoever calls it sees to it that the number is not
/// closed meanwhile, or it may stand for something else.
///
/// # Errors
/// That of `fcntl(F_DUPFD_CLOEXEC)`.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is not -1, and it is borrowed for the one call; if it is not open the call fails.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()
}

/// Ends the reading side of a stream socket: who reads gets what has come, and then the end; who waits for it wakes up.
/// Writing goes on.
///
/// # Errors
/// That of `shutdown(2)`; a socket that is not connected any more is none.
pub fn end_reading(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and no memory is involved.
    let done = unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RD) };
    match io::Error::last_os_error() {
        error if done != 0 && error.raw_os_error() != Some(libc::ENOTCONN) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn who_waits_to_read_wakes_up_at_the_end_of_reading_and_may_write() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        let mut reader = socket.try_clone().unwrap();
        let (tell, heard) = mpsc::channel();
        let waits = thread::spawn(move || {
            let mut read = [0; 6];
            reader.read_exact(&mut read).unwrap();
            tell.send(read).unwrap();
            reader.read(&mut read).unwrap()
        });
        peer.write_all(b"before").unwrap();
        assert_eq!(&heard.recv().unwrap(), b"before");
        end_reading(socket.as_fd()).unwrap();
        assert_eq!(waits.join().unwrap(), 0);
        socket.write_all(b"after").unwrap();
        let mut heard = [0; 5];
        peer.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"after");
    }

    #[test]
    fn a_second_descriptor_is_of_the_same_socket_and_no_number_is_none() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let mut second = UnixStream::from(duplicate(socket.as_raw_fd()).unwrap());
        drop(socket);
        second.write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
        assert!(duplicate(-1).is_err());
    }
}
