//! The first bytes of a gzip member or zstd frame, collected across chunks.

use eft_domain::Code;

/// Trailing bytes counted before the file is refused, at most: a message that says "at least" is precise enough.
pub const MAX_TRAILING: u64 = 1 << 20;

/// Longest head there is: a zstd frame header with its magic number.
const MAX_HEAD: usize = 18;

/// The first bytes of a unit.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: [u8; MAX_HEAD],
    len: usize,
}

/// What the first bytes of a unit say. The judgement of a prefix is [`Judged::More`] or final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Not clear yet.
    More,
    /// A unit, for the decoder to read from its first byte.
    Unit,
    /// A frame without content: this many bytes follow that are to be passed over.
    Skip(u64),
    /// No unit begins like this; the last byte is the first that does not fit.
    Foreign,
    /// A unit that is not read, with the code and the reason.
    Refused(Code, String),
}

impl Head {
    pub(super) fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}
