//! How the sweeper of deadlines sleeps while there is nothing to look at, and how a connection stirs it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::Notify;

/// Shared by the sweeper and the connections of its worker. Both run in the loop, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Doze {
    dozing: AtomicBool,
    stirred: Notify,
}

impl Doze {
    /// Something has begun that may have a deadline. Costs a load while the sweeper is awake.
    #[inline]
    pub(crate) fn stir(&self) {
        if self.dozing.load(Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        if self.dozing.swap(false, Relaxed) {
            self.stirred.notify_one();
        }
    }

    /// From now on whatever begins is told; for the sweeper, before it looks around for the last time.
    pub(crate) fn lie_down(&self) {
        self.dozing.store(true, Relaxed);
    }

    /// What begins will be seen at the next look.
    pub(crate) fn get_up(&self) {
        self.dozing.store(false, Relaxed);
    }

    /// Returns when something has begun since [`Doze::lie_down`].
    pub(crate) async fn stirred(&self) {
        self.stirred.notified().await;
    }
}
