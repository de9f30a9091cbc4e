//! What workers say, and how they and other children end.

use ferricorn_protocol::Moment;
use ferricorn_unix::control::Incoming;
use ferricorn_unix::scoreboard::State;
use ferricorn_unix::{clock, wait};

use super::Driver;
use crate::supervisor::Event;

impl Driver<'_> {
    pub(super) fn read_reports(&mut self, age: u64) {
        let Some(worker) = self.workers.get_mut(&age) else { return };
        loop {
            match worker.control.receive() {
                Ok(Incoming::Frame(report)) => self.events.push_back(Event::Report { age, report }),
                Ok(Incoming::Nothing) => return,
                Ok(Incoming::Closed) | Err(_) => {
                    worker.silent = true;
                    return;
                }
            }
        }
    }

    pub(super) fn reap(&mut self) {
        loop {
            match wait::next() {
                Ok(Some((pid, change))) => {
                    if self.successor == Some(pid) {
                        if matches!(change, wait::Change::Exited(_) | wait::Change::Killed(_)) {
                            self.successor = None;
                            self.clean_up_after(pid);
                            self.tell_beside();
                        }
                        self.events.push_back(Event::SuccessorEnded(change));
                        continue;
                    }
                    let Some(age) = self.workers.iter().find(|(_, w)| w.pid == pid).map(|(&age, _)| age)
                    else {
                        self.on_change_of_other(pid, change);
                        continue;
                    };
                    self.on_change(age, pid, change);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!("Cannot wait for workers: {error}");
                    return;
                }
            }
        }
    }

    pub(super) fn on_change(&mut self, age: u64, pid: i32, change: wait::Change) {
        self.read_reports(age);
        if matches!(change, wait::Change::Exited(_) | wait::Change::Killed(_)) {
            let gone = self.workers.remove(&age);
            // Its siblings leave clients to whoever has few.
            if let Some(slot) = gone.and_then(|worker| self.board.slot(worker.slot)) {
                slot.set_state(State::Free);
            }
            // If it fails, that must be known before the last worker's end lets the master go.
            self.call_hook(Moment::Gone { age, pid });
        }
        if let Some(oom) = self.victims.judge(change, clock::now_ms()) {
            self.events.push_back(Event::OutOfMemory { age, oom });
        }
        self.events.push_back(Event::Changed { age, change });
    }
}
