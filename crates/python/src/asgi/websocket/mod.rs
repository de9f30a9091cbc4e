//! One WebSocket of an ASGI application (the ASGI specification, "WebSocket").

mod channel;
mod conversation;
mod exchange;
mod receive;
mod send;

pub(super) use channel::channel;
pub(super) use exchange::Exchange;
