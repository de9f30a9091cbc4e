//! Serves HTTP with hyper on an inherited listener and drives the app.
//!
//! One worker process is one single-threaded Tokio runtime. A connection is a task: hyper behind the `gate`,
//! which lets through only what obeys the rules, and a `service` that turns a request into a call of the app.
//! Who drives the runtime and who runs the app is the `seat`'s matter alone.

#![forbid(unsafe_code)]

mod accept;
mod answer;
mod complaints;
mod connection;
mod connections;
mod drain;
mod exchange;
mod gate;
mod inbound;
mod job;
mod lifecycle;
mod orders;
mod outbound;
mod pipe;
mod policy;
mod pull;
mod real_ip;
mod record;
mod run;
mod seat;
mod service;
mod slot;
mod sweeper;
#[cfg(test)]
mod tests;
mod worker;

#[doc(hidden)]
pub use gate::{bench as gate_bench, fuzz as gate_fuzz};
pub use run::run;
