//! Tells the hooks of the configuration what happens in the master.

use ferricorn_protocol::{ExitCode, Hooks, Moment};
use ferricorn_telemetry::tell_fault;

use super::Driver;
use crate::sockets::Sockets;
use crate::supervisor::Event;

impl Driver<'_> {
    /// Calls a hook of the current generation. If it fails the server ends, as gunicorn does. Says whether it went well.
    pub(super) fn call_hook(&mut self, moment: Moment<'_>) -> bool {
        self.call_hook_of(self.supervisor.generations().0, moment)
    }

    /// The same of the generation that is to be forked.
    pub(super) fn call_hook_of(&mut self, generation: u64, moment: Moment<'_>) -> bool {
        let generation = self.generations.get(&generation);
        let Some(Err(fault)) = generation.map(|known| known.hooks.call(moment)) else { return true };
        self.hook_failed = true;
        let line = format!("Unhandled exception in main loop ({} hook)\n{}", moment.hook(), fault.details());
        let age = if let Moment::Forking { age } = moment { Some(age) } else { None };
        self.events.push_back(Event::HookFailed { age, line, exit: fault.exit.map(ExitCode) });
        false
    }

    /// Tells which other masters live beside this one.
    pub(super) fn tell_beside(&mut self) {
        let predecessor = self.predecessor.as_ref().map(|before| before.pid);
        self.call_hook(Moment::Beside { predecessor, successor: self.successor });
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
        let Some(current) = current.filter(|_| !self.hook_failed) else { return code };
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
