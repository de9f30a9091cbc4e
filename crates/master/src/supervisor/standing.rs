//! What the supervisor looks like from outside, for whoever manages services.

use super::children::Child;
use super::{Phase, Supervisor};

/// What the service is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody serves yet.
    Starting,
    /// All is as it should be, or will be without further ado.
    Serving,
    /// Workers of a new configuration take the place of old ones.
    Reloading,
    /// The service ends.
    Stopping,
}

/// How many workers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    /// Those that can be given a request.
    pub(crate) ready: usize,
    /// Those that there should be.
    pub(crate) wanted: usize,
    /// All of them, those included that start or leave.
    pub(crate) all: usize,
    /// Whether the last reload has failed.
    pub(crate) reload_failed: bool,
}

impl Supervisor {
    /// Whether the server stops, or has stopped.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping(_) | Phase::Halted)
    }

    /// Whether it stops, and waits for no request.
    pub(super) fn is_stopping_quickly(&self) -> bool {
        matches!(&self.phase, Phase::Stopping(stop) if stop.quick)
    }

    /// What the service is about.
    pub(crate) fn standing(&self) -> Standing {
        let old = |child: &Child| child.generation != self.generation && child.is_ready();
        match self.phase {
            Phase::Stopping(_) | Phase::Halted => Standing::Stopping,
            _ if self.stop_at.is_some() => Standing::Stopping,
            Phase::Starting if self.wanted > 0 => Standing::Starting,
            Phase::Reloading(_) => Standing::Reloading,
            _ if self.children.iter().any(old) => Standing::Reloading,
            Phase::Starting | Phase::Running => Standing::Serving,
        }
    }

    /// How many workers there are.
    pub(crate) fn census(&self) -> Census {
        Census {
            ready: self.children.count(Child::is_ready),
            wanted: self.wanted,
            all: self.children.count(|_| true),
            reload_failed: self.reload_failed,
        }
    }
}
