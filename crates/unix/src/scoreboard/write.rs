//! The worker's side: plain stores and a few atomic additions, no system call.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use super::State;
use super::layout::{BUCKETS, Board, Entry, IN_FLIGHT, LANES, Lane, METHOD_BYTES, Memory, PATH_BYTES};
use super::read::{Noted, Snapshot, note, snapshot};

/// A worker's own part of the scoreboard. Copies are the same slot, and any thread may use them.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    memory: &'static Memory,
    board: &'static Board,
}

/// A request in flight, as [`Slot::request_begin`] noted it. Give it back once, to [`Slot::request_end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The number of the table's entry; `IN_FLIGHT` if the table was full.
    entry: u8,
    /// The entry's sequence number while it tells of this request.
    sequence: u64,
}

/// Who is to blame for a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The client: 4xx, or it left.
    Client,
    /// The app: an exception, an answer of 5xx, or a response that cannot be sent.
    App,
    /// The server itself: a bug, or no resources.
    Server,
}

const FULL: u8 = 64;
const _: () = assert!(IN_FLIGHT == FULL as usize);

impl Slot {
    pub(super) fn new(board: &'static Board, memory: &'static Memory) -> Self {
        Self { memory, board }
    }

    /// Forgets everything that the slot says. The master does it before it gives the slot to a new worker.
    pub fn clear(&self) {
        let memory = self.memory;
        let threads = memory.threads.swap(0, Relaxed) as usize;
        for word in [&memory.pid, &memory.state, &memory.connections, &memory.open, &memory.overflow] {
            word.store(0, Relaxed);
        }
        let head = [&memory.age, &memory.generation, &memory.beat, &memory.requests, &memory.taken];
        let errors = [&memory.client_errors, &memory.app_errors, &memory.server_errors];
        let lanes = memory.lanes.iter().take(threads.max(1));
        let lanes = lanes.flat_map(|lane| [&lane.since, &lane.entry, &lane.waits]);
        let entries = memory.entries.iter().flat_map(|entry| [&entry.sequence, &entry.since]);
        let words = head.into_iter().chain(errors).chain(lanes).chain(entries).chain(&memory.latency);
        words.for_each(|word| word.store(0, Relaxed));
        fence(Release);
    }

    /// Says whose slot it is; its state becomes [`State::Booting`].
    pub fn claim(&self, pid: u32, age: u64, generation: u64) {
        self.memory.age.store(age, Relaxed);
        self.memory.generation.store(generation, Relaxed);
        self.memory.pid.store(pid, Relaxed);
        self.set_state(State::Booting);
    }

    /// Says what the worker is about.
    pub fn set_state(&self, state: State) {
        self.memory.state.store(state as u32, Release);
    }

    /// Says how many app threads there may be; each has a lane with its number, from 0 and below [`LANES`].
    pub fn set_threads(&self, threads: usize) {
        // There are no more lanes than that.
        self.memory.threads.store(threads.min(LANES) as u32, Release);
    }

    /// Says that the loop turned.
    pub fn beat(&self, now_ms: u64) {
        self.memory.beat.store(now_ms, Relaxed);
    }

    /// Notes a request. `path` is the path without its query; of method and path the first
    /// [`METHOD_BYTES`](super::METHOD_BYTES) and [`PATH_BYTES`](super::PATH_BYTES) bytes are kept.
    #[must_use]
    pub fn request_begin(&self, now_ms: u64, method: &str, path: &[u8]) -> Ticket {
        let taken = &self.memory.taken;
        let mut bits = taken.load(Relaxed);
        loop {
            let free = bits.trailing_ones();
            let Some(entry) = self.memory.entries.get(free as usize) else {
                self.memory.overflow.fetch_add(1, Relaxed);
                return Ticket { entry: FULL, sequence: 0 };
            };
            match taken.compare_exchange_weak(bits, bits | 1 << free, AcqRel, Relaxed) {
                Ok(_) => {
                    let sequence = write_entry(entry, now_ms, method.as_bytes(), path);
                    // `free` is below 64.
                    return Ticket { entry: free as u8, sequence };
                }
                Err(now) => bits = now,
            }
        }
    }

