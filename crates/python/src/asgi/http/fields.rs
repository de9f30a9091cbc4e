//! The headers in an application's message.

use ferricorn_protocol::Head;
use http::header::{CONNECTION, TRAILER};
use http::{HeaderMap, HeaderValue};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList};

use crate::fields::{append, pair, repr};

/// Room for the fields that the server adds to a head. A map that must grow for them costs more than all else in it.
const SERVERS: usize = 2;

/// Makes a map of an iterable of `[name, value]`, both bytes, without what belongs to the server.
///
/// # Errors
/// `TypeError` or `ValueError`, naming the header.
#[inline]
pub(in crate::asgi) fn response_fields(fields: &Bound<'_, PyAny>) -> PyResult<HeaderMap> {
    let mut map;
    if let Ok(list) = fields.cast_exact::<PyList>() {
        map = HeaderMap::with_capacity(list.len().min(Head::MOST_HEADERS) + SERVERS);
        for field in list {
            add(&mut map, &field)?;
        }
    } else {
        map = HeaderMap::new();
        for field in fields.try_iter()? {
            add(&mut map, &field?)?;
        }
    }
    Ok(map)
}

fn add(map: &mut HeaderMap, field: &Bound<'_, PyAny>) -> PyResult<()> {
    let pair = pair(field)?;
    let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    match (name.cast::<PyBytes>(), value.cast::<PyBytes>()) {
        (Ok(name_bytes), Ok(value_bytes)) => {
            append_one(map, (&name, name_bytes.as_bytes()), (&value, value_bytes.as_bytes()))
        }
        _ => {
            let (name_bytes, value_bytes) =
                (bytes(&name, "a header name")?, bytes(&value, "a header value")?);
            append_one(map, (&name, &name_bytes), (&value, &value_bytes))
        }
    }
}

/// As [`append`], but an application may ask for the end of its connection, as it may under uvicorn.
#[inline]
fn append_one(
    map: &mut HeaderMap,
    name: (&Bound<'_, PyAny>, &[u8]),
    value: (&Bound<'_, PyAny>, &[u8]),
) -> PyResult<()> {
    if name.1.eq_ignore_ascii_case(b"connection") && value.1.eq_ignore_ascii_case(b"close") {
        map.insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(());
    }
    append(map, name, value)
}

/// Makes a map of fields that are not those of a final response, and so have no say over the connection.
///
/// # Errors
/// As [`response_fields`].
pub(in crate::asgi) fn other_fields(fields: &Bound<'_, PyAny>) -> PyResult<HeaderMap> {
    let mut map = response_fields(fields)?;
    map.remove(CONNECTION);
    Ok(map)
}

fn bytes(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if let Ok(bytes) = object.cast::<PyByteArray>() {
        return Ok(bytes.to_vec());
    }
    let kind = object.get_type().qualname()?;
    Err(PyTypeError::new_err(format!("{what} must be bytes, not {kind}: {}", repr(object))))
}

/// Adds the `Trailer` fields, which name the fields that follow the body. They belong to the server unless the
/// application announces trailers.
///
/// # Errors
/// As [`response_fields`].
pub(super) fn add_trailer_field(map: &mut HeaderMap, fields: &Bound<'_, PyAny>) -> PyResult<()> {
    for field in fields.try_iter()? {
        let pair = pair(&field?)?;
        let name = bytes(&pair.get_item(0)?, "a header name")?;
        if name.eq_ignore_ascii_case(b"trailer") {
            let value = pair.get_item(1)?;
            let parsed = HeaderValue::from_bytes(&bytes(&value, "a header value")?);
            let refused = || PyValueError::new_err(format!("the value {} is no header's", repr(&value)));
            map.append(TRAILER, parsed.map_err(|_| refused())?);
        }
    }
    Ok(())
}
