//! The checksum that a store keeps of a whole object, held against the bytes that were read.
//!
//! CRC-64/NVME is taken of every range anyway and joined. Older objects have another one, which is made in the order of
//! the bytes as the ranges leave: a second pass, for these objects only.

use crc_fast::{CrcAlgorithm, Digest};
use eft_domain::{Code, Failure};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::{
    checkpoint::Mark,
    checksum::Crc64,
    chunk::Chunk,
    midstate,
    stage::{State, bad_state},
};

/// A full-object checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// CRC-64/NVME.
    Crc64(u64),
    /// CRC-32 (ISO-HDLC, as in gzip).
    Crc32(u32),
    /// CRC-32C (Castagnoli).
    Crc32c(u32),
    /// SHA-1.
    Sha1([u8; 20]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl Stored {
    /// The algorithm, as receipts name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crc64(_) => "CRC-64/NVME",
            Self::Crc32(_) => "CRC-32",
            Self::Crc32c(_) => "CRC-32C",
            Self::Sha1(_) => "SHA-1",
            Self::Sha256(_) => "SHA-256",
        }
    }

    /// The checksum of bytes with this one and `len` bytes behind them that have `next`; `None` where the two are of
    /// different kinds, or of one that is not joined.
    pub fn then(&self, next: &Self, len: u64) -> Option<Self> {
        let crc32 = |algorithm, first: u32, next: u32| {
            crc_fast::checksum_combine(algorithm, first.into(), next.into(), len) as u32
        };
        match (self, next) {
            (Self::Crc64(first), Self::Crc64(next)) => {
                let joined = crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, *first, *next, len);
                Some(Self::Crc64(joined))
            }
            (Self::Crc32(first), Self::Crc32(next)) => {
                Some(Self::Crc32(crc32(CrcAlgorithm::Crc32IsoHdlc, *first, *next)))
            }
            (Self::Crc32c(first), Self::Crc32c(next)) => {
                Some(Self::Crc32c(crc32(CrcAlgorithm::Crc32Iscsi, *first, *next)))
            }
            _ => None,
        }
    }

    /// It is made of those of the parts, whichever is read first.
    pub fn is_joined(&self) -> bool {
        matches!(self, Self::Crc64(_))
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Crc64(value) => value.to_be_bytes().to_vec(),
            Self::Crc32(value) | Self::Crc32c(value) => value.to_be_bytes().to_vec(),
            Self::Sha1(value) => value.to_vec(),
            Self::Sha256(value) => value.to_vec(),
        }
    }
}

