//! Decides what the master does: a pure function from events to actions.
//!
//! It makes no system call and reads no clock. The driver tells it what happened and when, and performs what it
//! answers. Times are milliseconds of a clock that does not run back.

mod backoff;
mod balance;
mod boot;
mod children;
mod delay;
mod exits;
mod hooks;
mod molds;
mod progress;
mod question;
mod recycle;
mod reload;
mod standing;
mod upgrade;
pub(crate) mod words;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::scoreboard::Snapshot;
use ferricorn_unix::signal::{Kill, Signal};
use ferricorn_unix::wait::Change;

pub(crate) use standing::{Census, Standing};

use backoff::Backoff;
use children::{Child, Children, Life};
use hooks::Failed;
use recycle::Reason;
use reload::{Requests, Trial};
use upgrade::Beside;

pub(crate) use molds::Broken;

/// Milliseconds.
pub(crate) type Millis = u64;

/// What a worker gets beyond the graceful timeout before it is killed, so that its own deadline comes first.
const MARGIN: Millis = 500;
/// How long a quick stop waits for workers that have not begun to leave, and for all if it follows another stop.
const QUICK: Millis = 2_000;
/// How long the end of a worker that was sent SIGKILL is waited for. Only the kernel can hold it up.
const GIVE_UP: Millis = 5_000;

/// What of the settings matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How many workers there should be.
    pub(crate) workers: usize,
    /// `--timeout`.
    pub(crate) timeout: Option<Millis>,
    /// `--graceful-timeout`.
    pub(crate) graceful: Millis,
    /// `--drain-delay`.
    pub(crate) drain_delay: Millis,
    /// `--boot-timeout`.
    pub(crate) boot: Millis,
    /// `--reload-surge`.
    pub(crate) surge: usize,
    /// `--max-worker-memory`, in bytes.
    pub(crate) memory: Option<u64>,
    /// `--max-worker-lifetime`.
    pub(crate) lifetime: Option<Millis>,
}

/// What the cgroup's count tells of a process that was sent SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oom {
    /// The kernel's OOM killer has killed nobody whose end was not told.
    Spared,
    /// It has killed somebody within so long.
    Struck { within: Millis },
}

/// What happened. A worker is known by its age, which is never given twice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// Time has passed.
    Tick,
    /// A signal reached the master.
    Signal(Signal),
    /// The answer to [`Action::Spawn`].
    Spawned { age: u64, pid: i32 },
    /// The other answer to it: why there is no such worker.
    NotSpawned { age: u64, why: String },
    /// The process that forks the workers of a generation has ended, though it was needed.
    MoldEnded(Broken),
    /// A worker said something.
    Report { age: u64, report: Report },
    /// A worker stopped, went on, or ended.
    Changed { age: u64, change: Change },
    /// The answer to [`Action::Look`].
    Seen {
        /// What each worker's slot says.
        workers: Vec<(u64, Snapshot)>,
        /// Whether clients wait to be accepted.
        clients: bool,
    },
    /// What is known of the OOM killer's part in the end of a worker, which is told next.
    OutOfMemory { age: u64, oom: Oom },
    /// The answer to [`Action::Weigh`]: how many bytes each worker has for itself.
    Weighed(Vec<(u64, u64)>),
    /// The answer to [`Action::Reload`]: new settings, and the number of their generation.
    Reloaded { generation: u64, policy: Policy },
    /// The other answer to it: what is wrong with the configuration.
    NotReloaded(String),
    /// The answer to [`Action::Upgrade`]: the process of the new master.
    Upgraded { pid: i32 },
    /// The other answer to it: why there is none.
    NotUpgraded(String),
    /// The new master has ended.
    SuccessorEnded(Change),
    /// The master that started this one has ended.
    PredecessorEnded,
    /// A hook of the configuration failed, perhaps one that was called before a worker was to be forked.
    HookFailed {
        /// The worker, which is not forked.
        age: Option<u64>,
        /// Its name.
        hook: &'static str,
        /// The traceback.
        details: String,
        /// The status with which the hook asked the server to end.
        exit: Option<ExitCode>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Fork a worker.
    Spawn { age: u64, generation: u64 },
    /// Start the process that forks the workers of a generation, before one is wanted of it.
    Mold { generation: u64 },
    /// Show where the same process is, which has not forked a worker after so long, and end it.
    EndMold { generation: u64, after: Millis },
    /// Give an order to a worker, by message and by signal.
    Order { age: u64, order: Order },
    /// Send a worker a signal that is no order.
    Kill { age: u64, kill: Kill },
    /// Read the scoreboard, and see whether clients wait to be accepted.
    Look,
    /// See how much memory each worker has for itself.
    Weigh,
    /// Log the stack that a worker wrote when it was sent [`Kill::Stack`].
    TellStack { age: u64 },
    /// Read the configuration again.
    Reload,
    /// Start a new master beside this one.
    Upgrade,
    /// Open the log files again.
    Reopen,
    /// Close the listening sockets, as far as they are the master's.
    CloseListeners,
    /// Log a line.
    Say(LogLevel, String),
    /// Leave.
    Halt(ExitCode),
}

