//! Where each word of a slot lies.

use std::sync::atomic::{AtomicU32, AtomicU64};

/// How many workers there can be at one time, those on their way out included.
pub const SLOTS: usize = 1024;
/// How many requests of one worker are told apart; the others are only counted.
pub const IN_FLIGHT: usize = 64;
/// How many bytes of a method are kept.
pub const METHOD_BYTES: usize = 8 * METHOD_WORDS;
/// How many bytes of a path are kept.
pub const PATH_BYTES: usize = 8 * PATH_WORDS;
/// How many app threads of one worker can tell of their calls.
pub const LANES: usize = 256;
/// How many buckets the latency histogram has: two for each power of two of microseconds.
pub const BUCKETS: usize = 64;

pub(super) const METHOD_WORDS: usize = 2;
pub(super) const PATH_WORDS: usize = 11;

/// All of it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Board {
    pub(super) head: Head,
    pub(super) slots: [Memory; SLOTS],
}

/// What is not of one slot.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(super) struct Head {
    /// How many slots, from the first one, were ever given away. The pages behind them cost nothing while nobody
    /// reads them.
    pub(super) given: AtomicU32,
}

/// One slot. Its alignment keeps two workers off the same page and the same cache line.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(super) struct Memory {
    pub(super) pid: AtomicU32,
    pub(super) state: AtomicU32,
    pub(super) age: AtomicU64,
    pub(super) generation: AtomicU64,
    /// When the loop last turned.
    pub(super) beat: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) connections: AtomicU32,
    /// 1 while it takes new clients.
    pub(super) open: AtomicU32,
    /// Requests in flight that found the table full.
    pub(super) overflow: AtomicU32,
    /// App threads that there may be.
    pub(super) threads: AtomicU32,
    pub(super) client_errors: AtomicU64,
    pub(super) app_errors: AtomicU64,
    pub(super) server_errors: AtomicU64,
    /// Bit n says that entry n of the table is taken.
    pub(super) taken: AtomicU64,
    pub(super) latency: [AtomicU64; BUCKETS],
    pub(super) entries: [Entry; IN_FLIGHT],
    /// Last, so that those that no thread has cost nothing.
    pub(super) lanes: [Lane; LANES],
}

/// The call that an app thread is in. Its alignment keeps two threads off the same cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Lane {
    /// When it began; 0 if the thread is in none.
    pub(super) since: AtomicU64,
    /// Number of the request's entry plus one, in the lowest byte, and above it the sequence number of that entry; 0 if
    /// it has none.
    pub(super) entry: AtomicU64,
    /// Since when it waits to enter the app; 0 if it does not.
    pub(super) waits: AtomicU64,
}

/// A request in flight: a seqlock of atomic words, 128 bytes.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Entry {
    /// Odd while the words behind are being written.
    pub(super) sequence: AtomicU64,
    /// When the request began; 0 if there is none.
    pub(super) since: AtomicU64,
    /// Bytes of the method (low half) and of the path (high half).
    pub(super) lengths: AtomicU64,
    pub(super) method: [AtomicU64; METHOD_WORDS],
    pub(super) path: [AtomicU64; PATH_WORDS],
}
