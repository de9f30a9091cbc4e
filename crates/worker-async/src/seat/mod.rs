//! The seat: one thread drives the event loop, and it is also the one that runs the app.
//!
//! Handing a request to another thread and its answer back costs more than parsing it. So an *app thread*
//! drives the runtime until calls are ready, leaves the driver's seat, runs the calls itself, outside
//! `block_on`, and takes the seat again. A call that is fast never meets another thread. If one lasts longer
//! than about a millisecond, the *standby* thread notices (it ticks only while there are calls) and has the
//! seat taken over: by a parked app thread if there is one, else by itself. The standby never runs the app.
//!
//! What must hold, and is tested in `tests.rs`:
//! - at most one thread drives;
//! - calls run on app threads only, and each is run and delivered once;
//! - no wake-up is lost: what is finished is delivered even if its thread lost the seat meanwhile.
//!
//! Results wait on a list which the next turn of the loop delivers from inside the runtime, because waking a
//! task from inside costs no system call. Only a thread that lost the seat wakes the loop from outside.

mod drive;
mod standby;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::Notify;

use drive::{Drive, Role, Turn};
use standby::Standby;

/// How long queued calls may run one after the other before the loop is driven in between, so that the
/// first ones' answers do not wait for the last ones' calls.
const BATCH: Duration = Duration::from_micros(200);

/// What app threads do.
pub(crate) trait Work: Send + 'static {
    /// What comes of it.
    type Done: Send;

    /// Does the work. Called on an app thread, outside the runtime; may block.
    fn run(self) -> Self::Done;

    /// What the work of several needs around it; see [`Work::around`].
    type Around;

    /// Finds it for this work, and for any that follows.
    fn surroundings(&self) -> Self::Around;

    /// Calls `work`, which does the work of several, once.
    fn around(around: Self::Around, work: &mut dyn FnMut());

    /// Brings the result to its connection. Called inside the runtime; must not block.
    fn deliver(done: Self::Done);
}

/// The seat of one worker: the runtime, and who drives it.
pub(crate) struct Seat<W: Work> {
    runtime: Runtime,
    shared: Arc<Shared<W>>,
}

/// The part of the seat that connections, app threads and the standby share.
pub(crate) struct Shared<W: Work> {
    /// Nobody, an app thread, or the standby: one of the constants below.
    driver: AtomicU32,
    jobs: Mutex<VecDeque<W>>,
    done: Mutex<VecDeque<W::Done>>,
    /// Counts calls as they begin; the standby sees from it whether one lasts.
    calls: AtomicU64,
    /// Wakes the driver out of its `block_on`; set when the runtime is first driven.
    waker: OnceLock<Waker>,
    /// Set while no app thread is free: a worker in that state leaves new clients to its siblings.
    blocked: AtomicBool,
    freed: Notify,
    stop: AtomicBool,
    lobby: Mutex<Lobby>,
    /// Rung for app threads that wait in the lobby.
    bell: Condvar,
    standby: Standby,
}

const NOBODY: u32 = 0;
const APP_THREAD: u32 = 1;
const STANDBY: u32 = 2;

/// App threads without a call, while another thread drives.
#[derive(Default)]
struct Lobby {
    waiting: usize,
}

impl<W: Work> Seat<W> {
    /// Builds the runtime. Nothing is driven before [`Seat::serve`]. `before_park` runs whenever the loop has
    /// nothing left to do.
    ///
    /// # Errors
    /// The kernel refused an epoll instance or an eventfd.
    pub(crate) fn new(before_park: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .on_thread_park(before_park)
            .build()?;
        Ok(Self { runtime, shared: Arc::new(Shared::new()) })
    }

    /// The runtime, to enter it or to spawn on it.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The part that tasks may keep.
    pub(crate) fn shared(&self) -> &Arc<Shared<W>> {
        &self.shared
    }

    /// Makes the calling thread an app thread until [`Shared::stop`]: it drives the loop and runs the app.
    pub(crate) fn serve(&self) {
        while let Turn::Run = self.next_turn() {
            self.shared.run_batch();
        }
    }

    /// Makes the calling thread the standby until [`Shared::stop`].
    pub(crate) fn stand_by(&self) {
        standby::stand_by(self);
    }

    /// Waits until there are calls to run: in the seat if it is free, else in the lobby.
    fn next_turn(&self) -> Turn {
        loop {
            if let Some(turn) = self.drive(Role::AppThread) {
                return turn;
            }
            if self.shared.has_jobs() {
                return Turn::Run;
            }
            if self.shared.stopping() {
                return Turn::Stop;
            }
            self.shared.wait_in_lobby();
        }
    }

    /// Takes the seat, if it is free, and drives until the role's turn comes.
    fn drive(&self, role: Role) -> Option<Turn> {
        self.shared.take(role.driver()).then(|| {
            let turn = self.runtime.block_on(Drive::new(&self.shared, role));
            self.shared.leave();
            turn
        })
    }
}

