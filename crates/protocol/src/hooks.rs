//! Moments in the life of the server's processes for which a configuration may have functions (gunicorn's server hooks).

use std::fmt::Debug;
use std::os::fd::RawFd;
use std::sync::Arc;

use crate::AppFault;

/// What a configuration wants done at certain moments. Master and workers tell of each, whoever listens.
pub trait Hooks: Debug + Send + Sync {
    /// A moment has come, in this process. Blocks as long as the function that the configuration has for it.
    ///
    /// # Errors
    /// What that function raised. What follows from it differs from moment to moment.
    fn call(&self, moment: Moment<'_>) -> Result<(), AppFault>;

    /// Whether there is a function for a worker's end, which must then not be sudden.
    fn mind_the_end(&self) -> bool {
        false
    }

    /// How many workers a function wants there to be, in the place of `workers` (gunicorn's `server.num_workers`). Asked
    /// once `Moment::Starting` is over.
    fn workers(&self) -> Option<usize> {
        None
    }

    /// Hands over the worker that this process is, once it has its app.
    fn attend(&self, worker: Arc<dyn Attended>) {
        drop(worker);
    }
}

/// The hooks of a configuration that has none.
#[derive(Clone, Copy, Debug)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn call(&self, _moment: Moment<'_>) -> Result<(), AppFault> {
        Ok(())
    }
}

/// What the functions may ask of their worker, or do to it.
pub trait Attended: Send + Sync {
    /// How many requests have come (gunicorn's `worker.nr`).
    fn requests(&self) -> u64;

    /// Whether it takes new clients (gunicorn's `worker.alive`).
    fn is_alive(&self) -> bool;

    /// Has it leave when its requests are over, as `--max-requests` does.
    fn leave(&self);
}

/// A moment. Workers are known by their age, which is never given twice.
#[derive(Clone, Copy, Debug)]
pub enum Moment<'a> {
    /// In the master: so many workers there should be from now on (`nworkers_changed`).
    Wanted {
        /// How many.
        now: usize,
        /// How many it was before; `None` at the start.
        before: Option<usize>,
    },
    /// In the master: its pidfile is written (`on_starting`).
    Starting,
    /// In the master: it listens, and is about to fork (`when_ready`).
    Ready(&'a [Listening]),
    /// In the master: it is about to fork a worker (`pre_fork`).
    Forking {
        /// The worker's.
        age: u64,
    },
    /// In the master: it has forked it.
    Forked {
        /// The worker's.
        age: u64,
        /// Its process.
        pid: i32,
    },
    /// In the worker: its process has begun (`post_fork`).
    Born,
    /// In the worker: it was told to end at once (`worker_int`). Called on a thread of the server's own.
    Interrupted,
    /// In the worker: it is about to exit (`worker_exit`).
    Leaving,
    /// In the master: a worker has ended (`child_exit`).
    Gone {
        /// The worker's.
        age: u64,
        /// What its process was.
        pid: i32,
    },
    /// In the master: the configuration, which these hooks are a part of, was read again (`on_reload`).
    Reloaded {
        /// What is listened on from now on.
        listeners: &'a [Listening],
        /// Age and process of each worker.
        workers: &'a [(u64, i32)],
    },
    /// In the master: another master has begun to live beside this one, or lives no more. No hook is called.
    Beside {
        /// The process of the one that has started this one; `None` if there is none.
        predecessor: Option<i32>,
        /// The process of the one that this one has started.
        successor: Option<i32>,
    },
    /// In a process that the master has forked to be a new master: it is about to execute the program (`pre_exec`).
    Replacing,
    /// In the master: it is about to exit (`on_exit`).
    Ending,
}

impl Moment<'_> {
    /// gunicorn's name of the hook; empty for a moment that has none.
    #[must_use]
    pub fn hook(&self) -> &'static str {
        match self {
            Self::Wanted { .. } => "nworkers_changed",
            Self::Starting => "on_starting",
            Self::Ready(_) => "when_ready",
            Self::Forking { .. } => "pre_fork",
            Self::Forked { .. } | Self::Beside { .. } => "",
            Self::Born => "post_fork",
            Self::Interrupted => "worker_int",
            Self::Leaving => "worker_exit",
            Self::Gone { .. } => "child_exit",
            Self::Reloaded { .. } => "on_reload",
            Self::Replacing => "pre_exec",
            Self::Ending => "on_exit",
        }
    }
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Its descriptor, which stays the server's.
    pub fd: RawFd,
    /// Its address as the log names it: `http://127.0.0.1:8000`.
    pub name: String,
}
