//! `wsgi.errors`: the stream on which an application complains, which ends in the error log.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// Takes what applications write to `wsgi.errors`, as UTF-8, and writes it to the error log at once.
pub type ErrorSink = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// See the module's first line.
#[pyclass(frozen, module = "ferricorn")]
pub(super) struct Errors {
    sink: ErrorSink,
}

impl Errors {
    pub(super) fn new(sink: ErrorSink) -> Self {
        Self { sink }
    }
}

#[pymethods]
impl Errors {
    /// Writes the text and returns how many characters it has.
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let length = text.len()?;
        // A lone surrogate has no UTF-8; the log shows its escape rather than lose the line.
        let encoded = text.call_method1("encode", ("utf-8", "backslashreplace"))?;
        let bytes: &[u8] = encoded.extract()?;
        let sink = &self.sink;
        py.detach(|| sink(bytes));
        Ok(length)
    }

    /// Writes each of the texts.
    fn writelines(&self, py: Python<'_>, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(py, line?.cast::<PyString>()?)?;
        }
        Ok(())
    }

    /// Does nothing, because nothing is held back.
    #[expect(clippy::unused_self, reason = "PEP 3333 asks for the method")]
    fn flush(&self) {}
}
