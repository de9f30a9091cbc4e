//! How bytes leave before the application's call has returned: `write()`, and early hints.

use std::sync::Arc;

use bytes::Bytes;
use ferricorn_protocol::{Early, Head};
use http::HeaderMap;
use pyo3::exceptions::{PyBrokenPipeError, PyRuntimeError};
use pyo3::prelude::*;

/// See the module's first line. It depends on what waits for the client.
pub(crate) enum Outlet {
    /// There is no way.
    None,
    /// The app thread, which detaches from Python while it waits.
    Thread(Arc<dyn Early>),
    /// A greenlet, which must not: others run meanwhile.
    Greenlet(Arc<dyn Cooperative>),
}

/// As [`Early`], for a caller that waits in Python.
pub(crate) trait Cooperative: Send + Sync {
    /// See [`Early::begin`].
    ///
    /// # Errors
    /// `BrokenPipeError`, or what was thrown into the greenlet.
    fn begin(self: Arc<Self>, py: Python<'_>, head: Head, first: Bytes) -> PyResult<()>;

    /// See [`Early::write`].
    ///
    /// # Errors
    /// As [`Cooperative::begin`].
    fn write(self: Arc<Self>, py: Python<'_>, piece: Bytes) -> PyResult<()>;

    /// See [`Early::hint`].
    fn hint(&self, headers: &HeaderMap);
}

impl Outlet {
    /// Another of the same.
    pub(super) fn another(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Thread(early) => Self::Thread(early.clone()),
            Self::Greenlet(early) => Self::Greenlet(early.clone()),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Sends bytes, the head before them if it is given, and returns when those before them were written to the client.
    ///
    /// # Errors
    /// `BrokenPipeError` if the client has left.
    pub(super) fn write(&self, py: Python<'_>, head: Option<Head>, bytes: Bytes) -> PyResult<()> {
        match self {
            Self::None => Err(Self::missing()),
            Self::Thread(early) => py
                .detach(|| match head {
                    Some(head) => early.begin(head, bytes),
                    None => early.write(bytes),
                })
                .map_err(|gone| PyBrokenPipeError::new_err(gone.to_string())),
            Self::Greenlet(early) => match head {
                Some(head) => early.clone().begin(py, head, bytes),
                None => early.clone().write(py, bytes),
            },
        }
    }

    pub(super) fn hint(&self, headers: &HeaderMap) {
        match self {
            Self::None => {}
            Self::Thread(early) => early.hint(headers),
            Self::Greenlet(early) => early.hint(headers),
        }
    }

    pub(super) fn missing() -> PyErr {
        PyRuntimeError::new_err("this server cannot send bytes before the application returns")
    }
}
