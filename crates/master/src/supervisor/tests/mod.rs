//! The supervisor's behaviour, told as stories in the simulated world.

mod aborts;
mod boots;
mod delays;
mod hooks;
mod molds;
mod questions;
mod recycling;
mod reloads;
mod signals;
mod standings;
mod stops;
mod timeouts;
mod upgrades;

use super::simulation::World;
use super::{Event, MARGIN, Policy, Supervisor};

const POLICY: Policy = Policy {
    workers: 2,
    timeout: Some(30_000),
    graceful: 30_000,
    boot: 600_000,
    surge: 1,
    memory: None,
    lifetime: None,
    drain_delay: 0,
};
