//! Who turns the event loop: threads of ours from the seat, or the app's own loop, whose guest ours is.
//!
//! Everything else in this crate is the same for both: a worker's life, its connections and their tasks.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use ferricorn_protocol::{AppFault, Drive, ExitCode};
use ferricorn_unix::clock;
use tokio::task::AbortHandle;

use crate::guest::Visitor;
use crate::job::Job;
use crate::seat::{self, Life, Seat};
use crate::worker::Worker;

/// See the module's first line.
pub(crate) enum Driver {
    /// Threads of ours, which also call an app that blocks.
    Seat(Arc<Seat<Job>>),
    /// The app's own loop, on this thread.
    Guest(Rc<Visitor<Job>>),
}

impl Driver {
    /// Makes the loop for an app, and for at most so many app threads if it blocks. `idle` runs whenever the loop has
    /// nothing left to do; the app has the worker leave by `leave`.
    ///
    /// # Errors
    /// The kernel refused what a loop needs.
    pub(crate) fn new(
        drive: Drive,
        threads: usize,
        idle: impl Fn() + Send + Sync + 'static,
        leave: impl Fn(u8) + 'static,
    ) -> io::Result<Self> {
        Ok(match drive {
            Drive::Seat => Self::Seat(Arc::new(Seat::new(threads, idle)?)),
            Drive::Task => Self::Seat(Arc::new(Seat::new(1, idle)?)),
            Drive::Hosted => Self::Guest(Rc::new(Visitor::new(idle, leave)?)),
        })
    }

    /// The part that tasks may keep.
    pub(crate) fn shared(&self) -> &Arc<seat::Shared<Job>> {
        match self {
            Self::Seat(seat) => seat.shared(),
            Self::Guest(guest) => guest.shared(),
        }
    }

    /// How tasks spawn tasks.
    pub(crate) fn spawner(&self) -> Spawner {
        match self {
            Self::Seat(_) => Spawner::Runtime,
            Self::Guest(_) => Spawner::Local,
        }
    }

    /// Does something as a task would, such as spawning some. They do not run before [`Driver::run`].
    pub(crate) fn enter<T>(&self, act: impl FnOnce() -> T) -> T {
        match self {
            Self::Seat(seat) => {
                let _entered = seat.runtime().enter();
                act()
            }
            Self::Guest(guest) => guest.enter(act),
        }
    }

    /// Turns the loop on this thread until the worker's life is over.
    ///
    /// # Errors
    /// It cannot be turned, or the app's own loop ended before its time.
    pub(crate) fn run(&self, worker: &Worker) -> Result<(), AppFault> {
        let _fatal = Fatal;
        match self {
            Self::Seat(seat) => take_seats(seat, worker).map_err(|error| AppFault::new(error.to_string())),
            Self::Guest(guest) => {
                let hosted = worker.app.host(guest.clone());
                let early = !worker.seat.stopping();
                // The app may keep its handle, but nothing of the server's.
                guest.depart();
                match hosted {
                    Ok(()) if early => {
                        Err(AppFault::new("it ended by itself, though the worker was to go on"))
                    }
                    hosted => hosted,
                }
            }
        }
    }
}

/// Drives from the seat, this thread being the first app thread. Others, and the standby, are needed only if calls can
/// block the loop.
fn take_seats(seat: &Arc<Seat<Job>>, worker: &Worker) -> io::Result<()> {
    thread::scope(|scope| {
        if worker.app.drive().blocks() {
            let (app, slot, most) = (worker.app.clone(), worker.slot, worker.settings.threads);
            let begin = move |number, life: Life| {
                let body = move || {
                    let _fatal = Fatal;
                    life();
                };
                // To start it may take the interpreter, which somebody may keep.
                slot.entry_begin(number, clock::coarse_ms());
                let started = app.start_thread(format!("ferricorn-app-{}", number + 1), Box::new(body));
                slot.entry_end(number);
                started
            };
            seat.hire_with(begin, move |left| slot.set_threads(left.unwrap_or(most)));
            thread::Builder::new().name("ferricorn-io".to_owned()).stack_size(512 * 1024).spawn_scoped(
                scope,
                || {
                    let _fatal = Fatal;
                    seat.stand_by();
                },
            )?;
        }
        // The scope waits for the standby, which waits for whoever drives.
        let _fatal = Fatal;
        seat.serve(0);
        seat.join();
        Ok(())
    })
}

/// Ends the process if its thread panics outside of any task: the loop is not driven any more, and a worker that
/// is deaf must not live on. The master replaces it.
struct Fatal;

impl Drop for Fatal {
    fn drop(&mut self) {
        if thread::panicking() {
            ferricorn_unix::exit_now(ExitCode::FAILURE.0);
        }
    }
}

/// Spawns tasks from within the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spawner {
    /// Of the runtime itself: whichever thread drives it runs them.
    Runtime,
    /// Of the host's thread: to wake one from there costs no system call.
    Local,
}

impl Spawner {
    pub(crate) fn spawn<F>(self, task: F) -> AbortHandle
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self {
            Self::Runtime => tokio::spawn(task).abort_handle(),
            Self::Local => tokio::task::spawn_local(task).abort_handle(),
        }
    }
}
