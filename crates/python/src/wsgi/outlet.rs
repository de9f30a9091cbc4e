//! What an application may do before its call has returned: `write()`, early hints, and to take the connection over.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferricorn_protocol::{Connection, Early, Head, Taken, Takeover};
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

    /// Whether it is for the calling greenlet: not if that answers another request.
    fn is_for_caller(&self, py: Python<'_>) -> bool;

    /// See [`Early::takeover`].
    fn takeover(&self) -> Option<&dyn Takeover>;

    /// See [`Takeover::take_over`].
    ///
    /// # Errors
    /// `OSError`, or what was thrown into the greenlet.
    fn take_over(self: Arc<Self>, py: Python<'_>) -> PyResult<Taken>;
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

    /// Whether whoever calls may use it.
    pub(super) fn is_for_caller(&self, py: Python<'_>) -> bool {
        match self {
            Self::None | Self::Thread(_) => true,
            Self::Greenlet(early) => early.is_for_caller(py),
        }
    }

    /// Whether it is that of a request on this connection, which can be taken over.
    pub(super) fn is_of(&self, connection: *const Connection) -> bool {
        self.takeover().is_some_and(|server| ptr::from_ref(server.connection()) == connection)
    }

    /// See [`Takeover::look`].
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn look(&self) -> io::Result<OwnedFd> {
        self.takeover().map_or_else(|| Err(io::ErrorKind::Unsupported.into()), Takeover::look)
    }

    /// See [`Takeover::take_over`].
    ///
    /// # Errors
    /// `OSError`, or what was thrown into a greenlet.
    pub(super) fn take_over(&self, py: Python<'_>) -> PyResult<Taken> {
        match self {
            Self::None => Err(Self::missing()),
            Self::Thread(_) => Ok(py.detach(|| {
                let server = self.takeover().ok_or(io::ErrorKind::Unsupported)?;
                match server.take_over(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(taken) => taken,
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            })?),
            Self::Greenlet(early) => early.clone().take_over(py),
        }
    }

    fn takeover(&self) -> Option<&dyn Takeover> {
        match self {
            Self::None => None,
            Self::Thread(early) => early.takeover(),
            Self::Greenlet(early) => early.takeover(),
        }
    }

    pub(super) fn missing() -> PyErr {
        PyRuntimeError::new_err("this server cannot send bytes before the application returns")
    }
}
