//! The status and headers that an application gives, checked as strictly as gunicorn does.

use bytes::Bytes;
use ferricorn_protocol::Head;
use http::{HeaderMap, StatusCode};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::fields::{append, lossy, pair, repr};
use crate::raw::latin1_bytes;

/// Makes a head of what `start_response` was given.
///
/// # Errors
/// `TypeError` or `ValueError`, naming the header, if HTTP cannot carry it.
pub(super) fn parse(status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<Head> {
    let (status, reason) = parse_status(status)?;
    Ok(Head { status, reason, headers: parse_headers(headers)? })
}

/// Makes a map of an iterable of `(name, value)`, without what belongs to the server.
///
/// # Errors
/// As [`parse`].
#[inline]
pub(super) fn parse_headers(headers: &Bound<'_, PyAny>) -> PyResult<HeaderMap> {
    let mut map;
    if let Ok(list) = headers.cast_exact::<PyList>() {
        map = HeaderMap::with_capacity(list.len().min(Head::MOST_HEADERS));
        for field in list {
            add(&mut map, &field)?;
        }
    } else {
        map = HeaderMap::new();
        for field in headers.try_iter()? {
            add(&mut map, &field?)?;
        }
    }
    Ok(map)
}

/// `200`, or `200 OK`, from 200 on: what is below is not a final response.
fn parse_status(status: &Bound<'_, PyAny>) -> PyResult<(StatusCode, Option<Bytes>)> {
    let text = native(status, || "the status".to_owned())?;
    let refused =
        || PyValueError::new_err(format!("the status {:?} is not of the form '200 OK'", lossy(text)));
    let (digits, reason) = match text {
        [a, b, c] => ([*a, *b, *c], &b""[..]),
        [a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
        _ => return Err(refused()),
    };
    let code = StatusCode::from_bytes(&digits).map_err(|_| refused())?;
    if code.is_informational() {
        return Err(PyValueError::new_err(format!(
            "the status {:?} is not that of a final response",
            lossy(text)
        )));
    }
    if !reason.iter().copied().all(is_text) {
        return Err(PyValueError::new_err(format!("the status {:?} has a control character", lossy(text))));
    }
    let usual = code.canonical_reason().is_some_and(|usual| usual.as_bytes() == reason);
    let reason = (!usual && !reason.is_empty()).then(|| Bytes::copy_from_slice(reason));
    Ok((code, reason))
}

/// Adds one `(name, value)`.
fn add(map: &mut HeaderMap, field: &Bound<'_, PyAny>) -> PyResult<()> {
    let pair = pair(field)?;
    let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    let name_bytes = native(&name, || "a header name".to_owned())?;
    let value_bytes = native(&value, || format!("the value of the header {}", repr(&name)))?;
    append(map, (&name, name_bytes), (&value, value_bytes))
}

/// The bytes of a native string (PEP 3333): a `str` of characters below U+0100.
fn native<'a>(value: &'a Bound<'_, PyAny>, what: impl Fn() -> String) -> PyResult<&'a [u8]> {
    let Ok(string) = value.cast::<PyString>() else {
        let kind = value.get_type().qualname()?;
        return Err(PyTypeError::new_err(format!("{} must be str, not {kind}: {}", what(), repr(value))));
    };
    latin1_bytes(string)?
        .ok_or_else(|| PyValueError::new_err(format!("{} is not latin-1: {}", what(), repr(value))))
}

/// What may stand in a reason phrase (RFC 9112 section 4).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
