//! Masters beside this one: a new one that USR2 starts, and an old one that has started this one.

use ferricorn_config::LogLevel;
use ferricorn_unix::signal;
use ferricorn_unix::wait::Change;

use super::{Action, Phase, Supervisor};

/// Who there is beside this master. They have the same listeners.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    /// Whether a new master was asked for, and its process.
    successor: Option<i32>,
    /// Whether the master lives that has started this one.
    predecessor: bool,
    /// Whether the workers were told to leave (WINCH).
    pub(super) retired: bool,
}

impl Supervisor {
    /// The same for a master that another one has started.
    pub(crate) fn beside_predecessor(mut self) -> Self {
        self.beside.predecessor = true;
        self
    }

    /// Whether another master has the listeners, too.
    pub(crate) fn shares_listeners(&self) -> bool {
        self.beside.predecessor || self.beside.successor.is_some()
    }

    /// Whether a new master was started.
    pub(crate) fn has_successor(&self) -> bool {
        self.beside.successor.is_some()
    }

    /// What the master calls itself, as gunicorn's does.
    pub(super) fn name(&self) -> &'static str {
        if self.beside.predecessor { "Master.2" } else { "Master" }
    }

    pub(super) fn on_usr2(&self, actions: &mut Vec<Action>) {
        let why = match self.phase {
            Phase::Stopping(_) | Phase::Halted => "This master is stopping.",
            _ if self.beside.successor.is_some() => "Child exists.",
            _ if self.beside.predecessor => "Parent exists.",
            _ => return actions.push(Action::Upgrade),
        };
        actions.push(Action::Say(LogLevel::Warning, format!("USR2 signal ignored. {why}")));
    }

    /// The workers leave, the master stays. They come back with HUP.
    pub(super) fn on_winch(&mut self, actions: &mut Vec<Action>) {
        actions.push(Action::Say(LogLevel::Info, "graceful stop of workers".to_owned()));
        self.beside.retired = true;
        self.wanted = 0;
        // Nobody is left whose readiness could be waited for.
        self.phase = Phase::Running;
    }

    pub(super) fn on_upgraded(&mut self, pid: i32, actions: &mut Vec<Action>) {
        self.beside.successor = Some(pid);
        let line = format!(
            "Started a new master (pid:{pid}); once it serves, TERM to this one completes the upgrade. TERM to the new \
             one undoes it, HUP to this one brings workers back that WINCH has sent away"
        );
        actions.push(Action::Say(LogLevel::Info, line));
    }

    /// Somebody must serve, so workers that have made room for the new master's come back.
    pub(super) fn on_successor_ended(&mut self, change: Change, actions: &mut Vec<Action>) {
        let Some(pid) = self.beside.successor else { return };
        let (level, how) = match change {
            Change::Exited(0) => (LogLevel::Info, "has left".to_owned()),
            Change::Exited(code) => (LogLevel::Error, format!("exited with code {code}, and says above why")),
            Change::Killed(number) => (LogLevel::Error, format!("was sent {}", signal::name(number))),
            Change::Stopped | Change::Continued => return,
        };
        self.beside.successor = None;
        let goes_on = match (&self.phase, self.beside.retired) {
            (Phase::Stopping(_) | Phase::Halted, _) => "this one is stopping",
            (_, true) => "this one goes on, and starts its workers again",
            (_, false) => "this one goes on",
        };
        actions.push(Action::Say(level, format!("The new master (pid:{pid}) {how}; {goes_on}")));
        if std::mem::take(&mut self.beside.retired) {
            self.wanted = self.wanted.max(self.policy.workers);
        }
    }

    pub(super) fn on_predecessor_ended(&mut self, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.beside.predecessor) {
            actions.push(Action::Say(LogLevel::Info, "Master has been promoted.".to_owned()));
        }
    }
}
