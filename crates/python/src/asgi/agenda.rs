//! What a turn of the server's loop leaves for Python to do, once the turn is over.
//!
//! Connections never call Python. They note here what is to be done: a request to begin, an awaitable whose task
//! goes on, a client who left. The host works it off between two pumps, on the same thread and outside of any task.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use pyo3::prelude::*;

use super::awaitable::Waiting;
use super::bell::Bell;
use super::call::Call;

/// See the module's first line.
#[derive(Default)]
pub(super) struct Agenda {
    items: Mutex<Items>,
    bell: Bell,
    /// Calls whose tasks have not ended.
    running: AtomicUsize,
    /// Who waits for the last of them.
    quiet: Mutex<Option<Waker>>,
}

/// What is to be done, in this order.
#[derive(Default)]
pub(super) struct Items {
    /// Awaitables whose tasks go on.
    pub(super) ready: Vec<Py<Waiting>>,
    /// Requests that begin.
    pub(super) calls: Vec<Call>,
    /// Calls whose clients have left.
    pub(super) left: Vec<Arc<dyn Abandoned>>,
    /// The application asked for the end of its process, with this status.
    pub(super) leave: Option<u8>,
}

/// A call whose client has left.
pub(super) trait Abandoned: Send + Sync {
    /// Sees to it that the task ends in time.
    fn let_go(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()>;
}

impl Agenda {
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Has a request begun.
    pub(super) fn begin(&self, call: Call) {
        lock(&self.items).calls.push(call);
        self.bell.ring();
    }

    /// Has the task go on that waits so.
    pub(super) fn resume(&self, waiting: Py<Waiting>) {
        lock(&self.items).ready.push(waiting);
        self.bell.ring();
    }

    /// Has a call come to its end, for its client has left.
    pub(super) fn let_go(&self, call: Arc<dyn Abandoned>) {
        lock(&self.items).left.push(call);
        self.bell.ring();
    }

    /// Has the worker leave.
    pub(super) fn leave(&self, status: u8) {
        lock(&self.items).leave = Some(status);
        self.bell.ring();
    }

    /// Gives what there is in exchange for lists that are empty.
    pub(super) fn take(&self, emptied: &mut Items) {
        mem::swap(&mut *lock(&self.items), emptied);
    }

    pub(super) fn call_begins(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    pub(super) fn call_ends(&self) {
        if self.running.fetch_sub(1, Relaxed) == 1
            && let Some(waker) = lock(&self.quiet).take()
        {
            waker.wake();
        }
    }

    /// Whether no call runs; else `waker` is woken when the last one has ended.
    pub(super) fn is_quiet(&self, waker: &Waker) -> bool {
        if self.running.load(Relaxed) == 0 {
            return true;
        }
        *lock(&self.quiet) = Some(waker.clone());
        false
    }
}

/// Locks a mutex that only one thread uses, and whose holders do not panic half-way.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
