//! Why a message of an application cannot be sent, and what `send()` raises then.

use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;

use super::awaitable::ClientDisconnected;

/// Why a message cannot be sent.
pub(super) enum Unsendable {
    /// The client has left.
    Gone,
    /// It is out of order.
    Order(&'static str),
}

impl Unsendable {
    /// The exception for the message of this type.
    pub(super) fn refusal(&self, kind: &str) -> PyErr {
        match self {
            Self::Gone => {
                ClientDisconnected::new_err(format!("{kind} was sent after the client had disconnected"))
            }
            Self::Order(why) => PyRuntimeError::new_err(format!("{kind} was sent out of order: {why}")),
        }
    }
}
