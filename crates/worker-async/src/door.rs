//! The doors of a worker, one at each listener: for whose next clients the kernel wakes it, and for whose a sibling.
//!
//! All workers wait at the same listeners, in a row (`ferricorn_unix::Watch`). For a client the kernel wakes the first
//! that sleeps, so one that is in a call of its app is passed over. Who has accepted and has more connections than a
//! sibling goes to the end of the row; where all have few, the first one, whose caches are warm, goes on. A worker that
//! cannot take clients, because all app threads are in calls that last or because it holds as many
//! connections as it may, shuts its doors: it would be woken in a sibling's place. One that has far fewer connections
//! than another, a new one above all, stands ahead of the row and is woken for every client; one that has far more
//! leaves clients to its siblings for a moment.
//!
//! A worker may have been woken for a client and find that it cannot take it. Nobody else knows of this client then,
//! so the bell is rung: all look whether somebody waits. `docs/accepting.md` tells why it is done so.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ferricorn_unix::listener::Socket;
use ferricorn_unix::scoreboard::Slot;
use ferricorn_unix::{Bell, Notices, Place, Watch, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::accept;
use crate::job::Job;
use crate::newcomers::{Newcomer, Newcomers};
use crate::seat;
use crate::timer::{sleep, timeout};
use crate::worker::Worker;

/// How long a worker waits for something, at most, before it takes clients that siblings could have.
pub(crate) const COURTESY: Duration = Duration::from_millis(1);

/// So many times that long it waits for the first requests of clients who have come in, if siblings do take the others.
const PATIENCE: u32 = 50;

/// With so many more connections than a sibling a worker goes to the end of the row.
const LEEWAY: u32 = 4;

/// With so many more than a sibling, and a quarter more, a worker has far more.
const FAR: u32 = 16;

/// Why doors are shut: every app thread is in a call that lasts; there is no room for another connection; the worker
/// leaves; the last app threads are for clients who have just come in.
const BLOCKED: u8 = 1;
const FULL: u8 = 2;
const LEAVING: u8 = 4;
const TAKEN: u8 = 8;

/// All doors of a worker. They are used from within its loop alone, by whatever thread drives it.
pub(crate) struct Doors {
    slot: Slot,
    /// Whether the loop sleeps in the epoll instance that watches the listeners. A guest sleeps in its host's, where
    /// there is no row.
    in_row: bool,
    doors: Mutex<Vec<Weak<Door>>>,
    /// Why they are shut; none if they are open.
    bars: AtomicU8,
    seat: OnceLock<Arc<seat::Shared<Job>>>,
    /// Told when the doors were shut because all app threads are busy.
    blocked: Notify,
    newcomers: Arc<Newcomers>,
    /// How long clients are left to a sibling that has far fewer: [`COURTESY`], unless something else was set before.
    pub(crate) courtesy: OnceLock<Duration>,
    bell: OnceLock<(Bell, Notices)>,
}

/// A listener, as the runtime watches it.
pub(crate) struct Door {
    watch: Watch<AsyncFd<Socket>>,
    /// Whether it stands ahead of the row.
    ahead: AtomicBool,
}

impl Doors {
    /// `in_row` tells whether the loop sleeps in its own epoll instance.
    pub(crate) fn new(slot: Slot, in_row: bool) -> Self {
        Self {
            slot,
            in_row,
            doors: Mutex::default(),
            bars: AtomicU8::new(0),
            seat: OnceLock::new(),
            blocked: Notify::new(),
            newcomers: Newcomers::new(),
            courtesy: OnceLock::new(),
            bell: OnceLock::new(),
        }
    }

    /// Has the doors shut while this seat is blocked.
    pub(crate) fn heed(&self, seat: &Arc<seat::Shared<Job>>) {
        self.seat.get_or_init(|| seat.clone());
    }

    /// Has the runtime that is entered watch a listener.
    ///
    /// # Errors
    /// The kernel cannot watch it.
    pub(crate) fn hang(&self, socket: Socket) -> io::Result<Arc<Door>> {
        let door =
            Arc::new(Door { watch: Watch::of(watched(socket)?), ahead: AtomicBool::new(!self.in_row) });
        self.settle(&door);
        self.lock().push(Arc::downgrade(&door));
        self.slot.set_open(true);
        Ok(door)
    }

    /// Shuts the doors if the worker has become blocked. Called whenever the loop is about to sleep: only one that sleeps
    /// is woken for a client.
    pub(crate) fn before_sleep(&self) {
        let Some(seat) = self.seat.get().filter(|seat| seat.may_be_blocked() && seat.blocked()) else {
            return;
        };
        self.block();
        if seat.is_short() {
            seat.short().notify_one();
        }
    }

    fn block(&self) {
        if self.bars.load(Relaxed) & BLOCKED == 0 {
            self.bar(BLOCKED, true);
            self.blocked.notify_one();
        }
    }

    /// A client comes in, whose first request is expected.
    pub(crate) fn expect(&self) -> Newcomer {
        self.newcomers.enter()
    }

    /// Whether calls are about to begin that take all app threads, and there are siblings.
    pub(crate) fn is_taken(&self) -> bool {
        self.seat.get().is_some_and(|seat| seat.has_open_calls() && !seat.has_room(0))
            && self.slot.is_one_of_several()
    }

    /// Leaves clients to siblings, at this door, while those who came in last need all app threads: until their calls have
    /// begun. Who says nothing is waited for while siblings take clients, but for [`PATIENCE`] at most, and the next ones
    /// then not at all. True if somebody may wait now.
    pub(crate) async fn until_called(&self, door: &Door) -> bool {
        let Some(seat) = self.seat.get().filter(|seat| !seat.has_room(self.newcomers.count())) else {
            return true;
        };
        if !self.slot.is_one_of_several() {
            return true;
        }
        let (mut knocked, mut quiet) = (false, false);
        if self.newcomers.are_expected() {
            let mut came = pin!(self.newcomers.all_came());
            for _ in 0..PATIENCE {
                let all = timeout(COURTESY, async {
                    if !knocked {
                        tokio::select! {
                            biased;
                            () = &mut came => return,
                            () = door.knock(&mut quiet) => {}
                        }
                        knocked = true;
                        self.bar(TAKEN, true);
                    }
                    came.as_mut().await;
                });
                if all.await.is_ok() || !self.has_siblings() {
                    break;
                }
            }
        }
        self.newcomers.give_up();
        // Who drives leaves for the call before this goes on.
        tokio::task::yield_now().await;
        if knocked {
            if seat.blocked() {
                self.block();
            }
            self.bar(TAKEN, false);
        }
        knocked || !quiet
    }

    /// There is no room for another connection, or there is again.
    pub(crate) fn full(&self, full: bool) {
        self.bar(FULL, full);
    }

    /// A client came in at this door.
    pub(crate) fn accepted(&self, door: &Door) {
        if self.in_row && (door.ahead.load(Relaxed) || self.has_more_than_a_sibling()) {
            self.settle(door);
        }
    }

    /// A sibling was faster.
    pub(crate) fn came_too_late(&self, door: &Door) {
        if self.in_row && door.ahead.load(Relaxed) && !self.is_sparse() {
            self.settle(door);
        }
    }

    /// Leaves clients to siblings for a moment, if one of them has far fewer.
    pub(crate) async fn give_way(&self) {
        if self.is_crowded() {
            sleep(*self.courtesy.get_or_init(|| COURTESY)).await;
        }
    }

    /// Whether one of the siblings takes clients.
    pub(crate) fn has_siblings(&self) -> bool {
        self.slot.siblings().next().is_some()
    }

    /// Tells the siblings if somebody waits at this door, for whom this worker may have been woken.
    pub(crate) fn pass_on(&self, door: &Door) {
        if let Some((bell, notices)) = self.bell.get()
            && (self.has_siblings() || notices.is_shared())
            && door.has_client()
        {
            bell.ring();
        }
    }

    /// Shuts a door for good.
    pub(crate) fn leave(&self, door: &Door) {
        self.bars.fetch_or(LEAVING, Relaxed);
        self.slot.set_open(false);
        door.watch.end();
    }

    fn has_more_than_a_sibling(&self) -> bool {
        let own = self.slot.connections();
        own > LEEWAY && self.slot.siblings().any(|other| own > other + LEEWAY)
    }

    /// Whether clients should be left to siblings, of whom one has far fewer.
    fn is_crowded(&self) -> bool {
        let own = self.slot.connections();
        own > FAR && self.slot.siblings().any(|other| is_far(other, own))
    }

    /// Whether a sibling has far more, and none far less.
    fn is_sparse(&self) -> bool {
        let own = self.slot.connections();
        self.slot.siblings().any(|other| is_far(own, other)) && !self.is_crowded()
    }

    fn bar(&self, why: u8, shut: bool) {
        let before = if shut { self.bars.fetch_or(why, Relaxed) } else { self.bars.fetch_and(!why, Relaxed) };
        let now = if shut { before | why } else { before & !why };
        if (before == 0) == (now == 0) {
            return;
        }
        self.slot.set_open(now == 0);
        for door in self.lock().iter().filter_map(Weak::upgrade) {
            if now == 0 {
                self.settle(&door);
            } else {
                door.watch.end();
                self.pass_on(&door);
            }
        }
    }

    /// Stands at the door, where the number of connections puts the worker, unless the doors are shut.
    fn settle(&self, door: &Door) {
        if self.bars.load(Relaxed) != 0 {
            return;
        }
        let ahead = !self.in_row || self.is_sparse();
        door.ahead.store(ahead, Relaxed);
        if let Err(error) = door.watch.begin(if ahead { Place::Ahead } else { Place::Last }) {
            tracing::error!("Cannot watch a listener any more: {error}");
        }
    }

    fn look_again(&self) {
        self.lock().iter().filter_map(Weak::upgrade).for_each(|door| self.settle(&door));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Door>>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    pub(crate) fn listener(&self) -> &AsyncFd<Socket> {
        self.watch.get()
    }

    /// Returns when the kernel has told of a client who waits; `quiet` becomes true if there is none at first.
    async fn knock(&self, quiet: &mut bool) {
        while let Ok(mut told) = self.listener().readable().await {
            if self.has_client() {
                return;
            }
            told.clear_ready();
            *quiet = true;
        }
    }

    /// Whether somebody waits at it.
    pub(crate) fn has_client(&self) -> bool {
        has_client(self.listener())
    }

    /// The listener, which the runtime does not watch any more.
    pub(crate) fn take_down(self) -> Socket {
        self.watch.into_inner().into_inner()
    }
}

/// Opens the doors that were shut as soon as an app thread is free. One that has calls enough may drive for long before it
/// sleeps.
pub(crate) async fn keep_doors(worker: Arc<Worker>) {
    loop {
        worker.doors.blocked.notified().await;
        accept::free(&worker).await;
        worker.doors.bar(BLOCKED, false);
    }
}

/// Answers the bell until the worker drains.
pub(crate) async fn answer(worker: Arc<Worker>, bell: Bell, notices: Notices) -> io::Result<()> {
    let rung = watched(bell.clone())?;
    worker.doors.bell.get_or_init(|| (bell, notices));
    loop {
        tokio::select! {
            biased;
            () = worker.lifecycle.drains() => return Ok(()),
            rung = rung.readable() => rung?.clear_ready(),
        }
        worker.doors.look_again();
    }
}

/// Whether somebody waits at a listener.
pub(crate) fn has_client(listener: &impl AsFd) -> bool {
    poll::readable(&[listener.as_fd()], Some(0)).is_ok_and(|readable| readable == [true])
}

/// Whether one has far fewer connections than another.
fn is_far(few: u32, many: u32) -> bool {
    many > few + few / 4 + FAR
}

/// The runtime watches it from now on.
#[expect(
    deprecated,
    reason = "it is wrong for what may be closed while it is watched, and these keep their descriptors"
)]
fn watched<T: AsRawFd>(what: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(what, Interest::READABLE)
}
