//! Whether a client has left whose socket is not read.
//!
//! Usually hyper reads on while the application is at work, and so learns that the client left. It does not as long as
//! bytes stand before that which nobody takes: a body that the application does not read, a request behind the one that is
//! not answered, messages for which a WebSocket's application has no room. An application that waits would then serve
//! nobody, so the sweeper has the gate ask the kernel.

use std::sync::atomic::Ordering::Relaxed;

use super::{Gate, Phase, Shared};

impl Shared {
    /// Has the connection's task look for the client, and end the connection if it has left. For the sweeper, while the
    /// socket is not read.
    pub(crate) fn seek(&self) {
        self.seek.store(true, Relaxed);
        self.wake_reader();
    }
}

impl<S> Gate<S> {
    /// Whether the client has left, if the sweeper asks. A client to which something could be written since it last asked
    /// is there, though it may have closed its writing side; if it is not, the next write tells.
    pub(crate) fn has_left(&mut self) -> bool {
        if !self.shared.seek.swap(false, Relaxed) {
            return false;
        }
        let silent = std::mem::replace(&mut self.sought, self.uptake) == self.uptake;
        silent && (self.left)(&self.socket)
    }

    /// Says whether the client of a WebSocket is read.
    pub(crate) fn listens(&self, listens: bool) {
        self.shared.wait(if listens { Phase::App } else { Phase::Deaf });
    }
}
