//! Threads of ours that enter the interpreter for a moment, and its end, which waits for them.
//!
//! When Python is finalized it ends every thread that waits to enter, in the middle of what that does. What such a thread
//! holds would be dropped without the interpreter, while that takes itself apart.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

/// How long the end waits. A visitor that takes longer cannot enter, for a call keeps the interpreter to itself; then the
/// main thread cannot either.
const PATIENCE: Duration = Duration::from_secs(1);

static VISITS: Mutex<Visits> = Mutex::new(Visits { open: 0, over: false });
static LEFT: Condvar = Condvar::new();

struct Visits {
    /// How many there are.
    open: usize,
    /// Whether nobody may begin one any more.
    over: bool,
}

/// One of them, while it lives.
struct Visit;

impl Visit {
    fn begin() -> Option<Self> {
        let mut visits = lock();
        if visits.over {
            return None;
        }
        visits.open += 1;
        Some(Self)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        lock().open -= 1;
        LEFT.notify_all();
    }
}

/// Enters the interpreter on a thread that Python does not know; `None` if its end has begun.
pub(crate) fn visit<T>(what: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _visit = Visit::begin()?;
    Python::try_attach(what)
}

/// Lets nobody in any more, and waits for those who are. Call it before the interpreter ends, detached from it.
pub fn end_visits() {
    let mut visits = lock();
    visits.over = true;
    let ended = LEFT.wait_timeout_while(visits, PATIENCE, |visits| visits.open > 0);
    let open = ended.unwrap_or_else(PoisonError::into_inner).0.open;
    if open > 0 {
        tracing::debug!("{open} threads still wait for the interpreter");
    }
}

fn lock() -> MutexGuard<'static, Visits> {
    VISITS.lock().unwrap_or_else(PoisonError::into_inner)
}
