//! Performs what the supervisor decides, and tells it what happens: the one loop of the master.

mod backlog;
mod claims;
mod hooks;
mod manager;
mod molds;
mod reload;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use ferricorn_config::{LogLevel, Settings};
use ferricorn_protocol::{ExitCode, Hooks, Moment};
use ferricorn_telemetry::error_log;
use ferricorn_unix::control::{self, Alive, Incoming, Life, MasterEnd, Order};
use ferricorn_unix::memfd::StackFile;
use ferricorn_unix::pidfile::Pidfile;
use ferricorn_unix::scoreboard::{SLOTS, Scoreboard, Slot, State};
use ferricorn_unix::signal::{self, Kill, Signal, Signals, send};
use ferricorn_unix::upgrade::Predecessor;
use ferricorn_unix::{Bell, Fork, Notices, OomKills, clock, memory, poll, wait};

pub(crate) use upgrade::{pidfile_path, title_of};

use manager::Line;
use molds::{Molds, Seed};

use crate::identity::provide_logs;
use crate::say::say;
use crate::sockets::Sockets;
use crate::spawn::{Cradle, Legacy, first_steps};
use crate::supervisor::{Action, Event, Millis, Policy, Supervisor};
use crate::{Host, Outcome};

/// Everything that the master holds. Dropping it gives back what is the process's: signals, pidfile, sockets.
pub(crate) struct Driver<'a> {
    host: &'a dyn Host,
    supervisor: Supervisor,
    events: VecDeque<Event>,
    /// The workers that were forked and not reaped, by age.
    workers: BTreeMap<u64, Worker>,
    /// Settings and sockets by generation.
    generations: BTreeMap<u64, Generation>,
    molds: Molds,
    /// Sockets that only workers of older generations have.
    given_up: Sockets,
    last_generation: u64,
    board: Scoreboard,
    notices: Notices,
    bell: Bell,
    _life: Life,
    alive: Alive,
    signals: Signals,
    pidfile: Option<Pidfile>,
    /// The master that has started this one, while it lives.
    predecessor: Option<Predecessor>,
    /// The process of the master that this one has started.
    successor: Option<i32>,
    line: Line,
    /// The number of workers that statsd was told last.
    counted: Option<usize>,
    /// When it is told of the backlog next.
    backlog_due: Millis,
    /// How many workers there should be in the current generation, as the hooks know it.
    told: usize,
    /// The current generation and the one on trial, as the host knows them.
    settled: (u64, Option<u64>),
    oom_kills: OomKills,
    /// Those among the workers that are being reaped for which no victim was found yet.
    oom_left: u64,
    /// Whether a hook has failed, for which the server ends.
    hook_failed: bool,
}

/// A living worker.
struct Worker {
    pid: i32,
    slot: usize,
    stacks: StackFile,
    control: MasterEnd,
    /// Whether the other end of `control` is closed.
    silent: bool,
}

struct Generation {
    settings: Settings,
    hooks: Arc<dyn Hooks>,
    sockets: Sockets,
    /// One that is not yet the master's.
    pidfile: Option<Pidfile>,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(
        settings: Settings,
        hooks: Arc<dyn Hooks>,
        sockets: Sockets,
        signals: Signals,
        pidfile: Option<Pidfile>,
        predecessor: Option<Predecessor>,
        host: &'a dyn Host,
    ) -> io::Result<Self> {
        let (life, alive) = control::life()?;
        let mut supervisor = Supervisor::new(policy(&settings), clock::now_ms());
        if predecessor.is_some() {
            supervisor = supervisor.beside_predecessor();
        }
        Ok(Self {
            host,
            told: settings.workers,
            settled: (1, None),
            oom_kills: OomKills::watch(),
            oom_left: 0,
            hook_failed: false,
            supervisor,
            events: VecDeque::from([Event::Tick]),
            workers: BTreeMap::new(),
            generations: BTreeMap::from([(1, Generation { settings, hooks, sockets, pidfile: None })]),
            molds: Molds::default(),
            given_up: Sockets::default(),
            last_generation: 1,
            board: Scoreboard::create()?,
            notices: Notices::create()?,
            bell: predecessor.as_ref().map_or_else(Bell::create, |before| Ok(before.bell.clone()))?,
            _life: life,
            alive,
            signals,
            pidfile,
            predecessor,
            successor: None,
            line: Line::open(),
            counted: None,
            backlog_due: 0,
        })
    }

