//! Serves HTTP with hyper on an inherited listener and drives the app.
//!
//! One worker process is one single-threaded Tokio runtime. A connection is a task: hyper behind the `gate`,
//! which lets through only what obeys the rules, and a `service` that turns a request into a call of the app.
//! Who drives the runtime is the matter of the `driver`, which has two sides: the `seat`, from which threads of
//! ours also call an app that blocks, and the `guest` of an event loop that is the app's own.

#![forbid(unsafe_code)]

mod accept;
mod answer;
mod call;
mod complaints;
mod connection;
mod connections;
mod deadline;
mod door;
mod doze;
mod drain;
mod driver;
mod exchange;
mod gate;
mod guest;
mod inbound;
mod job;
mod life;
mod lifecycle;
mod newcomers;
mod orders;
mod outbound;
mod outflow;
mod pipe;
mod policy;
mod pull;
mod queue;
mod real_ip;
mod record;
mod reload;
mod run;
mod seat;
mod service;
mod slot;
mod sweeper;
mod takeover;
mod term;
#[cfg(test)]
mod tests;
mod tie;
mod timer;
mod websocket;
mod worker;

#[doc(hidden)]
pub use gate::{bench as gate_bench, fuzz as gate_fuzz};
pub use run::run;
