//! What an awaitable waits for: something to be had of a source, now or later.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;

/// What it is awaited for, once that is there; `None` for Python's `None`.
pub(in crate::asgi) type Outcome = Poll<PyResult<Option<Py<PyAny>>>>;

/// Something to wait for: a request, a WebSocket, the lifespan.
pub(in crate::asgi) trait Source: Send + Sync {
    /// Nobody waits with this waker any more.
    fn forget(&self, waker: &Waker);
}

/// See the module's first line.
pub(super) trait Operation: Send + Sync {
    /// It may be asked as often as one likes.
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Outcome;

    /// See [`Source::forget`].
    fn forget(&self, waker: &Waker);
}

/// A source, and what it is asked.
pub(super) struct Asked<S, P>(pub(super) Arc<S>, pub(super) P);

impl<S, P> Operation for Asked<S, P>
where
    S: Source,
    P: Fn(&Arc<S>, Python<'_>, &mut Context<'_>) -> Outcome + Send + Sync,
{
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Outcome {
        (self.1)(&self.0, py, cx)
    }

    fn forget(&self, waker: &Waker) {
        self.0.forget(waker);
    }
}
