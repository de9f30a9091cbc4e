//! WSGI (PEP 3333): what the server gives a WSGI application, and what it makes of the answer.

mod app;
mod client_socket;
mod close;
mod contexts;
mod early_hints;
mod environ;
mod errors;
mod file_wrapper;
mod head;
mod header_keys;
mod headers;
mod input;
mod outlet;
mod pieces;
mod response;
mod start_response;
mod turn;

pub use app::WsgiApp;
pub(crate) use close::close_left_open;
pub use environ::{EnvironFactory, Facts};
pub use errors::ErrorSink;
pub(crate) use outlet::{Cooperative, Outlet};
pub(crate) use start_response::StartResponse;
pub(crate) use turn::Turn;
