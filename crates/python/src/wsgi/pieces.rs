//! The pieces of a response body: their type, their bytes, and the iterator that gives them one by one.

use bytes::Bytes;
use ferricorn_protocol::{AppFault, AppThread, Pieces};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator};

use super::close::Closing;
use super::contexts::Kept;
use crate::data::to_bytes;
use crate::fault::app_fault;
use crate::forked::end_if_forked;

/// The object as the bytes that it must be.
///
/// # Errors
/// `TypeError` that names the type.
pub(super) fn piece<'a, 'py>(object: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    object.cast::<PyBytes>().map_err(|_| match object.get_type().qualname() {
        Ok(kind) => PyTypeError::new_err(format!("the body of a WSGI response must be bytes, not {kind}")),
        Err(error) => error,
    })
}

/// The next piece that is not empty.
pub(super) fn next_piece(iterator: &mut Bound<'_, PyIterator>) -> PyResult<Option<Bytes>> {
    for object in iterator {
        let object = object?;
        let piece = piece(&object)?;
        if !piece.as_bytes().is_empty() {
            return Ok(Some(to_bytes(piece)));
        }
    }
    Ok(None)
}

/// The rest of an iterable whose first piece is known.
pub(super) struct Iteration {
    iterator: Py<PyIterator>,
    closing: Closing,
    home: AppThread,
    context: Kept,
}

impl Iteration {
    pub(super) fn new(iterator: Bound<'_, PyIterator>, closing: Closing) -> Self {
        let context = Kept::take(iterator.py());
        Self { iterator: iterator.unbind(), closing, home: AppThread::current(), context }
    }
}

impl Pieces for Iteration {
    fn next(&mut self) -> Result<Option<Bytes>, AppFault> {
        Python::attach(|py| {
            let piece = self.context.within(py, || next_piece(&mut self.iterator.bind(py).clone()));
            end_if_forked(py, piece.as_ref().err());
            piece.map_err(|error| app_fault(py, &error))
        })
    }

    fn close(self: Box<Self>) -> Result<(), AppFault> {
        Python::attach(|py| {
            let Self { iterator, closing, context, .. } = *self;
            let closed = context.within(py, || {
                let closed = closing.close(py);
                drop(iterator);
                closed
            });
            closed.map_err(|error| app_fault(py, &error))
        })
    }

    fn home(&self) -> Option<AppThread> {
        Some(self.home)
    }
}

/// A body that the server reads from a file by itself, and that is only closed through Python.
pub(super) struct OnlyClose {
    closing: Closing,
    home: AppThread,
}

impl OnlyClose {
    pub(super) fn new(closing: Closing) -> Self {
        Self { closing, home: AppThread::current() }
    }
}

impl Pieces for OnlyClose {
    fn next(&mut self) -> Result<Option<Bytes>, AppFault> {
        Ok(None)
    }

    fn close(self: Box<Self>) -> Result<(), AppFault> {
        Python::attach(|py| self.closing.close(py).map_err(|error| app_fault(py, &error)))
    }

    fn home(&self) -> Option<AppThread> {
        Some(self.home)
    }
}
