//! The header fields that an application gives, checked as strictly as gunicorn does.

use ferricorn_protocol::Head;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// How many characters of a value a message shows.
const SHOWN: usize = 200;

/// The field as a tuple of two.
///
/// # Errors
/// `TypeError` or `ValueError` if it is not a pair.
#[inline]
pub(crate) fn pair<'py>(field: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let pair = match field.cast::<PyTuple>() {
        Ok(tuple) => tuple.clone(),
        Err(_) => PyTuple::new(field.py(), field.try_iter()?.collect::<PyResult<Vec<_>>>()?)?,
    };
    if pair.len() == 2 {
        Ok(pair)
    } else {
        Err(PyValueError::new_err(format!("a header must be (name, value), not {}", repr(field))))
    }
}

/// Adds a field, unless it belongs to the server. Name and value are given as the application's objects, for
/// messages, and as their bytes.
///
/// # Errors
/// `ValueError`, naming the header, if HTTP cannot carry it.
#[inline]
pub(crate) fn append(
    map: &mut HeaderMap,
    (name, name_bytes): (&Bound<'_, PyAny>, &[u8]),
    (value, value_bytes): (&Bound<'_, PyAny>, &[u8]),
) -> PyResult<()> {
    let Ok(parsed) = HeaderName::from_bytes(name_bytes) else {
        return Err(PyValueError::new_err(format!("the header name {} is not a token", repr(name))));
    };
    let Ok(parsed_value) = HeaderValue::from_bytes(trim(value_bytes)) else {
        return Err(PyValueError::new_err(format!(
            "the value {} of the header {} has a control character",
            repr(value),
            repr(name),
        )));
    };
    if belongs_to_the_server(&parsed) {
        return Ok(());
    }
    if parsed == header::CONTENT_LENGTH && !check_length(map, &parsed_value)? {
        return Ok(());
    }
    if map.len() >= Head::MOST_HEADERS {
        return Err(PyValueError::new_err(format!(
            "the response has more than {} headers",
            Head::MOST_HEADERS
        )));
    }
    map.append(parsed, parsed_value);
    Ok(())
}

/// Whether the length is to be kept: it is a number, and the first.
fn check_length(map: &HeaderMap, length: &HeaderValue) -> PyResult<bool> {
    let bytes = length.as_bytes();
    // Nineteen digits are less than 2^64.
    if !(1..=19).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_digit) {
        return Err(PyValueError::new_err(format!(
            "the Content-Length {:?} is not a number of bytes",
            lossy(bytes)
        )));
    }
    match map.get(header::CONTENT_LENGTH) {
        None => Ok(true),
        Some(first) if first == length => Ok(false),
        Some(first) => Err(PyValueError::new_err(format!(
            "the response has two Content-Length headers, {:?} and {:?}",
            lossy(first.as_bytes()),
            lossy(bytes),
        ))),
    }
}

/// The length that a head tells, in bytes.
pub(crate) fn content_length(head: &Head) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Hop-by-hop headers (RFC 9110 section 7.6.1) and the two that the server writes; gunicorn drops them as well.
fn belongs_to_the_server(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "date"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "server"
            | "te"
            | "trailer"
            | "trailers"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Without the spaces and tabs at both ends (RFC 9110 section 5.5); a line break there is as wrong as elsewhere.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The object as a message shows it.
pub(crate) fn repr(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(|_| "<unprintable>".to_owned(), |repr| short(&repr.to_string_lossy()))
}

/// The bytes as a message shows them.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    short(&String::from_utf8_lossy(bytes))
}

/// As much of the text as a message can do with.
fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
