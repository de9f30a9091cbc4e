//! `wsgi.file_wrapper`: a file that the server may send without reading it through Python.

use std::fs::File;
use std::io::Seek;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

use crate::raw::duplicate;

/// How many bytes a block has by default, as in gunicorn and wsgiref.
const BLOCK: usize = 8192;

/// How many wrappers around a file are looked through, such as those of tempfile and of Django.
const WRAPPERS: usize = 3;

/// Wraps a file-like object into an iterable of its blocks.
#[pyclass(module = "ferricorn", frozen, subclass)]
pub(super) struct FileWrapper {
    #[pyo3(get)]
    filelike: Py<PyAny>,
    #[pyo3(get)]
    blksize: usize,
}

/// A regular file, and where in it the application stands.
pub(super) struct Sendable {
    pub(super) file: File,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl FileWrapper {
    /// The file behind the wrapper, if it is a regular one whose bytes are what reading would give.
    pub(super) fn sendable(&self, py: Python<'_>) -> Option<Sendable> {
        let mut object = self.filelike.bind(py).clone();
        for _ in 0..WRAPPERS {
            if let Some(raw) = plain_file(&object).ok()? {
                return open(&object, &raw).ok().flatten();
            }
            object = object.getattr_opt(intern!(py, "file")).ok()??;
        }
        None
    }
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize=BLOCK))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> Self {
        Self { filelike, blksize }
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self.filelike.bind(py).call_method1(intern!(py, "read"), (self.blksize,))?;
        Ok(if block.is_truthy()? { Some(block) } else { None })
    }

    /// Closes the file-like object, if it can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.filelike.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

/// The `io.FileIO` under an unbuffered or buffered binary file; `None` for any other object, because others
/// that have a `fileno` may give other bytes than the file has: `gzip.GzipFile` does.
fn plain_file<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static FILE_IO: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static BUFFERED: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let py = object.py();
    let file_io = FILE_IO.import(py, "io", "FileIO")?;
    let buffered = BUFFERED.get_or_try_init(py, || {
        let io = py.import("io")?;
        let classes = [io.getattr("BufferedReader")?, io.getattr("BufferedRandom")?];
        PyTuple::new(py, classes).map(Bound::unbind)
    })?;
    let raw = if object.is_instance(buffered.bind(py))? {
        object.getattr(intern!(py, "raw"))?
    } else {
        object.clone()
    };
    Ok(if raw.is_instance(file_io)? { Some(raw) } else { None })
}

fn open(object: &Bound<'_, PyAny>, raw: &Bound<'_, PyAny>) -> PyResult<Option<Sendable>> {
    let py = object.py();
    let file = duplicate(raw.call_method0(intern!(py, "fileno"))?.extract()?)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    // A buffered file stands before the descriptor's own position, by what it has read ahead.
    let offset = match object.call_method0(intern!(py, "tell"))?.extract() {
        Ok(offset) => offset,
        Err(_) => (&file).stream_position()?,
    };
    Ok(Some(Sendable { file, offset, length: metadata.len().saturating_sub(offset) }))
}
