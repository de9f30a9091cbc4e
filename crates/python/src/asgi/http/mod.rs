//! One HTTP request of an ASGI application (the ASGI specification, "HTTP").

mod exchange;
mod fields;
mod outgoing;
mod receive;
mod send;

pub(super) use exchange::Exchange;
pub(super) use fields::response_fields;
pub(super) use outgoing::Answering;
pub(super) use receive::Receive;
pub(super) use send::{Send, response_head};
