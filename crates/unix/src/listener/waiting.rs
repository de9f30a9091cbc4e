//! How many clients wait in the queue of a listening socket.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The clients of a TCP socket whose connections are made and that nobody has accepted (`TCP_INFO`, tcp(7), whose
/// `tcpi_unacked` is that number of a socket that listens).
pub(super) fn tcp(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for as long as it is borrowed, and the call stores at most `length` bytes, of which
    // there are so many, at the address.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the structure consists of integers, for which zero, and whatever the kernel has stored, will do.
    Ok(unsafe { info.assume_init() }.tcpi_unacked)
}
