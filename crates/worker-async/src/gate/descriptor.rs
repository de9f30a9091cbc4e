//! The number of the socket's descriptor, for an app that looks at its client from outside the connection's task.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ferricorn_unix::socket::duplicate;

use super::Shared;
use super::shared::lock;

impl Shared {
    /// A second descriptor for the socket.
    ///
    /// # Errors
    /// The connection is closed, or was given away; or there is no descriptor left.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        // Whoever closes the socket waits for the lock before.
        let number = lock(&self.descriptor);
        match *number {
            Some(number) => duplicate(number),
            None => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

/// The number can be seen for as long as this lives.
#[derive(Debug)]
pub(super) struct Posted(Arc<Shared>);

impl Posted {
    pub(super) fn new(shared: &Arc<Shared>, socket: BorrowedFd<'_>) -> Self {
        lock(&shared.descriptor).replace(socket.as_raw_fd());
        Self(shared.clone())
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        lock(&self.0.descriptor).take();
    }
}
