//! The host as the master sees it: what it is, and how the configuration is read again.

use std::io;
use std::sync::Arc;

use ferricorn_config::Settings;
use ferricorn_protocol::Hooks;
use ferricorn_unix::Fork;

use crate::Host;
use crate::configuration::Configuration;
use crate::origin::Origin;
use crate::run;
use crate::stop::Stop;

/// The host, with the command line that it was started with.
pub(crate) struct Supervised<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) origin: &'a Origin,
    pub(crate) host: &'a dyn Host,
}

impl Supervised<'_> {
    fn read_again(&self) -> Result<(Settings, Arc<dyn Hooks>), Stop> {
        let layers = self.configuration.layers(self.host)?;
        let resolved = self.configuration.resolve(&layers, self.host)?;
        run::enter(&resolved.settings)?;
        let hooks = self.host.hooks(&resolved).map_err(Stop::Fault)?;
        run::adopt(&resolved, self.host)?;
        Ok((resolved.settings, hooks))
    }
}

impl ferricorn_master::Host for Supervised<'_> {
    fn fork(&self) -> io::Result<Fork> {
        self.host.fork()
    }

    fn detached(&self, wait: &mut dyn FnMut()) {
        self.host.detached(wait);
    }

    fn reload(&self) -> Result<(Settings, Arc<dyn Hooks>), String> {
        self.read_again().map_err(|stop| stop.describe())
    }

    fn execute(&self, variables: &[(&'static str, String)]) -> io::Error {
        self.origin.execute(variables)
    }
}
