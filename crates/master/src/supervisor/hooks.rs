//! What follows from a hook of the configuration that fails in the master, or in the mold in its place.

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;

use super::{Action, Millis, Phase, Supervisor, words};

/// A hook that has raised.
pub(super) struct Failed {
    /// Its name.
    pub(super) hook: &'static str,
    /// The traceback.
    pub(super) details: String,
    /// The status with which it asked the server to end.
    pub(super) exit: Option<ExitCode>,
}

impl Supervisor {
    /// Whether the server ends because a hook has failed.
    pub(crate) fn ends_for_hook(&self) -> bool {
        self.hook_failed
    }

    /// A configuration on trial fails. Before anything has served, and while the server ends, it is as in gunicorn, which
    /// ends. A server that serves goes on, unless the hook wants it to end: `age` is a worker that is not forked now.
    pub(super) fn on_hook_failed(
        &mut self,
        age: Option<u64>,
        failed: &Failed,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        let Failed { hook, details, exit } = failed;
        let child = age.and_then(|age| self.children.remove(age));
        let of_current = child.as_ref().map_or(age.is_none(), |child| child.generation == self.generation);
        let mut say = |level, line| actions.push(Action::Say(level, line));
        match self.phase {
            Phase::Reloading(trial) if child.as_ref().is_some_and(|c| c.generation == trial.generation) => {
                say(LogLevel::Error, format!("Exception in {hook} hook\n{details}"));
                let why = format!("the {hook} hook of the new configuration has failed");
                self.fail_reload(&why, actions);
            }
            Phase::Running | Phase::Reloading(_) if exit.is_none() || !of_current => {
                say(LogLevel::Error, format!("Exception in {hook} hook; the server goes on\n{details}"));
                if child.is_some() && of_current {
                    let wait = words::duration(self.backoff.failed(now));
                    let line = format!("The worker is not forked; the next try is in {wait}");
                    say(LogLevel::Warning, line);
                }
            }
            _ => {
                say(LogLevel::Error, format!("Unhandled exception in main loop ({hook} hook)\n{details}"));
                self.hook_failed = true;
                if let Phase::Stopping(stop) = &mut self.phase {
                    stop.code = exit.unwrap_or(ExitCode::CONFIG);
                }
                self.stop(true, exit.unwrap_or(ExitCode::FAILURE), None, now, actions);
            }
        }
    }
}
