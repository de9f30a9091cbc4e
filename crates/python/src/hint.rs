//! The fields of a 103, an early hint, whichever interface the application speaks.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// How long the names and values of one hint may be, in bytes: about what clients and proxies take.
const LONGEST: usize = 16 * 1024;

/// Makes the fields fit for a hint. `what` begins the message: `it is`.
///
/// # Errors
/// `ValueError`, if they are too long.
pub(crate) fn fit(map: &mut HeaderMap, what: &str) -> PyResult<()> {
    // No 1xx response has a body (RFC 9110 section 8.6).
    map.remove(CONTENT_LENGTH);
    let length: usize = map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if length > LONGEST {
        return Err(PyValueError::new_err(format!("{what} longer than {LONGEST} bytes")));
    }
    Ok(())
}
