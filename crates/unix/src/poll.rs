//! Waiting for several descriptors at once: poll(2).

use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until one of the descriptors can be read (or has reached its end), or a signal was handled, or the time
/// is over. Returns, in the same order, which of them can be read.
///
/// `timeout_ms` is in milliseconds; `None` waits without end.
///
/// # Errors
/// What poll(2) reports; a signal is not an error.
pub fn readable(fds: &[BorrowedFd<'_>], timeout_ms: Option<u64>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|&fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let timeout = match timeout_ms {
        Some(millis) => PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX),
        None => PollTimeout::NONE,
    };
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(polled.iter().map(|fd| fd.any().unwrap_or(false)).collect())
}
