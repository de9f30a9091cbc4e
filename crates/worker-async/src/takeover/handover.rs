//! How a connection passes from its task to the app that waits for it, and what the task hears of it afterwards.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often an app thread that waits looks whether the worker ends.
const LOOK: Duration = Duration::from_millis(100);

/// See the module's first line.
#[derive(Default)]
pub(crate) struct Handover {
    state: Mutex<State>,
    /// Rung for an app thread when there is an outcome.
    bell: Condvar,
}

#[derive(Default)]
struct State {
    /// What the app is to find.
    outcome: Option<io::Result<OwnedFd>>,
    /// Whoever waits for that without a thread of the app's.
    taker: Option<Waker>,
    /// The app has closed its socket.
    closed: bool,
    /// The task that waits for that.
    waker: Option<Waker>,
}

/// The task's duty to give the connection, or to refuse it. Dropping it refuses: the client has left.
pub(crate) struct Offer(Option<Arc<Handover>>);

/// The app's side of a connection that it has. Dropping it says that its socket is closed.
struct Lease(Arc<Handover>);

impl Handover {
    /// Both sides of a new one.
    pub(crate) fn new() -> (Arc<Self>, Offer) {
        let handover = Arc::new(Self::default());
        (handover.clone(), Offer(Some(handover)))
    }

    /// Waits for the connection, on an app thread. `driven` has the loop driven meanwhile, and says whether there is any.
    ///
    /// # Errors
    /// It was refused, or the worker ends.
    pub(crate) fn wait(&self, driven: impl Fn() -> bool) -> io::Result<OwnedFd> {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome;
            }
            if !driven() {
                return Err(io::Error::other("the worker ends"));
            }
            state = self.bell.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the connection as a future does.
    pub(super) fn poll_outcome(&self, cx: &Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let mut state = self.lock();
        match state.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                let before = state.taker.replace(cx.waker().clone());
                drop(state);
                drop(before);
                Poll::Pending
            }
        }
    }

    /// What the app holds while it has the connection.
    pub(crate) fn lease(self: Arc<Self>) -> Box<dyn Send + Sync> {
        Box::new(Lease(self))
    }

    /// Returns when the app has closed its socket.
    pub(super) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn settle(&self, outcome: io::Result<OwnedFd>) {
        let mut state = self.lock();
        state.outcome = Some(outcome);
        let taker = state.taker.take();
        drop(state);
        self.bell.notify_one();
        if let Some(taker) = taker {
            taker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offer {
    /// Gives the app what it asked for, or tells it why it cannot have it.
    pub(super) fn settle(mut self, outcome: io::Result<OwnedFd>) -> Option<Arc<Handover>> {
        let handover = self.0.take()?;
        let given = outcome.is_ok();
        handover.settle(outcome);
        given.then_some(handover)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        if let Some(handover) = self.0.take() {
            handover.settle(Err(ErrorKind::BrokenPipe.into()));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
