//! What a turn of the server's loop leaves for Python to do, once the turn is over.
//!
//! Connections never call Python. They note here what is to be done: a request to begin, an awaitable whose task
//! goes on, a client who left. The host works it off between two pumps, on the same thread and outside of any task.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use ferricorn_protocol::TellStack;
use pyo3::prelude::*;

use super::app::Over;
use super::awaitable::Waiting;
use super::bell::Bell;
use super::call::{Call, Exchange};

/// See the module's first line.
#[derive(Default)]
pub(super) struct Agenda {
    items: Mutex<Items>,
    bell: Bell,
    running: Mutex<Running>,
}

/// Calls whose tasks did not end at their first step, and have not ended.
#[derive(Default)]
struct Running {
    /// By their numbers, and so in the order in which they began.
    calls: BTreeMap<u64, Arc<dyn Exchange>>,
    /// The number of the next one.
    next: u64,
    /// Who waits for the last of them to end.
    quiet: Option<Waker>,
}

/// What is to be done, in this order.
#[derive(Default)]
pub(super) struct Items {
    /// Awaitables whose tasks go on.
    pub(super) ready: Vec<Py<Waiting>>,
    /// Requests that begin.
    pub(super) calls: Vec<Call>,
    /// Requests whose time is over, by their numbers, and who is told where their calls are.
    pub(super) late: Vec<(u64, TellStack)>,
    /// Calls whose clients have left.
    pub(super) left: Vec<Arc<dyn Exchange>>,
    /// Requests that are over.
    pub(super) over: Vec<Over>,
    /// Whether all calls are to be cancelled that run.
    pub(super) cancel: bool,
    /// The application asked for the end of its process, with this status.
    pub(super) leave: Option<u8>,
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
    pub(super) fn let_go(&self, call: Arc<dyn Exchange>) {
        lock(&self.items).left.push(call);
        self.bell.ring();
    }

    /// Has a call cancelled, for the time of its request is over.
    pub(super) fn interrupt(&self, number: u64, tell: TellStack) {
        lock(&self.items).late.push((number, tell));
        self.bell.ring();
    }

    /// Has a hook told that a request is over.
    pub(super) fn tell_over(&self, over: Over) {
        lock(&self.items).over.push(over);
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

    /// A call goes on after its first step. Gives its number.
    pub(super) fn call_goes_on(&self, call: Arc<dyn Exchange>) -> u64 {
        let mut running = lock(&self.running);
        let number = running.next;
        running.next += 1;
        running.calls.insert(number, call);
        number
    }

    /// The call with this number has ended.
    pub(super) fn call_ends(&self, number: u64) {
        let mut running = lock(&self.running);
        let call = running.calls.remove(&number);
        let waker = running.calls.is_empty().then(|| running.quiet.take()).flatten();
        drop(running);
        drop(call);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The calls that go on.
    pub(super) fn running(&self) -> Vec<Arc<dyn Exchange>> {
        lock(&self.running).calls.values().cloned().collect()
    }

    /// Whether no call runs; else `waker` is woken when the last one has ended.
    pub(super) fn is_quiet(&self, waker: &Waker) -> bool {
        let mut running = lock(&self.running);
        if running.calls.is_empty() {
            return true;
        }
        running.quiet = Some(waker.clone());
        false
    }

    /// Has all calls cancelled that run, and gives the requests of those whose clients have not left.
    pub(super) fn cancel(&self) -> Vec<String> {
        lock(&self.items).cancel = true;
        self.bell.ring();
        let clients = self.running().into_iter().filter(|call| !call.is_gone());
        clients.map(|call| call.request()).collect()
    }
}

/// Locks a mutex that only one thread uses, and whose holders do not panic half-way.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
