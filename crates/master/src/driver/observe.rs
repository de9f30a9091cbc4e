//! What the master sees of its workers from outside: their slots, their memory, their stacks, and the clients who wait.

use std::os::fd::{AsFd, BorrowedFd};

use ferricorn_config::LogLevel;
use ferricorn_unix::{memory, poll};

use super::Driver;
use super::workers::Worker;
use crate::say::say;
use crate::supervisor::Event;

impl Driver<'_> {
    pub(super) fn look(&mut self) {
        let snapshot = |(&age, worker): (&u64, &Worker)| Some((age, self.board.snapshot(worker.slot)?));
        let seen = self.workers.iter().filter_map(snapshot).collect();
        let clients = self.clients_wait();
        self.events.push_back(Event::Seen { workers: seen, clients });
    }

    pub(super) fn weigh(&mut self) {
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

    pub(super) fn tell_stack(&self, age: u64) {
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
}