    /// Runs until the master halts, or until this process is a new worker.
    pub(crate) fn run(mut self) -> Outcome {
        loop {
            while let Some(event) = self.events.pop_front() {
                let actions = self.supervisor.on(event, clock::now_ms());
                self.follow_generations();
                self.tell_wanted();
                self.notices.share(self.supervisor.shares_listeners());
                for action in actions {
                    match self.perform(action) {
                        ControlFlow::Continue(()) => {}
                        ControlFlow::Break(End::Halt(code)) => {
                            self.molds.end();
                            let code = self.end(code);
                            self.hand_over();
                            self.signals.retire();
                            return Outcome::Exit(code);
                        }
                        ControlFlow::Break(End::Child(cradle)) => return self.become_worker(*cradle),
                        ControlFlow::Break(End::Mold(seed)) => {
                            return self.become_mold(seed);
                        }
                    }
                }
            }
            self.tell_count();
            self.tell_manager(clock::now_ms());
            self.tell_backlog();
            self.wait();
        }
    }

    fn perform(&mut self, action: Action) -> ControlFlow<End> {
        tracing::trace!("{action:?}");
        match action {
            Action::Spawn { age, generation } => return self.spawn(age, generation),
            Action::Mold { generation } => return self.restart_mold(generation),
            Action::EndMold { generation, after } => self.end_late_mold(generation, after),
            Action::Order { age, order } => self.order(age, order),
            Action::Kill { age, kill } => self.kill(age, kill),
            Action::Look => self.look(),
            Action::Weigh => self.weigh(),
            Action::TellStack { age } => self.tell_stack(age),
            Action::Reload => self.reload(),
            Action::Upgrade => self.upgrade(),
            Action::Reopen => self.reopen_log(),
            Action::CloseListeners => self.close_listeners(),
            Action::Say(level, line) => say(level, &line),
            Action::Halt(code) => return ControlFlow::Break(End::Halt(code)),
        }
        ControlFlow::Continue(())
    }

    /// Workers find everything as it must be at the end when they are told to leave.
    fn close_listeners(&mut self) {
        self.molds.keep(|_| false);
        if self.supervisor.shares_listeners() {
            // Another master goes on with them.
            for generation in self.generations.values_mut() {
                std::mem::take(&mut generation.sockets).leave_files();
            }
            return;
        }
        self.notices.announce_end();
        std::mem::take(&mut self.given_up).refuse();
        for generation in self.generations.values_mut() {
            std::mem::take(&mut generation.sockets).refuse();
        }
    }

    fn spawn(&mut self, age: u64, generation: u64) -> ControlFlow<End> {
        if self.hook_failed {
            let why = "a hook has failed".to_owned();
            self.events.push_back(Event::NotSpawned { age, why });
            return ControlFlow::Continue(());
        }
        if self.generations.get(&generation).is_some_and(|generation| generation.settings.preload_app) {
            return self.spawn_from_mold(age, generation);
        }
        if !self.call_hook_of(generation, Moment::Forking { age }) {
            return ControlFlow::Continue(());
        }
        match self.fork(age, generation) {
            Ok(Some(cradle)) => return ControlFlow::Break(End::Child(Box::new(cradle))),
            Ok(None) => {}
            Err(error) => self.events.push_back(Event::NotSpawned { age, why: error.to_string() }),
        }
        ControlFlow::Continue(())
    }

    /// Forks. In the child it returns what was made for it.
    fn fork(&mut self, age: u64, generation: u64) -> io::Result<Option<Cradle>> {
        let (index, slot) = self.free_slot()?;
        let (cradle, control) = Cradle::make(age, generation, slot, self.notices, self.bell.clone())?;
        let stacks = cradle.stacks.try_clone()?;
        match self.host.fork()? {
            Fork::Child => Ok(Some(cradle)),
            Fork::Parent(pid) => {
                self.enter(age, generation, Worker { pid, slot: index, stacks, control, silent: false });
                Ok(None)
            }
        }
    }

    fn free_slot(&self) -> io::Result<(usize, Slot)> {
        let is_free = |index: &usize| {
            self.workers.values().all(|worker| worker.slot != *index) && !self.molds.hold_slot(*index)
        };
        let free = (0..SLOTS).find(is_free).and_then(|index| Some((index, self.board.slot(index)?)));
        free.ok_or_else(|| io::Error::other(format!("there are {SLOTS} already")))
    }

    /// Enters a worker that was forked.
    fn enter(&mut self, age: u64, generation: u64, worker: Worker) {
        let pid = worker.pid;
        self.workers.insert(age, worker);
        self.events.push_back(Event::Spawned { age, pid });
        self.call_hook_of(generation, Moment::Forked { age, pid });
    }

