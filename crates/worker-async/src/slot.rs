//! A place where an app thread leaves one value and a connection's task finds it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A one-value mailbox that can be used again and again.
pub(crate) struct Slot<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    value: Option<T>,
    waker: Option<Waker>,
    abandoned: bool,
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Inner { value: None, waker: None, abandoned: false }) }
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

    /// Wakes the taker.
    pub(crate) fn wake(&self) {
        let waker = self.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the value, or registers the task to be woken.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<T> {
        let mut inner = self.lock();
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
}
