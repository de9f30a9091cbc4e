//! Generations: a reload tries the new code with one worker, then rolls over to it, or leaves everything as it was.

use ferricorn_config::LogLevel;

use super::backoff::Backoff;
use super::children::{Child, Life};
use super::{Action, Millis, Phase, Policy, Supervisor};

/// A generation of which no worker has been ready yet, beside the one that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) generation: u64,
    pub(super) policy: Policy,
}

/// Reloads that were asked for and have not begun.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Requests {
    /// The configuration is being read.
    reading: bool,
    /// Another one is to follow. Several are one: it reads whatever there is then.
    queued: bool,
    /// The code has changed since. Whoever is on trial has loaded it, or tells of it when it is ready.
    changed: bool,
}

impl Supervisor {
    pub(super) fn on_hup(&mut self, actions: &mut Vec<Action>) {
        actions.push(Action::Say(LogLevel::Info, format!("Hang up: {}", self.name())));
        if self.is_rolling_over() {
            let line = "A reload is under way; the next one begins when it is over".to_owned();
            actions.push(Action::Say(LogLevel::Info, line));
        }
        self.request_reload(actions);
    }

    /// A worker of the current generation says that the code has changed, for so many times now. Each worker tells of
    /// each change; one that none has told of before makes what is being loaded old.
    pub(super) fn on_changed_code(&mut self, times: u32, actions: &mut Vec<Action>) {
        let is_news = times > self.changes;
        self.changes = self.changes.max(times);
        if is_news && self.trial().is_some() {
            let line =
                "The code has changed again: it is loaded anew, and nobody waits for what is being loaded";
            actions.push(Action::Say(LogLevel::Info, line.to_owned()));
            self.phase = Phase::Running;
            self.request_reload(actions);
        } else if self.requests.reading || self.trial().is_some() {
            self.requests.changed = true;
        } else {
            self.request_reload(actions);
        }
    }

    /// Begins a reload once the one that is under way is over: that may be all that works.
    fn request_reload(&mut self, actions: &mut Vec<Action>) {
        self.requests.queued = true;
        self.begin_requested(actions);
    }

    /// Begins the reload that was asked for, unless another one is under way.
    pub(super) fn begin_requested(&mut self, actions: &mut Vec<Action>) {
        if self.requests.queued && !self.is_rolling_over() && self.stop_at.is_none() {
            self.requests = Requests { reading: true, ..Requests::default() };
            actions.push(Action::Reload);
        }
    }

    pub(super) fn on_reloaded(&mut self, trial: Trial) {
        self.requests.reading = false;
        match self.phase {
            Phase::Stopping(_) | Phase::Halted => {}
            // Nothing serves that could be kept, and without workers there is nobody to say that the new code is good.
            Phase::Starting => self.adopt(trial),
            Phase::Running | Phase::Reloading(_) if trial.policy.workers == 0 || self.wanted == 0 => {
                self.phase = Phase::Running;
                self.adopt(trial);
            }
            Phase::Running | Phase::Reloading(_) => self.phase = Phase::Reloading(trial),
        }
    }

    pub(super) fn on_not_reloaded(&mut self, why: &str, actions: &mut Vec<Action>) {
        self.requests.reading = false;
        self.reload_failed = true;
        let line = format!("Reload failed, the workers go on as before: {why}");
        actions.push(Action::Say(LogLevel::Error, line));
    }

    /// The first worker of a generation is ready: from now on its code and settings count.
    pub(super) fn accept_trial(&mut self, trial: Trial, actions: &mut Vec<Action>) {
        let (level, line) = match self.children.iter().any(|c| c.generation == trial.generation && c.broken) {
            false => (LogLevel::Info, "Reloaded: a worker with the new code is ready"),
            true => (LogLevel::Warning, "The new code cannot be loaded; workers show why until it is mended"),
        };
        actions.push(Action::Say(level, line.to_owned()));
        self.phase = Phase::Running;
        self.requests.changed = false;
        self.rolls_over = true;
        self.adopt(trial);
    }

    fn adopt(&mut self, trial: Trial) {
        self.generation = trial.generation;
        self.policy = trial.policy;
        self.wanted = trial.policy.workers;
        self.beside.retired = false;
        self.reload_failed = false;
        self.changes = 0;
        self.backoff = Backoff::default();
    }

    /// The generation on trial is given up. `why` is half a sentence.
    pub(super) fn fail_reload(&mut self, why: &str, actions: &mut Vec<Action>) {
        let line = format!(
            "Reload failed: {why}. {} with the code and settings before; put it right and send HUP again.",
            match self.children.count(|child| child.generation <= self.generation && child.is_ready()) {
                0 => "New workers are started".to_owned(),
                1 => "1 worker goes on serving".to_owned(),
                many => format!("{many} workers go on serving"),
            }
        );
        actions.push(Action::Say(LogLevel::Error, line));
        self.phase = Phase::Running;
        self.reload_failed = true;
        self.requests.queued |= self.requests.changed;
    }

    /// Tells once that no worker of the code before is left.
    pub(super) fn tell_rolled_over(&mut self, actions: &mut Vec<Action>) {
        let current = self.generation;
        let ready = self.children.count(|child| child.generation == current && child.is_ready());
        if self.rolls_over && self.phase == Phase::Running && self.old() == 0 && ready >= self.wanted {
            self.rolls_over = false;
            let who = if ready == 1 { "the worker has" } else { "all workers have" };
            let line = format!("Reload complete: {who} the code and settings as they were read");
            actions.push(Action::Say(LogLevel::Info, line));
        }
    }

    /// The generation on trial, if there is one.
    pub(super) fn trial(&self) -> Option<Trial> {
        match self.phase {
            Phase::Reloading(trial) => Some(trial),
            _ => None,
        }
    }

    /// The same, if this is its worker.
    pub(super) fn trial_of(&self, child: &Child) -> Option<Trial> {
        self.trial().filter(|trial| trial.generation == child.generation)
    }

    /// One worker finds out whether the new code is good.
    pub(super) fn spawn_trial(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let Some(Trial { generation, policy }) = self.trial() else { return };
        if self.children.serving(generation) == 0 {
            let age = self.children.ask(generation, policy.boot, now);
            actions.push(Action::Spawn { age, generation });
        }
    }

    /// Workers of generations before the current one, those on their way out included. What SIGKILL does not end is
    /// nobody's any more.
    pub(super) fn old(&self) -> usize {
        let current = self.generation;
        self.children.count(|child| child.generation < current && !matches!(child.life, Life::Killed { .. }))
    }

    /// Whether workers of generations before the current one accept clients.
    pub(crate) fn has_old_ones_ready(&self) -> bool {
        self.children.iter().any(|child| child.generation < self.generation && child.is_ready())
    }

    /// Whether a reload has begun and is not over.
    pub(super) fn is_rolling_over(&self) -> bool {
        self.requests.reading
            || match self.phase {
                Phase::Reloading(_) => true,
                Phase::Running => self.old() > 0,
                _ => false,
            }
    }
}
