//! Which of a worker's app threads a thread is.

use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// An app thread of this process, by its number. The first one, 0, is the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppThread(pub usize);

impl AppThread {
    /// The one that runs this. A thread of which the server has not said which it is passes for the first one.
    #[inline]
    #[must_use]
    pub fn current() -> Self {
        Self(CURRENT.get())
    }

    /// Says that the calling thread is this one, for as long as it lives.
    pub fn begin(self) {
        CURRENT.set(self.0);
    }
}
