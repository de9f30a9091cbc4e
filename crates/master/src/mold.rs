//! The mold of a generation (`--preload`): a process that imports the app once and forks its workers from that.

mod message;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ferricorn_config::Settings;
use ferricorn_protocol::{ExitCode, Hooks, Moment};
use ferricorn_telemetry::error_log;
use ferricorn_unix::control::{Alive, Incoming, Order};
use ferricorn_unix::memfd::StackFile;
use ferricorn_unix::post::{Parcel, Post};
use ferricorn_unix::scoreboard::Scoreboard;
use ferricorn_unix::signal::WorkerSignals;
use ferricorn_unix::{Away, Bell, Listener, Notices, exit_now, poll};

pub(crate) use message::{Answer, Wish};

use crate::spawn::{Cradle, Legacy, steps_from_mold};
use crate::{Host, Outcome};

/// A mold, in its own process. It holds no listener: each worker's come with the wish for it.
#[derive(Debug)]
pub struct Mold {
    pub(crate) generation: u64,
    pub(crate) settings: Settings,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) link: Post,
    pub(crate) stacks: StackFile,
    pub(crate) alive: Alive,
    pub(crate) signals: WorkerSignals,
    pub(crate) board: Scoreboard,
    pub(crate) notices: Notices,
    pub(crate) bell: Bell,
}

impl Mold {
    /// The settings of its generation.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where its stack is to be written when [`signal::STACK`](ferricorn_unix::signal::STACK) arrives.
    #[must_use]
    pub fn stacks(&self) -> BorrowedFd<'_> {
        self.stacks.as_fd()
    }

    /// Tells the master that the import of the app asked for the end of the process with this status.
    pub fn asked_to_exit(&self, status: ExitCode) {
        self.tell(&Answer::AskedToExit { status: status.0 });
    }

    /// Tells the master that the app is here, and forks the workers that it asks for. It returns in each of these.
    /// In the mold it never returns: when the master has no more use for it the process ends, without what a host
    /// does at its end, for that belongs to workers.
    #[must_use]
    pub fn serve(self, host: &dyn Host) -> Outcome {
        self.tell(&Answer::Loaded);
        loop {
            let Parcel { bytes, descriptors } = self.next();
            match Wish::from_bytes(&bytes) {
                Some(Wish::Worker { age, slot }) => {
                    let given = match self.unwrap(age, slot, descriptors) {
                        Ok(given) => given,
                        Err(error) => {
                            self.tell(&Answer::NotForked { age, why: error.to_string() });
                            continue;
                        }
                    };
                    if self.fork(age, host) {
                        return self.become_worker(given);
                    }
                }
                Some(Wish::Reopen) => reopen(),
                None => {}
            }
        }
    }

    /// The next message. It ends the process when there will be none.
    fn next(&self) -> Parcel {
        loop {
            match self.link.receive() {
                Ok(Incoming::Frame(parcel)) => return parcel,
                Ok(Incoming::Nothing) => {}
                Ok(Incoming::Closed) | Err(_) => end(),
            }
            let fds = [self.link.as_fd(), self.alive.as_fd(), self.signals.as_fd()];
            if poll::readable(&fds, None).is_err() || !self.alive.is_alive() {
                end();
            }
            // What tells others to leave may reach a whole process group; the master ends its molds itself.
            if self.signals.take().contains(&Order::Reopen) {
                reopen();
            }
        }
    }

    /// What the master has given for a worker.
    fn unwrap(
        &self,
        age: u64,
        slot: usize,
        descriptors: Vec<OwnedFd>,
    ) -> io::Result<(Cradle, Vec<Listener>)> {
        let missing =
            || io::Error::other("its descriptors did not arrive (is the limit of open files reached?)");
        let mut descriptors = descriptors.into_iter();
        let (control, stacks) = descriptors.next().zip(descriptors.next()).ok_or_else(missing)?;
        let cradle = Cradle {
            age,
            generation: self.generation,
            slot: self.board.slot(slot).ok_or_else(|| io::Error::other("there is no such slot"))?,
            notices: self.notices,
            bell: self.bell.clone(),
            control: control.into(),
            stacks: stacks.into(),
        };
        let listeners = descriptors.map(Listener::handed_over).collect::<io::Result<Vec<_>>>()?;
        Ok((cradle, listeners))
    }

    /// Forks, and says whether this is the child.
    fn fork(&self, age: u64, host: &dyn Host) -> bool {
        if let Err(fault) = self.hooks.call(Moment::Forking { age }) {
            let details = fault.details().to_owned();
            self.tell(&Answer::HookFailed { age, exit: fault.exit, details });
            return false;
        }
        match host.fork_away() {
            Ok(Away::Child) => return true,
            Ok(Away::Parent(newborn)) => {
                // The master must know of it before it does anything.
                self.tell(&Answer::Forked { age, pid: newborn.pid() });
                newborn.release();
            }
            Err(error) => self.tell(&Answer::NotForked { age, why: error.to_string() }),
        }
        false
    }

    fn become_worker(self, (cradle, listeners): (Cradle, Vec<Listener>)) -> Outcome {
        let Self { settings, hooks, link, alive, signals, .. } = self;
        // Before the worker's own come, whose place they have.
        drop((link, signals));
        steps_from_mold(cradle, Legacy { settings, hooks, listeners, alive })
    }

    /// A master that cannot be told is gone, and there is nothing left to do.
    fn tell(&self, answer: &Answer) {
        if self.link.send(&answer.to_bytes(), &[]).is_err() {
            end();
        }
    }
}

fn reopen() {
    if let Some(Err(error)) = error_log::installed().map(|log| log.reopen()) {
        tracing::error!("Cannot open the error log again: {error}");
    }
}

fn end() -> ! {
    exit_now(0)
}
