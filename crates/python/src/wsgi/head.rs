//! The status and headers that an application gives, checked as strictly as gunicorn does.

use bytes::Bytes;
use ferricorn_protocol::Head;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::raw::latin1_bytes;

/// How many characters of a value a message shows.
const SHOWN: usize = 200;

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
    let unpacked;
    let pair = match field.cast::<PyTuple>() {
        Ok(tuple) => tuple,
        Err(_) => {
            unpacked = PyTuple::new(field.py(), field.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
            &unpacked
        }
    };
    if pair.len() != 2 {
        return Err(PyValueError::new_err(format!("a header must be (name, value), not {}", repr(field))));
    }
    let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    let name_bytes = native(&name, || "a header name".to_owned())?;
    let Ok(parsed) = HeaderName::from_bytes(name_bytes) else {
        return Err(PyValueError::new_err(format!("the header name {} is not a token", repr(&name))));
    };
    let value_bytes = native(&value, || format!("the value of the header {}", repr(&name)))?;
    let Ok(value) = HeaderValue::from_bytes(trim(value_bytes)) else {
        return Err(PyValueError::new_err(format!(
            "the value {} of the header {} has a control character",
            repr(&value),
            repr(&name),
        )));
    };
    if belongs_to_the_server(&parsed) {
        return Ok(());
    }
    if parsed == header::CONTENT_LENGTH && !check_length(map, &value)? {
        return Ok(());
    }
    if map.len() >= Head::MOST_HEADERS {
        return Err(PyValueError::new_err(format!(
            "the response has more than {} headers",
            Head::MOST_HEADERS
        )));
    }
    map.append(parsed, value);
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

/// The bytes of a native string (PEP 3333): a `str` of characters below U+0100.
fn native<'a>(value: &'a Bound<'_, PyAny>, what: impl Fn() -> String) -> PyResult<&'a [u8]> {
    let Ok(string) = value.cast::<PyString>() else {
        let kind = value.get_type().qualname()?;
        return Err(PyTypeError::new_err(format!("{} must be str, not {kind}: {}", what(), repr(value))));
    };
    latin1_bytes(string)?
        .ok_or_else(|| PyValueError::new_err(format!("{} is not latin-1: {}", what(), repr(value))))
}

/// Without the spaces and tabs at both ends (RFC 9110 section 5.5); a line break there is as wrong as elsewhere.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// What may stand in a reason phrase (RFC 9112 section 4).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn repr(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(|_| "<unprintable>".to_owned(), |repr| short(&repr.to_string_lossy()))
}

fn lossy(bytes: &[u8]) -> String {
    short(&String::from_utf8_lossy(bytes))
}

/// As much of the text as a message can do with.
fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
