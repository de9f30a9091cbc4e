//! What the server makes of the iterable that an application returns.

use bytes::{Bytes, BytesMut};
use ferricorn_protocol::{FileBody, ResponseBody};
use http::request::Parts;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::close::Closing;
use super::file_wrapper::FileWrapper;
use super::pieces::{Iteration, OnlyClose, next_piece, piece};
use super::start_response::StartResponse;
use crate::data::to_bytes;
use crate::fields::content_length;

/// Up to this many bytes the items of a list are joined and sent as one.
const JOINED: usize = 64 * 1024;

/// The body of a response, as much of it as the server needs at once: if it comes in pieces the first one is
/// there, so that a failure before it is still a 500, and a generator has called `start_response`.
pub(super) fn body(
    iterable: Bound<'_, PyAny>,
    start: &Bound<'_, StartResponse>,
    request: &Parts,
) -> PyResult<ResponseBody> {
    if let Ok(list) = iterable.cast_exact::<PyList>() {
        match list.len() {
            0 => return Ok(ResponseBody::Empty),
            1 => return Ok(full(to_bytes(piece(&list.get_item(0)?)?))),
            _ => {
                if let Some(joined) = join(list.iter())? {
                    return Ok(full(joined));
                }
            }
        }
    } else if let Ok(tuple) = iterable.cast_exact::<PyTuple>() {
        if let Some(joined) = join(tuple.iter())? {
            return Ok(full(joined));
        }
    } else if let Ok(wrapper) = iterable.cast_exact::<FileWrapper>() {
        if let Some(body) = file(wrapper, start, request)? {
            return Ok(body);
        }
    } else if iterable.is_none() {
        return Err(PyTypeError::new_err("the application returned None instead of an iterable of bytes"));
    }
    pulled(iterable, request)
}

fn full(bytes: Bytes) -> ResponseBody {
    if bytes.is_empty() { ResponseBody::Empty } else { ResponseBody::Full(bytes) }
}

/// All items in one, unless they are too long for that.
fn join<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<Option<Bytes>> {
    let items: Vec<_> = items.collect();
    let mut length = 0;
    for item in &items {
        length += piece(item)?.as_bytes().len();
    }
    if length > JOINED {
        return Ok(None);
    }
    let mut joined = BytesMut::with_capacity(length);
    for item in items {
        joined.extend_from_slice(piece(&item)?.as_bytes());
    }
    Ok(Some(joined.freeze()))
}

fn pulled(iterable: Bound<'_, PyAny>, request: &Parts) -> PyResult<ResponseBody> {
    let py = iterable.py();
    let iterator = iterable.try_iter();
    let closing = Closing::new(iterable);
    let first = iterator.and_then(|mut iterator| Ok((next_piece(&mut iterator)?, iterator)));
    match first {
        Ok((Some(first), iterator)) => {
            Ok(ResponseBody::Pulled { first, rest: Box::new(Iteration::new(iterator, closing)) })
        }
        Ok((None, _)) => {
            closing.close_in_call(py, request)?;
            Ok(ResponseBody::Empty)
        }
        Err(error) => {
            closing.close_in_call(py, request)?;
            Err(error)
        }
    }
}

/// The wrapped file as a body, if the server can read it by itself.
fn file(
    wrapper: &Bound<'_, FileWrapper>,
    start: &Bound<'_, StartResponse>,
    request: &Parts,
) -> PyResult<Option<ResponseBody>> {
    let py = wrapper.py();
    let Some(sendable) = wrapper.get().sendable(py) else { return Ok(None) };
    let declared = start.borrow().head().and_then(content_length);
    let length = declared.map_or(sendable.length, |declared| declared.min(sendable.length));
    let closing = Closing::new(wrapper.clone().into_any());
    if length == 0 {
        closing.close_in_call(py, request)?;
        return Ok(Some(ResponseBody::Empty));
    }
    let rest: Box<dyn ferricorn_protocol::Pieces> = Box::new(OnlyClose::new(closing));
    Ok(Some(ResponseBody::File(FileBody {
        file: sendable.file,
        offset: sendable.offset,
        length,
        rest: Some(rest),
    })))
}
