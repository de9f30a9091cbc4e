//! Tells the service manager (systemd) what the master is about, and that it lives.

use std::time::Duration;

use ferricorn_unix::systemd::{Manager, is_main_process, monotonic_us, watchdog};

use super::Driver;
use crate::supervisor::{Census, Millis, Standing};

/// The line to the manager, and what was said last.
#[derive(Debug, Default)]
pub(super) struct Line {
    manager: Option<Manager>,
    told: Option<Standing>,
    status: String,
    watchdog: Option<Watchdog>,
}

/// When the manager is to hear next that the master lives.
#[derive(Debug)]
struct Watchdog {
    every: Millis,
    due: Millis,
}

impl Line {
    /// The line to whoever has started this process.
    pub(super) fn open() -> Self {
        let manager = Manager::of_this_process().unwrap_or_else(|error| {
            tracing::warn!(
                "The service manager is not told anything, since NOTIFY_SOCKET cannot be used: {error}"
            );
            None
        });
        // Twice as often as it wants to hear.
        let every = |time: Duration| u64::try_from(time.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        let watchdog =
            watchdog().filter(|_| manager.is_some()).map(|time| Watchdog { every: every(time), due: 0 });
        Self { manager, watchdog, ..Self::default() }
    }

    fn tell(&self, words: &[&str]) {
        let Some(manager) = &self.manager else { return };
        if let Err(error) = manager.tell(words) {
            tracing::debug!("The service manager could not be told {words:?}: {error}");
        }
    }

    /// A reload begins.
    fn reloading(&mut self) {
        self.told = Some(Standing::Reloading);
        self.tell(&["RELOADING=1", &format!("MONOTONIC_USEC={}", monotonic_us())]);
    }

    fn follow(&mut self, standing: Standing, census: Census, now: Millis) {
        let status = format!("STATUS={}", status(standing, census));
        let news = self.told != Some(standing);
        if news && standing == Standing::Reloading {
            self.reloading();
        }
        if news || status != self.status {
            let mut words = match standing {
                Standing::Serving if news => vec!["READY=1"],
                Standing::Stopping if news => vec!["STOPPING=1"],
                _ => Vec::new(),
            };
            words.push(&status);
            self.tell(&words);
            (self.told, self.status) = (Some(standing), status);
        }
        let Some(watchdog) = &mut self.watchdog else { return };
        if now >= watchdog.due {
            watchdog.due = now + watchdog.every;
            self.tell(&["WATCHDOG=1"]);
        }
    }
}

fn status(standing: Standing, Census { ready, wanted, all, reload_failed }: Census) -> String {
    match standing {
        Standing::Starting => format!("Starting: {ready} of {wanted} workers are ready"),
        Standing::Serving if reload_failed => {
            format!("Serving: {ready} of {wanted} workers are ready; the last reload failed, see the log")
        }
        Standing::Serving => format!("Serving: {ready} of {wanted} workers are ready"),
        Standing::Reloading => format!("Reloading: {ready} workers serve"),
        Standing::Stopping => format!("Stopping: {all} workers are left"),
    }
}

impl Driver<'_> {
    /// When the manager is to hear something at the latest.
    pub(super) fn manager_deadline(&self) -> Option<Millis> {
        self.line.watchdog.as_ref().filter(|_| self.predecessor.is_none()).map(|watchdog| watchdog.due)
    }

    /// Tells the manager of a reload, which may take a while before anything comes of it.
    pub(super) fn announce_reload(&mut self) {
        if self.predecessor.is_none() {
            self.line.reloading();
        }
    }

    /// Tells the manager what has changed. While there is a master before this one, it listens to that.
    pub(super) fn tell_manager(&mut self, now: Millis) {
        if self.predecessor.is_some() || self.line.manager.is_none() {
            return;
        }
        let standing = match self.supervisor.standing() {
            // The service goes on with the other.
            Standing::Stopping if self.successor.is_some() => Standing::Serving,
            standing => standing,
        };
        self.line.follow(standing, self.supervisor.census(), now);
    }

    /// Tells the manager, as the last thing, which process is the service from now on.
    pub(super) fn hand_over(&self) {
        if let Some(pid) = self.successor {
            self.line.tell(&[&format!("MAINPID={pid}"), "STATUS=Handed over to a new master"]);
        }
    }

    /// Whether the service would end with this process, whoever goes on.
    pub(super) fn is_followed(&self) -> bool {
        self.line.manager.is_none() && is_main_process()
    }
}
