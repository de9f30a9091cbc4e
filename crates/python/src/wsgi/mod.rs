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
pub use environ::EnvironFactory;
pub(crate) use environ::{Facts, method};
pub use errors::ErrorSink;
pub(crate) use outlet::{Cooperative, Outlet};
pub(crate) use start_response::StartResponse;
pub(crate) use turn::Turn;

use pyo3::prelude::*;

/// Makes the types of what applications are given with each request. Otherwise each is made when it is first needed: in
/// every process that was forked before.
pub(crate) fn make_types(py: Python<'_>) {
    py.get_type::<client_socket::ClientSocket>();
    py.get_type::<input::Input>();
    py.get_type::<StartResponse>();
}
