//! Which request is meant by what is the same in the environ of several (`wsgi.early_hints`, `gunicorn.socket`).
//!
//! Such an object finds the `start_response` of the call that it is used in, so that an ordinary request pays for a note of
//! that and for nothing else. An app thread notes it for itself; greenlets have it noted by their connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferricorn_protocol::Connection;
use pyo3::prelude::*;

use super::early_hints::Current;
use super::environ::ConnectionTemplate;
use super::start_response::StartResponse;

/// How the request is found.
pub(super) enum Meant {
    /// It is the one that the calling thread is about.
    ByThread,
    /// It is the one that the connection is at.
    ByConnection(Arc<Turn>),
}

impl Meant {
    /// The `start_response` of the request; none outside of its call, or in that of another one.
    pub(super) fn start<'py>(&self, py: Python<'py>) -> Option<Bound<'py, StartResponse>> {
        match self {
            Self::ByThread => Current::start(py),
            Self::ByConnection(turn) => {
                let start = turn.lock().as_ref().map(|start| start.bind(py).clone())?;
                let outlet = start.borrow().outlet().another();
                outlet.is_for_caller(py).then_some(start)
            }
        }
    }
}

/// The request that a connection is at.
#[derive(Default)]
pub(crate) struct Turn(Mutex<Option<Py<StartResponse>>>);

impl Turn {
    /// That of a connection whose requests are answered by greenlets, once an environ was made for one.
    pub(crate) fn of(connection: &Connection) -> Option<&Self> {
        connection.notes.get()?.downcast_ref::<ConnectionTemplate>()?.turn.as_deref()
    }

    /// Notes a request until its call is over.
    pub(crate) fn begin<'a, 'py>(&'a self, start: &Bound<'py, StartResponse>) -> Noted<'a, 'py> {
        let before = self.lock().replace(start.clone().unbind());
        drop(before);
        Noted { turn: self, start: start.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Py<StartResponse>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is noted.
pub(crate) struct Noted<'a, 'py> {
    turn: &'a Turn,
    start: Bound<'py, StartResponse>,
}

impl Drop for Noted<'_, '_> {
    fn drop(&mut self) {
        let mut at = self.turn.lock();
        // The next one may have begun, if this one has outlived its client's patience.
        let own = if at.as_ref().is_some_and(|start| start.is(&self.start)) { at.take() } else { None };
        drop(at);
        drop(own);
    }
}
