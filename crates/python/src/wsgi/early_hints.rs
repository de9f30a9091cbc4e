//! `wsgi.early_hints`: headers that a client gets while the application still works on its answer (103).
//!
//! One callable serves many requests, and finds the one that it is called for.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::head::parse_headers;
use super::start_response::StartResponse;
use super::turn::Meant;
use crate::hint;
use crate::raw::latin1;

thread_local! {
    /// The `start_response` of the call that this thread runs. [`Current`] drops it: a type that needs no drop
    /// of its own makes this a plain word of the thread's memory.
    static CURRENT: Cell<Option<ManuallyDrop<Py<StartResponse>>>> = const { Cell::new(None) };
}

/// Marks the call of the application that this thread runs, until it is dropped.
pub(super) struct Current<'py>(Python<'py>);

impl<'py> Current<'py> {
    #[inline]
    pub(super) fn new(start: &Bound<'py, StartResponse>) -> Self {
        CURRENT.set(Some(ManuallyDrop::new(start.clone().unbind())));
        Self(start.py())
    }

    /// The `start_response` of the call that this thread runs.
    pub(super) fn start(py: Python<'py>) -> Option<Bound<'py, StartResponse>> {
        let start = CURRENT.take()?;
        let bound = start.bind(py).clone();
        CURRENT.set(Some(start));
        Some(bound)
    }
}

impl Drop for Current<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(start) = CURRENT.take() {
            drop(ManuallyDrop::into_inner(start).into_bound(self.0));
        }
    }
}

/// The callable. It does nothing for a client of HTTP/1.0, once the head of the response was sent, and on a
/// thread that the server has not called the application on.
#[pyclass(module = "ferricorn", frozen)]
pub(super) struct EarlyHints(pub(super) Meant);

#[pymethods]
impl EarlyHints {
    /// Sends the headers, an iterable of `(name, value)` that are `str`, or `bytes` as gunicorn takes them too.
    fn __call__(&self, py: Python<'_>, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(start) = self.0.start(py).filter(|start| start.borrow().may_hint()) else {
            return Ok(());
        };
        let fields = PyList::empty(py);
        for field in headers.try_iter()? {
            let parts = field?.try_iter()?.map(|part| native(part?)).collect::<PyResult<Vec<_>>>()?;
            fields.append(PyList::new(py, parts)?)?;
        }
        let mut map = parse_headers(&fields)?;
        hint::fit(&mut map, "early hints are")?;
        start.borrow().hint(&map);
        Ok(())
    }
}

/// Bytes as the `str` that they stand for; anything else as it is.
fn native(part: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    match part.cast::<PyBytes>() {
        Ok(bytes) => Ok(latin1(part.py(), bytes.as_bytes())?.into_any()),
        Err(_) => Ok(part),
    }
}
