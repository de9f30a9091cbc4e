//! Who waits for something: tasks of the application, or the connection.

use std::mem;
use std::task::{Context, Waker};

/// Who waits for the same thing: one, as a rule.
#[derive(Default)]
pub(in crate::asgi) struct Waiters(Vec<Waker>);

impl Waiters {
    /// Adds whoever polls, unless nobody waits behind the poll, or is there already.
    pub(in crate::asgi) fn add(&mut self, cx: &Context<'_>) {
        let waker = cx.waker();
        if !waker.will_wake(Waker::noop()) && !self.0.iter().any(|known| known.will_wake(waker)) {
            self.0.push(waker.clone());
        }
    }

    /// Takes one out. The caller drops it when it holds no lock.
    #[must_use]
    pub(in crate::asgi) fn remove(&mut self, waker: &Waker) -> Option<Waker> {
        let at = self.0.iter().position(|known| known.will_wake(waker))?;
        Some(self.0.swap_remove(at))
    }

    /// Takes out all.
    pub(in crate::asgi) fn take(&mut self) -> Self {
        mem::take(self)
    }

    pub(in crate::asgi) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// Has the one who polls woken, instead of whoever waited here before.
pub(in crate::asgi) fn keep(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}
