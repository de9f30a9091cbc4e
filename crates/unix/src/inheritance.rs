//! What a worker gets from its master.

use crate::control::{Alive, WorkerEnd};
use crate::memfd::StackFile;
use crate::scoreboard::Slot;
use crate::signal::WorkerSignals;
use crate::{Bell, Listener, Notices};

/// Everything that a worker inherits. Nothing else of the master's is left open in it.
#[derive(Debug)]
pub struct Inheritance {
    /// The sockets to accept on: non-blocking, and shared with the other workers. Dropping one closes it here
    /// only.
    pub listeners: Vec<Listener>,
    /// Brings the master's orders and takes the worker's reports.
    pub control: WorkerEnd,
    /// Tells when the master has died.
    pub alive: Alive,
    /// The signals that mean an order; installed since the first moment of the worker's life.
    pub signals: WorkerSignals,
    /// What concerns all workers.
    pub notices: Notices,
    /// Tells of a client that another worker was woken for and cannot take.
    pub bell: Bell,
    /// The worker's own part of the scoreboard, already claimed, its state being `Booting`.
    pub slot: Slot,
    /// How many workers were forked before this one, plus one (gunicorn's `worker.age`).
    pub age: u64,
    /// The number of the reload that made this worker; the first generation is 1.
    pub generation: u64,
    /// Where the worker's stack is written when [`signal::STACK`](crate::signal::STACK) arrives
    /// (`faulthandler.register(signum, file=fd, all_threads=True)`).
    pub stacks: StackFile,
}
