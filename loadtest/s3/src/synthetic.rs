//! Objects that exist without being stored: any size, the same bytes for the same key, readable from any offset
//! at memory speed, with a full-object CRC-64/NVME that costs a table look-up a block.
//!
//! A key `<size>` or `<name>-<size>` (`64GiB`, `a-1TiB`, `dir/b-123456`) in bucket [`BUCKET`] names one. Block *i*
//! of 1 MiB is a slice of one random pool of 8 MiB, at one of 1,024 offsets: within any aligned run of 1,024 blocks
//! all offsets differ, and runs and keys permute them differently. So two swapped, repeated or missing blocks
//! change the CRC (between runs of 1 GiB: in 1,023 cases of 1,024), while a read copies nothing.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{LazyLock, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;

use crate::checksum;

/// The bucket whose well-formed keys all exist.
pub const BUCKET: &str = "synthetic";

/// The unit of generation; also the largest frame of a read.
pub const BLOCK: u64 = 1 << 20;

const POOL: usize = 8 << 20;
const SLOTS: u64 = 1024;
/// Distance of two slots in the pool: `(POOL - BLOCK) / SLOTS`, so the last block still fits.
const STRIDE: usize = (POOL - BLOCK as usize) / SLOTS as usize;

static RANDOM: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 0x5eed_u64;
    let mut pool = Vec::with_capacity(POOL);
    while pool.len() < POOL {
        state = state.wrapping_add(1);
        pool.extend_from_slice(&mix(state).to_le_bytes());
    }
    pool.into()
});

/// CRC of the block at each slot, filled as needed: at most 1 GiB of CRC in a process's life.
static SLOT_CRC: [OnceLock<u64>; SLOTS as usize] = [const { OnceLock::new() }; SLOTS as usize];

/// CRCs of whole objects by seed and size.
static WHOLE_CRC: LazyLock<Mutex<HashMap<(u64, u64), u64>>> = LazyLock::new(Mutex::default);

/// "Append one block" as a table: CRC combination is linear over GF(2), so its action on each byte of the left
/// CRC can be precomputed. Makes the CRC of 1 TiB (a million blocks) a matter of milliseconds.
static APPEND_BLOCK: LazyLock<[[u64; 256]; 8]> = LazyLock::new(|| {
    let bits: [u64; 64] = std::array::from_fn(|bit| checksum::combine(1 << bit, 0, BLOCK));
    std::array::from_fn(|byte| {
        std::array::from_fn(|value| {
            (0..8).filter(|bit| value >> bit & 1 == 1).fold(0, |sum, bit| sum ^ bits[byte * 8 + bit])
        })
    })
});

/// The finaliser of splitmix64.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// A generated object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthetic {
    seed: u64,
    size: u64,
}

impl Synthetic {
    /// The object that `key` names, or `None` when the key does not end in a size.
    pub fn from_key(key: &str) -> Option<Self> {
        let name = key.rsplit(['/', '-']).next().unwrap_or(key);
        let digits = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
        let (count, unit) = name.split_at(digits);
        let unit: u64 = match unit {
            "" | "B" => 1,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return None,
        };
        let size = count.parse::<u64>().ok()?.checked_mul(unit)?;
        Some(Self { seed: checksum::crc64(key.as_bytes()), size })
    }

    /// The same size with other bytes: what a key holds after its `generation`-th replacement.
    pub(crate) fn replaced(self, generation: u64) -> Self {
        Self { seed: mix(self.seed ^ generation), ..self }
    }

    /// The number of bytes.
    pub fn size(self) -> u64 {
        self.size
    }

    /// A stable opaque ETag in the multipart form, without quotes.
    pub fn etag(self) -> String {
        let blocks = self.size.div_ceil(BLOCK).max(1);
        format!("{:016x}{:016x}-{blocks}", mix(self.seed), mix(self.size))
    }

    /// A stable version id.
    pub fn version_id(self) -> String {
        format!("synthetic{:016x}", mix(self.seed ^ self.size))
    }

    /// The first frame of `range`: a slice of one block, or `None` when the range is empty.
    pub fn frame(self, range: Range<u64>) -> Option<Bytes> {
        if range.is_empty() {
            return None;
        }
        let (block, within) = (range.start / BLOCK, range.start % BLOCK);
        let len = (BLOCK - within).min(range.end - range.start) as usize;
        let from = self.slot(block) * STRIDE + within as usize;
        Some(RANDOM.slice(from..from + len))
    }

