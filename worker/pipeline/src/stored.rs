//! The checksum that a store keeps of a whole object, held against the bytes that were read.
//!
//! CRC-64/NVME is taken of every range anyway and joined. Older objects have another one, which is made in the order of
//! the bytes as the ranges leave: a second pass, for these objects only.

use crc_fast::{CrcAlgorithm, Digest};
use eft_domain::{Code, Failure};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use crate::{checksum::Crc64, chunk::Chunk};

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
    Crc(Digest),
    Sha(Context),
}

/// What was read so far, from the start and without a gap.
pub(crate) struct Account {
    crc: Crc64,
    stored: Option<Stored>,
    second: Second,
}

impl Account {
    pub(crate) fn new(stored: Option<Stored>) -> Self {
        let second = match stored {
            None | Some(Stored::Crc64(_)) => Second::None,
            Some(Stored::Crc32(_)) => Second::Crc(Digest::new(CrcAlgorithm::Crc32IsoHdlc)),
            Some(Stored::Crc32c(_)) => Second::Crc(Digest::new(CrcAlgorithm::Crc32Iscsi)),
            Some(Stored::Sha1(_)) => Second::Sha(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            Some(Stored::Sha256(_)) => Second::Sha(Context::new(&SHA256)),
        };
        Self { crc: Crc64::default(), stored, second }
    }

    /// The next bytes.
    pub(crate) fn add(&mut self, chunk: &Chunk) {
        self.crc = self.crc.then(chunk.checksum());
        match &mut self.second {
            Second::None => {}
            Second::Crc(digest) => chunk.segments.iter().for_each(|segment| digest.update(segment)),
            Second::Sha(context) => chunk.segments.iter().for_each(|segment| context.update(segment)),
        }
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
            Second::Crc(digest) => digest.finalize().to_be_bytes()[4..].to_vec(),
            Second::Sha(context) => context.clone().finish().as_ref().to_vec(),
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
