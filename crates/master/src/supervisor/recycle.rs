//! Workers that have had their time are replaced: the next one is ready before the old one leaves.
//!
//! A worker has had it when it has served `--max-requests`, holds more than `--max-worker-memory`, or has been ready for
//! `--max-worker-lifetime`. One at a time per reason is replaced; the others serve on until it is their turn.

use ferricorn_config::LogLevel;

use super::children::{Child, Life};
use super::{Action, Millis, Phase, Supervisor, words};

/// How often the memory of workers is looked at.
const WEIGH_EVERY: Millis = 10_000;

/// What is said of a limit that a worker exceeds as soon as it is ready: its replacement will, too.
const TOO_LITTLE: &str = "--max-worker-memory is less than a worker of this app needs soon after its start, so workers are \
                          replaced again and again. Raise it";

/// Why a worker has had its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It has served as many requests as it should.
    Requests,
    /// It has so many bytes for itself.
    Memory(u64),
    /// It has been ready for long enough.
    Lifetime,
}

impl Reason {
    fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Supervisor {
    /// Whether the memory of workers is to be looked at now.
    pub(super) fn weighing_is_due(&mut self, now: Millis) -> bool {
        let due = self.next_weighing().is_some_and(|due| now >= due);
        if due {
            self.last_weighing = now;
        }
        due
    }

    fn next_weighing(&self) -> Option<Millis> {
        self.policy.memory?;
        let watched = self.children.iter().any(|child| child.life == Life::Ready && child.spent.is_none());
        (self.serves() && watched).then_some(self.last_weighing + WEIGH_EVERY)
    }

    /// When something here is due.
    pub(super) fn next_recycling(&self) -> Option<Millis> {
        let ends = self.children.iter().filter_map(|child| self.lifetime_ends(child));
        ends.filter(|_| self.serves()).chain(self.next_weighing()).min()
    }

    fn serves(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Reloading(_))
    }

    fn lifetime_ends(&self, child: &Child) -> Option<Millis> {
        let counts = child.life == Life::Ready && child.spent.is_none();
        counts.then_some(child.ready_at? + self.policy.lifetime?)
    }

    /// The memory of workers was looked at, in bytes.
    pub(super) fn on_weighed(&mut self, bytes: &[(u64, u64)]) {
        let Some(most) = self.policy.memory else { return };
        for &(age, bytes) in bytes.iter().filter(|(_, bytes)| *bytes > most) {
            self.spend(age, Reason::Memory(bytes));
        }
    }

    /// A worker has had its time. It serves on.
    pub(super) fn spend(&mut self, age: u64, reason: Reason) {
        if let Some(child) = self.children.get_mut(age) {
            child.spent.get_or_insert(reason);
        }
    }

    /// Chooses who is to be replaced next. During a reload nobody is: all are replaced then.
    pub(super) fn choose_replaced(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let old: Vec<u64> = self
            .children
            .iter()
            .filter_map(|child| self.lifetime_ends(child).filter(|&end| now >= end).map(|_| child.age))
            .collect();
        old.into_iter().for_each(|age| self.spend(age, Reason::Lifetime));
        if self.phase != Phase::Running || self.is_rolling_over() {
            return;
        }
        let is_ready = |child: &&Child| child.life == Life::Ready && !child.replaced;
        let spent: Vec<(u64, Reason)> = self
            .children
            .iter()
            .filter(is_ready)
            .filter_map(|child| Some((child.age, child.spent?)))
            .collect();
        for (age, reason) in spent {
            let is_busy = |child: &Child| {
                child.replaced
                    && !matches!(child.life, Life::Killed { .. })
                    && child.spent.is_some_and(|other| other.is_like(reason))
            };
            if self.children.count(is_busy) > 0 {
                continue;
            }
            if let Some(child) = self.children.get_mut(age) {
                child.replaced = true;
                let line = tell(child, reason, self.policy.memory, self.policy.lifetime);
                actions.push(Action::Say(LogLevel::Info, line));
                let young = |ready: Millis| now < ready + 2 * WEIGH_EVERY;
                if matches!(reason, Reason::Memory(_)) && child.ready_at.is_some_and(young) {
                    actions.push(Action::Say(LogLevel::Warning, TOO_LITTLE.to_owned()));
                }
            }
        }
    }

    /// How many workers of the current generation there should be: one more for each that is being replaced.
    pub(super) fn target(&self) -> usize {
        self.wanted + self.children.count(|child| self.is_being_replaced(child))
    }

    /// Whether its replacement is not ready yet.
    pub(super) fn is_being_replaced(&self, child: &Child) -> bool {
        child.replaced && child.is_serving() && child.generation == self.generation
    }
}

fn tell(child: &Child, reason: Reason, memory: Option<u64>, lifetime: Option<Millis>) -> String {
    let pid = child.pid.unwrap_or_default();
    let mib = |bytes: u64| bytes >> 20;
    let why = match reason {
        Reason::Requests => "it has served as many requests as --max-requests says".to_owned(),
        Reason::Memory(bytes) => format!(
            "{} MiB of memory are its own, and --max-worker-memory is {}",
            mib(bytes),
            mib(memory.unwrap_or_default())
        ),
        Reason::Lifetime => format!(
            "it has been ready for {} (--max-worker-lifetime)",
            words::duration(lifetime.unwrap_or_default())
        ),
    };
    format!("Worker (pid:{pid}) is replaced, and leaves when the next one is ready: {why}")
}
