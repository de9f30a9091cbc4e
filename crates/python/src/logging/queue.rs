//! What is to be logged by the thread of a worker: bounded, for Python's handlers may be slow.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferricorn_config::LogLevel;
use pyo3::Py;
use pyo3::exceptions::PyBaseException;

/// What waits at most, in bytes. What comes then is lost and counted.
const MOST: usize = 4 * 1024 * 1024;

/// Something to be logged.
#[derive(Debug)]
pub(super) enum Item {
    Record(LogLevel, String),
    /// An exception: the line before its traceback, the traceback, and itself.
    Fault(String, String, Py<PyBaseException>),
    /// JSON objects, one a line.
    Requests(Vec<u8>),
    Reopen,
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Self::Record(_, text) => text.len(),
            Self::Fault(what, traceback, _) => what.len() + traceback.len(),
            Self::Requests(lines) => lines.len(),
            Self::Reopen => 0,
        }
    }
}

/// See the module's first line. It is closed where there is no such thread.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    items: Vec<Item>,
    size: usize,
    lost: u64,
    /// The process whose thread takes the items, if there is one: a fork leaves it behind.
    of: Option<u32>,
    ending: bool,
}

impl Queue {
    /// From now on a thread of this process takes what comes.
    pub(super) fn open(&self) {
        *self.state() = State { of: Some(std::process::id()), ..State::default() };
    }

    /// Whether a thread of this process takes what comes.
    pub(super) fn is_open(&self) -> bool {
        self.state().of == Some(std::process::id())
    }

    /// Leaves an item for the thread, or gives it back if there is none.
    pub(super) fn push(&self, item: Item) -> Option<Item> {
        let mut state = self.state();
        if state.of.is_none_or(|of| of != std::process::id()) {
            return Some(item);
        }
        if state.size + item.size() > MOST {
            state.lost += 1;
        } else {
            state.size += item.size();
            state.items.push(item);
            self.bell.notify_all();
        }
        None
    }

    /// What there is, as soon as there is something; `None` at the end. To be called detached.
    pub(super) fn next(&self) -> Option<Vec<Item>> {
        let waits = |state: &mut State| state.items.is_empty() && !state.ending;
        let mut state = self.bell.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.items.is_empty() {
            state.of = None;
            self.bell.notify_all();
            return None;
        }
        state.size = 0;
        let mut items = std::mem::take(&mut state.items);
        if state.lost > 0 {
            let text = format!("Python's logging is too slow: {} times something was not logged", state.lost);
            items.push(Item::Record(LogLevel::Warning, text));
            state.lost = 0;
        }
        Some(items)
    }

    /// Has the thread end when it has logged everything, and waits for that, so long at most.
    pub(super) fn finish(&self, limit: Duration) {
        let mut state = self.state();
        state.ending = true;
        self.bell.notify_all();
        let mine = Some(std::process::id());
        // What is not logged by then is lost with the process.
        drop(self.bell.wait_timeout_while(state, limit, |state| state.of == mine));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
