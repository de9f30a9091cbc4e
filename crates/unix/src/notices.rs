//! What concerns all workers of a master, in memory that all of them share.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

/// The words themselves.
#[derive(Debug)]
struct Words {
    ending: AtomicBool,
    shared: AtomicBool,
    failure: AtomicU64,
}

/// A handle on the notices; copies are the same. The memory lives as long as the process.
#[derive(Clone, Copy, Debug)]
pub struct Notices(&'static Words);

impl Notices {
    /// Makes the memory, before the first fork.
    ///
    /// # Errors
    /// What mmap(2) reports (`ENOMEM`).
    pub fn create() -> io::Result<Self> {
        let size = NonZeroUsize::new(size_of::<Words>()).expect("the words have a size");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) }?;
        // SAFETY: it has the size, starts at a page, is never unmapped, and is all zeros, which is a valid value of
        // every atomic word. All access is through atomics.
        Ok(Self(unsafe { start.cast().as_ref() }))
    }

    /// Says that the whole server ends: nobody accepts after the workers that there are. The master says it before
    /// it tells them to leave.
    pub fn announce_end(self) {
        self.0.ending.store(true, Ordering::SeqCst);
    }

    /// Whether the whole server ends.
    #[must_use]
    pub fn is_end(self) -> bool {
        self.0.ending.load(Ordering::SeqCst)
    }

    /// Says whether another master has the same listeners, so that its workers wait at them, too.
    pub fn share(self, shared: bool) {
        self.0.shared.store(shared, Ordering::Relaxed);
    }

    /// Whether workers of another master wait at the same listeners.
    #[must_use]
    pub fn is_shared(self) -> bool {
        self.0.shared.load(Ordering::Relaxed)
    }

    /// Notes the mark of a failure, and says whether it is another one than the worker before noted. Workers that
    /// fail alike need not tell it at the same length.
    #[must_use]
    pub fn is_news(self, mark: u64) -> bool {
        self.0.failure.swap(mark, Ordering::SeqCst) != mark
    }
}

#[cfg(test)]
mod tests {
    use super::Notices;
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    #[test]
    fn what_a_child_notes_others_know() {
        let notices = Notices::create().unwrap();
        let note = |mark| in_child(|| i32::from(notices.is_news(mark)));
        assert_eq!(note(5), Change::Exited(1));
        assert_eq!(note(5), Change::Exited(0));
        assert_eq!(note(6), Change::Exited(1));
        assert!(!notices.is_end());
        notices.announce_end();
        assert_eq!(in_child(|| i32::from(notices.is_end())), Change::Exited(1));
    }
}
