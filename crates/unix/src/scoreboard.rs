//! The scoreboard: memory that the master shares with its workers, in which each tells what it is doing.
//!
//! One anonymous mapping, made before the first fork, with a slot for each worker. A worker writes with atomic
//! operations and no system call. The master reads at any time, also while or after a worker is killed half-way
//! through a write. Times are milliseconds of [`clock`](crate::clock).

mod layout;
mod read;
mod write;

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

pub use layout::{BUCKETS, IN_FLIGHT, LANES, METHOD_BYTES, PATH_BYTES, SLOTS};
pub use read::{Call, Errors, InFlight, Noted, Snapshot, bucket_floor};
pub use write::{ErrorClass, Slot, Ticket};

use layout::Board;

/// What a worker is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// No worker has claimed the slot.
    #[default]
    Free = 0,
    /// It loads the app.
    Booting = 1,
    /// It serves.
    Ready = 2,
    /// It accepts nothing more and finishes what is in flight.
    Draining = 3,
}

impl State {
    fn from_word(word: u32) -> Self {
        [Self::Booting, Self::Ready, Self::Draining]
            .into_iter()
            .find(|&state| state as u32 == word)
            .unwrap_or(Self::Free)
    }
}

/// The master's handle on the whole. The memory lives as long as the process; pages that no worker has touched
/// cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Scoreboard {
    board: &'static Board,
}

impl Scoreboard {
    /// Makes the mapping, all slots being free.
    ///
    /// # Errors
    /// What mmap(2) reports (`ENOMEM`).
    pub fn create() -> io::Result<Self> {
        let size = NonZeroUsize::new(size_of::<Board>()).expect("the slots have a size");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe { mmap_anonymous(None, size, access, flags) }?;
        // SAFETY: it has the size, starts at a page (the alignment of `Board`), is never unmapped, and is all
        // zeros, which is a valid value of every atomic word. All access is through atomics.
        Ok(Self { board: unsafe { start.cast().as_ref() } })
    }

    /// The slot of a number below [`SLOTS`]; `None` beyond. From now on it is one that the others look at.
    #[must_use]
    pub fn slot(&self, index: usize) -> Option<Slot> {
        let memory = self.board.slots.get(index)?;
        // The index is below 1,024.
        self.board.head.given.fetch_max(index as u32 + 1, Relaxed);
        Some(Slot::new(self.board, memory))
    }

    /// What a slot says now. `None` for a number beyond [`SLOTS`].
    #[must_use]
    pub fn snapshot(&self, index: usize) -> Option<Snapshot> {
        self.board.slots.get(index).map(read::snapshot)
    }
}

#[cfg(test)]
mod tests;
