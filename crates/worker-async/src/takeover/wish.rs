//! How an app that answers with a future asks for the connection of its request.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use ferricorn_protocol::{Connection, Taken, Takeover};

use super::{Handover, Offer};
use crate::service;

/// Where the app asks, and the connection's task hears of it. A connection has one, for all of its requests.
#[derive(Default)]
pub(crate) struct Wish {
    /// Whether the app has asked.
    made: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the app waits on, once it has asked.
    handover: Option<Arc<Handover>>,
    /// What the task is to settle.
    offer: Option<Offer>,
    task: Option<Waker>,
}

impl Wish {
    /// Asks, unless that was done, and waits for the connection.
    fn poll_granted(&self, cx: &Context<'_>) -> Poll<io::Result<Taken>> {
        let mut state = self.lock();
        let (handover, task) = match &state.handover {
            Some(handover) => (handover.clone(), None),
            None => {
                let (handover, offer) = Handover::new();
                state.handover = Some(handover.clone());
                state.offer = Some(offer);
                self.made.store(true, Relaxed);
                (handover, state.task.take())
            }
        };
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        let outcome = ready!(handover.poll_outcome(cx));
        Poll::Ready(outcome.map(|descriptor| Taken { descriptor, lease: handover.lease() }))
    }

    /// Returns when the app has asked.
    pub(crate) fn poll_made(&self, cx: &Context<'_>) -> Poll<Offer> {
        let mut state = self.lock();
        if let Some(offer) = state.offer.take() {
            return Poll::Ready(offer);
        }
        match &mut state.task {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The app has answered instead: whoever waits still is refused.
    pub(crate) fn forget(&self) {
        if self.made.swap(false, Relaxed) {
            let mut state = self.lock();
            let unmet = (state.handover.take(), state.offer.take());
            drop(state);
            drop(unmet);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Takeover for service::Context {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn look(&self) -> io::Result<OwnedFd> {
        self.gate.duplicate()
    }

    fn take_over(&self, cx: &mut Context<'_>) -> Poll<io::Result<Taken>> {
        self.wish.poll_granted(cx)
    }
}
