//! The future that a driver blocks on: delivers results, and ends when the driver is needed elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::{APP_THREAD, STANDBY, Shared, Work};

/// As what a thread drives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It leaves the seat to run calls.
    AppThread,
    /// It runs no calls and leaves the seat as soon as an app thread wants it.
    Standby,
}

impl Role {
    pub(super) fn driver(self) -> u32 {
        match self {
            Self::AppThread => APP_THREAD,
            Self::Standby => STANDBY,
        }
    }
}

/// Why a driver left the seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Calls are queued, for an app thread to run.
    Run,
    /// The standby was asked to give the seat back.
    GiveBack,
    /// The seat is being closed.
    Stop,
}

/// See the module's first line.
pub(super) struct Drive<'a, W: Work> {
    shared: &'a Shared<W>,
    role: Role,
    /// Whether the loop has made a turn since the driver took the seat. Answers delivered at its start are
    /// written to their sockets in that turn, before further calls are run.
    turned: bool,
}

impl<'a, W: Work> Drive<'a, W> {
    pub(super) fn new(shared: &'a Shared<W>, role: Role) -> Self {
        let blocked = role == Role::Standby;
        if shared.blocked.swap(blocked, Ordering::Relaxed) && !blocked {
            shared.freed.notify_waiters();
        }
        Self { shared, role, turned: false }
    }

    fn turn(&self) -> Option<Turn> {
        if self.shared.stopping() {
            return Some(Turn::Stop);
        }
        match self.role {
            Role::AppThread if self.shared.has_jobs() => Some(Turn::Run),
            Role::Standby if self.shared.somebody_waits() => Some(Turn::GiveBack),
            _ => None,
        }
    }
}

impl<W: Work> Future for Drive<'_, W> {
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Turn> {
        // A runtime has one waker for whatever future is blocked on, so it is kept once and for all.
        self.shared.waker.get_or_init(|| cx.waker().clone());
        self.shared.deliver();
        match self.turn() {
            Some(Turn::Run) if !self.turned => {
                self.turned = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(turn) => Poll::Ready(turn),
            None => {
                self.turned = true;
                Poll::Pending
            }
        }
    }
}
