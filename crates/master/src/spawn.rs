//! The birth of a worker: what is made for it before the fork, and its first steps.

use std::io;
use std::sync::Arc;

use ferricorn_config::Settings;
use ferricorn_protocol::{ExitCode, Hooks};
use ferricorn_unix::control::{self, Alive, MasterEnd, WorkerEnd};
use ferricorn_unix::memfd::StackFile;
use ferricorn_unix::scoreboard::Slot;
use ferricorn_unix::signal::{WorkerSignals, reset_for_foreign_code};
use ferricorn_unix::{Bell, Inheritance, Listener, Notices, title};

use crate::Outcome;

/// What a worker is given, made by the master before the fork.
#[derive(Debug)]
pub(crate) struct Cradle {
    pub(crate) age: u64,
    pub(crate) generation: u64,
    pub(crate) slot: Slot,
    pub(crate) notices: Notices,
    pub(crate) bell: Bell,
    pub(crate) control: WorkerEnd,
    pub(crate) stacks: StackFile,
}

impl Cradle {
    /// Makes one, and the master's end of its control socket.
    pub(crate) fn make(
        age: u64,
        generation: u64,
        slot: Slot,
        notices: Notices,
        bell: Bell,
    ) -> io::Result<(Self, MasterEnd)> {
        let (master, worker) = control::pair()?;
        slot.clear();
        let stacks = StackFile::create()?;
        Ok((Self { age, generation, slot, notices, bell, control: worker, stacks }, master))
    }
}

/// What a child keeps of its master, apart from what was made for it.
#[derive(Debug)]
pub(crate) struct Legacy {
    pub(crate) settings: Settings,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) alive: Alive,
}

/// The child's first steps. `let_go` drops everything else that the master had: the write end of the life pipe,
/// the other workers' sockets and stacks, the signal pipe, the pidfile's guard.
///
/// # Errors
/// What the kernel reports; the worker must leave then.
pub(crate) fn first_steps(cradle: Cradle, let_go: impl FnOnce() -> Legacy) -> io::Result<Outcome> {
    // 1. Signals mean orders from now on; the master's handlers are gone.
    let signals = WorkerSignals::install()?;
    // 2. All others act as if nobody had touched them, and none is blocked.
    reset_for_foreign_code()?;
    // 3. Nothing of the master's stays open.
    Ok(introduce(cradle, signals, let_go()))
}

/// The same for the child of a mold, which has let go of the mold's. Other signals are as the app has set them while it
/// was imported.
pub(crate) fn steps_from_mold(cradle: Cradle, legacy: Legacy) -> Outcome {
    match WorkerSignals::install() {
        Ok(signals) => introduce(cradle, signals, legacy),
        Err(error) => {
            tracing::error!("Worker (pid:{}) could not be prepared: {error}", std::process::id());
            Outcome::Exit(ExitCode::FAILURE)
        }
    }
}

/// Says who this is.
fn introduce(cradle: Cradle, signals: WorkerSignals, legacy: Legacy) -> Outcome {
    let Legacy { settings, hooks, listeners, alive } = legacy;
    cradle.slot.claim(std::process::id(), cradle.age, cradle.generation);
    // So that ps and the log tell it, too.
    title::set(&title::of_worker(&settings.proc_name, "starting"));
    tracing::info!("Booting worker with pid: {}", std::process::id());
    let inheritance = Inheritance {
        listeners,
        control: cradle.control,
        alive,
        signals,
        notices: cradle.notices,
        bell: cradle.bell,
        slot: cradle.slot,
        age: cradle.age,
        generation: cradle.generation,
        stacks: cradle.stacks,
    };
    Outcome::Worker(Box::new(inheritance), settings, hooks)
}