enum Second {
    None,
    /// A CRC-32 under way, after the bytes an earlier run has read.
    Crc {
        algorithm: CrcAlgorithm,
        before: u64,
        digest: Box<Digest>,
    },
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Second {
    fn of(stored: Option<&Stored>) -> Self {
        let crc = |algorithm| Self::Crc { algorithm, before: 0, digest: Box::new(Digest::new(algorithm)) };
        match stored {
            None | Some(Stored::Crc64(_)) => Self::None,
            Some(Stored::Crc32(_)) => crc(CrcAlgorithm::Crc32IsoHdlc),
            Some(Stored::Crc32c(_)) => crc(CrcAlgorithm::Crc32Iscsi),
            Some(Stored::Sha1(_)) => Self::Sha1(Sha1::default()),
            Some(Stored::Sha256(_)) => Self::Sha256(Sha256::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc { digest, .. } => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
        }
    }

    /// A CRC-32, as wide as the library has it.
    fn crc(algorithm: CrcAlgorithm, before: u64, digest: &Digest) -> u64 {
        match digest.get_amount() {
            0 => before,
            len => crc_fast::checksum_combine(algorithm, before, digest.finalize(), len),
        }
    }

    fn save(&self) -> Option<State> {
        match self {
            Self::None => None,
            Self::Crc { algorithm, before, digest } => Some(Self::crc(*algorithm, *before, digest).into()),
            Self::Sha1(digest) => Some(midstate::save(digest)),
            Self::Sha256(digest) => Some(midstate::save(digest)),
        }
    }

    fn restore(&mut self, state: Option<State>) -> Option<()> {
        match (self, state) {
            (Self::None, None) => {}
            (Self::Crc { before, .. }, Some(state)) => *before = state.as_u64()?,
            (Self::Sha1(digest), Some(state)) => *digest = midstate::restore(&state)?,
            (Self::Sha256(digest), Some(state)) => *digest = midstate::restore(&state)?,
            _ => return None,
        }
        Some(())
    }
}

/// What was read so far, from the start and without a gap.
pub(crate) struct Account {
    crc: Crc64,
    stored: Option<Stored>,
    second: Second,
}

impl Account {
    pub(crate) fn new(stored: Option<Stored>) -> Self {
        Self { crc: Crc64::default(), second: Second::of(stored.as_ref()), stored }
    }

    /// Of bytes with this checksum, that were read in pieces and joined; `None` where the store's own is made in their order.
    pub(crate) fn joined(stored: Option<Stored>, crc: Crc64) -> Option<Self> {
        let joined = stored.is_none_or(|stored| stored.is_joined());
        joined.then_some(Self { crc, stored, second: Second::None })
    }

    /// Go on behind what an earlier run has read.
    ///
    /// # Errors
    /// `checkpoint.refused` when the mark is not of a source with this checksum.
    pub(crate) fn resumed(stored: Option<Stored>, mark: &Mark) -> Result<Self, Failure> {
        let mut account = Self { crc: mark.source, ..Self::new(stored) };
        account
            .second
            .restore(mark.second.clone())
            .ok_or_else(|| bad_state("the source's checksum", "it is of another algorithm"))?;
        Ok(account)
    }

    /// A mark at this place, before the first step.
    pub(crate) fn mark(&self) -> Mark {
        Mark { source: self.crc, second: self.second.save(), position: self.crc.len(), steps: Vec::new() }
    }

    /// The next bytes.
    pub(crate) fn add(&mut self, chunk: &Chunk) {
        self.crc = self.crc.then(chunk.checksum());
        chunk.segments.iter().for_each(|segment| self.second.update(segment));
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.crc.len()
    }

    /// The checksum of all bytes, which the store's own must agree with.
    ///
    /// # Errors
    /// `integrity.source`.
    pub(crate) fn check(&self, uri: &str) -> Result<Crc64, Failure> {
        let Some(stored) = &self.stored else { return Ok(self.crc) };
        let read = match &self.second {
            Second::None => self.crc.value().to_be_bytes().to_vec(),
            // A CRC-32 is the low half.
            Second::Crc { algorithm, before, digest } => {
                Second::crc(*algorithm, *before, digest).to_be_bytes()[4..].to_vec()
            }
            Second::Sha1(digest) => digest.clone().finalize().to_vec(),
            Second::Sha256(digest) => digest.clone().finalize().to_vec(),
        };
        if read == stored.bytes() {
            return Ok(self.crc);
        }
        let (name, read, says) = (stored.name(), hex(&read), hex(&stored.bytes()));
        let message = format!("{uri}: the bytes read have {name} {read}, the store says {says}");
        Err(Failure::new(Code::IntegritySource, message))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn account(stored: Stored, bytes: &'static [u8]) -> Result<Crc64, Failure> {
        let mut account = Account::new(Some(stored));
        for piece in bytes.chunks(4) {
            // As if each piece were read by a run of its own.
            account = Account::resumed(Some(stored), &account.mark()).unwrap();
            let chunk = Chunk {
                segments: vec![Bytes::from_static(piece)],
                len: piece.len() as u64,
                ..Chunk::default()
            };
            account.add(&chunk);
        }
        account.check("here")
    }

    /// The check values of the catalogue of parametrised CRC algorithms; FIPS 180-2, appendix A and B, for "abc".
    #[test]
    fn known_values_are_accepted_and_others_not() {
        let digits = b"123456789";
        let sha1 = [
            0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c,
            0x9c, 0xd0, 0xd8, 0x9d,
        ];
        let sha256 = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
            0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        let cases: [(Stored, &'static [u8]); 5] = [
            (Stored::Crc64(0xae8b_1486_0a79_9888), digits),
            (Stored::Crc32(0xcbf4_3926), digits),
            (Stored::Crc32c(0xe306_9283), digits),
            (Stored::Sha1(sha1), b"abc"),
            (Stored::Sha256(sha256), b"abc"),
        ];
        for (stored, bytes) in cases {
            assert_eq!(account(stored, bytes), Ok(Crc64::of(bytes)), "{stored:?}");
            let failure = account(stored, b"123456780").unwrap_err();
            assert_eq!(failure.code, Code::IntegritySource);
            assert!(failure.message.contains(stored.name()), "{failure}");
        }
    }
}
