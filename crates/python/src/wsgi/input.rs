//! `wsgi.input`: the request body as a file to read from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use bytes::Bytes;
use ferricorn_protocol::RequestBody;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// How much of a body file is read ahead, in bytes.
const READ_AHEAD: usize = 64 * 1024;

/// See the module's first line.
#[pyclass(module = "ferricorn")]
pub(super) struct Input {
    source: Source,
}

enum Source {
    Memory(Cursor<Bytes>),
    /// A file, and how many of its bytes were not yet given to the application.
    File {
        reader: BufReader<File>,
        left: u64,
    },
}

impl Input {
    /// The body of a request without one. It holds no state that changes, so that all such requests share it.
    pub(super) fn empty() -> Self {
        Self { source: Source::Memory(Cursor::new(Bytes::new())) }
    }

    /// Takes over a body that has arrived whole.
    pub(super) fn new(body: RequestBody) -> PyResult<Self> {
        let source = match body {
            RequestBody::Empty => return Ok(Self::empty()),
            RequestBody::Memory(bytes) => Source::Memory(Cursor::new(bytes)),
            RequestBody::File { file, length } => {
                Source::File { reader: BufReader::with_capacity(READ_AHEAD, file), left: length }
            }
            RequestBody::Stream(_) => {
                return Err(PyValueError::new_err(
                    "a WSGI application was given a body that is still arriving",
                ));
            }
        };
        Ok(Self { source })
    }

    /// The next line, its end included, but at most `limit` bytes of it. Empty at the end of the body.
    fn line(&mut self, py: Python<'_>, limit: Option<u64>) -> PyResult<Py<PyBytes>> {
        match &mut self.source {
            Source::Memory(cursor) => {
                let rest = rest(cursor);
                let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
                let end = limit.map_or(end, |limit| end.min(to_usize(limit)));
                Ok(take(py, cursor, end))
            }
            Source::File { reader, left } => {
                let mut line = Vec::new();
                let limit = limit.map_or(*left, |limit| limit.min(*left));
                py.detach(|| reader.take(limit).read_until(b'\n', &mut line))?;
                if line.is_empty() && limit > 0 {
                    return Err(truncated(io::ErrorKind::UnexpectedEof.into()).into());
                }
                *left -= line.len() as u64;
                Ok(PyBytes::new(py, &line).unbind())
            }
        }
    }
}

#[pymethods]
impl Input {
    /// Reads up to `size` bytes, or all that is left if `size` is negative or `None`.
    #[pyo3(signature = (size=None, /))]
    fn read(&mut self, py: Python<'_>, size: Option<i64>) -> PyResult<Py<PyBytes>> {
        let size = limit(size);
        match &mut self.source {
            Source::Memory(cursor) => {
                let left = rest(cursor).len();
                let size = size.map_or(left, |size| left.min(to_usize(size)));
                Ok(take(py, cursor, size))
            }
            Source::File { reader, left } => {
                let size = size.map_or(*left, |size| size.min(*left));
                let bytes = PyBytes::new_with(py, to_usize(size), |buffer| {
                    Ok(py.detach(|| reader.read_exact(buffer)).map_err(truncated)?)
                })?;
                *left -= size;
                Ok(bytes.unbind())
            }
        }
    }

    /// Reads one line, or at most `size` bytes of it.
    #[pyo3(signature = (size=None, /))]
    fn readline(&mut self, py: Python<'_>, size: Option<i64>) -> PyResult<Py<PyBytes>> {
        self.line(py, limit(size))
    }

    /// Reads lines until the end, or until they hold `hint` bytes together.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&mut self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        // As in the io module, a hint of zero is none.
        let hint = limit(hint).filter(|&hint| hint > 0);
        let lines = PyList::empty(py);
        let mut total = 0;
        while hint.is_none_or(|hint| total < hint) {
            let line = self.line(py, None)?;
            let length = line.as_bytes(py).len();
            if length == 0 {
                break;
            }
            total += length as u64;
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyBytes>>> {
        let line = self.line(py, None)?;
        Ok(Some(line).filter(|line| !line.as_bytes(py).is_empty()))
    }
}

/// A size as Python gives it: negative or absent means without limit.
fn limit(size: Option<i64>) -> Option<u64> {
    size.and_then(|size| u64::try_from(size).ok())
}

fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn rest(cursor: &Cursor<Bytes>) -> &[u8] {
    let at = to_usize(cursor.position()).min(cursor.get_ref().len());
    &cursor.get_ref()[at..]
}

fn take(py: Python<'_>, cursor: &mut Cursor<Bytes>, count: usize) -> Py<PyBytes> {
    let bytes = PyBytes::new(py, &rest(cursor)[..count]).unbind();
    cursor.set_position(cursor.position() + count as u64);
    bytes
}

/// The file that the server wrote itself is shorter than it was: a body must never look shorter than it is.
fn truncated(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return io::Error::other("the file that holds the request body was cut short");
    }
    error
}
