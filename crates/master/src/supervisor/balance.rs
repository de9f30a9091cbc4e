//! How many workers there should be, and how they come and go: what is, brought closer to what should be.

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::Order;

use super::children::{Child, Life};
use super::{Action, MARGIN, Millis, Phase, QUICK, Stop, Supervisor};

impl Supervisor {
    /// Begins the end, or makes it quick.
    pub(super) fn stop(
        &mut self,
        quick: bool,
        code: ExitCode,
        reason: Option<&'static str>,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        match &mut self.phase {
            Phase::Stopping(stop) if quick => stop.quick = true,
            Phase::Stopping(_) | Phase::Halted => return,
            _ => {
                self.phase = Phase::Stopping(Stop { quick, code, reason });
                actions.push(Action::CloseListeners);
            }
        }
        let haste = now + QUICK;
        for child in self.children.iter_mut() {
            match &mut child.life {
                Life::Leaving { deadline, heeded, .. } if quick => {
                    *deadline = haste.min(*deadline);
                    *heeded = None;
                }
                Life::Aborted { stuck, deadline } if quick => {
                    *deadline = haste.min(*deadline);
                    stuck.until = stuck.until.min(*deadline);
                }
                _ => continue,
            }
            actions.push(Action::Order { age: child.age, order: Order::Quick });
        }
    }

    /// Compares what is with what should be: retires, spawns, halts.
    pub(super) fn balance(&mut self, now: Millis, actions: &mut Vec<Action>) {
        match &self.phase {
            Phase::Halted => {}
            Phase::Stopping(stop) => {
                let stop = stop.clone();
                self.retire(usize::MAX, stop.quick, now, actions, |_| true);
                self.halt_if_done(&stop, now, actions);
            }
            _ => {
                self.choose_replaced(now, actions);
                self.retire_surplus(now, actions);
                self.replace_lost_mold(now, actions);
                self.spawn_missing(now, actions);
                self.spawn_trial(now, actions);
                self.tell_rolled_over(actions);
                self.begin_requested(actions);
            }
        }
    }

    fn retire_surplus(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let (current, trial) = self.generations();
        // Loading for a generation that is no more.
        let is_useless = |child: &Child| {
            child.generation != current
                && Some(child.generation) != trial
                && (child.life == Life::Booting || child.generation > current)
        };
        self.retire(usize::MAX, false, now, actions, is_useless);
        // As many old ones as there are not yet new ones that are ready.
        let is_old = |child: &Child| child.generation < current && child.is_ready();
        let new = self.children.count(|child| child.generation == current && child.is_ready());
        let surplus = self.children.count(is_old).saturating_sub(self.wanted.saturating_sub(new));
        self.retire(surplus, false, now, actions, is_old);
        // Whoever is replaced, as far as others are ready.
        let surplus = new.saturating_sub(self.wanted);
        self.retire(surplus, false, now, actions, |child| child.generation == current && child.replaced);
        let surplus = self.children.serving(current).saturating_sub(self.target());
        self.retire(surplus, false, now, actions, |child| child.generation == current);
    }

    /// Tells up to `limit` workers to leave: first those that load the app, the youngest first, and then the oldest. One
    /// that loads the app has nothing to finish, unless it serves by now.
    fn retire(
        &mut self,
        limit: usize,
        quick: bool,
        now: Millis,
        actions: &mut Vec<Action>,
        which: impl Fn(&Child) -> bool,
    ) {
        let patient = now + self.policy.graceful + MARGIN;
        let of = |life: Life| {
            self.children.iter().filter(move |child| child.life == life).filter(|child| which(child))
        };
        let chosen: Vec<u64> =
            of(Life::Booting).rev().chain(of(Life::Ready)).map(|child| child.age).take(limit).collect();
        for age in chosen {
            let Some(child) = self.children.get_mut(age) else { continue };
            let order = match child.life {
                _ if quick => Order::Quick,
                Life::Booting => Order::Withdraw,
                _ => Order::Graceful,
            };
            let (deadline, heeded) = match order {
                Order::Quick => (patient.min(now + QUICK), Some(patient)),
                _ => (patient, None),
            };
            child.life = Life::Leaving { since: now, deadline, heeded };
            actions.push(Action::Order { age, order });
        }
    }

    fn spawn_missing(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if now < self.backoff.not_before() {
            return;
        }
        while self.lacks_worker() {
            let age = self.children.ask(self.generation, self.policy.boot, now);
            actions.push(Action::Spawn { age, generation: self.generation });
        }
    }

    /// Whether a worker of the current generation should be started as soon as may be.
    pub(super) fn lacks_worker(&self) -> bool {
        let serving = self.children.serving(self.generation);
        serving < self.target() && self.has_room(serving) && !self.crowded()
    }

    /// Whether a roll-over leaves room for one more worker beside the old ones, those on their way out included. What
    /// is missing because workers have died is made up for in any case.
    fn has_room(&self, serving: usize) -> bool {
        let old = self.old();
        let is_short = || self.children.count(Child::is_serving) < self.wanted;
        old == 0 || old + serving < self.wanted + self.policy.surge || is_short()
    }

    /// Whether so many workers are still on their way out that new ones have to wait, while somebody serves.
    pub(super) fn crowded(&self) -> bool {
        let lingering = self.children.count(|child| !child.is_serving());
        lingering >= 2 * self.wanted.max(1) && self.children.count(Child::is_ready) > 0
    }

    fn halt_if_done(&mut self, stop: &Stop, now: Millis, actions: &mut Vec<Action>) {
        let over = self.children.iter().next().is_none() || self.gives_up().is_some_and(|end| now >= end);
        if !over {
            return;
        }
        for child in self.children.iter() {
            let line = format!("Worker (pid:{}) did not even end at SIGKILL", child.pid.unwrap_or_default());
            actions.push(Action::Say(LogLevel::Critical, line));
        }
        let level = if stop.code == ExitCode::OK { LogLevel::Info } else { LogLevel::Error };
        actions.push(Action::Say(level, format!("Shutting down: {}", self.name())));
        if let Some(reason) = stop.reason {
            actions.push(Action::Say(level, format!("Reason: {reason}")));
        }
        actions.push(Action::Halt(stop.code));
        self.phase = Phase::Halted;
    }
}
