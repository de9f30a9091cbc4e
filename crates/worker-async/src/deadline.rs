//! The deadline of a request (`--request-timeout`): when its time is over, and what becomes of the call then.
//!
//! The time is the app's own. It begins when the app is to be called, and what a client takes to read an answer that
//! comes in pieces does not count.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ferricorn_protocol::{Deadline, ExitCode};

use crate::timer::{Sleep, sleep, sleep_until};
use crate::worker::Worker;

/// How long a step may take to end once it is interrupted, before its thread is given up.
const GRACE: Duration = Duration::from_secs(1);

/// A request's deadline, as its connection watches it.
pub(crate) struct Limit {
    clock: Arc<Clock>,
    alarm: Sleep,
    /// Since when the client is waited for.
    waits: Option<Instant>,
}

/// The part that the app shares.
struct Clock {
    number: u64,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    due: Instant,
    over: bool,
    /// The request has ended, so there is nothing to put off.
    ended: bool,
}

/// What the client of a request sees whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A 504 for a call that was begun.
    Answered,
    /// A 504 for one that has waited all the time to be begun.
    NotCalled,
    /// The end of its connection, since the answer has begun.
    Closed,
}

impl Limit {
    /// Begins now, for the request with this number. To be called in the loop.
    pub(crate) fn begin(time: Duration, number: u64) -> Self {
        let began = Instant::now();
        let due = began + time;
        let clock =
            Arc::new(Clock { number, began, state: Mutex::new(State { due, over: false, ended: false }) });
        Self { clock, alarm: sleep_until(due), waits: None }
    }

    /// Takes the call back, if the app has not begun it.
    pub(crate) fn withdraw(&self, worker: &Worker) -> bool {
        worker.app.withdraw(self.clock.number)
    }

    /// What the app may know of it.
    pub(crate) fn deadline(&self) -> Arc<dyn Deadline> {
        self.clock.clone()
    }

    /// Ready once the time is over.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(Pin::new(&mut self.alarm).poll(cx));
            match self.clock.expire(Instant::now()) {
                None => return Poll::Ready(()),
                Some(later) => self.alarm = sleep_until(later),
            }
        }
    }

    /// The client is waited for, from now on.
    pub(crate) fn pause(&mut self) {
        self.waits = Some(Instant::now());
    }

    /// It is waited for no more.
    pub(crate) fn go_on(&mut self) {
        if let Some(since) = self.waits.take() {
            self.clock.extend(since.elapsed());
        }
    }

    /// Interrupts what the app does for the request, whose time is over; the log tells of it, and calls it `line`.
    pub(crate) fn interrupt(&self, worker: &Arc<Worker>, line: String, outcome: Outcome) {
        let what = match outcome {
            Outcome::Answered => "its client gets a 504, and the call is interrupted",
            Outcome::NotCalled if worker.app.drive().blocks() => {
                "no app thread was free for it in that time, and its client gets a 504"
            }
            Outcome::NotCalled => "the app had no room for it in that time, and its client gets a 504",
            Outcome::Closed => "its client's connection is closed, and the call is interrupted",
        };
        let (pid, age) = (std::process::id(), self.clock.began.elapsed().as_secs_f64());
        let told = format!("REQUEST TIMEOUT (pid:{pid}): {line} has taken {age:.1} s; {what}");
        if outcome == Outcome::NotCalled {
            return tracing::error!("{told}");
        }
        let untold = Untold::new(told);
        let tell = untold.clone();
        let hear = move |stack| {
            tell.tell(stack);
        };
        worker.app.interrupt(self.clock.number, Box::new(hear));
        if worker.app.is_held_by(self.clock.number) {
            worker.spawner.spawn(give_up(worker.clone(), self.clock.number, line, untold));
        }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.clock.lock().ended = true;
    }
}

/// What the log is to tell of a request once the stack of its call is there.
#[derive(Clone)]
struct Untold(Arc<Mutex<Option<String>>>);

impl Untold {
    fn new(told: String) -> Self {
        Self(Arc::new(Mutex::new(Some(told))))
    }

    /// Tells it, unless that was done. True if it was not.
    fn tell(&self, stack: Option<String>) -> bool {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (&told, stack) {
            (Some(told), Some(stack)) => tracing::error!("{told}\nThe call is at:\n{}", stack.trim_end()),
            (Some(told), None) => tracing::error!("{told}"),
            (None, _) => {}
        }
        told.is_some()
    }
}

/// Has the worker replaced if a step goes on though it was interrupted: it may hold its thread for ever.
async fn give_up(worker: Arc<Worker>, number: u64, line: String, untold: Untold) {
    sleep(GRACE).await;
    // Where nobody could look at the stack, nobody could interrupt the call either.
    let why = if untold.tell(None) {
        "a call, this one or another, keeps the interpreter to itself in C code"
    } else {
        "it is in C code, or catches the exception"
    };
    if !worker.app.is_held_by(number) {
        return;
    }
    tracing::error!(
        "{line} goes on {} s after its interruption: {why}. Its thread is given up: this worker (pid:{}) takes \
         no more clients, lets its other requests end, and is replaced",
        GRACE.as_secs(),
        std::process::id(),
    );
    if !worker.lifecycle.draining() {
        worker.lifecycle.leave(ExitCode::OK);
    }
}

impl Clock {
    /// Notes that the time is over, if it is; else gives the time at which it may be.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        state.over |= now >= state.due;
        (!state.over).then_some(state.due)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deadline for Clock {
    fn number(&self) -> u64 {
        self.number
    }

    fn is_over(&self) -> bool {
        self.lock().over
    }

    fn extend(&self, time: Duration) -> Duration {
        let mut state = self.lock();
        if state.over || state.ended {
            return Duration::ZERO;
        }
        state.due = state.due.checked_add(time).unwrap_or(state.due);
        state.due.saturating_duration_since(Instant::now())
    }
}
