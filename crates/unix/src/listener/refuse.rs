//! Ends the arrival of clients on a socket from which those who are there are still taken.
//!
//! Closing a listening socket resets every client in its queue, and one may come between the last accept(2) and
//! close(2). So the queue is shut first, in the kernel, for all processes that share the socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{Shutdown, shutdown};

/// Where the flags lie in a TCP header, in bytes, and SYN among them (RFC 9293, section 3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;

/// Whether that was done to a TCP socket. The kernel tells how long the filter is that drops packets.
pub(super) fn is_tcp(socket: BorrowedFd<'_>) -> bool {
    let mut steps: libc::socklen_t = 0;
    // SAFETY: with no room for steps the kernel writes nothing but their number, to a valid place.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            // The same number asks for the filter (SO_GET_FILTER).
            libc::SO_ATTACH_FILTER,
            std::ptr::null_mut(),
            &raw mut steps,
        )
    };
    result == 0 && steps > 0
}

/// Whether that was done to a Unix socket.
pub(super) fn is_unix(socket: BorrowedFd<'_>) -> bool {
    let mut socket = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one valid entry, which is not waited for.
    let polled = unsafe { libc::poll(&raw mut socket, 1, 0) };
    polled > 0 && socket.revents & libc::POLLRDHUP != 0
}

/// New clients of a Unix socket are refused from now on.
pub(super) fn unix(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(shutdown(socket.as_raw_fd(), Shutdown::Read)?)
}

/// The first packet of new TCP clients is dropped from now on. They send it again after a second, and are refused
/// then if the socket is closed. Whoever has sent it before still gets in.
pub(super) fn tcp(socket: BorrowedFd<'_>) -> io::Result<()> {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
        step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the program and its steps live through the call, and the kernel copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
