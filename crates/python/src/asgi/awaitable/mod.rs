//! What `receive()` and `send()` return: awaitables.
//!
//! As a rule `send()` has nothing to wait for, and awaiting [`ready::Done`] goes on at once. Else it is a [`Waiting`],
//! which does nothing before it is awaited: a message is never taken for a task that does not begin. Both are
//! coroutines too, since applications pass `receive()` to `create_task`.

mod operation;
mod ready;
mod waiters;
mod waiting;

use std::sync::Arc;
use std::task::Context;

use pyo3::exceptions::{PyBaseException, PyOSError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTypeInfo, create_exception};

use super::agenda::Agenda;

use operation::Asked;
pub(super) use operation::{Outcome, Source};
pub(super) use ready::done;
pub(super) use waiters::{Waiters, keep};
pub(super) use waiting::Waiting;

create_exception!(ferricorn, ClientDisconnected, PyOSError, "The client has closed the connection.");

/// An awaitable for what is to be had of `source`, now or later: `poll` asks for it.
#[inline]
pub(super) fn awaitable<'py, S, P>(
    py: Python<'py>,
    agenda: &Arc<Agenda>,
    source: &Arc<S>,
    poll: P,
) -> PyResult<Bound<'py, PyAny>>
where
    S: Source + 'static,
    P: Fn(&Arc<S>, Python<'_>, &mut Context<'_>) -> Outcome + Send + Sync + 'static,
{
    Ok(Bound::new(py, Waiting::new(agenda, Asked(source.clone(), poll)))?.into_any())
}

/// Makes coroutines of the awaitables, in the eyes of whoever asks.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    let coroutine = py.import("collections.abc")?.getattr("Coroutine")?;
    for kind in [ready::Done::type_object(py), Waiting::type_object(py)] {
        coroutine.call_method1("register", (kind,))?;
    }
    Ok(())
}

/// Throws what a coroutine's `throw()` is given: an exception, or its type and what to make it of.
fn thrown(kind: Bound<'_, PyAny>, value: Option<Bound<'_, PyAny>>) -> PyErr {
    let value = value.filter(|value| !value.is_none());
    let made = match value {
        Some(value) if value.is_instance_of::<PyBaseException>() => Ok(value),
        Some(value) => kind.call1((value,)),
        None if kind.is_instance_of::<PyType>() => kind.call0(),
        None => Ok(kind),
    };
    made.map_or_else(|error| error, PyErr::from_value)
}