    fn become_worker(mut self, cradle: Cradle) -> Outcome {
        let generation = self.generations.remove(&cradle.generation);
        let alive = self.alive.try_clone();
        let steps = || -> io::Result<Outcome> {
            let alive = alive?;
            let Some(Generation { settings, hooks, sockets, .. }) = generation else {
                return Err(io::Error::other("its settings are gone"));
            };
            first_steps(cradle, || {
                drop(self);
                Legacy { settings, hooks, listeners: sockets.into_listeners(), alive }
            })
        };
        steps().unwrap_or_else(|error| {
            tracing::error!("Worker (pid:{}) could not be prepared: {error}", std::process::id());
            Outcome::Exit(ExitCode::FAILURE)
        })
    }

    fn order(&mut self, age: u64, order: Order) {
        if let Some(worker) = self.workers.get(&age) {
            // A worker that has closed its end is leaving anyway.
            if let Err(error) = worker.control.send(order) {
                tracing::debug!("Worker (pid:{}) takes no messages: {error}", worker.pid);
            }
        }
        self.kill(age, Kill::Order(order));
    }

    fn kill(&mut self, age: u64, kill: Kill) {
        let Some(worker) = self.workers.get(&age) else { return };
        if kill == Kill::Stack
            && let Err(error) = worker.stacks.truncate()
        {
            tracing::debug!("Cannot empty the stack file: {error}");
        }
        if let Err(error) = send(worker.pid, kill) {
            tracing::debug!("Cannot send {kill:?} to worker (pid:{}): {error}", worker.pid);
        }
    }

    fn look(&mut self) {
        let snapshot = |(&age, worker): (&u64, &Worker)| Some((age, self.board.snapshot(worker.slot)?));
        let seen = self.workers.iter().filter_map(snapshot).collect();
        let clients = self.clients_wait();
        self.events.push_back(Event::Seen { workers: seen, clients });
    }

    fn weigh(&mut self) {
        // Whoever is gone needs no scales.
        let weight = |(&age, worker): (&u64, &Worker)| Some((age, memory::private(worker.pid).ok()?));
        let weighed = self.workers.iter().filter_map(weight).collect();
        self.events.push_back(Event::Weighed(weighed));
    }

    /// Whether there are clients that no worker has accepted yet.
    fn clients_wait(&self) -> bool {
        let sockets = self.generations.values().flat_map(|generation| generation.sockets.listeners());
        let sockets = sockets.chain(self.given_up.listeners());
        let fds: Vec<BorrowedFd<'_>> = sockets.map(AsFd::as_fd).collect();
        let readable = poll::readable(&fds, Some(0)).unwrap_or_else(|error| {
            tracing::debug!("The queues of the listeners cannot be seen: {error}");
            Vec::new()
        });
        readable.contains(&true)
    }

    fn tell_stack(&self, age: u64) {
        let Some(worker) = self.workers.get(&age) else { return };
        match worker.stacks.read() {
            Ok(text) if !text.trim().is_empty() => {
                say(
                    LogLevel::Critical,
                    &format!("Stack of worker (pid:{}):\n{}", worker.pid, text.trim_end()),
                );
            }
            Ok(_) => tracing::warn!("Worker (pid:{}) wrote no stack", worker.pid),
            Err(error) => tracing::warn!("The stack of worker (pid:{}) cannot be read: {error}", worker.pid),
        }
    }

    fn reopen_log(&self) {
        self.molds.reopen();
        let Some(current) = self.generations.get(&self.supervisor.generations().0) else { return };
        if let Err(line) = provide_logs(&current.settings) {
            tracing::error!("{line}");
        }
        // Which opens the file anew, whether the settings have changed or not.
        if let Err(error) = error_log::init(&current.settings).and_then(|log| log.reopen()) {
            tracing::error!("Cannot open the error log again: {error}");
        }
    }

    /// Tells statsd how many workers there are, when that has changed.
    fn tell_count(&mut self) {
        let count = Some(self.workers.len());
        if std::mem::replace(&mut self.counted, count) != count
            && let Some(log) = error_log::installed()
        {
            log.gauge("workers", self.workers.len());
        }
    }

