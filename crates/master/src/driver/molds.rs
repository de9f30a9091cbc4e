//! The master's side of its molds: starts them, has them fork, and hears of their ends.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::{Incoming, MasterEnd};
use ferricorn_unix::memfd::StackFile;
use ferricorn_unix::post::{self, Post};
use ferricorn_unix::signal::{Kill, WorkerSignals, reset_for_foreign_code, send};
use ferricorn_unix::wait::{self, Change};
use ferricorn_unix::{Fork, adopt_orphans, clock, end_with_parent, title};

use super::claims::Claims;
use super::{Driver, End, Generation, Worker};
use crate::Outcome;
use crate::mold::{Answer, Mold, Wish};
use crate::say::say;
use crate::spawn::Cradle;
use crate::supervisor::{Broken, Event, Millis, words};

/// How long the end of a mold that was killed is waited for when the master itself ends.
const GIVE_UP: Duration = Duration::from_secs(1);

/// How long the stack of a mold that is late is waited for.
const STACK: Duration = Duration::from_millis(500);

/// The molds that were forked and not reaped, by generation.
#[derive(Default)]
pub(super) struct Molds {
    by_generation: BTreeMap<u64, Known>,
    claims: Claims,
}

/// A mold, as the master knows it.
struct Known {
    pid: i32,
    link: Post,
    /// Whether the other end of `link` is closed.
    silent: bool,
    stacks: StackFile,
    loaded: bool,
    /// The status with which the import asked for the end of the process.
    asked_exit: Option<ExitCode>,
    /// Whether it was killed, since it had not forked a worker in time.
    late: bool,
    /// Whether it was killed, since nobody needs it any more.
    discarded: bool,
    /// The worker that it was asked for and has not forked yet.
    asked: Option<(u64, Unborn)>,
    /// The ages of those that it will be asked for.
    waiting: VecDeque<u64>,
}

/// What a mold is given, made by the master before the fork.
pub(super) struct Seed {
    generation: u64,
    link: Post,
    stacks: StackFile,
}

/// What the master keeps for a worker that is not there yet.
struct Unborn {
    slot: usize,
    control: MasterEnd,
    stacks: StackFile,
}

impl Known {
    fn discard(&mut self) {
        if !std::mem::replace(&mut self.discarded, true)
            && let Err(error) = send(self.pid, Kill::Kill)
        {
            tracing::debug!("Cannot end mold (pid:{}): {error}", self.pid);
        }
    }
}

impl Molds {
    /// Whether a slot is meant for a worker that is not there yet.
    pub(super) fn hold_slot(&self, slot: usize) -> bool {
        self.by_generation
            .values()
            .any(|mold| matches!(&mold.asked, Some((_, unborn)) if unborn.slot == slot))
    }

    /// Ends the molds of the generations that are not to be `kept`.
    pub(super) fn keep(&mut self, kept: impl Fn(u64) -> bool) {
        self.by_generation
            .iter_mut()
            .filter(|&(&number, _)| !kept(number))
            .for_each(|(_, mold)| mold.discard());
    }

