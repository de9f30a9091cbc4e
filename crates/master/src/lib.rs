//! Forks workers and supervises them.
//!
//! The master decides in one place and acts in another: the supervisor is a pure function from events to actions,
//! and the driver performs them. It knows neither HTTP nor Python; a [`Host`] stands for whatever runs around it.

#![forbid(unsafe_code)]

mod driver;
mod host;
pub mod identity;
mod mold;
mod say;
mod sockets;
mod spawn;
mod start;
mod supervisor;

pub use host::{Host, Outcome};
pub use mold::Mold;
pub use start::run;
