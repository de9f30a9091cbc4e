//! What the end of a mold means, which nobody has asked for.

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::signal;
use ferricorn_unix::wait::Change;

use super::exits::boot_failure;
use super::{Action, Millis, Oom, Phase, Supervisor, words};

/// A mold that has ended, and the workers that it has not forked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Broken {
    /// The generation whose workers it forked.
    pub(crate) generation: u64,
    /// What its process was.
    pub(crate) pid: i32,
    /// How it ended.
    pub(crate) change: Change,
    /// What is known of the OOM killer's part in it.
    pub(crate) oom: Option<Oom>,
    /// Whether it had loaded the app.
    pub(crate) loaded: bool,
    /// The status with which the import asked for the end of the process.
    pub(crate) asked_exit: Option<ExitCode>,
    /// Whether it was killed for being late, which was told.
    pub(crate) late: bool,
    /// The workers that it was asked for.
    pub(crate) ages: Vec<u64>,
}

impl Supervisor {
    pub(super) fn on_mold_ended(&mut self, mold: &Broken, now: Millis, actions: &mut Vec<Action>) {
        for &age in &mold.ages {
            self.children.remove(age);
        }
        if self.is_stopping() {
            return;
        }
        if !mold.late {
            actions.push(tell_end(mold));
        }
        let (current, trial) = self.generations();
        if mold.generation != current && Some(mold.generation) != trial {
            return;
        }
        let pid = mold.pid;
        let failed = match mold.change {
            Change::Exited(code) if !mold.loaded => boot_failure(code).is_some(),
            _ => false,
        };
        if mold.ages.is_empty() {
            // Nobody waits for it. One that cannot load the app any more is tried again when somebody does.
            if mold.loaded {
                self.on_idle_mold_lost(mold.generation, now, actions);
            }
        } else if Some(mold.generation) == trial {
            let why = match failed {
                true => format!("mold (pid:{pid}) could not load the app, and has logged why"),
                false => format!("mold (pid:{pid}) ended before a worker was ready"),
            };
            self.fail_reload(&why, actions);
        } else if self.phase == Phase::Starting && failed {
            // As gunicorn, which loads the app in its master.
            self.stop(
                true,
                mold.asked_exit.unwrap_or(ExitCode::CONFIG),
                Some("App failed to load."),
                now,
                actions,
            );
        } else {
            let wait = words::duration(self.backoff.failed(now));
            let line = format!("The next mold is started when a worker is needed, but not before {wait}");
            actions.push(Action::Say(LogLevel::Warning, line));
        }
    }

    /// Another one is started, before a worker is needed: at once would be for ever if each ends soon after the import.
    fn on_idle_mold_lost(&mut self, generation: u64, now: Millis, actions: &mut Vec<Action>) {
        self.lost_molds.insert(generation);
        let line = if generation == self.generation {
            let wait = words::duration(self.backoff.failed(now));
            format!("The workers go on; the next mold is started in {wait}")
        } else {
            "The next mold is started once a worker of the new code is ready".to_owned()
        };
        actions.push(Action::Say(LogLevel::Warning, line));
    }

    /// When a mold is to be started for which no worker waits.
    pub(super) fn next_mold(&self) -> Option<Millis> {
        let lost = !self.is_stopping() && self.lost_molds.contains(&self.generation);
        lost.then(|| self.backoff.not_before())
    }

    pub(super) fn replace_lost_mold(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let (current, trial) = self.generations();
        self.lost_molds.retain(|&lost| lost == current || Some(lost) == trial);
        if self.next_mold().is_some_and(|due| now >= due) {
            self.lost_molds.remove(&current);
            actions.push(Action::Mold { generation: current });
        }
    }
}

fn tell_end(mold: &Broken) -> Action {
    let pid = mold.pid;
    let (level, what) = match mold.change {
        Change::Killed(signal::KILL) => (LogLevel::Error, words::sigkill(mold.oom)),
        Change::Killed(number) => (LogLevel::Error, format!("was sent {}!", signal::name(number))),
        Change::Exited(0) => (LogLevel::Warning, "has ended".to_owned()),
        Change::Exited(code) => (LogLevel::Error, format!("exited with code {code}")),
        Change::Stopped | Change::Continued => (LogLevel::Debug, "changed".to_owned()),
    };
    Action::Say(level, format!("Mold (pid:{pid}) {what}"))
}