    /// Sleeps until something happens, and notes what it was.
    fn wait(&mut self) {
        let own = self.manager_deadline().into_iter().chain(self.backlog_deadline());
        let due = self.supervisor.deadline().into_iter().chain(own).min();
        let timeout = due.map(|due| due.saturating_sub(clock::now_ms()));
        let talking: Vec<u64> = self.workers.iter().filter(|(_, w)| !w.silent).map(|(&age, _)| age).collect();
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd()];
        // In the place of a predecessor that there is not, the same again.
        fds.push(self.predecessor.as_ref().map_or(self.signals.as_fd(), |before| before.alive.as_fd()));
        fds.extend(talking.iter().filter_map(|age| Some(self.workers.get(age)?.control.as_fd())));
        let (molds, links): (Vec<u64>, Vec<BorrowedFd<'_>>) = self.molds.talking().unzip();
        fds.extend(links);
        let mut polled = Ok(Vec::new());
        self.host.detached(&mut || polled = poll::readable(&fds, timeout));
        drop(fds);
        let readable = polled.unwrap_or_else(|error| {
            tracing::error!("Cannot wait for events: {error}");
            // Rather slow than busy.
            std::thread::sleep(Duration::from_millis(100));
            vec![true; talking.len() + molds.len() + 2]
        });
        // Messages come first: what a worker said before its end must be known before its end.
        let mut answers = readable.iter().copied().skip(2);
        for (age, _) in talking.into_iter().zip(&mut answers).filter(|(_, readable)| *readable) {
            self.read_reports(age);
        }
        for (generation, _) in molds.into_iter().zip(answers).filter(|(_, readable)| *readable) {
            self.read_answers(generation);
        }
        if readable.first() == Some(&true) {
            for signal in self.signals.take() {
                match signal {
                    Signal::Chld => self.reap(),
                    Signal::Winch if !self.winch_counts() => {
                        tracing::debug!(
                            "SIGWINCH ignored. No upgrade is under way, or a terminal may have sent it"
                        );
                    }
                    other => self.events.push_back(Event::Signal(other)),
                }
            }
        }
        if self.predecessor.as_ref().is_some_and(|before| !before.alive.is_alive()) {
            self.follow_predecessor();
        }
        self.events.push_back(Event::Tick);
    }

    fn read_reports(&mut self, age: u64) {
        let Some(worker) = self.workers.get_mut(&age) else { return };
        loop {
            match worker.control.receive() {
                Ok(Incoming::Frame(report)) => self.events.push_back(Event::Report { age, report }),
                Ok(Incoming::Nothing) => return,
                Ok(Incoming::Closed) | Err(_) => {
                    worker.silent = true;
                    return;
                }
            }
        }
    }

    fn reap(&mut self) {
        self.oom_left = 0;
        loop {
            match wait::next() {
                Ok(Some((pid, change))) => {
                    if self.successor == Some(pid) {
                        if matches!(change, wait::Change::Exited(_) | wait::Change::Killed(_)) {
                            self.successor = None;
                            self.clean_up_after(pid);
                        }
                        self.events.push_back(Event::SuccessorEnded(change));
                        continue;
                    }
                    let Some(age) = self.workers.iter().find(|(_, w)| w.pid == pid).map(|(&age, _)| age)
                    else {
                        self.on_change_of_other(pid, change);
                        continue;
                    };
                    self.on_change(age, pid, change);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!("Cannot wait for workers: {error}");
                    return;
                }
            }
        }
    }

    fn on_change(&mut self, age: u64, pid: i32, change: wait::Change) {
        self.read_reports(age);
        if matches!(change, wait::Change::Exited(_) | wait::Change::Killed(_)) {
            let gone = self.workers.remove(&age);
            // Its siblings leave clients to whoever has few.
            if let Some(slot) = gone.and_then(|worker| self.board.slot(worker.slot)) {
                slot.set_state(State::Free);
            }
            // If it fails, that must be known before the last worker's end lets the master go.
            self.call_hook(Moment::Gone { age, pid });
        }
        self.tell_out_of_memory(age, change);
        self.events.push_back(Event::Changed { age, change });
    }

    /// Tells whose end the kernel has counted as one for lack of memory.
    fn tell_out_of_memory(&mut self, age: u64, change: wait::Change) {
        if change == wait::Change::Killed(signal::KILL)
            && let Some(kills) = self.oom_kills.since()
        {
            let kills = self.oom_left + kills;
            self.oom_left = kills.saturating_sub(1);
            self.events.push_back(Event::OutOfMemory { age, struck: kills > 0 });
        }
    }
}

/// Why the loop ends.
enum End {
    /// The master is done.
    Halt(ExitCode),
    /// This process is a new worker.
    Child(Box<Cradle>),
    /// This process is the new mold of a generation.
    Mold(Seed),
}

fn policy(settings: &Settings) -> Policy {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4);
    Policy {
        workers: settings.workers,
        timeout: settings.timeout.map(millis),
        graceful: millis(settings.graceful_timeout),
        drain_delay: millis(settings.drain_delay),
        boot: millis(settings.boot_timeout),
        surge: settings.reload_surge,
        memory: settings.max_worker_memory,
        lifetime: settings.max_worker_lifetime.map(millis),
    }
}
