//! What event loops of Python's have in common that host the server's own: asyncio's for ASGI, a hub of greenlets for WSGI.

mod answering;
mod bell;
mod inflow;
mod pump;
mod running;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use answering::{Answered, Answering, Outgoing, Streamed};
pub(crate) use bell::Bell;
pub(crate) use inflow::{Inflow, refusal};
pub(crate) use pump::{Host, pump};
pub(crate) use running::Running;

/// Locks a mutex that only one thread uses, and whose holders do not panic half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
