//! What an end, a stop or a continuation of a worker means.

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::signal;
use ferricorn_unix::wait::Change;

use super::children::{Child, Life};
use super::{Action, Millis, Phase, Supervisor, words};

/// A worker that ends so soon after it was ready might as well have failed to boot.
const SHORT_LIFE: Millis = 200;

impl Supervisor {
    pub(super) fn on_change(&mut self, age: u64, change: Change, now: Millis, actions: &mut Vec<Action>) {
        match change {
            Change::Stopped => self.on_stopped(age, now, actions),
            Change::Continued => self.on_continued(age, now, actions),
            Change::Exited(_) | Change::Killed(_) => {
                if let Some(child) = self.children.remove(age) {
                    self.on_end(&child, change, now, actions);
                }
            }
        }
    }

    fn on_stopped(&mut self, age: u64, now: Millis, actions: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(age) else { return };
        child.frozen.get_or_insert(now);
        let line = format!(
            "Worker (pid:{}) was stopped by a signal; it does nothing until it is continued",
            child.pid.unwrap_or_default()
        );
        actions.push(Action::Say(LogLevel::Warning, line));
    }

    fn on_continued(&mut self, age: u64, now: Millis, actions: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(age) else { return };
        child.frozen = None;
        child.running_since = now;
        let line = format!("Worker (pid:{}) was continued", child.pid.unwrap_or_default());
        actions.push(Action::Say(LogLevel::Info, line));
    }

    fn on_end(&mut self, child: &Child, change: Change, now: Millis, actions: &mut Vec<Action>) {
        actions.push(tell_end(child, change));
        let was_asked =
            matches!(child.life, Life::Leaving { .. } | Life::Aborted { .. } | Life::Killed { .. });
        if was_asked || self.is_stopping() {
            return;
        }
        let boot_failure = match change {
            Change::Exited(code) if child.ready_at.is_none() => boot_failure(code),
            _ => None,
        };
        match (boot_failure, &self.phase) {
            // Nothing ever worked, so another try would not.
            (Some((code, why)), Phase::Starting) => self.stop(true, code, Some(why), now, actions),
            (failure, &Phase::Reloading(trial)) if child.generation == trial.generation => {
                let pid = child.pid.unwrap_or_default();
                let why = match failure {
                    Some((ExitCode::APP_LOAD_ERROR, _)) => {
                        format!("worker (pid:{pid}) could not load the app, and has logged why")
                    }
                    Some(_) => format!("worker (pid:{pid}) failed to boot, and has logged why"),
                    None => format!("worker (pid:{pid}) ended before it was ready"),
                };
                self.fail_reload(&why, actions);
            }
            _ => {
                let early = child.ready_at.is_none_or(|ready| now < ready + SHORT_LIFE);
                if early {
                    let wait = self.backoff.failed(now);
                    let line = format!(
                        "A worker{} ended as soon as it had started; the next one is started in {}",
                        child.pid.map_or_else(String::new, |pid| format!(" (pid: {pid})")),
                        words::duration(wait)
                    );
                    actions.push(Action::Say(LogLevel::Warning, line));
                }
            }
        }
    }
}

/// The exit code of the master, and the reason it gives, for a worker that could not load its app.
pub(super) fn boot_failure(code: i32) -> Option<(ExitCode, &'static str)> {
    let code = ExitCode(u8::try_from(code).ok()?);
    match code {
        ExitCode::BOOT_ERROR => Some((code, "Worker failed to boot.")),
        ExitCode::APP_LOAD_ERROR => Some((code, "App failed to load.")),
        _ => None,
    }
}

/// The line about a worker's end, in gunicorn's words.
fn tell_end(child: &Child, change: Change) -> Action {
    let pid = child.pid.unwrap_or_default();
    let by_us = matches!(child.life, Life::Aborted { .. } | Life::Killed { .. });
    // Told to leave while it loaded its app, for which it may have failed as well.
    let unwanted = matches!(child.life, Life::Leaving { .. }) && child.ready_at.is_none();
    let (level, line) = match change {
        Change::Killed(signal::QUIT | signal::TERM) if unwanted => {
            (LogLevel::Debug, format!("Worker (pid:{pid}) ended while it loaded the app, as it was told to"))
        }
        Change::Exited(code) if unwanted && boot_failure(code).is_some() => {
            (LogLevel::Debug, format!("Worker (pid:{pid}) could not load the app either"))
        }
        Change::Exited(1) if matches!(child.life, Life::Aborted { .. }) => {
            (LogLevel::Info, format!("Worker (pid:{pid}) ended at SIGABRT"))
        }
        Change::Killed(signal::KILL) if !by_us => {
            (LogLevel::Error, format!("Worker (pid:{pid}) {}", words::sigkill(child.out_of_memory)))
        }
        Change::Killed(number) => {
            let level = match number {
                signal::KILL => LogLevel::Error,
                signal::TERM => LogLevel::Info,
                _ => LogLevel::Warning,
            };
            (level, format!("Worker (pid:{pid}) was sent {}!", signal::name(number)))
        }
        Change::Exited(code) if code != 0 => {
            (LogLevel::Error, format!("Worker (pid:{pid}) exited with code {code}."))
        }
        _ => (LogLevel::Debug, format!("Worker (pid:{pid}) exited")),
    };
    Action::Say(level, line)
}