    /// Ends them all, and waits for that for a while.
    pub(super) fn end(&mut self) {
        self.keep(|_| false);
        let limit = Instant::now() + GIVE_UP;
        for mold in self.by_generation.values() {
            while matches!(wait::has_gone(mold.pid), Ok(false)) && Instant::now() < limit {
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.by_generation.clear();
    }

    /// Has them open their logs again.
    pub(super) fn reopen(&self) {
        for mold in self.by_generation.values() {
            if let Err(error) = mold.link.send(&Wish::Reopen.to_bytes(), &[]) {
                tracing::debug!("Mold (pid:{}) takes no messages: {error}", mold.pid);
            }
        }
    }

    /// The generations whose molds may say something, and where.
    pub(super) fn talking(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        let talking = self.by_generation.iter().filter(|(_, mold)| !mold.silent);
        talking.map(|(&generation, mold)| (generation, mold.link.as_fd()))
    }
}

impl Driver<'_> {
    /// Has a worker forked by the mold of its generation, which is started if there is none.
    pub(super) fn spawn_from_mold(&mut self, age: u64, generation: u64) -> ControlFlow<End> {
        if !self.molds.by_generation.contains_key(&generation) {
            match self.start_mold(generation) {
                Ok(None) => {}
                Ok(Some(seed)) => return ControlFlow::Break(End::Mold(seed)),
                Err(error) => {
                    self.events.push_back(Event::NotSpawned { age, why: error.to_string() });
                    return ControlFlow::Continue(());
                }
            }
        }
        if let Some(mold) = self.molds.by_generation.get_mut(&generation) {
            mold.waiting.push_back(age);
        }
        self.ask_mold(generation);
        ControlFlow::Continue(())
    }

    /// Starts the mold of a generation that may need it, if it has none.
    pub(super) fn restart_mold(&mut self, generation: u64) -> ControlFlow<End> {
        if self.molds.by_generation.contains_key(&generation) || self.hook_has_failed() {
            return ControlFlow::Continue(());
        }
        match self.start_mold(generation) {
            Ok(None) => {}
            Ok(Some(seed)) => return ControlFlow::Break(End::Mold(seed)),
            Err(error) => tracing::warn!("Cannot start a mold; the next worker needs one: {error}"),
        }
        ControlFlow::Continue(())
    }

    /// Forks a mold. In the child it returns what was made for it.
    fn start_mold(&mut self, generation: u64) -> io::Result<Option<Seed>> {
        adopt_orphans()?;
        let (link, other) = post::pair()?;
        let stacks = StackFile::create()?;
        let seed = Seed { generation, link: other, stacks: stacks.try_clone()? };
        match self.host.fork()? {
            Fork::Child => Ok(Some(seed)),
            Fork::Parent(pid) => {
                let mold = Known {
                    pid,
                    link,
                    silent: false,
                    stacks,
                    loaded: false,
                    asked_exit: None,
                    late: false,
                    discarded: false,
                    asked: None,
                    waiting: VecDeque::new(),
                };
                self.molds.by_generation.insert(generation, mold);
                Ok(None)
            }
        }
    }

    /// The first steps of a mold, which has nothing of the master's open afterwards.
    pub(super) fn become_mold(mut self, seed: Seed) -> Outcome {
        let Seed { generation, link, stacks } = seed;
        let steps = || -> io::Result<Outcome> {
            let Some(Generation { settings, hooks, .. }) = self.generations.remove(&generation) else {
                return Err(io::Error::other("its settings are gone"));
            };
            let signals = WorkerSignals::install()?;
            // From the start: nothing that it is told by a signal ends a mold.
            signals.booted();
            reset_for_foreign_code()?;
            let (alive, board, notices, bell) =
                (self.alive.try_clone()?, self.board, self.notices, self.bell.clone());
            drop(self);
            end_with_parent()?;
            title::set(&format!("ferricorn: mold [{}]", settings.proc_name));
            tracing::info!("Booting mold with pid: {}", std::process::id());
            let mold =
                Mold { generation, settings, hooks, link, stacks, alive, signals, board, notices, bell };
            Ok(Outcome::Mold(Box::new(mold)))
        };
        steps().unwrap_or_else(|error| {
            tracing::error!("Mold (pid:{}) could not be prepared: {error}", std::process::id());
            Outcome::Exit(ExitCode::FAILURE)
        })
    }

    /// Ends the molds of generations that no worker will be forked of any more.
    pub(super) fn end_useless_molds(&mut self) {
        let (current, trial) = self.supervisor.generations();
        self.molds.keep(|number| number == current || Some(number) == trial);
    }

    /// Asks a mold for the next worker, if it can fork now.
    fn ask_mold(&mut self, generation: u64) {
        let Some(mold) = self.molds.by_generation.get(&generation) else { return };
        if !mold.loaded || mold.discarded || mold.asked.is_some() {
            return;
        }
        let Some(age) = mold.waiting.front().copied() else { return };
        let asked = self.order_worker(age, generation);
        let Some(mold) = self.molds.by_generation.get_mut(&generation) else { return };
        mold.waiting.pop_front();
        match asked {
            Ok(unborn) => mold.asked = Some((age, unborn)),
            Err(error) => self.events.push_back(Event::NotSpawned { age, why: error.to_string() }),
        }
    }

    /// Makes what a worker needs and sends it to its mold. What comes of it is told by the mold, or by its end.
    fn order_worker(&mut self, age: u64, generation: u64) -> io::Result<Unborn> {
        let (slot, free) = self.free_slot()?;
        let (cradle, control) = Cradle::make(age, generation, free, self.notices, self.bell.clone())?;
        let sockets = self.generations.get(&generation).map(|generation| &generation.sockets);
        let mut descriptors = vec![cradle.control.as_fd(), cradle.stacks.as_fd()];
        descriptors.extend(sockets.into_iter().flat_map(|sockets| sockets.listeners()).map(AsFd::as_fd));
        let wish = Wish::Worker { age, slot };
        let stacks = cradle.stacks.try_clone()?;
        if let Some(mold) = self.molds.by_generation.get(&generation)
            && let Err(error) = mold.link.send(&wish.to_bytes(), &descriptors)
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(error);
        }
        Ok(Unborn { slot, control, stacks })
    }

