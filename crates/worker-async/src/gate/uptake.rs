//! Whether a client takes bytes though nothing more can be written to it.
//!
//! A socket that was full can be written to again only once a good part of its buffer is free (with TCP a third,
//! which may be megabytes). A client that reads steadily but slowly may need longer for that than one may be silent, so
//! the gate asks the kernel whether the queue has shrunk; not at every write, but when the sweeper wants to know.

use std::sync::atomic::Ordering::Relaxed;

use super::{Gate, Shared};

impl Shared {
    /// Has the gate look whether the client takes bytes. If it does, [`Shared::write_blocked`] gives another
    /// number soon. For the sweeper, while a write is blocked.
    pub(crate) fn look_at_queue(&self) {
        self.look.store(true, Relaxed);
        self.wake_reader();
    }
}

impl<S> Gate<S> {
    /// How many bytes the socket holds that the client has not taken, if that can be known.
    pub(crate) fn untaken(&self) -> Option<usize> {
        (self.queue)(&self.socket)
    }

    /// Compares what the socket still holds with what it held at the last look, since when nothing was written.
    #[cold]
    pub(super) fn look_at_queue(&mut self) {
        self.shared.look.store(false, Relaxed);
        let queued = (self.queue)(&self.socket);
        if queued.zip(self.queued).is_some_and(|(now, before)| now < before) {
            self.uptake = self.uptake.wrapping_add(1);
            self.shared.set_blocked(Some(self.uptake));
        }
        self.queued = queued;
    }
}
