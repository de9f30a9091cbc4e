//! What runs around the master, and what it comes back with.

use std::io;
use std::sync::Arc;

use ferricorn_config::Settings;
use ferricorn_protocol::{ExitCode, Hooks};
use ferricorn_unix::{Away, Fork, Inheritance};

use crate::Mold;

/// The process that the master runs in: a Python interpreter, or nothing but Rust.
pub trait Host {
    /// Forks. An interpreter is put in order before and after (`PyOS_BeforeFork`, `PyOS_AfterFork_Parent`,
    /// `PyOS_AfterFork_Child`).
    ///
    /// # Errors
    /// What fork(2) reports.
    fn fork(&self) -> io::Result<Fork>;

    /// As [`Host::fork`], but the child becomes the master's own (see [`ferricorn_unix::fork_away`]). Called in a mold.
    ///
    /// # Errors
    /// What fork(2) reports.
    fn fork_away(&self) -> io::Result<Away>;

    /// Calls `wait` once, which blocks, in such a way that the interpreter's other threads can run meanwhile.
    fn detached(&self, wait: &mut dyn FnMut());

    /// The master listens, and is about to fork: whoever waits for its start need not any more.
    fn begun(&self) {}

    /// Reads the configuration again, after a HUP: command line, environment and file. Gives what it says, and what it
    /// wants done.
    ///
    /// # Errors
    /// What is wrong with it, as text for the operator. The master goes on with the old settings.
    fn reload(&self) -> Result<(Settings, Arc<dyn Hooks>), String>;

    /// What [`Host::reload`] gave last is `taken`, for a worker with it is ready; or it is not, and the process has to
    /// be as it was before.
    fn settle(&self, taken: bool) {
        let _ = taken;
    }

    /// Executes the program in this process, as it was started: the same command line, in the same directory, with the
    /// same environment and these variables. Returns only if that fails.
    fn execute(&self, variables: &[(&'static str, String)]) -> io::Error;
}

/// How [`run`](crate::run) ends, once in the master and once in each process that it forks.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once in the life of a process")]
pub enum Outcome {
    /// In the master: it has stopped, and the process should leave with this code.
    Exit(ExitCode),
    /// In a worker, just forked: what it inherits, and the settings and hooks of its generation. Its signals are
    /// caught, it has claimed its slot, and nothing of the master's is open any more.
    Worker(Box<Inheritance>, Settings, Arc<dyn Hooks>),
    /// In a mold, just forked (`--preload`): the app is to be imported here, and then [`Mold::serve`] to be called. If it
    /// cannot be imported, the process should leave with the code that says so.
    Mold(Box<Mold>),
}
