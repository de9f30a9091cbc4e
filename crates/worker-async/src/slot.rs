//! A place where an app thread leaves a value, and what goes before it, and a connection's task finds them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A one-value mailbox that can be used again and again.
pub(crate) struct Slot<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    value: Option<T>,
    /// What is to be taken before the value. Boxed, since there hardly ever is any.
    ahead: Option<Box<T>>,
    waker: Option<Waker>,
    abandoned: bool,
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Inner { value: None, ahead: None, waker: None, abandoned: false }) }
    }

    /// Leaves a value and wakes the taker.
    ///
    /// # Errors
    /// Gives the value back if nobody will take it any more.
    pub(crate) fn put(&self, value: T) -> Result<(), T> {
        self.leave(value)?;
        self.wake();
        Ok(())
    }

    /// Leaves a value; [`Slot::wake`] is to follow, on a thread where waking is cheap.
    ///
    /// # Errors
    /// Gives the value back if nobody will take it any more.
    pub(crate) fn leave(&self, value: T) -> Result<(), T> {
        let mut inner = self.lock();
        if inner.abandoned {
            return Err(value);
        }
        inner.value = Some(value);
        Ok(())
    }

    /// Leaves what is to be taken before the value, and wakes the taker. `join` gets what was left so before
    /// and was not taken yet.
    pub(crate) fn put_ahead(&self, join: impl FnOnce(Option<T>) -> T) {
        let mut inner = self.lock();
        if inner.abandoned {
            return;
        }
        let before = inner.ahead.take();
        inner.ahead = Some(Box::new(join(before.map(|before| *before))));
        drop(inner);
        self.wake();
    }

    /// Wakes the taker.
    pub(crate) fn wake(&self) {
        let waker = self.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes what was left first, or registers the task to be woken.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<T> {
        let mut inner = self.lock();
        if let Some(ahead) = inner.ahead.take() {
            return Poll::Ready(*ahead);
        }
        match inner.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                match &mut inner.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Says that nobody will take a value any more, and gives back one that lies there.
    pub(crate) fn abandon(&self) -> Option<T> {
        let mut inner = self.lock();
        inner.abandoned = true;
        inner.waker = None;
        inner.ahead = None;
        inner.value.take()
    }

    /// Whether [`Slot::abandon`] was called.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_taken_once_and_an_abandoned_slot_gives_it_back() {
        let slot = Slot::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(slot.poll_take(&mut cx).is_pending());
        assert_eq!(slot.put(1), Ok(()));
        assert_eq!(slot.poll_take(&mut cx), Poll::Ready(1));
        assert!(slot.poll_take(&mut cx).is_pending());
        assert_eq!(slot.put(2), Ok(()));
        assert_eq!(slot.abandon(), Some(2));
        assert_eq!(slot.put(3), Err(3));
    }

    #[test]
    fn what_goes_before_the_value_is_taken_before_it() {
        let slot = Slot::new();
        let mut cx = Context::from_waker(Waker::noop());
        let and = |more| move |before: Option<i32>| before.unwrap_or(0) + more;
        slot.put_ahead(and(1));
        slot.put_ahead(and(2));
        assert_eq!(slot.put(7), Ok(()));
        assert_eq!(slot.poll_take(&mut cx), Poll::Ready(3));
        assert_eq!(slot.poll_take(&mut cx), Poll::Ready(7));
        assert_eq!(slot.abandon(), None);
        slot.put_ahead(and(1));
        assert!(slot.poll_take(&mut cx).is_pending());
    }
}
