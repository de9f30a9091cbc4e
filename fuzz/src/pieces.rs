//! Cuts bytes into pieces, differently for each input and always in the same way for the same one.

/// A source of numbers that the input alone determines.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// FNV-1a over the input.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    /// A number below `sides` (splitmix64).
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("below a usize")
    }
}

/// Pieces of up to `most` bytes; never an empty one.
pub fn cut<'a>(mut bytes: &'a [u8], most: usize, dice: &mut Dice) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at((1 + dice.roll(most)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
