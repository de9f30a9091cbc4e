//! Clients who have come in and whose first request has not: each is about to need an app thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use tokio::sync::Notify;

/// All of a worker. They are used from within its loop alone, by whatever thread drives it.
pub(crate) struct Newcomers {
    count: AtomicU32,
    /// Rises when those who are counted are given up. Never 0.
    round: AtomicU32,
    /// Told when the count falls.
    came: Notify,
    /// Whether one that was waited for last has said nothing.
    silent: AtomicBool,
}

/// One client, until its first request has come.
pub(crate) struct Newcomer {
    all: Arc<Newcomers>,
    /// In which round it was counted; 0 once its request has come.
    round: AtomicU32,
}

impl Newcomers {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            count: AtomicU32::new(0),
            round: AtomicU32::new(1),
            came: Notify::new(),
            silent: AtomicBool::new(false),
        })
    }

    /// A client has come in.
    pub(crate) fn enter(self: &Arc<Self>) -> Newcomer {
        self.count.fetch_add(1, Relaxed);
        Newcomer { all: self.clone(), round: AtomicU32::new(self.round.load(Relaxed)) }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Relaxed) as usize
    }

    /// Whether it is worth waiting for them: there are some, and the last ones that were waited for have spoken.
    pub(crate) fn are_expected(&self) -> bool {
        self.count() > 0 && !self.silent.load(Relaxed)
    }

    /// Returns when the request of each has come.
    pub(crate) async fn all_came(&self) {
        while self.count() > 0 {
            self.came.notified().await;
        }
    }

    /// Counts those no more who are there.
    pub(crate) fn give_up(&self) {
        let silent = self.count.swap(0, Relaxed) > 0;
        self.silent.store(silent, Relaxed);
        if silent {
            // 0 has a meaning of its own.
            self.round.store(self.round.load(Relaxed).wrapping_add(1).max(1), Relaxed);
        }
    }
}

impl Newcomer {
    /// Its request has come. Costs a load if that is known.
    pub(crate) fn has_come(&self) {
        let round = self.round.load(Relaxed);
        if round != 0 {
            self.round.store(0, Relaxed);
            if round == self.all.round.load(Relaxed) {
                self.all.count.fetch_sub(1, Relaxed);
                self.all.came.notify_one();
            }
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.has_come();
    }
}

#[cfg(test)]
mod tests {
    use super::Newcomers;

    #[test]
    fn each_is_counted_until_its_request_has_come_or_it_leaves() {
        let all = Newcomers::new();
        let clients = [all.enter(), all.enter(), all.enter()];
        clients[1].has_come();
        clients[1].has_come();
        assert_eq!(all.count(), 2);
        drop(clients);
        assert_eq!(all.count(), 0);
    }

    #[test]
    fn who_was_given_up_is_counted_no_more_and_others_are_not_waited_for_until_one_has_spoken() {
        let all = Newcomers::new();
        let silent = all.enter();
        assert!(all.are_expected());
        all.give_up();
        let other = all.enter();
        silent.has_come();
        assert_eq!((all.count(), all.are_expected()), (1, false));
        other.has_come();
        all.give_up();
        let next = all.enter();
        assert!(all.are_expected());
        drop(next);
        assert_eq!(all.count(), 0);
    }
}
