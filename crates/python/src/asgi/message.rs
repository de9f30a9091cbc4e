//! What an application's messages hold.

use bytes::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMemoryView, PyString};

use crate::data::to_bytes;
use crate::fault::one_line;

/// What the application sends, as a message.
///
/// # Errors
/// `TypeError`.
#[inline]
pub(super) fn as_dict<'a, 'py>(message: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyDict>> {
    message.cast().map_err(|_| {
        let kind = message.get_type().qualname().map_or_else(|_| String::new(), |name| name.to_string());
        PyTypeError::new_err(format!("send() takes a message, which is a dict, not {kind}"))
    })
}

/// The message's type.
///
/// # Errors
/// `ValueError` or `TypeError`.
#[inline]
pub(super) fn kind<'py>(message: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyString>> {
    match message.get_item(intern!(message.py(), "type"))? {
        Some(kind) => {
            kind.cast_into().map_err(|_| PyTypeError::new_err("the \"type\" of a message must be a str"))
        }
        None => Err(PyValueError::new_err("a message without a \"type\" was sent")),
    }
}

/// A field that is there and not `None`.
#[inline]
pub(super) fn field<'py>(
    message: &Bound<'py, PyDict>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(message.get_item(name)?.filter(|value| !value.is_none()))
}

/// A field that is true, or false if it is not there.
#[inline]
pub(super) fn flag(message: &Bound<'_, PyDict>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    message.get_item(name)?.map_or(Ok(false), |value| value.is_truthy())
}

/// Bytes; empty if the field is not there.
///
/// # Errors
/// `TypeError` that names message and field.
#[inline]
pub(super) fn data(message: &Bound<'_, PyDict>, kind: &str, name: &Bound<'_, PyString>) -> PyResult<Bytes> {
    match message.get_item(name)? {
        Some(value) => match value.cast::<PyBytes>() {
            Ok(bytes) => Ok(to_bytes(bytes)),
            Err(_) => bytes_or_empty(&value).map_err(|error| wrong(message.py(), kind, error)),
        },
        None => Ok(Bytes::new()),
    }
}

/// The bytes of whatever holds bytes; none for `None`.
pub(super) fn bytes_or_empty(value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(to_bytes(bytes));
    }
    if value.is_none() {
        return Ok(Bytes::new());
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(Bytes::from(bytes.to_vec()));
    }
    if value.is_instance_of::<PyMemoryView>() {
        let bytes = value.call_method0(intern!(value.py(), "tobytes"))?;
        return bytes_or_empty(&bytes);
    }
    let kind = value.get_type().qualname()?;
    Err(PyTypeError::new_err(format!("bytes were expected, not {kind}")))
}

/// An error of the application in a message of this type: the same with the message's name before it.
pub(super) fn wrong(py: Python<'_>, kind: &str, error: PyErr) -> PyErr {
    let text = error.value(py).str().map_or_else(|_| one_line(py, &error), |text| text.to_string());
    let told = format!("{kind}: {text}");
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(told)
    } else if error.is_instance_of::<PyValueError>(py) {
        PyValueError::new_err(told)
    } else {
        let outer = PyRuntimeError::new_err(told);
        outer.set_cause(py, Some(error));
        outer
    }
}
