//! What a turn of the server's loop leaves for greenlets to do.
//!
//! Connections never call Python. They note here what is to be done: a request to begin, a greenlet that goes on, a
//! response to close. The hub works it off between two pumps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use ferricorn_protocol::TellStack;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::call::Work;
use super::exchange::Exchange;
use super::hub::Hub;
use crate::hosted::{Bell, Running, lock};

/// See the module's first line.
pub(super) struct Agenda {
    items: Mutex<Items>,
    bell: Bell,
    hub: OnceLock<Hub>,
    running: Running<Greenlet>,
    /// How many greenlets may run at the same time.
    limit: usize,
}

#[derive(Default)]
struct Items {
    /// What greenlets wait with that go on.
    ready: VecDeque<Py<PyAny>>,
    /// What greenlets are to be made for.
    work: VecDeque<Work>,
    /// Requests whose time is over, by their numbers, and who is told where their calls are.
    late: VecDeque<(u64, TellStack)>,
    /// Whether all are to be killed.
    cancel: bool,
    /// The application asked for the end of its process, with this status.
    leave: Option<u8>,
}

/// A greenlet that goes on.
pub(super) struct Greenlet {
    pub(super) greenlet: Py<PyAny>,
    /// The request that it answers, if it does.
    pub(super) exchange: Option<Arc<Exchange>>,
}

/// What is to be done next.
pub(super) enum Item {
    /// A greenlet goes on that waits with this.
    Resume(Py<PyAny>),
    /// One begins.
    Begin(Work),
    /// The one is killed that answers the request with this number.
    Interrupt(u64, TellStack),
    /// All are killed.
    Cancel,
    /// The worker leaves with this status.
    Leave(u8),
}

impl Agenda {
    /// At most so many greenlets run at the same time.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            items: Mutex::default(),
            bell: Bell::default(),
            hub: OnceLock::new(),
            running: Running::default(),
            limit,
        }
    }

    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Sets the hub, which is there once the worker lives.
    pub(super) fn set_hub(&self, hub: Hub) {
        let _ = self.hub.set(hub);
    }

    /// The hub.
    ///
    /// # Errors
    /// `RuntimeError`, if it is not there.
    pub(super) fn hub(&self) -> PyResult<&Hub> {
        self.hub.get().ok_or_else(|| PyRuntimeError::new_err("the hub does not run"))
    }

    /// Greenlets that did not end at their first step, and have not ended.
    pub(super) fn running(&self) -> &Running<Greenlet> {
        &self.running
    }

    /// Has a greenlet begun.
    pub(super) fn begin(&self, work: Work) {
        let mut items = lock(&self.items);
        // What ends another one waits for no room.
        if work.ends_another() {
            items.work.push_front(work);
        } else {
            items.work.push_back(work);
        }
        drop(items);
        self.bell.ring();
    }

    /// Has the greenlet go on that waits with this.
    pub(super) fn resume(&self, waiter: Py<PyAny>) {
        lock(&self.items).ready.push_back(waiter);
        self.bell.ring();
    }

    /// Takes back the call for the request with this number, if its greenlet has not begun. Whether it did.
    pub(super) fn withdraw(&self, number: u64) -> bool {
        let mut items = lock(&self.items);
        let at = items.work.iter().position(|work| work.exchange().is_some_and(|call| call.answers(number)));
        let work = at.and_then(|at| items.work.remove(at));
        drop(items);
        work.is_some()
    }

    /// Has a greenlet killed, for the time of its request is over.
    pub(super) fn interrupt(&self, number: u64, tell: TellStack) {
        lock(&self.items).late.push_back((number, tell));
        self.bell.ring();
    }

    /// Has the worker leave.
    pub(super) fn leave(&self, status: u8) {
        lock(&self.items).leave = Some(status);
        self.bell.ring();
    }

    /// Has all greenlets killed, and gives the requests of those whose clients have not left.
    pub(super) fn cancel(&self) -> Vec<String> {
        lock(&self.items).cancel = true;
        self.bell.ring();
        let exchanges = self.running.each(|greenlet| greenlet.exchange.clone());
        exchanges.into_iter().flatten().filter(|call| !call.is_gone()).map(|call| call.request()).collect()
    }

    /// A greenlet has ended that did not end at its first step: another may begin.
    pub(super) fn ended(&self, number: u64) {
        self.running.end(number);
        if !lock(&self.items).work.is_empty() {
            self.bell.ring();
        }
    }

    /// What is still to be done when the worker's life is over.
    pub(super) fn last(&self) -> Option<Work> {
        let mut items = lock(&self.items);
        let ends = items.work.front().is_some_and(Work::ends_another);
        if ends { items.work.pop_front() } else { None }
    }

    /// What is to be done next. What has to wait for another greenlet's end is left.
    pub(super) fn next(&self) -> Option<Item> {
        let room = self.running.count() < self.limit;
        let mut items = lock(&self.items);
        if let Some(status) = items.leave.take() {
            return Some(Item::Leave(status));
        }
        if std::mem::take(&mut items.cancel) {
            return Some(Item::Cancel);
        }
        if let Some((number, tell)) = items.late.pop_front() {
            return Some(Item::Interrupt(number, tell));
        }
        if let Some(waiter) = items.ready.pop_front() {
            return Some(Item::Resume(waiter));
        }
        let fits = items.work.front().is_some_and(|work| room || work.ends_another());
        if fits { items.work.pop_front().map(Item::Begin) } else { None }
    }
}