    /// Shows where a mold is that takes too long, and kills it.
    pub(super) fn end_late_mold(&mut self, generation: u64, after: Millis) {
        let Some(mold) = self.molds.by_generation.get_mut(&generation).filter(|mold| !mold.discarded) else {
            return;
        };
        let pid = mold.pid;
        let what = if mold.loaded { "forked the next worker" } else { "loaded the app" };
        let line = format!(
            "Mold (pid:{pid}) has not {what} after {} (--boot-timeout), and is killed; this is where it is",
            words::duration(after)
        );
        say(LogLevel::Critical, &line);
        mold.late = true;
        let asked = send(pid, Kill::Stack);
        let limit = Instant::now() + STACK;
        let stack = loop {
            match mold.stacks.read() {
                Ok(text) if text.trim().is_empty() && asked.is_ok() && Instant::now() < limit => {
                    thread::sleep(Duration::from_millis(5));
                }
                read => break read.unwrap_or_default(),
            }
        };
        match stack.trim_end() {
            "" => tracing::warn!("Mold (pid:{pid}) wrote no stack"),
            stack => say(LogLevel::Critical, &format!("Stack of mold (pid:{pid}):\n{stack}")),
        }
        if let Err(error) = send(pid, Kill::Kill) {
            tracing::debug!("Cannot end mold (pid:{pid}): {error}");
        }
    }

    /// Reads what a mold has said.
    pub(super) fn read_answers(&mut self, generation: u64) {
        loop {
            let Some(mold) = self.molds.by_generation.get_mut(&generation) else { return };
            match mold.link.receive() {
                Ok(Incoming::Frame(parcel)) => {
                    if let Some(answer) = Answer::from_bytes(&parcel.bytes) {
                        self.on_answer(generation, answer);
                    }
                }
                Ok(Incoming::Nothing) => break,
                Ok(Incoming::Closed) | Err(_) => {
                    mold.silent = true;
                    break;
                }
            }
        }
        self.ask_mold(generation);
        if self.molds.by_generation.values().all(|mold| mold.asked.is_none()) {
            self.molds.claims.forget();
        }
    }

    fn on_answer(&mut self, generation: u64, answer: Answer) {
        let Some(mold) = self.molds.by_generation.get_mut(&generation) else { return };
        match answer {
            Answer::Loaded => {
                mold.loaded = true;
                tracing::debug!("Mold (pid:{}) has loaded the app", mold.pid);
            }
            Answer::AskedToExit { status } => mold.asked_exit = Some(ExitCode(status)),
            Answer::Forked { pid, .. } => {
                let Some((age, unborn)) = mold.asked.take() else { return };
                let Unborn { slot, control, stacks } = unborn;
                self.enter(age, generation, Worker { pid, slot, stacks, control, silent: false });
                if let Some(change) = self.molds.claims.take(pid) {
                    self.on_change(age, pid, change);
                }
            }
            Answer::NotForked { age, why } => {
                mold.asked = None;
                self.events.push_back(Event::NotSpawned { age, why });
            }
            Answer::HookFailed { age, exit, details } => {
                mold.asked = None;
                let exit = exit.map(ExitCode);
                self.events.push_back(Event::HookFailed { age: Some(age), hook: "pre_fork", details, exit });
            }
        }
    }

    /// Something happened to a process that is no worker: to a mold, to a worker that its mold has not named yet, or to
    /// an orphan.
    pub(super) fn on_change_of_other(&mut self, pid: i32, change: Change) {
        let molds = &self.molds.by_generation;
        let Some((&generation, mold)) = molds.iter().find(|(_, mold)| mold.pid == pid) else {
            if molds.values().any(|mold| mold.asked.is_some()) {
                self.molds.claims.note(pid, change);
            } else {
                // As process 1 of a container, or once there was a mold, the master inherits orphans.
                tracing::debug!("Process {pid}, which is no worker, changed: {change:?}");
            }
            return;
        };
        match change {
            Change::Stopped if !mold.discarded => {
                tracing::warn!(
                    "Mold (pid:{pid}) was stopped by a signal; no worker is forked until it is continued"
                );
            }
            Change::Stopped | Change::Continued => {}
            Change::Exited(_) | Change::Killed(_) => {
                // What it said before its end counts.
                self.read_answers(generation);
                self.forget_mold(generation, change);
            }
        }
    }

    fn forget_mold(&mut self, generation: u64, change: Change) {
        let Some(mold) = self.molds.by_generation.remove(&generation) else { return };
        let Known { pid, loaded, asked_exit, late, discarded, asked, waiting, .. } = mold;
        let ages: Vec<u64> = asked.map(|(age, _)| age).into_iter().chain(waiting).collect();
        if discarded {
            let gone = |age| Event::NotSpawned { age, why: "its mold was ended".to_owned() };
            self.events.extend(ages.into_iter().map(gone));
        } else {
            let oom = self.victims.judge(change, clock::now_ms());
            let broken = Broken { generation, pid, change, oom, loaded, asked_exit, late, ages };
            self.events.push_back(Event::MoldEnded(broken));
        }
    }
}
