//! The host as the master sees it: what it is, and how the configuration is read again.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use ferricorn_config::{Resolved, Settings};
use ferricorn_protocol::Hooks;
use ferricorn_unix::{Away, Fork, heap};

use crate::Host;
use crate::configuration::{self, Configuration};
use crate::daemon::Waiting;
use crate::origin::Origin;
use crate::run;
use crate::stop::Stop;

/// The host, with the command line that it was started with.
pub(crate) struct Supervised<'a> {
    configuration: &'a Configuration,
    origin: &'a Origin,
    host: &'a dyn Host,
    waiting: Waiting,
    /// With which the server was started, if that is not what counts.
    first: RefCell<Option<Resolved>>,
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
        waiting: Waiting,
        resolved: Resolved,
    ) -> Self {
        let first = RefCell::default();
        let (taken, read) = (RefCell::new(resolved), RefCell::default());
        Self { configuration, origin, host, waiting, first, taken, read }
    }

    fn read_again(&self) -> Result<(Settings, Arc<dyn Hooks>), Stop> {
        let resolved = self.resolve().inspect_err(|_| self.restore_environment())?;
        let hooks = self.adopt(&resolved).inspect_err(|_| self.go_back())?;
        configuration::log(
            &resolved.unchangeable(self.first.borrow().as_ref().unwrap_or(&self.taken.borrow())),
        );
        let settings = resolved.settings.clone();
        self.read.replace(Some(resolved));
        self.settle_heap();
        Ok((settings, hooks))
    }

    /// Prepares the memory for the forks of a generation.
    fn settle_heap(&self) {
        self.host.settle_heap();
        heap::give_back();
    }

    /// Reads the configuration in the environment that the server was started in, as gunicorn does.
    fn resolve(&self) -> Result<Resolved, Stop> {
        self.host.set_environment(&[]).map_err(Stop::Fault)?;
        let layers = self.configuration.layers(self.host)?;
        self.configuration.resolve(&layers, self.host)
    }

    fn restore_environment(&self) {
        if let Err(fault) = self.host.set_environment(&self.taken.borrow().settings.raw_env) {
            tracing::error!("{fault}");
        }
    }

    /// Makes the process what the settings say.
    fn adopt(&self, resolved: &Resolved) -> Result<Arc<dyn Hooks>, Stop> {
        run::enter(&resolved.settings, self.host)?;
        let hooks = run::hooks(self.host, resolved)?;
        run::adopt(resolved, self.host)?;
        Ok(hooks)
    }

    fn go_back(&self) {
        let taken = self.taken.borrow();
        let back = run::enter(&taken.settings, self.host).and_then(|()| run::open_logs(&taken, self.host));
        if let Err(stop) = back {
            tracing::error!("The settings before cannot be restored: {}", stop.describe());
        }
    }
}

impl ferricorn_master::Host for Supervised<'_> {
    fn fork(&self) -> io::Result<Fork> {
        self.host.fork()
    }

    fn fork_away(&self) -> io::Result<Away> {
        self.host.fork_away()
    }

    fn detached(&self, wait: &mut dyn FnMut()) {
        self.host.detached(wait);
    }

    fn begun(&self) {
        self.waiting.end();
        self.settle_heap();
    }

    fn settle(&self, taken: bool) {
        let Some(read) = self.read.take() else { return };
        if taken {
            let before = self.taken.replace(read);
            self.first.borrow_mut().get_or_insert(before);
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
