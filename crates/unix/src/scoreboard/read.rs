//! The master's side: a picture of one slot, taken with a bounded number of tries.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, fence};

use super::State;
use super::layout::{
    BUCKETS, Entry, IN_FLIGHT, Lane, METHOD_BYTES, METHOD_WORDS, Memory, PATH_BYTES, PATH_WORDS,
};

/// How often an entry that changes under the reader is read again.
const TRIES: usize = 4;

/// What a slot says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The worker's pid; 0 if nobody has claimed the slot.
    pub pid: u32,
    /// What it is about.
    pub state: State,
    /// How many workers were forked before it, plus one.
    pub age: u64,
    /// The number of the reload that made it.
    pub generation: u64,
    /// When its loop last turned, in milliseconds; 0 if never.
    pub beat_ms: u64,
    /// Requests that have ended.
    pub requests: u64,
    /// Connections that are open.
    pub connections: u32,
    /// Requests that failed.
    pub errors: Errors,
    /// Requests in flight, the oldest first.
    pub in_flight: Vec<InFlight>,
    /// Requests in flight that the table had no room for, or that could not be read.
    pub more_in_flight: usize,
    /// App threads that there may be.
    pub threads: u32,
    /// Calls of the app that are running.
    pub calls: Vec<Call>,
    /// Since when an app thread waits to enter the app, if one does; the one that has waited longest.
    pub waits_ms: Option<u64>,
    /// How many requests each bucket of the latency histogram holds; [`bucket_floor`] tells its lower bound.
    pub latency: Vec<u64>,
}

impl Snapshot {
    /// Whether there may be more than one app thread.
    #[must_use]
    pub fn has_several_threads(&self) -> bool {
        self.threads > 1
    }
}

/// Failed requests, by who is to blame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// The client.
    pub client: u64,
    /// The app.
    pub app: u64,
    /// The server.
    pub server: u64,
}

/// A request in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// When it began, in milliseconds.
    pub since_ms: u64,
    /// Its method, cut.
    pub method: String,
    /// Its path without the query, cut; bytes that are no UTF-8 are replaced.
    pub path: String,
}

/// A call of the app that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it began, in milliseconds.
    pub since_ms: u64,
    /// The request that it is for, if it is for one and the table had room for it.
    pub request: Option<InFlight>,
}

/// A request as its entry has it. To make text of it can wait until somebody wants to read it.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    since_ms: u64,
    lengths: u64,
    method: [u8; METHOD_BYTES],
    path: [u8; PATH_BYTES],
}

impl Noted {
    /// The same as text.
    #[must_use]
    pub fn request(&self) -> InFlight {
        let method = &self.method[..(self.lengths as u32 as usize).min(METHOD_BYTES)];
        let path = &self.path[..((self.lengths >> 32) as usize).min(PATH_BYTES)];
        InFlight {
            since_ms: self.since_ms,
            method: String::from_utf8_lossy(method).into_owned(),
            path: String::from_utf8_lossy(path).into_owned(),
        }
    }
}

pub(super) fn snapshot(memory: &Memory) -> Snapshot {
    let taken = memory.taken.load(Acquire);
    // Others have never been touched, and would take memory if they were read.
    let lanes = || memory.lanes.iter().take(memory.threads.load(Acquire).max(1) as usize);
    let mut unreadable = 0;
    let mut in_flight = Vec::new();
    for (index, entry) in memory.entries.iter().enumerate() {
        if taken & (1 << index) != 0 {
            match read_entry(entry) {
                Some(request) if request.since_ms != 0 => in_flight.push(request),
                // Ended since the bits were read, or not yet written.
                Some(_) => {}
                None => unreadable += 1,
            }
        }
    }
    in_flight.sort_by_key(|request| request.since_ms);
    Snapshot {
        state: State::from_word(memory.state.load(Acquire)),
        pid: memory.pid.load(Relaxed),
        age: memory.age.load(Relaxed),
        generation: memory.generation.load(Relaxed),
        beat_ms: memory.beat.load(Relaxed),
        requests: memory.requests.load(Relaxed),
        connections: memory.connections.load(Relaxed),
        errors: Errors {
            client: memory.client_errors.load(Relaxed),
            app: memory.app_errors.load(Relaxed),
            server: memory.server_errors.load(Relaxed),
        },
        in_flight,
        more_in_flight: memory.overflow.load(Relaxed) as usize + unreadable,
        threads: memory.threads.load(Acquire),
        calls: lanes().filter_map(|lane| read_call(memory, lane)).collect(),
        waits_ms: lanes().map(|lane| lane.waits.load(Relaxed)).filter(|&since| since != 0).min(),
        latency: memory.latency.iter().map(|bucket| bucket.load(Relaxed)).collect(),
    }
}

fn read_call(memory: &Memory, lane: &Lane) -> Option<Call> {
    for _ in 0..TRIES {
        let since_ms = lane.since.load(Acquire);
        if since_ms == 0 {
            return None;
        }
        let word = lane.entry.load(Relaxed);
        let (number, sequence) = ((word & 0xff) as usize, word >> 8);
        let entry = (1..=IN_FLIGHT).contains(&number).then(|| &memory.entries[number - 1]);
        let noted = entry.and_then(note).filter(|&(_, now)| now == sequence);
        fence(Acquire);
        if lane.since.load(Relaxed) == since_ms {
            let request = noted.map(|(noted, _)| noted.request()).map(|request| match request.since_ms {
                // It has been answered, as one whose time was over, and its call goes on.
                0 => InFlight { since_ms, ..request },
                _ => request,
            });
            return Some(Call { since_ms, request });
        }
    }
    // Calls that come and go this fast are in no need of a watchman.
    None
}

/// `None` if the entry changed at each try, or its writer died half-way.
fn read_entry(entry: &Entry) -> Option<InFlight> {
    note(entry).map(|(noted, _)| noted.request())
}

/// The same, not made into text yet, and its number in the row of requests that the entry has had.
pub(super) fn note(entry: &Entry) -> Option<(Noted, u64)> {
    for _ in 0..TRIES {
        let before = entry.sequence.load(Acquire);
        let since_ms = entry.since.load(Relaxed);
        let lengths = entry.lengths.load(Relaxed);
        let method: [u8; METHOD_BYTES] = read_bytes::<METHOD_WORDS, METHOD_BYTES>(&entry.method);
        let path: [u8; PATH_BYTES] = read_bytes::<PATH_WORDS, PATH_BYTES>(&entry.path);
        fence(Acquire);
        if before.is_multiple_of(2) && entry.sequence.load(Relaxed) == before {
            return Some((Noted { since_ms, lengths, method, path }, before));
        }
    }
    None
}

fn read_bytes<const WORDS: usize, const BYTES: usize>(words: &[AtomicU64; WORDS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.load(Relaxed).to_le_bytes());
    }
    bytes
}

/// The fewest microseconds that a request in this bucket of the latency histogram took. The bucket ends where
/// the next begins; the last one has no end.
#[must_use]
pub fn bucket_floor(bucket: usize) -> u64 {
    let bucket = bucket.min(BUCKETS - 1);
    match bucket {
        0 | 1 => bucket as u64,
        _ => {
            let power = bucket / 2;
            (1 << power) + if bucket % 2 == 1 { 1 << (power - 1) } else { 0 }
        }
    }
}
