//! A scripted kernel and a virtual clock: the supervisor's world without a single process.

mod molds;

use std::collections::BTreeMap;

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::scoreboard::{Call, InFlight, Snapshot};
use ferricorn_unix::signal::{KILL, Kill, Signal};
use ferricorn_unix::wait::Change;

use super::children::{Child, Life};
use super::{Action, Event, Millis, Policy, Supervisor};

/// A process of the simulation.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) generation: u64,
    pub(super) seen: Snapshot,
    pub(super) orders: Vec<Order>,
    pub(super) aborted: bool,
    pub(super) killed: bool,
    /// Whether not even SIGKILL ends it.
    pub(super) immortal: bool,
    /// Whether its call goes on at SIGABRT.
    pub(super) stubborn: bool,
    /// How many bytes it has for itself.
    pub(super) memory: u64,
    /// Whether its loop is blocked.
    pub(super) deaf: bool,
}

/// The supervisor, its children, and what it said.
pub(super) struct World {
    pub(super) supervisor: Supervisor,
    pub(super) now: Millis,
    pub(super) processes: BTreeMap<u64, Process>,
    pub(super) lines: Vec<(LogLevel, String)>,
    pub(super) halted: Option<ExitCode>,
    pub(super) listening: bool,
    /// Whether clients wait to be accepted.
    pub(super) clients: bool,
    /// How often the memory of workers was looked at.
    pub(super) weighings: usize,
    /// Who was asked for a beat.
    pub(super) asked: Vec<u64>,
    /// What the next reloads give; with none left the configuration is as it was.
    pub(super) reloads: Vec<Result<Policy, String>>,
    /// How many forks fail from now on.
    pub(super) failing_forks: usize,
    pub(super) spawns: Vec<(Millis, u64)>,
    /// How often a new master was asked for.
    pub(super) upgrades: usize,
    /// Whether molds fork the workers.
    preload: bool,
    /// The workers that molds were not yet told to fork, by generation.
    waiting: BTreeMap<u64, Vec<u64>>,
    /// For which generations a mold was started or ended without a worker being wanted.
    pub(super) molds: Vec<u64>,
    policy: Policy,
    generation: u64,
}

impl World {
    /// A master that has just forked its first workers.
    pub(super) fn new(policy: Policy) -> Self {
        Self::begin(policy, false)
    }

    /// The same, with molds if they are wanted; then nothing is forked yet.
    pub(super) fn begin(policy: Policy, preload: bool) -> Self {
        let now = 1_000_000;
        let mut world = Self {
            supervisor: Supervisor::new(policy, now),
            now,
            processes: BTreeMap::new(),
            lines: Vec::new(),
            halted: None,
            listening: true,
            clients: false,
            weighings: 0,
            asked: Vec::new(),
            reloads: Vec::new(),
            failing_forks: 0,
            spawns: Vec::new(),
            upgrades: 0,
            preload,
            waiting: BTreeMap::new(),
            molds: Vec::new(),
            policy,
            generation: 1,
        };
        world.give(Event::Tick);
        world
    }

    /// The same, and all of them are ready.
    pub(super) fn ready(policy: Policy) -> Self {
        Self::begin_ready(policy, false)
    }

    /// The same, with molds if they are wanted.
    pub(super) fn begin_ready(policy: Policy, preload: bool) -> Self {
        let mut world = Self::begin(policy, preload);
        world.all_ready();
        world
    }

    /// Gives an event and performs what comes of it, and of that.
    pub(super) fn give(&mut self, event: Event) {
        let mut events = vec![event];
        while !events.is_empty() {
            let event = events.remove(0);
            for action in self.supervisor.on(event, self.now) {
                self.perform(action, &mut events);
            }
            events.extend(self.discard_molds());
        }
    }

    fn perform(&mut self, action: Action, events: &mut Vec<Event>) {
        assert_eq!(self.halted, None, "{action:?} after the end");
        match action {
            Action::Spawn { age, generation: _ } if self.failing_forks > 0 => {
                self.failing_forks -= 1;
                events.push(Event::NotSpawned { age, why: "no memory".to_owned() });
            }
            Action::Spawn { age, generation } if self.preload => {
                self.spawns.push((self.now, generation));
                self.waiting.entry(generation).or_default().push(age);
            }
            Action::Spawn { age, generation } => {
                let generations = self.supervisor.generations();
                assert!(generation == generations.0 || Some(generation) == generations.1);
                self.spawns.push((self.now, generation));
                let process = Process { generation, ..Process::default() };
                assert!(self.processes.insert(age, process).is_none(), "the age {age} was given twice");
                events.push(Event::Spawned { age, pid: pid(age) });
            }
            Action::Kill { age, kill: Kill::Kill } => {
                self.process(age).killed = true;
                if !self.process(age).immortal {
                    self.processes.remove(&age);
                    events.push(Event::Changed { age, change: Change::Killed(KILL) });
                }
            }
            Action::Mold { generation } => self.molds.push(generation),
            Action::EndMold { generation, .. } => {
                self.molds.push(generation);
                events.push(self.late(generation));
            }
            Action::Order { age, order: Order::Abort } => {
                self.process(age).aborted = true;
                if !self.process(age).stubborn {
                    self.processes.remove(&age);
                    events.push(Event::Changed { age, change: Change::Exited(1) });
                }
            }
            Action::Order { age, order: Order::Ask } => {
                self.asked.push(age);
                if !self.process(age).deaf {
                    self.beat(age);
                }
            }
            Action::Order { age, order } => self.process(age).orders.push(order),
            Action::Kill { age, .. } | Action::TellStack { age } => {
                self.process(age);
            }
            Action::Look => {
                let seen = self.processes.iter().map(|(&age, process)| (age, process.seen.clone()));
                events.push(Event::Seen { workers: seen.collect(), clients: self.clients });
            }
            Action::Weigh => {
                self.weighings += 1;
                let bytes = self.processes.iter().map(|(&age, process)| (age, process.memory));
                events.push(Event::Weighed(bytes.collect()));
            }
            Action::Reload => {
                let result = if self.reloads.is_empty() { Ok(self.policy) } else { self.reloads.remove(0) };
                events.push(match result {
                    Ok(policy) => {
                        self.policy = policy;
                        self.generation += 1;
                        Event::Reloaded { generation: self.generation, policy }
                    }
                    Err(why) => Event::NotReloaded(why),
                });
            }
            Action::Upgrade => self.upgrades += 1,
            Action::Reopen => {}
            Action::CloseListeners => self.listening = false,
            Action::Say(level, line) => self.lines.push((level, line)),
            Action::Halt(code) => self.halted = Some(code),
        }
    }

