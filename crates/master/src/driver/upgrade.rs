//! The upgrade of the program: starts a new master beside this one, and takes the place of the one before.

use std::io;
use std::path::Path;

use ferricorn_config::Settings;
use ferricorn_protocol::{ExitCode, Moment};
use ferricorn_unix::pidfile::{Pidfile, PidfileError};
use ferricorn_unix::{Fork, exit_now, signal, systemd, terminal, title, upgrade};

use super::Driver;
use crate::supervisor::Event;

impl Driver<'_> {
    /// Starts the program again, which takes over the listeners of this one.
    pub(super) fn upgrade(&mut self) {
        let event = match self.start_successor() {
            Ok(pid) => {
                self.successor = Some(pid);
                self.tell_beside();
                if self.is_followed() {
                    tracing::warn!(
                        "systemd follows this process, and ends the service when it leaves. Let the unit have \
                         Type=notify, and undo this upgrade"
                    );
                }
                Event::Upgraded { pid }
            }
            Err(why) => Event::NotUpgraded(why),
        };
        self.events.push_back(event);
    }

    fn start_successor(&self) -> Result<i32, String> {
        if std::process::id() == 1 {
            return Err("it is process 1, and with it the container ends. Start another container beside this one, and \
                        stop this one when that serves"
                .to_owned());
        }
        match self.host.fork().map_err(|error| error.to_string())? {
            Fork::Parent(pid) => Ok(pid),
            Fork::Child => {
                let why = self.execute();
                tracing::error!("The new master (pid:{}) cannot begin: {why}", std::process::id());
                exit_now(ExitCode::CONFIG.0)
            }
        }
    }

    /// Executes the program in this process. Returns only if that fails.
    fn execute(&self) -> String {
        let Some(current) = self.generations.get(&self.supervisor.generations().0) else {
            return "its settings are gone".to_owned();
        };
        if let Err(fault) = current.hooks.call(Moment::Replacing) {
            return format!("Exception in {} hook\n{}", Moment::Replacing.hook(), fault.details());
        }
        let legacy = || -> io::Result<_> {
            signal::reset_for_exec()?;
            let master = std::os::unix::process::parent_id();
            // Whoever passed sockets in finds them passed on in the same way.
            let activated = current.sockets.are_activated();
            let own = current.sockets.listeners().filter(|_| !activated);
            let mut variables = upgrade::bequeath(master, own, &self.alive, &self.bell)?;
            if activated {
                variables.push(systemd::bequeath(current.sockets.listeners())?);
            }
            variables.extend(systemd::bequeath_watchdog());
            Ok(variables)
        };
        match legacy() {
            Ok(variables) => self.host.execute(&variables).to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// A new master has ended, perhaps by SIGKILL.
    pub(super) fn clean_up_after(&self, pid: i32) {
        let current = self.generations.get(&self.supervisor.generations().0);
        if let Some(path) = current.and_then(|current| current.settings.pidfile.as_deref()) {
            Pidfile::clean_up(&pidfile_path(path, true), pid);
        }
    }

    /// Whether WINCH comes from somebody who means it, and not from a window that was resized, or from a container engine
    /// that passes such a signal on.
    pub(super) fn winch_counts(&self) -> bool {
        let current = self.generations.get(&self.supervisor.generations().0);
        let daemon = current.is_some_and(|current| current.settings.daemon);
        (daemon || self.supervisor.has_successor()) && !terminal::is_controlled()
    }

    /// The master before this one is gone: this one has its name, its pidfile and its socket files now.
    pub(super) fn follow_predecessor(&mut self) {
        let Some(before) = self.predecessor.take() else { return };
        self.generations.values_mut().for_each(|generation| generation.sockets.adopt_files());
        let current = self.generations.get(&self.supervisor.generations().0);
        if let Some(settings) = current.map(|current| &current.settings) {
            title::set(&title_of(settings, false));
            if let Some(path) = &settings.pidfile {
                match Pidfile::create_after(path, before.pid) {
                    Ok(pidfile) => self.pidfile = Some(pidfile),
                    Err(error) => tracing::error!("{error}"),
                }
            }
        }
        self.tell_beside();
        self.events.push_back(Event::PredecessorEnded);
    }

    /// The pidfile of new settings.
    pub(super) fn move_pidfile(&mut self, path: Option<&Path>) -> Result<(), PidfileError> {
        let second = self.predecessor.is_some();
        let path = path.map(|path| pidfile_path(path, second));
        match (&self.pidfile, path) {
            (Some(pidfile), Some(path)) if pidfile.is_at(&path) => {}
            (_, Some(path)) => self.pidfile = Some(Pidfile::create(&path)?),
            (_, None) => self.pidfile = None,
        }
        Ok(())
    }
}

/// What `ps` shows of the master; `second` if the one before it lives, as in gunicorn.
pub(crate) fn title_of(settings: &Settings, second: bool) -> String {
    format!("ferricorn: master [{}{}]", settings.proc_name, if second { ".2" } else { "" })
}

/// Where the master's pid is written.
pub(crate) fn pidfile_path(path: &Path, second: bool) -> std::path::PathBuf {
    if second { Pidfile::second(path) } else { path.to_owned() }
}
