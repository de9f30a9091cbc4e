//! The living workers: forks them, gives them orders, and makes a process one of them.

use std::io;
use std::ops::ControlFlow;

use ferricorn_protocol::{ExitCode, Moment};
use ferricorn_unix::Fork;
use ferricorn_unix::control::{MasterEnd, Order};
use ferricorn_unix::memfd::StackFile;
use ferricorn_unix::scoreboard::{SLOTS, Slot};
use ferricorn_unix::signal::{Kill, send};

use super::{Driver, End, Generation};
use crate::Outcome;
use crate::spawn::{Cradle, Legacy, first_steps};
use crate::supervisor::Event;

/// A living worker.
pub(super) struct Worker {
    pub(super) pid: i32,
    pub(super) slot: usize,
    pub(super) stacks: StackFile,
    pub(super) control: MasterEnd,
    /// Whether the other end of `control` is closed.
    pub(super) silent: bool,
}

impl Driver<'_> {
    pub(super) fn spawn(&mut self, age: u64, generation: u64) -> ControlFlow<End> {
        if self.hook_has_failed() {
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

    pub(super) fn free_slot(&self) -> io::Result<(usize, Slot)> {
        let is_free = |index: &usize| {
            self.workers.values().all(|worker| worker.slot != *index) && !self.molds.hold_slot(*index)
        };
        let free = (0..SLOTS).find(is_free).and_then(|index| Some((index, self.board.slot(index)?)));
        free.ok_or_else(|| io::Error::other(format!("there are {SLOTS} already")))
    }

    /// Enters a worker that was forked.
    pub(super) fn enter(&mut self, age: u64, generation: u64, worker: Worker) {
        let pid = worker.pid;
        self.workers.insert(age, worker);
        self.events.push_back(Event::Spawned { age, pid });
        self.call_hook_of(generation, Moment::Forked { age, pid });
    }

    pub(super) fn become_worker(mut self, cradle: Cradle) -> Outcome {
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

    pub(super) fn order(&mut self, age: u64, order: Order) {
        if let Some(worker) = self.workers.get(&age) {
            // A worker that has closed its end is leaving anyway.
            if let Err(error) = worker.control.send(order) {
                tracing::debug!("Worker (pid:{}) takes no messages: {error}", worker.pid);
            }
        }
        self.kill(age, Kill::Order(order));
    }

    pub(super) fn kill(&mut self, age: u64, kill: Kill) {
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
}
