//! The host as the master sees it: what it is, and how the configuration is read again.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use ferricorn_config::{Resolved, Settings};
use ferricorn_protocol::Hooks;
use ferricorn_unix::Fork;

use crate::Host;
use crate::configuration::Configuration;
use crate::origin::Origin;
use crate::run;
use crate::stop::Stop;

/// The host, with the command line that it was started with.
pub(crate) struct Supervised<'a> {
    configuration: &'a Configuration,
    origin: &'a Origin,
    host: &'a dyn Host,
    /// What counts.
    taken: RefCell<Resolved>,
    /// What was read last and may count soon.
    read: RefCell<Option<Resolved>>,
}

impl<'a> Supervised<'a> {
    pub(crate) fn new(
        configuration: &'a Configuration,
        origin: &'a Origin,
        host: &'a dyn Host,
        resolved: Resolved,
    ) -> Self {
        Self { configuration, origin, host, taken: RefCell::new(resolved), read: RefCell::default() }
    }

    fn read_again(&self) -> Result<(Settings, Arc<dyn Hooks>), Stop> {
        let layers = self.configuration.layers(self.host)?;
        let resolved = self.configuration.resolve(&layers, self.host)?;
        let hooks = self.adopt(&resolved).inspect_err(|_| self.go_back())?;
        let settings = resolved.settings.clone();
        self.read.replace(Some(resolved));
        Ok((settings, hooks))
    }

    /// Makes the process what the settings say.
    fn adopt(&self, resolved: &Resolved) -> Result<Arc<dyn Hooks>, Stop> {
        run::enter(&resolved.settings)?;
        let hooks = self.host.hooks(resolved).map_err(Stop::Fault)?;
        run::adopt(resolved, self.host)?;
        Ok(hooks)
    }

    fn go_back(&self) {
        let taken = self.taken.borrow();
        let back = run::enter(&taken.settings).and_then(|()| run::open_logs(&taken, self.host));
        if let Err(stop) = back {
            tracing::error!("The settings before cannot be restored: {}", stop.describe());
        }
    }
}

impl ferricorn_master::Host for Supervised<'_> {
    fn fork(&self) -> io::Result<Fork> {
        self.host.fork()
    }

    fn detached(&self, wait: &mut dyn FnMut()) {
        self.host.detached(wait);
    }

    fn settle(&self, taken: bool) {
        let Some(read) = self.read.take() else { return };
        if taken {
            self.taken.replace(read);
        } else {
            self.go_back();
        }
    }

    fn reload(&self) -> Result<(Settings, Arc<dyn Hooks>), String> {
        self.read_again().map_err(|stop| stop.describe())
    }

    fn execute(&self, variables: &[(&'static str, String)]) -> io::Error {
        self.origin.execute(variables)
    }
}
