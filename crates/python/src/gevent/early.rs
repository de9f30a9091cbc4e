//! What a request's greenlet does for its client before its call has returned: `write()`, early hints, and
//! `gunicorn.socket`.

use std::io::{self, ErrorKind};
use std::ptr;
use std::sync::Arc;

use bytes::Bytes;
use ferricorn_protocol::{ClientGone, Head, Taken, Takeover};
use http::HeaderMap;
use pyo3::exceptions::PyBrokenPipeError;
use pyo3::prelude::*;

use super::agenda::Greenlet;
use super::exchange::{Client, Exchange};
use super::hub::current;
use super::waiting::wait;
use crate::wsgi::Cooperative;

impl Cooperative for Exchange {
    fn begin(self: Arc<Self>, py: Python<'_>, head: Head, first: Bytes) -> PyResult<()> {
        Self::begin(&self, head, Vec::new(), first)
            .map_err(|gone| PyBrokenPipeError::new_err(gone.to_string()))?;
        self.written(py).map(drop)
    }

    fn write(self: Arc<Self>, py: Python<'_>, piece: Bytes) -> PyResult<()> {
        if self.written(py)? != Client::Takes {
            return Err(PyBrokenPipeError::new_err(ClientGone.to_string()));
        }
        self.give(piece);
        self.written(py).map(drop)
    }

    fn hint(&self, headers: &HeaderMap) {
        Self::hint(self, headers);
    }

    fn is_for_caller(&self, py: Python<'_>) -> bool {
        let Ok(caller) = current(py) else { return false };
        let is_anothers = |greenlet: &Greenlet| {
            let answers =
                greenlet.exchange.as_ref().is_some_and(|exchange| !ptr::eq(&raw const **exchange, self));
            answers && greenlet.greenlet.is(&caller)
        };
        !self.agenda().running().each(is_anothers).contains(&true)
    }

    fn takeover(&self) -> Option<&dyn Takeover> {
        Self::takeover(self).map(|server| &**server)
    }

    fn take_over(self: Arc<Self>, py: Python<'_>) -> PyResult<Taken> {
        let server = Self::takeover(&self).ok_or_else(|| io::Error::from(ErrorKind::Unsupported))?;
        self.ask()?;
        let taken = wait(py, self.agenda(), |cx| server.take_over(cx));
        self.asked(matches!(taken, Ok(Ok(_))));
        Ok(taken??)
    }
}