    fn process(&mut self, age: u64) -> &mut Process {
        self.processes.get_mut(&age).expect("it acted on a worker that does not exist")
    }

    /// Lets time pass, waking the supervisor when it asks for it.
    pub(super) fn pass(&mut self, millis: Millis) {
        let end = self.now + millis;
        let mut idle = 0;
        while let Some(due) = self.supervisor.deadline().filter(|&due| due <= end) {
            idle = if due > self.now { 0 } else { idle + 1 };
            assert!(idle < 10, "it asks to be woken again and again at {due}");
            self.now = self.now.max(due);
            self.give(Event::Tick);
        }
        self.now = end;
        self.give(Event::Tick);
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.give(Event::Signal(signal));
    }

    pub(super) fn report(&mut self, age: u64, report: Report) {
        self.give(Event::Report { age, report });
    }

    /// The process ends.
    pub(super) fn end(&mut self, age: u64, change: Change) {
        if self.processes.remove(&age).is_some() {
            self.give(Event::Changed { age, change });
        }
    }

    /// Every process that has not said so says that it is ready.
    pub(super) fn all_ready(&mut self) {
        self.fork_all();
        for age in self.ages() {
            self.report(age, Report::Ready);
        }
    }

    /// Every process that was told to leave leaves.
    pub(super) fn obey(&mut self) {
        let told: Vec<u64> = self.told().map(|(age, _)| age).collect();
        for age in told {
            self.end(age, Change::Exited(0));
        }
    }

    pub(super) fn ages(&self) -> Vec<u64> {
        self.processes.keys().copied().collect()
    }

    /// Who was told to leave, and how at last.
    pub(super) fn told(&self) -> impl Iterator<Item = (u64, Order)> {
        let last = |process: &Process| {
            process.orders.iter().rfind(|order| !matches!(order, Order::Reopen | Order::Close)).copied()
        };
        self.processes.iter().filter_map(move |(&age, process)| Some((age, last(process)?)))
    }

    /// Who was not.
    pub(super) fn untold(&self) -> Vec<u64> {
        let told: Vec<u64> = self.told().map(|(age, _)| age).collect();
        self.ages().into_iter().filter(|age| !told.contains(age)).collect()
    }

    /// Puts a worker into a call of the app that began now.
    pub(super) fn call(&mut self, age: u64, method: &str, path: &str) {
        let since_ms = self.now;
        let seen = &mut self.process(age).seen;
        let request = InFlight { since_ms, method: method.to_owned(), path: path.to_owned() };
        seen.beat_ms = since_ms;
        seen.in_flight = vec![request.clone()];
        seen.calls = vec![Call { since_ms, request: Some(request) }];
    }

    /// Puts it into a further call, of another app thread.
    pub(super) fn call_beside(&mut self, age: u64, method: &str, path: &str) {
        let before = self.process(age).seen.clone();
        self.call(age, method, path);
        let seen = &mut self.process(age).seen;
        seen.in_flight.splice(..0, before.in_flight);
        seen.calls.extend(before.calls);
    }

    /// Says how many app threads a worker may have.
    pub(super) fn threads(&mut self, age: u64, threads: u32) {
        self.process(age).seen.threads = threads;
    }

    /// The loop of a worker turns.
    pub(super) fn beat(&mut self, age: u64) {
        self.process(age).seen.beat_ms = self.now;
    }

    /// Its call and its requests end.
    pub(super) fn answer(&mut self, age: u64) {
        let seen = &mut self.process(age).seen;
        seen.requests += seen.in_flight.len() as u64;
        seen.in_flight.clear();
        seen.calls.clear();
        self.beat(age);
    }

    /// How many workers could be given a request.
    pub(super) fn serving(&self) -> usize {
        self.supervisor.children.count(Child::is_ready)
    }

    /// Who loads the app.
    pub(super) fn booting(&self) -> Vec<u64> {
        let booting = self.supervisor.children.iter().filter(|child| child.life == Life::Booting);
        booting.map(|child| child.age).collect()
    }

    /// How many processes there are that SIGKILL was not sent to.
    pub(super) fn living(&self) -> usize {
        self.processes.values().filter(|process| !process.killed).count()
    }

    pub(super) fn said(&self, text: &str) -> bool {
        self.lines.iter().any(|(_, line)| line.contains(text))
    }
}

/// The pid that the simulation gives.
pub(super) fn pid(age: u64) -> i32 {
    1000 + i32::try_from(age).unwrap()
}
