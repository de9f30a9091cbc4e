//! ASGI: what the server gives an ASGI application, and what it makes of its messages. asyncio hosts the server's loop.

mod agenda;
mod app;
mod awaitable;
mod call;
mod event_loop;
mod host;
mod http;
mod lifespan;
mod message;
mod notes;
mod scope;
mod tasks;
mod unsendable;
mod websocket;

pub use app::{AsgiApp, Calling};
pub(crate) use event_loop::of_thread as make_loop;