impl<W: Work> Shared<W> {
    pub(crate) fn new() -> Self {
        Self {
            driver: AtomicU32::new(NOBODY),
            jobs: Mutex::default(),
            done: Mutex::default(),
            calls: AtomicU64::new(0),
            waker: OnceLock::new(),
            blocked: AtomicBool::new(false),
            freed: Notify::new(),
            stop: AtomicBool::new(false),
            lobby: Mutex::default(),
            bell: Condvar::new(),
            standby: Standby::default(),
        }
    }

    /// Queues work for an app thread. Called inside the runtime.
    pub(crate) fn submit(&self, work: W) {
        let mut jobs = lock(&self.jobs);
        jobs.push_back(work);
        let first = jobs.len() == 1;
        drop(jobs);
        if first {
            self.wake_driver();
        }
    }

    /// Makes app threads and the standby return once they have no call to run.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake_driver();
        let _lobby = lock(&self.lobby);
        self.bell.notify_all();
        self.standby.ring();
    }

    /// Has the loop driven at once, by another thread, because the calling app thread will wait for it.
    pub(crate) fn hand_over(&self) {
        self.standby.hand_over();
    }

    /// Whether every app thread is in a call that lasts.
    pub(crate) fn blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Notified when [`Shared::blocked`] ends.
    pub(crate) fn freed(&self) -> &Notify {
        &self.freed
    }

    /// Whether [`Shared::stop`] was called.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn has_jobs(&self) -> bool {
        !lock(&self.jobs).is_empty()
    }

    fn take(&self, driver: u32) -> bool {
        self.driver.compare_exchange(NOBODY, driver, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Leaves the seat. If the leaver is off to run calls, the standby must know that there is traffic; if it
    /// is the standby, somebody in the lobby may have the seat.
    fn leave(&self) {
        let was = self.driver.swap(NOBODY, Ordering::SeqCst);
        if was == STANDBY {
            self.ring_lobby();
        } else {
            self.standby.traffic();
        }
    }

    /// Runs queued calls until there are none or their time is up, and puts their results on the list.
    fn run_batch(&self) {
        let Some(first) = self.next_job() else { return };
        let around = W::surroundings(&first);
        let mut next = Some(first);
        W::around(around, &mut || {
            let began = Instant::now();
            let mut run = 0_u32;
            while let Some(work) = next.take().or_else(|| self.next_job()) {
                self.calls.fetch_add(1, Ordering::Relaxed);
                self.publish(work.run());
                run += 1;
                // Reading the clock costs about as much as a lock; every few calls is often enough.
                if run.is_multiple_of(4) && began.elapsed() > BATCH {
                    break;
                }
            }
        });
    }

    /// Sets what wakes the loop, if nobody takes the seat of this one: it is a guest.
    pub(crate) fn wake_with(&self, waker: Waker) {
        self.waker.get_or_init(|| waker);
    }

    /// Runs queued calls for a while, on the thread of a loop that is a guest.
    pub(crate) fn run_here(&self) {
        if self.has_jobs() {
            self.run_batch();
            self.deliver();
            if self.has_jobs() {
                self.wake_driver();
            }
        }
    }

    /// Brings results to their connections.
    fn deliver(&self) {
        let mut done = lock(&self.done);
        while let Some(result) = done.pop_front() {
            W::deliver(result);
        }
    }

    /// Lists a result for whoever drives next, from an app thread.
    pub(crate) fn publish(&self, done: W::Done) {
        lock(&self.done).push_back(done);
        // Whoever took the seat before the result was listed has looked at the list too early.
        if self.driver.load(Ordering::SeqCst) != NOBODY {
            self.wake_driver();
        }
    }

    fn next_job(&self) -> Option<W> {
        lock(&self.jobs).pop_front()
    }

    fn wake_driver(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Parks an app thread until the seat may be free. The standby gives the seat back when asked to.
    fn wait_in_lobby(&self) {
        let mut lobby = lock(&self.lobby);
        lobby.waiting += 1;
        while self.driver.load(Ordering::SeqCst) != NOBODY && !self.has_jobs() && !self.stopping() {
            if self.driver.load(Ordering::SeqCst) == STANDBY {
                self.wake_driver();
            }
            lobby = self.bell.wait(lobby).unwrap_or_else(PoisonError::into_inner);
        }
        lobby.waiting -= 1;
    }

    /// Wakes an app thread in the lobby, and says whether there was one.
    fn ring_lobby(&self) -> bool {
        let lobby = lock(&self.lobby);
        self.bell.notify_one();
        lobby.waiting > 0
    }

    fn somebody_waits(&self) -> bool {
        lock(&self.lobby).waiting > 0
    }
}

/// Locks a mutex whose data stay consistent even if a holder panicked: all critical sections here are single
/// steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
