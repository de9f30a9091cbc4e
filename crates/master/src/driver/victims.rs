//! Whom the kernel's OOM killer has ended: the count of the cgroup against the ends of children.
//!
//! The count does not name its victims, which may be processes of the app, too. So it is looked at often, and only what is
//! fresh speaks of a child.

use ferricorn_unix::OomKills;
use ferricorn_unix::signal::KILL;
use ferricorn_unix::wait::Change;

use crate::supervisor::{Millis, Oom};

/// A look costs three system calls.
const EVERY: Millis = 100;
/// How long a process that was killed may take to end: its memory is given back first.
const FRESH: Millis = 3_000;

/// The count, and who has a share in it.
#[derive(Debug)]
pub(super) struct Victims {
    kills: OomKills,
    book: Book,
}

#[derive(Debug, Default)]
struct Book {
    /// When the count was last looked at.
    looked: Millis,
    /// Kills for which no child was found.
    left: u64,
    /// Between these looks the last of them happened.
    struck: (Millis, Millis),
}

impl Victims {
    pub(super) fn watch(now: Millis) -> Self {
        Self { kills: OomKills::watch(), book: Book { looked: now, ..Book::default() } }
    }

    /// Looks at the count, so that later ends are not put down to what has happened up to now. To be called often.
    pub(super) fn look(&mut self, now: Millis) {
        if now >= self.book.looked + EVERY
            && let Some(kills) = self.kills.since()
        {
            self.book.note(kills, now);
        }
    }

    /// What the count says of a child that has just been reaped; `None` if nothing.
    pub(super) fn judge(&mut self, change: Change, now: Millis) -> Option<Oom> {
        if change != Change::Killed(KILL) {
            return None;
        }
        let kills = self.kills.since()?;
        self.book.note(kills, now);
        Some(self.book.take(now))
    }
}

impl Book {
    fn note(&mut self, kills: u64, now: Millis) {
        if now > self.struck.1 + FRESH {
            self.left = 0;
        }
        if kills > 0 {
            self.left += kills;
            self.struck = (self.looked, now);
        }
        self.looked = now;
    }

    fn take(&mut self, now: Millis) -> Oom {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Oom::Struck { within: now - self.struck.0 }
            }
            None => Oom::Spared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Book, FRESH};
    use crate::supervisor::Oom;

    fn book() -> Book {
        Book { looked: 10_000, ..Book::default() }
    }

    #[test]
    fn each_kill_is_told_of_one_child() {
        let mut book = book();
        book.note(2, 10_400);
        assert_eq!(book.take(10_400), Oom::Struck { within: 400 });
        book.note(0, 10_900);
        assert_eq!(book.take(10_900), Oom::Struck { within: 900 });
        assert_eq!(book.take(10_900), Oom::Spared);
    }

    #[test]
    fn what_has_killed_somebody_else_is_forgotten() {
        let mut book = book();
        book.note(1, 11_000);
        book.note(0, 11_000 + FRESH);
        assert_eq!(
            book.take(11_000 + FRESH),
            Oom::Struck { within: 1_000 + FRESH },
            "it may have taken long to end"
        );
        book.note(1, 20_000);
        book.note(0, 20_001 + FRESH);
        assert_eq!(book.take(20_001 + FRESH), Oom::Spared);
    }
}
