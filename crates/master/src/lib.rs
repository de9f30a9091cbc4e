//! Forks workers and supervises them.
//!
//! The master decides in one place and acts in another: [`Supervisor`](supervisor) is a pure function from events
//! to actions, and the driver performs them. It knows neither HTTP nor Python; a [`Host`] stands for whatever
//! runs around it.

#![forbid(unsafe_code)]

mod host;

pub use host::{Host, Outcome};

use ferricorn_config::Settings;
use ferricorn_protocol::ExitCode;

/// Runs the master until it stops, and every worker until it begins.
pub fn run(_settings: Settings, _host: &dyn Host) -> Outcome {
    Outcome::Exit(ExitCode::FAILURE)
}
