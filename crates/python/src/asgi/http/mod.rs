//! One HTTP request of an ASGI application (the ASGI specification, "HTTP").

mod channel;
mod exchange;
mod fields;
mod receive;
mod send;

pub(super) use channel::channel;
pub(super) use exchange::Exchange;
pub(super) use fields::other_fields;
pub(super) use send::response_head;
