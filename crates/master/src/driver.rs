//! Performs what the supervisor decides, and tells it what happens: the one loop of the master.

mod backlog;
mod claims;
mod ends;
mod hooks;
mod manager;
mod molds;
mod observe;
mod reload;
mod upgrade;
mod victims;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use ferricorn_config::Settings;
use ferricorn_protocol::{ExitCode, Hooks};
use ferricorn_telemetry::error_log;
use ferricorn_unix::control::{self, Alive, Life};
use ferricorn_unix::pidfile::Pidfile;
use ferricorn_unix::scoreboard::Scoreboard;
use ferricorn_unix::signal::{Signal, Signals};
use ferricorn_unix::upgrade::Predecessor;
use ferricorn_unix::{Bell, Notices, clock, poll};

pub(crate) use upgrade::{pidfile_path, title_of};

use manager::Line;
use molds::{Molds, Seed};
use victims::Victims;
use workers::Worker;

use crate::identity::provide_logs;
use crate::say::say;
use crate::sockets::Sockets;
use crate::spawn::Cradle;
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
    victims: Victims,
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
            victims: Victims::watch(clock::now_ms()),
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
                // After that, since one of them may have been asked where it is.
                self.end_useless_molds();
            }
            self.tell_count();
            self.tell_manager(clock::now_ms());
            self.victims.look(clock::now_ms());
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
