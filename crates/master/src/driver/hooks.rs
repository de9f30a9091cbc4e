//! Tells the hooks of the configuration what happens in the master.

use ferricorn_protocol::{ExitCode, Hooks, Moment};
use ferricorn_telemetry::tell_fault;

use super::Driver;
use crate::sockets::Sockets;
use crate::supervisor::Event;

impl Driver<'_> {
    /// Calls a hook of the current generation. What follows if it fails, the supervisor decides. Says whether it went well.
    pub(super) fn call_hook(&mut self, moment: Moment<'_>) -> bool {
        self.call_hook_of(self.supervisor.generations().0, moment)
    }

    /// The same of the generation that is to be forked.
    pub(super) fn call_hook_of(&mut self, generation: u64, moment: Moment<'_>) -> bool {
        let generation = self.generations.get(&generation);
        let Some(Err(fault)) = generation.map(|known| known.hooks.call(moment)) else { return true };
        let age = if let Moment::Forking { age } = moment { Some(age) } else { None };
        let (hook, details) = (moment.hook(), fault.details().to_owned());
        self.events.push_back(Event::HookFailed { age, hook, details, exit: fault.exit.map(ExitCode) });
        false
    }

    /// Tells which other masters live beside this one.
    pub(super) fn tell_beside(&mut self) {
        let predecessor = self.predecessor.as_ref().map(|before| before.pid);
        self.call_hook(Moment::Beside { predecessor, successor: self.successor });
    }

    /// Whether the server ends because a hook has failed, or may, once the supervisor hears of it.
    pub(super) fn hook_has_failed(&self) -> bool {
        let is_news = |event: &Event| matches!(event, Event::HookFailed { .. });
        self.supervisor.ends_for_hook() || self.events.iter().any(is_news)
    }

    /// Tells of a change in how many workers there should be.
    pub(super) fn tell_wanted(&mut self) {
        let wanted = self.supervisor.wanted();
        let before = std::mem::replace(&mut self.told, wanted);
        if before != wanted {
            self.call_hook(Moment::Wanted { now: wanted, before: Some(before) });
        }
    }

    /// The last thing before the exit. Gives the status.
    pub(super) fn end(&mut self, code: ExitCode) -> ExitCode {
        self.pidfile = None;
        let current = self.generations.get(&self.supervisor.generations().0);
        let Some(current) = current.filter(|_| !self.supervisor.ends_for_hook()) else { return code };
        match current.hooks.call(Moment::Ending) {
            Ok(()) => code,
            Err(fault) => {
                tell_fault("Exception in on_exit hook", &fault);
                fault.exit.map_or(ExitCode::CONFIG, ExitCode)
            }
        }
    }

    /// Calls the hooks of a new configuration. One that fails fails the reload.
    pub(super) fn tell_reload(
        &self,
        hooks: &dyn Hooks,
        wanted: usize,
        sockets: &Sockets,
    ) -> Result<(), String> {
        let workers: Vec<(u64, i32)> = self.workers.iter().map(|(&age, worker)| (age, worker.pid)).collect();
        let moments = [
            Moment::Wanted { now: wanted, before: Some(self.told) },
            Moment::Reloaded { listeners: &sockets.listening(), workers: &workers },
        ];
        let call = |moment: Moment<'_>| {
            hooks
                .call(moment)
                .map_err(|fault| format!("Exception in {} hook\n{}", moment.hook(), fault.details()))
        };
        moments.into_iter().try_for_each(call)
    }
}
