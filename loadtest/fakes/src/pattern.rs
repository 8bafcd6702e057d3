//! Bytes that say where they belong, so that a misplaced one is found.

use bytes::Bytes;

/// `len` bytes that depend on their place and on `seed`.
pub fn pattern(seed: u64, len: usize) -> Bytes {
    Pattern::new(seed).take(len).collect()
}

/// An endless sequence of bytes: splitmix64, the generator of Steele, Lea and Flood (2014).
#[derive(Clone, Debug)]
pub struct Pattern {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Pattern {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, word: [0; 8], used: 8 }
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Iterator for Pattern {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.used == 8 {
            self.word = self.word().to_le_bytes();
            self.used = 0;
        }
        self.used += 1;
        Some(self.word[self.used - 1])
    }
}
