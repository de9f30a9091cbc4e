//! Memory into which a session reads: one for all sessions of a thread, since only one of them runs at a time.

use std::cell::Cell;

/// How much is read at once.
const SIZE: usize = 64 * 1024;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The memory, until this is dropped.
pub(super) struct Scratch(Vec<u8>);

impl Scratch {
    /// Takes the memory, with room for as much as is read at once behind `carried` bytes.
    pub(super) fn take(carried: &[u8]) -> Self {
        let mut bytes = SPARE.take();
        if bytes.len() < carried.len() + SIZE {
            bytes.resize(carried.len() + SIZE, 0);
        }
        bytes[..carried.len()].copy_from_slice(carried);
        Self(bytes)
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.0));
    }
}
