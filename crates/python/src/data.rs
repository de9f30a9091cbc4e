//! The application's bytes on their way to a client.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// From this length on, in bytes, a piece is sent from the memory of its Python object; a shorter one costs
/// less to copy.
const ZERO_COPY: usize = 16 * 1024;

/// The bytes for the server.
///
/// They may be dropped on any thread: a reference that is given up by a thread that is not attached to Python
/// is kept by PyO3, and released by the next one that attaches.
pub(crate) fn to_bytes(piece: &Bound<'_, PyBytes>) -> Bytes {
    let bytes = piece.as_bytes();
    if bytes.len() < ZERO_COPY {
        Bytes::copy_from_slice(bytes)
    } else {
        Bytes::from_owner(PyBackedBytes::from(piece.clone()))
    }
}
