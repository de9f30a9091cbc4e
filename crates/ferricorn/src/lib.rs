//! The composition root: command line, exit codes, and the facade that a Rust app links.
//!
//! [`run`] is the whole program, told in order. What differs between an app in Python and one in Rust is behind
//! the trait [`Host`]: the wheel brings a host that is an interpreter, and [`main`] brings one that is nothing
//! but this process, for an app that is a tower service such as an axum `Router`:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! fn main() -> std::process::ExitCode {
//!     ferricorn::main(|| Router::new().route("/", get(async || "Hello, world!\n")))
//! }
//! ```

#![forbid(unsafe_code)]

mod body;
mod check;
mod command_line;
mod config_file;
mod configuration;
mod daemon;
mod host;
mod identity;
mod messages;
mod native;
mod origin;
mod run;
mod service;
mod stop;
mod supervised;

pub use body::Body;
/// What a config file left in its namespace.
pub use ferricorn_config::{Dict, FileValues, Resolved, Settings, UvicornClass, Value};
/// What a [`Host`] needs besides, to fork, to load an app and to let it complain.
pub mod hosting {
    pub use ferricorn_protocol::{AppFault, Hooks, Loader, NoHooks};
    pub use ferricorn_telemetry::Logger;
    pub use ferricorn_telemetry::error_log::write_raw;
    pub use ferricorn_unix::{Away, Fork, fork_away, fork_beside_threads};
}
/// Why a request body did not arrive to its end.
pub use ferricorn_protocol::BodyError;
/// What a request's extensions hold: its connection (in an `Arc`), and the client's address where a trusted
/// proxy told it.
pub use ferricorn_protocol::{ClientAddress, Connection};
pub use host::{ConfigFile, Host, Told};
pub use native::main;
pub use run::run;
