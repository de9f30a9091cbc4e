//! The future that a driver blocks on: delivers results, and ends when the driver is needed elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::pool::{Found, Guest};
use super::{STANDBY, Shared, Work, app_thread, lock};

/// As what a thread drives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It leaves the seat to run calls. It has a number.
    AppThread(usize),
    /// It runs no calls. It leaves the seat as soon as an app thread wants it, or, in slow traffic, finds app threads for
    /// the calls.
    Standby,
}

impl Role {
    pub(super) fn driver(self) -> u32 {
        match self {
            Self::AppThread(number) => app_thread(number),
            Self::Standby => STANDBY,
        }
    }
}

/// Why a driver left the seat.
#[derive(Debug)]
pub(super) enum Turn {
    /// Calls are queued, for an app thread to run.
    Run,
    /// The standby was asked to give the seat back.
    GiveBack,
    /// This app thread, which is out of the lobby, is to have it.
    HandOver(Guest),
    /// The seat is being closed.
    Stop,
}

/// How many turns an app thread that has a response to go on with gives it to end, before it leaves calls to others. Most
/// that are short take two.
const PATIENCE: u32 = 3;

/// See the module's first line.
pub(super) struct Drive<'a, W: Work> {
    shared: &'a Shared<W>,
    role: Role,
    /// Whether the loop has made a turn since the driver took the seat. Answers delivered at its start are
    /// written to their sockets in that turn, before further calls are run.
    turned: bool,
    /// Turns in which calls waited for the end of a response.
    waited: u32,
}

impl<'a, W: Work> Drive<'a, W> {
    pub(super) fn new(shared: &'a Shared<W>, role: Role) -> Self {
        match role {
            // What it was asked for, it does.
            Role::Standby => shared.standby.takes_over(),
            Role::AppThread(_) => drop(shared.note_unblocked()),
        }
        Self { shared, role, turned: false, waited: 0 }
    }

    fn turn(&self) -> Step {
        if self.shared.stopping() {
            return Step::Leave(Turn::Stop);
        }
        match self.role {
            Role::AppThread(number) => self.shared.calls_for(number, self.waited >= PATIENCE),
            Role::Standby if self.shared.gives_back() => Step::Leave(Turn::GiveBack),
            Role::Standby => Step::Stay,
        }
    }
}

/// What a driver does when it has looked at what there is to do.
pub(super) enum Step {
    /// It waits for events.
    Stay,
    /// It takes one more turn, and looks again.
    Turn,
    /// It leaves the seat.
    Leave(Turn),
}

impl<W: Work> Shared<W> {
    /// What is to be done about calls by an app thread that drives. If it has a response to go on with, they are for
    /// others, as far as there are any; but first it may end soon.
    fn calls_for(&self, number: usize, impatient: bool) -> Step {
        let mut pool = lock(&self.pool);
        if pool.has_own(number) || pool.is_open() && !self.is_tied(number) {
            return Step::Leave(Turn::Run);
        }
        let tied = |number| self.is_tied(number);
        if !pool.is_open() {
            return Step::Stay;
        }
        if pool.free(tied) == 0 {
            self.short.notify_one();
            return Step::Stay;
        }
        if !impatient {
            return Step::Turn;
        }
        if let Some(guest) = pool.call_untied(tied) {
            return Step::Leave(Turn::HandOver(guest));
        }
        if let Found::New(number) = pool.find(tied) {
            drop(pool);
            self.hire(number);
        }
        Step::Stay
    }

    /// Whether the standby is to give the seat back. If not, it finds somebody for a call that waits.
    fn gives_back(&self) -> bool {
        let mut pool = lock(&self.pool);
        if !self.pace.is_slow() && !pool.is_lobby_empty() {
            return true;
        }
        let found = pool.find(|number| self.is_tied(number));
        let short = pool.is_open() && !pool.is_lobby_empty();
        drop(pool);
        match found {
            Found::Nobody if short => self.short.notify_one(),
            Found::Nobody => {}
            Found::Guest(thread) => thread.unpark(),
            Found::New(number) => self.hire(number),
        }
        false
    }
}

impl<W: Work> Future for Drive<'_, W> {
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Turn> {
        // A runtime has one waker for whatever future is blocked on, so it is kept once and for all.
        self.shared.waker.get_or_init(|| cx.waker().clone());
        self.shared.deliver();
        self.shared.tell_unblocked();
        match self.turn() {
            Step::Leave(Turn::Run) if !self.turned => {}
            Step::Turn => self.waited += 1,
            Step::Leave(turn) => return Poll::Ready(turn),
            Step::Stay => {
                self.turned = true;
                return Poll::Pending;
            }
        }
        self.turned = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