    /// CRC-64/NVME of the bytes `range`; that of the whole object is remembered.
    pub fn crc64(self, range: Range<u64>) -> u64 {
        if range != (0..self.size) {
            return self.compute_crc64(range);
        }
        let known = || WHOLE_CRC.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(crc) = known().get(&(self.seed, self.size)) {
            return *crc;
        }
        let crc = self.compute_crc64(range);
        known().insert((self.seed, self.size), crc);
        crc
    }

    fn compute_crc64(self, range: Range<u64>) -> u64 {
        let mut crc = 0;
        let mut at = range.start;
        while let Some(frame) = self.frame(at..range.end) {
            crc = if frame.len() as u64 == BLOCK {
                append_block(crc, self.block_crc(at / BLOCK))
            } else {
                checksum::combine(crc, checksum::crc64(&frame), frame.len() as u64)
            };
            at += frame.len() as u64;
        }
        crc
    }

    fn slot(self, block: u64) -> usize {
        // An odd factor permutes a run of 1,024; the run's own number then permutes it once more.
        ((block.wrapping_mul(387) ^ mix(self.seed ^ (block / SLOTS))) % SLOTS) as usize
    }

    fn block_crc(self, block: u64) -> u64 {
        let slot = self.slot(block);
        *SLOT_CRC[slot].get_or_init(|| checksum::crc64(&RANDOM[slot * STRIDE..][..BLOCK as usize]))
    }
}

fn append_block(left: u64, block: u64) -> u64 {
    let bytes = left.to_le_bytes();
    APPEND_BLOCK.iter().zip(bytes).fold(block, |crc, (table, byte)| crc ^ table[usize::from(byte)])
}

/// The bytes `range` (cut at the object's end) of the object that `key` names, as frames of at most [`BLOCK`]
/// bytes that share memory. `None` when the key names no synthetic object.
pub fn read(key: &str, range: Range<u64>) -> Option<impl Iterator<Item = Bytes>> {
    let object = Synthetic::from_key(key)?;
    let mut range = range.start..range.end.min(object.size);
    Some(std::iter::from_fn(move || {
        let frame = object.frame(range.clone())?;
        range.start += frame.len() as u64;
        Some(frame)
    }))
}

/// The full-object CRC-64/NVME of the object that `key` names.
pub fn crc64(key: &str) -> Option<u64> {
    let object = Synthetic::from_key(key)?;
    Some(object.crc64(0..object.size))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn bytes(key: &str, range: Range<u64>) -> Vec<u8> {
        read(key, range).unwrap().flat_map(|frame| frame.to_vec()).collect()
    }

    #[test]
    fn keys_name_sizes() {
        let size = |key| Synthetic::from_key(key).map(Synthetic::size);
        assert_eq!(size("64GiB"), Some(64 << 30));
        assert_eq!(size("a-b-1TiB"), Some(1 << 40));
        assert_eq!(size("dir/50MB"), Some(50_000_000));
        assert_eq!(size("x-123456"), Some(123_456));
        for none in ["", "abc", "a-GiB", "a-1XB", "a-1GiB.csv", "99999999999TiB"] {
            assert_eq!(size(none), None, "{none}");
        }
    }

    #[test]
    fn a_run_never_repeats_a_block() {
        let object = Synthetic::from_key("1TiB").unwrap();
        for run in [0, 7] {
            let slots: HashSet<_> =
                (run * SLOTS..(run + 1) * SLOTS).map(|block| object.slot(block)).collect();
            assert_eq!(slots.len(), SLOTS as usize);
        }
    }

    #[test]
    fn keys_of_one_size_differ() {
        assert_ne!(crc64("a-5MiB"), crc64("b-5MiB"));
        assert_eq!(crc64("0"), Some(0));
        assert_eq!(crc64("nothing"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_range_is_a_slice_of_the_whole(start in 0u64..4_000_000, len in 0u64..3_000_000) {
            let whole = bytes("p-4000001", 0..u64::MAX);
            prop_assert_eq!(whole.len(), 4_000_001);
            let range = start..(start + len).min(4_000_001);
            prop_assert_eq!(&bytes("p-4000001", range.clone())[..], &whole[range.start as usize..range.end as usize]);
            let object = Synthetic::from_key("p-4000001").unwrap();
            prop_assert_eq!(object.crc64(range.clone()), checksum::crc64(&whole[range.start as usize..range.end as usize]));
        }
    }
}