    /// Whether any request is in flight.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.memory.taken.load(Relaxed) != 0 || self.memory.overflow.load(Relaxed) != 0
    }

    /// The request has been answered, or given up.
    pub fn request_end(&self, ticket: Ticket) {
        self.memory.requests.fetch_add(1, Relaxed);
        match self.memory.entries.get(usize::from(ticket.entry)) {
            Some(entry) => {
                entry.since.store(0, Relaxed);
                self.memory.taken.fetch_and(!(1 << ticket.entry), Release);
            }
            None => {
                self.memory.overflow.fetch_sub(1, Relaxed);
            }
        }
    }

    /// What was noted of a request. `None` if the table was full, or if the request has ended and another one
    /// has its entry.
    #[must_use]
    pub fn request(&self, ticket: Ticket) -> Option<Noted> {
        let (noted, sequence) = note(self.memory.entries.get(usize::from(ticket.entry))?)?;
        (sequence == ticket.sequence).then_some(noted)
    }

    /// What the slot says now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        snapshot(self.memory)
    }

    /// The app thread of this lane waits to enter the app.
    pub fn entry_begin(&self, lane: usize, now_ms: u64) {
        self.lane(lane).waits.store(now_ms, Release);
    }

    /// It has entered.
    pub fn entry_end(&self, lane: usize) {
        self.lane(lane).waits.store(0, Release);
    }

    /// The app thread goes into the app, on behalf of a request if `ticket` is given.
    pub fn call_begin(&self, lane: usize, now_ms: u64, ticket: Option<Ticket>) {
        let lane = self.lane(lane);
        let entry = ticket.map_or(0, |ticket| ticket.sequence << 8 | (u64::from(ticket.entry) + 1));
        lane.entry.store(entry, Relaxed);
        lane.since.store(now_ms, Release);
    }

    /// So many milliseconds of the app thread's call were spent waiting for a client: they are not the app's.
    pub fn call_waited(&self, lane: usize, time_ms: u64) {
        let since = &self.lane(lane).since;
        // No call, no clock: another thread of the app may wait when the call has returned.
        let _ =
            since.fetch_update(Release, Relaxed, |since| (since != 0).then(|| since.saturating_add(time_ms)));
    }

    /// How long the app thread's call lasts does not count any more.
    pub fn call_untimed(&self, lane: usize) {
        self.lane(lane).since.store(0, Release);
    }

    /// The app thread is back from the app.
    pub fn call_end(&self, lane: usize) {
        self.lane(lane).since.store(0, Release);
    }

    /// A number beyond [`LANES`] is the last one's, which tells of several then.
    fn lane(&self, lane: usize) -> &'static Lane {
        &self.memory.lanes[lane.min(LANES - 1)]
    }

    /// A connection was accepted.
    pub fn connection_begin(&self) {
        self.memory.connections.fetch_add(1, Relaxed);
    }

    /// A connection was closed.
    pub fn connection_end(&self) {
        self.memory.connections.fetch_sub(1, Relaxed);
    }

    /// Says whether the worker takes new clients.
    pub fn set_open(&self, open: bool) {
        self.memory.open.store(u32::from(open), Release);
    }

    /// How many connections each of the other workers has that take new clients.
    pub fn siblings(&self) -> impl Iterator<Item = u32> {
        let (own, given) = (self.memory, self.board.head.given.load(Relaxed) as usize);
        let others = self.board.slots.iter().take(given).filter(move |slot| !std::ptr::eq(*slot, own));
        let open =
            |slot: &&Memory| slot.open.load(Acquire) != 0 && slot.state.load(Relaxed) == State::Ready as u32;
        others.filter(open).map(|slot| slot.connections.load(Relaxed))
    }

    /// Whether another worker serves, be it one that takes clients at this moment or not.
    #[must_use]
    pub fn is_one_of_several(&self) -> bool {
        let (own, given) = (self.memory, self.board.head.given.load(Relaxed) as usize);
        let mut others = self.board.slots.iter().take(given).filter(|slot| !std::ptr::eq(*slot, own));
        others.any(|slot| slot.state.load(Relaxed) == State::Ready as u32)
    }

    /// A request failed.
    pub fn error(&self, class: ErrorClass) {
        let counter = match class {
            ErrorClass::Client => &self.memory.client_errors,
            ErrorClass::App => &self.memory.app_errors,
            ErrorClass::Server => &self.memory.server_errors,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Counts a request that took `micros` microseconds in the latency histogram.
    pub fn latency(&self, micros: u64) {
        self.memory.latency[bucket(micros)].fetch_add(1, Relaxed);
    }

    /// How many requests have ended, for `--max-requests`.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.memory.requests.load(Relaxed)
    }

    /// How many connections are open, for `--worker-connections`.
    #[must_use]
    pub fn connections(&self) -> u32 {
        let connections: &AtomicU32 = &self.memory.connections;
        connections.load(Acquire)
    }
}

/// Gives the entry's new sequence number.
fn write_entry(entry: &Entry, now_ms: u64, method: &[u8], path: &[u8]) -> u64 {
    // Only the one who took the entry's bit writes, so that the sequence needs no atomic addition.
    let sequence = entry.sequence.load(Relaxed);
    entry.sequence.store(sequence.wrapping_add(1), Relaxed);
    fence(Release);
    let method = &method[..method.len().min(METHOD_BYTES)];
    let path = &path[..path.len().min(PATH_BYTES)];
    entry.since.store(now_ms, Relaxed);
    entry.lengths.store(method.len() as u64 | (path.len() as u64) << 32, Relaxed);
    write_bytes(&entry.method, method);
    write_bytes(&entry.path, path);
    let sequence = sequence.wrapping_add(2);
    entry.sequence.store(sequence, Release);
    sequence
}

fn write_bytes(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*chunk), Relaxed);
    }
    if let (Some(word), false) = (words.get(whole.len()), rest.is_empty()) {
        // A copy of a length that is not known beforehand would be a call of memcpy, which costs more.
        word.store(rest.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)), Relaxed);
    }
}

/// Two buckets for each power of two: the upper half and the lower half.
fn bucket(micros: u64) -> usize {
    if micros < 2 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let upper_half = (micros >> (power - 1)) as usize & 1;
    (2 * power + upper_half).min(BUCKETS - 1)
}
