//! One WebSocket of an ASGI application (the ASGI specification, "WebSocket").

mod conversation;
mod exchange;
mod receive;
mod send;

pub(super) use conversation::Answering;
pub(super) use exchange::Exchange;
pub(super) use receive::Receive;
pub(super) use send::Send;
