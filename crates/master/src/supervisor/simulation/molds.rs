//! Molds of the simulation: what is to be forked waits for them.

use ferricorn_unix::wait::Change;

use super::super::{Broken, Event};
use super::{Process, World, pid};

impl World {
    /// A mold forks the worker that has waited longest.
    pub(in super::super) fn fork(&mut self) {
        let Some((&generation, _)) = self.waiting.iter().find(|(_, ages)| !ages.is_empty()) else { return };
        let Some(age) = self.waiting.get_mut(&generation).map(|ages| ages.remove(0)) else { return };
        let process = Process { generation, ..Process::default() };
        assert!(self.processes.insert(age, process).is_none(), "the age {age} was given twice");
        self.give(Event::Spawned { age, pid: pid(age) });
    }

    /// What waits for a mold is answered by the test.
    pub(in super::super) fn take_waiting(&mut self) {
        self.waiting.clear();
    }

    /// All of them do, until nobody waits.
    pub(in super::super) fn fork_all(&mut self) {
        while self.waiting.values().any(|ages| !ages.is_empty()) {
            self.fork();
        }
    }

    /// The mold of the newest generation ends, for which nobody has asked.
    pub(in super::super) fn end_mold(&mut self, change: Change, loaded: bool) {
        if !self.preload {
            return;
        }
        let (current, trial) = self.supervisor.generations();
        let generation = trial.unwrap_or(current);
        let mold = self.broken(generation, change, loaded);
        self.give(Event::MoldEnded(mold));
    }

    /// A mold that is killed for being late.
    pub(super) fn late(&mut self, generation: u64) -> Event {
        Event::MoldEnded(Broken { late: true, ..self.broken(generation, Change::Killed(9), false) })
    }

    fn broken(&mut self, generation: u64, change: Change, loaded: bool) -> Broken {
        let ages = self.waiting.remove(&generation).unwrap_or_default();
        Broken { generation, pid: 500, change, oom: None, loaded, asked_exit: None, late: false, ages }
    }

    /// Ends the molds that nobody needs any more, as the driver does.
    pub(super) fn discard_molds(&mut self) -> Vec<Event> {
        let (current, trial) = self.supervisor.generations();
        let stopping = self.supervisor.is_stopping();
        let mut events = Vec::new();
        self.waiting.retain(|&generation, ages| {
            let kept = !stopping && (generation == current || Some(generation) == trial);
            if !kept {
                let gone = |age| Event::NotSpawned { age, why: "its mold was ended".to_owned() };
                events.extend(ages.drain(..).map(gone));
            }
            kept
        });
        events
    }
}