/// Where the master is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// No worker has been ready yet.
    Starting,
    /// The current generation has had a ready worker.
    Running,
    /// The same, and a worker of the next generation loads the app.
    Reloading(Trial),
    /// Waiting for the workers to leave.
    Stopping(Stop),
    /// [`Action::Halt`] was given.
    Halted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stop {
    quick: bool,
    code: ExitCode,
    reason: Option<&'static str>,
}

/// The state of the master.
#[derive(Debug)]
pub(crate) struct Supervisor {
    policy: Policy,
    /// `policy.workers`, changed by TTIN and TTOU.
    wanted: usize,
    /// The one that serves, or is about to.
    generation: u64,
    phase: Phase,
    requests: Requests,
    children: Children,
    backoff: Backoff,
    /// The generations whose molds have ended while no worker was wanted of them.
    lost_molds: BTreeSet<u64>,
    /// Whether a reload has succeeded and its roll-over was not told to be complete.
    rolls_over: bool,
    /// Whether the last reload has failed.
    reload_failed: bool,
    /// How many changes of the code workers of the current generation have told of (`--reload`).
    changes: u32,
    /// Whether the requests that a quick stop cuts off are to be told.
    tells_cuts: bool,
    /// Whether a hook has failed, for which the server ends.
    hook_failed: bool,
    /// When a stop that was delayed begins.
    stop_at: Option<Millis>,
    beside: Beside,
    last_look: Millis,
    last_weighing: Millis,
    /// When the master itself went on after it had not run for a while; nobody is blamed for the time before.
    resumed: Millis,
}

impl Supervisor {
    /// A supervisor of generation 1 without workers; the first [`Event::Tick`] spawns them.
    pub(crate) fn new(policy: Policy, now: Millis) -> Self {
        Self {
            policy,
            wanted: policy.workers,
            generation: 1,
            phase: Phase::Starting,
            requests: Requests::default(),
            children: Children::default(),
            backoff: Backoff::default(),
            lost_molds: BTreeSet::new(),
            rolls_over: false,
            reload_failed: false,
            changes: 0,
            tells_cuts: false,
            hook_failed: false,
            stop_at: None,
            beside: Beside::default(),
            last_look: now,
            last_weighing: now,
            resumed: now,
        }
    }

