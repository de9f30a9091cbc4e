//! The seat: one thread drives the event loop, and it is also the one that runs the app.
//!
//! Handing a request to another thread and its answer back costs more than parsing it. So an *app thread*
//! drives the runtime until calls are ready, leaves the driver's seat, runs the calls itself, outside
//! `block_on`, and takes the seat again. A call that is fast never meets another thread. If one lasts longer
//! than about a millisecond, the *standby* thread notices (it ticks only while there are calls) and has the
//! seat taken over: by a parked app thread if there is one, else by itself. The standby never runs the app.
//!
//! While one call after the other lasts (`pace.rs`), looks would come too late for each of them. Then the standby keeps
//! the seat, and app threads wait for calls instead of for the seat. When calls are fast again, it gives the seat back.
//!
//! App threads are started when a call waits and none is free (`hire.rs`). Which of them runs what, and who waits where,
//! is decided in `pool.rs`; `batch.rs` is how they run calls, and `lobby.rs` how they wait. Two rules come from what calls are made of:
//! - what belongs to a call, such as the rest of its response, runs on the same app thread, and until its end that thread
//!   begins no other call (`room.rs`), unless its client has kept it waiting (`tie.rs` of the crate);
//! - no call is begun while one is waiting to enter the app: an interpreter has room for one at a time, and a call that
//!   keeps it busy gains nothing from others that wait for it beside the queue.
//!
//! What must hold, and is tested in `tests.rs`:
//! - at most one thread drives;
//! - calls run on app threads only, and each is run and delivered once;
//! - no wake-up is lost: what is finished is delivered even if its thread lost the seat meanwhile.
//!
//! Results wait on a list which the next turn of the loop delivers from inside the runtime, because waking a
//! task from inside costs no system call. Only a thread that lost the seat wakes the loop from outside.

mod batch;
mod drive;
mod hire;
mod lobby;
mod pace;
mod pool;
mod room;
mod standby;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use ferricorn_protocol::AppThread;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

pub(crate) use hire::Life;

use drive::{Drive, Role, Turn};
use hire::Hire;
use lobby::Next;
use pace::Pace;
use pool::{Guest, Pool, Put};
use standby::Standby;

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

    /// The number of the app thread that must do it; `None` if any may.
    fn home(&self) -> Option<usize>;

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
    /// Nobody, the standby, or the number of an app thread plus one.
    driver: AtomicU32,
    pool: Mutex<Pool<W>>,
    done: Mutex<VecDeque<W::Done>>,
    /// Counts calls as they begin; the standby sees from it whether one lasts.
    calls: AtomicU64,
    pace: Pace,
    /// How many responses each app thread has to go on with.
    ties: Box<[AtomicU32]>,
    /// Wakes the driver out of its `block_on`; set when the runtime is first driven.
    waker: OnceLock<Waker>,
    /// Set when somebody was told that no app thread is free, and wants to hear of it when one is.
    told_blocked: AtomicBool,
    /// Set when they are to hear of it from whoever drives.
    unblocked: AtomicBool,
    /// Counts how often an app thread went from a call straight to the next one, though traffic is slow.
    lulls: AtomicU32,
    /// When a lull was last of no use, on the coarse clock.
    vain_lull: AtomicU64,
    freed: Notify,
    /// Notified when calls wait for app threads that are tied.
    short: Notify,
    stop: AtomicBool,
    standby: Standby,
    hire: OnceLock<Box<Hire>>,
    /// Rung when a thread has ended.
    gone: Condvar,
}

const NOBODY: u32 = 0;
const STANDBY: u32 = u32::MAX;

/// How an app thread calls itself when it drives.
fn app_thread(number: usize) -> u32 {
    // There are as many as the scoreboard has lanes, at most.
    number as u32 + 1
}

impl<W: Work> Seat<W> {
    /// Builds the runtime, for at most so many app threads. Nothing is driven before [`Seat::serve`]. `before_park`
    /// runs whenever the loop has nothing left to do.
    ///
    /// # Errors
    /// The kernel refused an epoll instance or an eventfd.
    pub(crate) fn new(threads: usize, before_park: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .on_thread_park(before_park)
            .build()?;
        Ok(Self { runtime, shared: Arc::new(Shared::new(threads)) })
    }

    /// The runtime, to enter it or to spawn on it.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The part that tasks may keep.
    pub(crate) fn shared(&self) -> &Arc<Shared<W>> {
        &self.shared
    }

