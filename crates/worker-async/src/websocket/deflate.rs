//! Messages compressed and decompressed (RFC 7692 section 7.2), each by itself.
//!
//! The states of zlib are large, and a message needs one only while it is under way: an inflater is borrowed from those
//! of the thread, and a compressor serves all sessions of the thread.

use std::cell::{Cell, RefCell};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Agreed, Fault};

/// What a sender leaves out at the end of each message.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// Messages below so many bytes are sent as they are: zlib would make them hardly shorter.
const WORTH: usize = 128;

/// How much room an inflated message gets at first, and at least each time it grows.
const STEP: usize = 4 * 1024;

thread_local! {
    /// An inflater that is not in use.
    static INFLATER: Cell<Option<Box<Decompress>>> = const { Cell::new(None) };
    /// Compressors for the windows of 2^9 to 2^15 bytes, made when they are first needed. They are boxed, since an extension
    /// module is loaded only if its thread-locals fit into the little room that the C library keeps for such modules.
    static COMPRESSORS: RefCell<[Option<Box<Compress>>; 7]> = const { RefCell::new([const { None }; 7]) };
}

/// Inflates one message, piece by piece.
#[derive(Debug)]
pub(super) struct Inflater(Box<Decompress>);

impl Inflater {
    pub(super) fn new() -> Self {
        let spare = INFLATER.take();
        Self(spare.unwrap_or_else(|| Box::new(Decompress::new(false))))
    }

    /// Appends what a piece of the message stands for, until `message` has more than `limit` bytes.
    pub(super) fn add(&mut self, piece: &[u8], message: &mut Vec<u8>, limit: usize) -> Result<(), Fault> {
        const BROKEN: Fault = Fault::data("the compressed data is broken");
        let inflater = &mut self.0;
        let mut input = piece;
        loop {
            if message.len() == message.capacity() {
                let most = limit.saturating_add(1).saturating_sub(message.len());
                message.reserve_exact(message.len().max(STEP).min(most.max(1)));
            }
            let (taken, made) = (inflater.total_in(), message.len());
            let status =
                inflater.decompress_vec(input, message, FlushDecompress::Sync).map_err(|_| BROKEN)?;
            let taken = usize::try_from(inflater.total_in() - taken).map_err(|_| BROKEN)?;
            input = &input[taken..];
            if message.len() > limit {
                return Err(Fault::too_big("the message is larger than --websocket-max-message-size"));
            }
            if status == Status::StreamEnd {
                // A sender may end the stream within a message, and go on with another (section 7.2.3.4).
                inflater.reset(false);
            } else if taken == 0 && made == message.len() && !input.is_empty() {
                return Err(BROKEN);
            }
            if input.is_empty() && message.len() < message.capacity() {
                return Ok(());
            }
        }
    }

    /// The end of the message. What inflated it may inflate another; after a message that broke off it is not trusted to
    /// forget.
    pub(super) fn end(mut self, message: &mut Vec<u8>, limit: usize) -> Result<(), Fault> {
        self.add(TAIL, message, limit)?;
        self.0.reset(false);
        INFLATER.set(Some(self.0));
        Ok(())
    }
}

/// A message compressed; `None` if that makes it no shorter, or it is too short to try.
pub(super) fn deflate(message: &[u8], agreed: Agreed) -> Option<Vec<u8>> {
    if message.len() < WORTH {
        return None;
    }
    let bits = agreed.window_bits;
    let place = usize::from(bits.checked_sub(9)?);
    let spare = COMPRESSORS.with_borrow_mut(|compressors| compressors.get_mut(place)?.take());
    let fresh = || Box::new(Compress::new_with_window_bits(Compression::fast(), false, bits));
    let mut compressor = spare.unwrap_or_else(fresh);
    // Also what cannot be compressed fits: at this level a byte takes nine bits at most.
    let mut deflated = Vec::with_capacity(message.len() + message.len() / 8 + 64);
    let status = compressor.compress_vec(message, &mut deflated, FlushCompress::Sync).ok()?;
    let whole = status == Status::Ok
        && compressor.total_in() == message.len() as u64
        && deflated.len() < deflated.capacity()
        && deflated.ends_with(TAIL);
    if !whole {
        // The compressor still holds a part of this message. zlib-rs 0.6.8 does not forget that when it is reset: it would
        // spoil the next message, or panic. So it is dropped, as it is by a panic.
        return None;
    }
    compressor.reset();
    COMPRESSORS.with_borrow_mut(|compressors| compressors[place] = Some(compressor));
    deflated.truncate(deflated.len() - TAIL.len());
    (deflated.len() < message.len()).then_some(deflated)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not become shorter.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn a_message_that_became_no_shorter_leaves_nothing_behind() {
        let agreed = Agreed { window_bits: 15, named: false };
        let text = "a message that is worth it, ".repeat(100).into_bytes();
        for length in [129, 1_000, 65_535, 70_000, 1_000_000] {
            assert_eq!(deflate(&noise(length), agreed), None);
            let mut inflated = Vec::new();
            let mut inflater = Inflater::new();
            let deflated = deflate(&text, agreed).expect("it becomes shorter");
            inflater.add(&deflated, &mut inflated, text.len()).expect("it inflates");
            inflater.add(TAIL, &mut inflated, text.len()).expect("it ends");
            assert!(inflated == text, "after {length} bytes of noise");
        }
    }
}