    /// Answers an event with what is to be done, in this order.
    #[must_use]
    pub(crate) fn on(&mut self, event: Event, now: Millis) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Halted {
            return actions;
        }
        match event {
            Event::Tick => self.on_tick(now, &mut actions),
            Event::Signal(signal) => self.on_signal(signal, now, &mut actions),
            Event::Spawned { age, pid } => self.children.spawned(age, pid, now),
            Event::NotSpawned { age, why } => {
                let child = self.children.remove(age);
                // One that was to be forked for a generation that is no more is no loss.
                let (current, trial) = self.generations();
                if child.as_ref().is_none_or(|child| [Some(current), trial].contains(&Some(child.generation)))
                {
                    self.on_not_spawned(child.as_ref(), &why, now, &mut actions);
                }
            }
            Event::MoldEnded(mold) => self.on_mold_ended(&mold, now, &mut actions),
            Event::Report { age, report } => self.on_report(age, report, now, &mut actions),
            Event::Changed { age, change } => self.on_change(age, change, now, &mut actions),
            Event::Seen { workers, clients } => self.on_seen(&workers, clients, now, &mut actions),
            Event::OutOfMemory { age, oom } => {
                if let Some(child) = self.children.get_mut(age) {
                    child.out_of_memory = Some(oom);
                }
            }
            Event::Weighed(bytes) => self.on_weighed(&bytes),
            Event::Reloaded { generation, policy } => self.on_reloaded(Trial { generation, policy }),
            Event::NotReloaded(why) => self.on_not_reloaded(&why, &mut actions),
            Event::Upgraded { pid } => self.on_upgraded(pid, &mut actions),
            Event::NotUpgraded(why) => {
                let line = format!("The new master cannot be started, this one goes on: {why}");
                actions.push(Action::Say(LogLevel::Error, line));
            }
            Event::SuccessorEnded(change) => self.on_successor_ended(change, &mut actions),
            Event::PredecessorEnded => self.on_predecessor_ended(&mut actions),
            Event::HookFailed { age, hook, details, exit } => {
                self.on_hook_failed(age, &Failed { hook, details, exit }, now, &mut actions);
            }
        }
        self.balance(now, &mut actions);
        actions
    }

    /// How many workers there should be.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }

    /// The generations that may still be spawned: the current one, and the one on trial.
    pub(crate) fn generations(&self) -> (u64, Option<u64>) {
        (self.generation, self.trial().map(|trial| trial.generation))
    }

    /// When the next [`Event::Tick`] is due at the latest.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        if self.phase == Phase::Halted {
            return None;
        }
        let stopping = self.is_stopping();
        let spawn = (!stopping && self.lacks_worker()).then_some(self.backoff.not_before());
        let lives = self.children.iter().filter_map(|child| child.deadline(self.policy.timeout));
        lives
            .chain(self.gives_up())
            .chain(self.delay_ends())
            .chain(spawn)
            .chain(self.next_look())
            .chain(self.next_recycling())
            .chain(self.next_mold())
            .min()
    }

    /// When a stop ends although workers are left that SIGKILL did not end; `None` while others are left, too.
    fn gives_up(&self) -> Option<Millis> {
        if !self.is_stopping() {
            return None;
        }
        let end = |child: &Child| match child.life {
            Life::Killed { since } => Some(since + GIVE_UP),
            _ => None,
        };
        let ends: Option<Vec<Millis>> = self.children.iter().map(end).collect();
        ends?.into_iter().max()
    }

    fn on_tick(&mut self, now: Millis, actions: &mut Vec<Action>) {
        self.end_overdue(now, actions);
        self.end_delay(now, actions);
        self.end_late(now, actions);
        if self.weighing_is_due(now) {
            actions.push(Action::Weigh);
        }
        if self.look_is_due(now) {
            actions.push(Action::Look);
        }
    }

    fn on_signal(&mut self, signal: Signal, now: Millis, actions: &mut Vec<Action>) {
        if signal == Signal::Chld {
            return;
        }
        actions.push(Action::Say(LogLevel::Info, format!("Handling signal: {}", signal.word())));
        let stopping = self.is_stopping();
        match signal {
            Signal::Term => self.delay_or_stop(now, actions),
            Signal::Int | Signal::Quit => {
                if !self.is_stopping_quickly() {
                    // Before workers are told: what they are about then, they will not finish.
                    self.tells_cuts = true;
                    actions.push(Action::Look);
                }
                self.stop(true, ExitCode::OK, None, now, actions);
            }
            Signal::Hup if !stopping && self.stop_at.is_some() => {
                let line = "The server is about to end; nothing is reloaded".to_owned();
                actions.push(Action::Say(LogLevel::Warning, line));
            }
            Signal::Hup if !stopping => self.on_hup(actions),
            Signal::Ttin => self.wanted += 1,
            Signal::Ttou if self.wanted > 1 => self.wanted -= 1,
            Signal::Usr1 => {
                actions.push(Action::Reopen);
                let reopen = |age| Action::Order { age, order: Order::Reopen };
                actions
                    .extend(self.children.iter().filter(|child| child.pid.is_some()).map(|c| reopen(c.age)));
            }
            Signal::Usr2 => self.on_usr2(actions),
            Signal::Winch if !stopping => self.on_winch(actions),
            Signal::Winch | Signal::Hup | Signal::Ttou | Signal::Chld => {}
        }
    }

    fn on_not_spawned(&mut self, child: Option<&Child>, why: &str, now: Millis, actions: &mut Vec<Action>) {
        if self.is_stopping() {
            return;
        }
        if child.is_some_and(|child| self.trial_of(child).is_some()) {
            self.fail_reload(&format!("a worker cannot be started: {why}"), actions);
        } else if self.phase == Phase::Starting && self.children.iter().next().is_none() {
            actions.push(Action::Say(LogLevel::Error, format!("Cannot start a worker: {why}")));
            self.stop(true, ExitCode::CONFIG, Some("No worker could be started."), now, actions);
        } else {
            let wait = words::duration(self.backoff.failed(now));
            let line = format!("Cannot start a worker: {why}. Next try in {wait}.");
            actions.push(Action::Say(LogLevel::Error, line));
        }
    }

    fn on_report(&mut self, age: u64, report: Report, now: Millis, actions: &mut Vec<Action>) {
        let deadline = now + self.policy.graceful + MARGIN;
        let Some(child) = self.children.get_mut(age) else { return };
        match (report, child.life) {
            (Report::Ready, Life::Booting | Life::Late { .. }) => {
                child.life = Life::Ready;
                child.ready_at = Some(now);
                if self.stop_at.is_some() {
                    actions.push(Action::Order { age, order: Order::Close });
                }
                let line = format!("Worker (pid:{}) is ready", child.pid.unwrap_or_default());
                actions.push(Action::Say(LogLevel::Debug, line));
                let generation = child.generation;
                match self.phase {
                    Phase::Starting if generation == self.generation => self.phase = Phase::Running,
                    Phase::Reloading(trial) if generation == trial.generation => {
                        self.accept_trial(trial, actions);
                    }
                    _ => {}
                }
            }
            // Whoever has the code from before is about to leave anyway.
            (Report::Changed, Life::Ready | Life::Stuck(_)) if child.generation == self.generation => {
                child.changes += 1;
                let times = child.changes;
                self.on_changed_code(times, actions);
            }
            (Report::Broken, _) => child.broken = true,
            (Report::Spent, _) => self.spend(age, Reason::Requests),
            (Report::Leaving, Life::Ready | Life::Stuck(_)) => {
                child.life = Life::Leaving { since: now, deadline, heeded: None };
                let line = format!("Worker (pid:{}) leaves of its own accord", child.pid.unwrap_or_default());
                actions.push(Action::Say(LogLevel::Debug, line));
            }
            _ => {}
        }
    }
}
