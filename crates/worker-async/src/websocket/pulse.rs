//! Looks after all WebSockets of a worker: who must be pinged, who does not answer, and that the worker ends.
//!
//! One task serves all of them. It sleeps until the next of them is due, and with pings it ends when there are none.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use ferricorn_config::WebSocketSettings;
use ferricorn_unix::clock;
use slab::Slab;

use crate::timer::timeout;
use crate::worker::Worker;

/// The least time between two looks: what times are rounded up to.
const LOOK_MS: u64 = 50;

/// What a session is asked to do.
mod ask {
    pub(super) const NOTHING: u8 = 0;
    pub(super) const PING: u8 = 1;
    pub(super) const GIVE_UP: u8 = 2;
    pub(super) const LEAVE: u8 = 4;
    pub(super) const PROBE: u8 = 8;
}

/// All WebSockets of a worker.
#[derive(Default)]
pub(crate) struct Pulse {
    beats: Mutex<Slab<Entry>>,
    /// Whether the task runs.
    running: AtomicBool,
}

struct Entry {
    beat: Arc<Beat>,
    /// When the ping was sent that is not answered yet.
    pinged: Option<u64>,
    /// When a client that cannot answer was last pinged.
    probed: u64,
}

/// What the task and one session know of each other.
#[derive(Default)]
struct Beat {
    /// When the client last showed that it is there, in milliseconds of the coarse clock.
    heard: AtomicU64,
    /// Whether it did since the last ping.
    alive: AtomicBool,
    /// Whether the client cannot show it: the app takes no more messages.
    deaf: AtomicBool,
    asks: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

/// What a session was asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Send a ping.
    pub(super) ping: bool,
    /// Send a ping whose answer is not waited for, if nothing else is on its way: the kernel finds out whether there is
    /// still somebody to take it.
    pub(super) probe: bool,
    /// Give up on a client that did not answer the last one.
    pub(super) give_up: bool,
    /// End, since the worker does.
    pub(super) leave: bool,
}

/// A session's membership; it ends when this is dropped.
pub(super) struct Member {
    worker: Arc<Worker>,
    key: usize,
    beat: Arc<Beat>,
}

impl Member {
    /// Enters a session, and has it looked after. Called in the runtime.
    pub(super) fn enter(worker: &Arc<Worker>, cx: &Context<'_>) -> Self {
        let beat = Arc::new(Beat::default());
        beat.heard.store(clock::coarse_ms(), Relaxed);
        lock(&beat.waker).replace(cx.waker().clone());
        let key = lock(&worker.pulse.beats).insert(Entry { beat: beat.clone(), pinged: None, probed: 0 });
        if worker.lifecycle.draining() {
            beat.asks.store(ask::LEAVE, Relaxed);
        } else if !worker.pulse.running.swap(true, Relaxed) {
            worker.spawner.spawn(run(worker.clone()));
        }
        Self { worker: worker.clone(), key, beat }
    }

    /// The client sent something, or took something.
    pub(super) fn heard(&self) {
        self.beat.heard.store(clock::coarse_ms(), Relaxed);
        self.beat.alive.store(true, Relaxed);
    }

    /// Says whether the client is read. While it is not, it is not held against it that it says nothing.
    pub(super) fn listens(&self, listens: bool) {
        if self.beat.deaf.swap(!listens, Relaxed) && listens {
            self.heard();
        }
    }

    /// What is to be done, once.
    pub(super) fn asked(&self) -> Asked {
        if self.beat.asks.load(Relaxed) == ask::NOTHING {
            return Asked::default();
        }
        let asks = self.beat.asks.swap(ask::NOTHING, Relaxed);
        let is = |wish| asks & wish != 0;
        Asked { ping: is(ask::PING), probe: is(ask::PROBE), give_up: is(ask::GIVE_UP), leave: is(ask::LEAVE) }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.worker.pulse.beats).try_remove(self.key);
    }
}

impl Beat {
    fn ask(&self, wish: u8) {
        self.asks.fetch_or(wish, Relaxed);
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Entry {
    /// Asks for what is due at `now`, and gives the time of the next look at it, in milliseconds of the clock.
    fn look(&mut self, now: u64, interval: u64, timeout: Option<u64>) -> u64 {
        let heard = self.beat.heard.load(Relaxed);
        if self.beat.deaf.load(Relaxed) {
            self.pinged = None;
            let due = heard.max(self.probed) + interval;
            if now < due {
                return due;
            }
            self.probed = now;
            self.beat.ask(ask::PROBE);
            return now + interval;
        }
        if self.beat.alive.load(Relaxed) {
            self.pinged = None;
        }
        match (self.pinged, timeout) {
            (Some(pinged), Some(timeout)) if now >= pinged + timeout => {
                self.beat.ask(ask::GIVE_UP);
                now + interval
            }
            (Some(pinged), Some(timeout)) => pinged + timeout,
            (pinged, _) => {
                let due = pinged.unwrap_or(heard) + interval;
                if now < due {
                    return due;
                }
                self.pinged = Some(now);
                self.beat.alive.store(false, Relaxed);
                self.beat.ask(ask::PING);
                now + timeout.unwrap_or(interval)
            }
        }
    }
}

/// Looks until there are no WebSockets, or the worker drains: then all are asked to end, and those to come will be
/// without this.
async fn run(worker: Arc<Worker>) {
    let WebSocketSettings { ping_interval, ping_timeout, .. } = worker.settings.websocket;
    loop {
        let drains = worker.lifecycle.drains();
        let drained = match ping_interval {
            None => {
                drains.await;
                true
            }
            Some(interval) => {
                let sleep = look(&worker.pulse, millis(interval), ping_timeout.map(millis));
                timeout(Duration::from_millis(sleep), drains).await.is_ok()
            }
        };
        let beats = lock(&worker.pulse.beats);
        if drained {
            return beats.iter().for_each(|(_, entry)| entry.beat.ask(ask::LEAVE));
        }
        if beats.is_empty() {
            return worker.pulse.running.store(false, Relaxed);
        }
    }
}

/// Looks at all, and gives the milliseconds until the next look.
fn look(pulse: &Pulse, interval: u64, timeout: Option<u64>) -> u64 {
    let now = clock::coarse_ms();
    let mut beats = lock(&pulse.beats);
    let next = beats.iter_mut().map(|(_, entry)| entry.look(now, interval, timeout)).min();
    // One that comes meanwhile is due after the interval at the earliest.
    next.unwrap_or(now + interval).min(now + interval).saturating_sub(now).max(LOOK_MS)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4).clamp(1, u64::MAX / 4)
}

/// No holder of these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
