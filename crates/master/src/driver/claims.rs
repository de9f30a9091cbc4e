//! What became of processes that nobody has named yet.
//!
//! A worker that a mold forks is the master's child, and may be reaped before the mold's message is read that names it.

use std::collections::BTreeMap;

use ferricorn_unix::wait::Change;

/// The last changes of such processes.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<i32, Change>);

impl Claims {
    /// Something happened to a process that is not known. It may be a worker, or an orphan that is none.
    pub(super) fn note(&mut self, pid: i32, change: Change) {
        self.0.insert(pid, change);
    }

    /// A process is named: gives what has happened to it already.
    pub(super) fn take(&mut self, pid: i32) -> Option<Change> {
        self.0.remove(&pid)
    }

    /// Nobody is waited for, so what is here were orphans.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ferricorn_unix::wait::Change;
    use proptest::prelude::*;

    use super::Claims;

    /// What the master hears of a process, in any order, the end at any place.
    #[derive(Clone, Copy, Debug)]
    enum News {
        Named(i32),
        Ended(i32),
    }

    fn news() -> impl Strategy<Value = Vec<News>> {
        let all: Vec<News> = (1..20).flat_map(|pid| [News::Named(pid), News::Ended(pid)]).collect();
        // Orphans are never named.
        Just([all, (20..30).map(News::Ended).collect()].concat()).prop_shuffle()
    }

    proptest! {
        #[test]
        fn the_end_of_each_worker_is_heard_of_once_whatever_comes_first(news in news()) {
            let mut claims = Claims::default();
            let mut living = BTreeSet::new();
            let mut ended = Vec::new();
            for one in news {
                match one {
                    News::Named(pid) => match claims.take(pid) {
                        Some(_) => ended.push(pid),
                        None => prop_assert!(living.insert(pid)),
                    },
                    News::Ended(pid) if living.remove(&pid) => ended.push(pid),
                    News::Ended(pid) => claims.note(pid, Change::Exited(0)),
                }
            }
            ended.sort_unstable();
            prop_assert_eq!(ended, (1..20).collect::<Vec<_>>());
            prop_assert!(living.is_empty());
        }
    }

    #[test]
    fn the_last_change_counts() {
        let mut claims = Claims::default();
        claims.note(7, Change::Stopped);
        claims.note(7, Change::Killed(9));
        assert_eq!(claims.take(7), Some(Change::Killed(9)));
        claims.note(8, Change::Exited(0));
        claims.forget();
        assert_eq!(claims.take(8), None);
    }
}
