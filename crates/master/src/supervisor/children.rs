//! The book of children: who there is, and what each is about. It decides nothing.

use std::collections::BTreeMap;

use super::progress::Stuck;
use super::question::Question;
use super::recycle::Reason;
use super::{Millis, Oom};

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// A fork was asked for and not answered yet.
    Asked,
    /// It loads the app.
    Booting,
    /// It took too long to, and is being asked for its stack until this time.
    Late {
        /// When it is killed.
        until: Millis,
    },
    /// It serves.
    Ready,
    /// It serves, or should, but made no progress.
    Stuck(Stuck),
    /// It was told to leave, or leaves of its own accord; at the deadline it is killed.
    Leaving {
        /// Since when.
        since: Millis,
        /// When that is.
        deadline: Millis,
        /// When it is instead if it has begun to leave by then. One that was told to leave at once has time to clean up
        /// if it has heard of it.
        heeded: Option<Millis>,
    },
    /// It was sent SIGABRT, upon which it leaves. It is killed if it is as stuck as before, and at the deadline.
    Aborted {
        /// What it was stuck in, and when it is looked at again.
        stuck: Stuck,
        /// When it is killed whatever it does.
        deadline: Millis,
    },
    /// It was sent SIGKILL.
    Killed {
        /// When that was.
        since: Millis,
    },
}

/// One worker, as the master knows it.
#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) age: u64,
    pub(super) generation: u64,
    /// Known once the fork was answered.
    pub(super) pid: Option<i32>,
    pub(super) life: Life,
    /// How long it may take to be ready, if that is limited still.
    pub(super) boot: Option<Millis>,
    /// When it said that it is ready.
    pub(super) ready_at: Option<Millis>,
    /// Since when it is stopped (SIGSTOP), if it is.
    pub(super) frozen: Option<Millis>,
    /// Since when it could have made progress at all.
    pub(super) running_since: Millis,
    /// How many requests it had answered when the scoreboard was last read, and when that number was new.
    pub(super) answered: (u64, Millis),
    /// Why it has had its time, if it has.
    pub(super) spent: Option<Reason>,
    /// Whether another one is to take its place.
    pub(super) replaced: bool,
    /// Whether the kernel has killed it for lack of memory, if that is known.
    pub(super) out_of_memory: Option<Oom>,
    /// How many changes of the code it has told of (`--reload`).
    pub(super) changes: u32,
    /// Whether it shows why the app cannot be loaded (`--reload`).
    pub(super) broken: bool,
    /// What it was asked and has not answered.
    pub(super) question: Option<Question>,
}

impl Child {
    /// Whether it counts as one of the workers there should be.
    pub(super) fn is_serving(&self) -> bool {
        matches!(self.life, Life::Asked | Life::Booting | Life::Late { .. }) || self.is_ready()
    }

    /// Whether it can be given a request.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.life, Life::Ready | Life::Stuck(_))
    }

    /// Whether it has had the time that it may take to be ready.
    pub(super) fn boot_is_over(&self, now: Millis) -> bool {
        self.boot_ends().is_some_and(|end| now >= end)
    }

    fn boot_ends(&self) -> Option<Millis> {
        self.boot.map(|limit| self.running_since.saturating_add(limit))
    }

    /// When it must be looked at, whatever happens.
    pub(super) fn deadline(&self, timeout: Option<Millis>) -> Option<Millis> {
        let life = match self.life {
            Life::Asked | Life::Booting => self.boot_ends(),
            Life::Late { until } => Some(until),
            Life::Leaving { deadline, .. } => Some(deadline),
            Life::Stuck(stuck) | Life::Aborted { stuck, .. } => Some(stuck.until),
            _ => None,
        };
        let frozen = self.frozen.filter(|_| self.is_serving()).zip(timeout).map(|(since, t)| since + t);
        life.into_iter().chain(frozen).min()
    }
}

/// All workers, by age; the oldest is first.
#[derive(Debug, Default)]
pub(super) struct Children {
    by_age: BTreeMap<u64, Child>,
    last_age: u64,
}

impl Children {
    /// Enters a worker that is to be forked and may take so long to be ready, and returns its age.
    pub(super) fn ask(&mut self, generation: u64, boot: Millis, now: Millis) -> u64 {
        self.last_age += 1;
        let child = Child {
            age: self.last_age,
            generation,
            pid: None,
            life: Life::Asked,
            boot: Some(boot),
            ready_at: None,
            frozen: None,
            running_since: now,
            answered: (0, now),
            spent: None,
            replaced: false,
            out_of_memory: None,
            changes: 0,
            broken: false,
            question: None,
        };
        self.by_age.insert(child.age, child);
        self.last_age
    }

    /// The fork was answered.
    pub(super) fn spawned(&mut self, age: u64, pid: i32, now: Millis) {
        if let Some(child) = self.by_age.get_mut(&age) {
            child.pid = Some(pid);
            child.life = Life::Booting;
            // A mold may have had to load the app first.
            child.running_since = now;
        }
    }

    pub(super) fn remove(&mut self, age: u64) -> Option<Child> {
        self.by_age.remove(&age)
    }

    pub(super) fn get(&self, age: u64) -> Option<&Child> {
        self.by_age.get(&age)
    }

    pub(super) fn get_mut(&mut self, age: u64) -> Option<&mut Child> {
        self.by_age.get_mut(&age)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Child> {
        self.by_age.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.by_age.values_mut()
    }

    pub(super) fn count(&self, which: impl Fn(&Child) -> bool) -> usize {
        self.iter().filter(|child| which(child)).count()
    }

    /// How many workers of a generation serve or are about to.
    pub(super) fn serving(&self, generation: u64) -> usize {
        self.count(|child| child.generation == generation && child.is_serving())
    }
}

#[cfg(test)]
mod tests {
    use super::{Children, Life};

    #[test]
    fn ages_are_never_given_twice_and_the_oldest_is_first() {
        let mut children = Children::default();
        let ages: Vec<u64> = (0..3).map(|_| children.ask(1, 100_000, 0)).collect();
        assert_eq!(ages, [1, 2, 3]);
        children.remove(3);
        assert_eq!(children.ask(1, 100_000, 0), 4);
        assert_eq!(children.iter().map(|child| child.age).collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn a_worker_counts_until_it_is_told_to_leave() {
        let mut children = Children::default();
        let age = children.ask(1, 100_000, 0);
        assert_eq!(children.serving(1), 1);
        children.spawned(age, 100, 0);
        assert_eq!((children.serving(1), children.serving(2)), (1, 0));
        children.get_mut(age).unwrap().life = Life::Leaving { since: 0, deadline: 5, heeded: None };
        assert_eq!(children.serving(1), 0);
        assert_eq!(children.get_mut(age).unwrap().deadline(None), Some(5));
    }

    #[test]
    fn a_stopped_worker_is_due_when_the_timeout_is_over() {
        let mut children = Children::default();
        let age = children.ask(1, 100_000, 0);
        children.spawned(age, 100, 0);
        let child = children.get_mut(age).unwrap();
        child.frozen = Some(1_000);
        assert_eq!(child.deadline(Some(30)), Some(1_030));
        assert_eq!(child.deadline(None), Some(100_000), "it has not booted either");
        child.life = Life::Ready;
        assert_eq!(child.deadline(None), None);
    }
}