    /// Makes the calling thread the app thread of this number until [`Shared::stop`]: it drives the loop and runs the
    /// app.
    pub(crate) fn serve(&self, number: usize) {
        AppThread(number).begin();
        while let Turn::Run = self.next_turn(number) {
            self.shared.run_batch(number);
        }
    }

    /// Makes the calling thread the standby until [`Shared::stop`].
    pub(crate) fn stand_by(&self) {
        standby::stand_by(self);
    }

    /// Waits until there are calls to run: in the seat if it is free, else in the lobby.
    fn next_turn(&self, number: usize) -> Turn {
        loop {
            match self.drive(Role::AppThread(number)) {
                None | Some(Turn::HandOver(_)) => {}
                Some(turn) => return turn,
            }
            match self.shared.wait_in_lobby(number) {
                Next::Seat => {}
                Next::Run => return Turn::Run,
                Next::Stop => return Turn::Stop,
            }
        }
    }

    /// Takes the seat, if it is free, and drives until the role's turn comes.
    fn drive(&self, role: Role) -> Option<Turn> {
        self.shared.take(role.driver()).then(|| {
            let turn = self.runtime.block_on(Drive::new(&self.shared, role));
            match &turn {
                Turn::HandOver(to) => self.shared.hand_seat_to(to),
                _ => self.shared.leave(),
            }
            turn
        })
    }
}

impl<W: Work> Shared<W> {
    /// For at most so many app threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            driver: AtomicU32::new(NOBODY),
            pool: Mutex::new(Pool::new(threads)),
            done: Mutex::default(),
            calls: AtomicU64::new(0),
            pace: Pace::default(),
            ties: (0..threads).map(|_| AtomicU32::new(0)).collect(),
            waker: OnceLock::new(),
            told_blocked: AtomicBool::new(false),
            unblocked: AtomicBool::new(false),
            lulls: AtomicU32::new(0),
            vain_lull: AtomicU64::new(0),
            freed: Notify::new(),
            short: Notify::new(),
            stop: AtomicBool::new(false),
            standby: Standby::default(),
            hire: OnceLock::new(),
            gone: Condvar::new(),
        }
    }

    /// Queues work for an app thread.
    pub(crate) fn submit(&self, work: W) {
        let put = lock(&self.pool).put(work);
        match put {
            Put::Nobody => {}
            Put::Driver => self.wake_driver(),
            Put::DriverIf(number) if self.driver.load(Ordering::SeqCst) == app_thread(number) => {
                self.wake_driver();
            }
            // It looks for its own calls before it does anything else.
            Put::DriverIf(_) => {}
            Put::Guest(thread) => thread.unpark(),
        }
    }

    /// Makes app threads and the standby return once they have no call to run.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake_driver();
        lock(&self.pool).call_all().for_each(|thread| thread.unpark());
        self.standby.ring();
    }

    /// Has the loop driven at once, by another thread, because the calling app thread will wait for it.
    pub(crate) fn hand_over(&self) {
        self.standby.hand_over();
    }

    /// Whether [`Shared::stop`] was called.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Takes the seat, if it is free or was given to the one who asks.
    fn take(&self, driver: u32) -> bool {
        match self.driver.compare_exchange(NOBODY, driver, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(other) => other == driver,
        }
    }

    /// Gives the seat to an app thread that has left the lobby for it.
    fn hand_seat_to(&self, to: &Guest) {
        self.driver.store(app_thread(to.number), Ordering::SeqCst);
        to.thread.unpark();
    }

    /// Leaves the seat. If the leaver is off to run calls, the standby must know that there is traffic, and drives at
    /// once if it is slow; if it is the standby, somebody in the lobby may have the seat.
    fn leave(&self) {
        let was = self.driver.swap(NOBODY, Ordering::SeqCst);
        if was == STANDBY {
            self.ring_lobby();
        } else if self.pace.is_slow() {
            self.standby.hand_over();
        } else {
            self.standby.traffic();
        }
    }

    /// Sets what wakes the loop, if nobody takes the seat of this one: it is a guest.
    pub(crate) fn wake_with(&self, waker: Waker) {
        self.waker.get_or_init(|| waker);
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

    fn wake_driver(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// Locks a mutex whose data stay consistent even if a holder panicked: all critical sections here are single
/// steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
