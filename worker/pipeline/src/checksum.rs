//! CRC-64/NVME: the checksum of every chunk, part and object.
//!
//! S3 knows it as a full-object checksum whatever the part layout, because the CRC of a whole follows from the CRCs
//! and lengths of its parts. That is what lets parts travel in any order and still prove the object.

use crc_fast::{CrcAlgorithm, Digest};
use serde::{Deserialize, Serialize};

const ALGORITHM: CrcAlgorithm = CrcAlgorithm::Crc64Nvme;

/// The polynomial of CRC-64/NVME, lowest power in the highest bit (NVM Express NVM Command Set 1.0, §5.2.1.3.4).
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

/// `x` to the power 2ⁿ modulo the polynomial, for every n that a length in bits can have.
const POWERS: [u64; 67] = {
    let mut powers = [1 << 62; 67];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = multiply(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The product of two polynomials modulo the polynomial of the CRC.
const fn multiply(a: u64, mut b: u64) -> u64 {
    let (mut product, mut bit) = (0, 1 << 63);
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 1 { (b >> 1) ^ POLYNOMIAL } else { b >> 1 };
        bit >>= 1;
    }
    product
}

/// The checksum of two runs, one after the other: the first moved on by the bits of the second.
///
/// Joining is done for every chunk and part. `crc_fast::checksum_combine` squares a matrix for it, which was a tenth of
/// the CPU time of a transfer; this is a multiplication for each one-bit in the length, and a length of 8 MiB has one.
fn combine(first: u64, second: u64, len: u64) -> u64 {
    let bytes = (0..u64::BITS).filter(|bit| len >> bit & 1 == 1);
    // A byte is 2³ bits.
    bytes.fold(first, |crc, bit| multiply(POWERS[bit as usize + 3], crc)) ^ second
}

/// The CRC-64/NVME of a run of bytes, with its length, so that runs can be joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crc64 {
    value: u64,
    len: u64,
}

impl Crc64 {
    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { value: crc_fast::checksum(ALGORITHM, bytes), len: bytes.len() as u64 }
    }

    /// The checksum of these runs, one after the other.
    pub fn of_segments<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut crc = RunningCrc64::default();
        segments.into_iter().for_each(|segment| crc.update(segment));
        crc.finish()
    }

    /// A checksum that somebody else computed over `len` bytes.
    pub const fn from_parts(value: u64, len: u64) -> Self {
        Self { value, len }
    }

    /// The checksum of `self` followed by `next`.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        if self.len == 0 {
            return next;
        }
        if next.len == 0 {
            return self;
        }
        Self { value: combine(self.value, next.value, next.len), len: self.len + next.len }
    }

    /// The 64-bit value.
    pub const fn value(self) -> u64 {
        self.value
    }

    /// How many bytes it covers.
    pub const fn len(self) -> u64 {
        self.len
    }

    /// It covers no bytes.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// A CRC-64/NVME under way.
#[derive(Debug)]
pub struct RunningCrc64 {
    digest: Digest,
    len: u64,
}

impl Default for RunningCrc64 {
    fn default() -> Self {
        Self { digest: Digest::new(ALGORITHM), len: 0 }
    }
}

impl RunningCrc64 {
    /// Add bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// The checksum of all bytes so far.
    pub fn finish(&self) -> Crc64 {
        Crc64 { value: self.digest.finalize(), len: self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_value() {
        // The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms.
        assert_eq!(Crc64::of(b"123456789").value(), 0xae8b_1486_0a79_9888);
        assert_eq!(Crc64::of(b""), Crc64::default());
    }

    proptest! {
        #[test]
        fn joins_as_the_library_does(first: u64, second: u64, len in 1..=u64::MAX >> 8) {
            let library = crc_fast::checksum_combine(ALGORITHM, first, second, len);
            prop_assert_eq!(combine(first, second, len), library);
        }

        #[test]
        fn any_cut_gives_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..2000), cuts in proptest::collection::vec(0usize..2000, 0..8)) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let joined = cuts.windows(2).map(|w| Crc64::of(&bytes[w[0]..w[1]])).fold(Crc64::default(), Crc64::then);
            prop_assert_eq!(joined, Crc64::of(&bytes));
        }
    }
}
