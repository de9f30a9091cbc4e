//! Reads the configuration again, and makes it the server's once a worker with it is ready.

use std::sync::Arc;

use ferricorn_config::Settings;
use ferricorn_protocol::Hooks;
use ferricorn_unix::pidfile::Pidfile;
use ferricorn_unix::title;

use super::{Driver, Generation, pidfile_path, policy, title_of};
use crate::start::warn_if_nobody_serves;
use crate::supervisor::{Event, Policy};

impl Driver<'_> {
    pub(super) fn reload(&mut self) {
        self.announce_reload();
        let event = match self.next_generation() {
            Ok((generation, policy)) => Event::Reloaded { generation, policy },
            Err(why) => Event::NotReloaded(why),
        };
        // Before anything else: until then the supervisor does not know the generation, which is kept for it.
        self.events.push_front(event);
    }

    fn next_generation(&mut self) -> Result<(u64, Policy), String> {
        let (settings, hooks) = self.host.reload()?;
        let generation = self.prepare(settings, hooks).inspect_err(|_| self.host.settle(false))?;
        let policy = policy(&generation.settings);
        self.last_generation += 1;
        self.generations.insert(self.last_generation, generation);
        Ok((self.last_generation, policy))
    }

    /// Opens what the next generation needs, beside what there is.
    fn prepare(&self, settings: Settings, hooks: Arc<dyn Hooks>) -> Result<Generation, String> {
        let Some(current) = self.generations.get(&self.supervisor.generations().0) else {
            return Err("the settings before are gone".to_owned());
        };
        let sockets = current.sockets.reopen(&settings)?;
        let pidfile = match settings.pidfile.as_deref() {
            Some(path) => {
                let path = pidfile_path(path, self.predecessor.is_some());
                let is_new = !self.pidfile.as_ref().is_some_and(|pidfile| pidfile.is_at(&path));
                is_new.then(|| Pidfile::create(&path)).transpose().map_err(|error| error.to_string())?
            }
            None => None,
        };
        self.tell_reload(&*hooks, settings.workers, &sockets)?;
        Ok(Generation { settings, hooks, sockets, pidfile })
    }

    /// Makes the process what the supervisor has decided about the generation on trial, and drops the settings and
    /// sockets that no worker will be forked with any more.
    pub(super) fn follow_generations(&mut self) {
        let (current, trial) = self.supervisor.generations();
        let (before, tried) = std::mem::replace(&mut self.settled, (current, trial));
        if current != before {
            self.adopt(before, current);
            self.host.settle(true);
        } else if tried.is_some() && trial.is_none() {
            self.host.settle(false);
        }
        // The last workers that accept there are about to be told to leave, and take in whoever waits.
        if !self.given_up.is_empty() && !self.supervisor.has_old_ones_ready() {
            std::mem::take(&mut self.given_up).refuse();
        }
        if self.settled != (before, tried) {
            let kept = |number| number == current || Some(number) == trial;
            self.generations.retain(|&number, _| kept(number));
        }
    }

    /// The settings of a generation are the master's from now on.
    fn adopt(&mut self, before: u64, current: u64) {
        let before = self.generations.remove(&before);
        let Some(generation) = self.generations.get_mut(&current) else { return };
        let settings = generation.settings.clone();
        let listening = generation.sockets.list();
        if before.as_ref().is_some_and(|before| before.settings.backlog != settings.backlog) {
            generation.sockets.set_backlog(&settings);
        }
        if let Some(before) = before.filter(|before| before.sockets.list() != listening) {
            tracing::info!("Listening at: {listening} ({})", std::process::id());
            self.given_up.add(before.sockets.without(&generation.sockets));
        }
        self.pidfile = generation.pidfile.take().or(self.pidfile.take());
        if let Err(error) = self.move_pidfile(settings.pidfile.as_deref()) {
            tracing::error!("{error}");
        }
        title::set(&title_of(&settings, self.predecessor.is_some()));
        warn_if_nobody_serves(&settings);
        // They were told when it was read.
        self.told = settings.workers;
    }
}
