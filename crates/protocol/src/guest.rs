//! The server's event loop as the guest of the app's own, on one thread.

use std::os::fd::BorrowedFd;

/// The server's event loop, for an app with [`Drive::Hosted`](crate::Drive::Hosted) to turn.
///
/// Everything here is called on the host's thread.
pub trait Guest {
    /// Becomes readable when there is something to do that this thread did not cause: bytes came, a deadline has
    /// passed, another thread woke a task. It stays readable until [`Guest::pump`] looks at the kernel.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Sets what is called when this thread has made work for the next [`Guest::pump`] while none is running. It is
    /// called once until that pump, and must not pump by itself, but have the host do so soon.
    fn set_bell(&self, bell: Box<dyn Fn()>);

    /// Has the worker leave, because the application asked for the end of its process with this status.
    fn leave(&self, status: u8);

    /// Does what there is to do, without blocking. A pump inside a pump does nothing.
    fn pump(&self, look: Look) -> Pumped;
}

/// Whether a pump asks the kernel what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It does: the descriptor is readable, or may be.
    Kernel,
    /// It does not, and costs no system call for it: the bell has rung.
    Tasks,
}

/// How a pump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// Nothing is left to do until the descriptor is readable or the bell rings.
    Idle,
    /// There is more to do, but the host should have its turn first: pump again soon.
    Busy,
    /// The worker's life is over: pump no more.
    Over,
}
