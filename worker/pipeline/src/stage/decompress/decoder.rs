//! The decoders, one of which does the work: what each says, in the same words whatever path it takes.

use std::io;

use async_compression::codecs::{BzDecoder, DecodeV2, GzipDecoder, ZstdDecoder};
use async_compression::core::util::{PartialBuffer, WriteBuffer};
use async_compression::zstd::DParameter;
use eft_domain::{Code, route::Codec};

use super::unit::Judged;
use super::xz::XzDecoder;
use super::{bzip2, gzip, xz, zstd};

/// Of libbz2: 3,700 KiB, as the manual says of decompression, and as much again of its own state.
const BZIP2_MEMORY: u64 = 3_700_000 + (100 << 10);
/// The inflate state and window of zlib-rs: 46 KiB measured.
const GZIP_MEMORY: u64 = 64 << 10;
/// A window and what libzstd holds besides: its tables, and three blocks of 128 KiB (a test compares).
const ZSTD_MEMORY: u64 = zstd::MAX_WINDOW + (1 << 20);

/// Why the bytes are refused.
pub(super) type Refusal = (Code, String);

#[derive(Debug)]
pub(super) enum Decoder {
    Bzip2(BzDecoder),
    Gzip(GzipDecoder),
    Xz(XzDecoder),
    Zstd(ZstdDecoder),
}

impl Decoder {
    pub(super) fn new(codec: Codec) -> Self {
        match codec {
            Codec::Bzip2 => Self::Bzip2(BzDecoder::new()),
            Codec::Gzip => Self::Gzip(GzipDecoder::new()),
            Codec::Xz => Self::Xz(XzDecoder::default()),
            Codec::Zstd => {
                let window = DParameter::window_log_max(zstd::MAX_WINDOW.ilog2());
                Self::Zstd(ZstdDecoder::new_with_params(&[window]))
            }
        }
    }

    /// Most memory it takes, in bytes.
    pub(super) fn memory(&self) -> u64 {
        match self {
            Self::Bzip2(_) => BZIP2_MEMORY,
            Self::Gzip(_) => GZIP_MEMORY,
            Self::Xz(_) => xz::MEMORY,
            Self::Zstd(_) => ZSTD_MEMORY,
        }
    }

    /// What a unit is called.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Self::Bzip2(_) => "bzip2 stream",
            Self::Gzip(_) => "gzip member",
            Self::Xz(_) => "xz stream",
            Self::Zstd(_) => "zstd frame",
        }
    }

    /// What every `n`th byte of zeros between two units may be, for a format that has padding there.
    pub(super) fn padding(&self) -> Option<u64> {
        // "The .xz File Format", section 2.2.
        matches!(self, Self::Xz(_)).then_some(4)
    }

    /// Judge the first bytes of a unit, at least one.
    pub(super) fn judge(&self, head: &[u8]) -> Judged {
        match self {
            Self::Bzip2(_) => bzip2::judge(head),
            Self::Gzip(_) => gzip::judge(head),
            Self::Xz(_) => xz::judge(head),
            Self::Zstd(_) => zstd::judge(head),
        }
    }

    /// Decode some; true at the end of the unit.
    pub(super) fn decode(
        &mut self,
        input: &mut PartialBuffer<&[u8]>,
        output: &mut WriteBuffer<'_>,
    ) -> Result<bool, Refusal> {
        let corrupt = |why: String| (Code::FormatCorrupt, why);
        match self {
            Self::Bzip2(decoder) => decoder.decode(input, output).map_err(|error| match error.kind() {
                io::ErrorKind::OutOfMemory => (Code::Internal, "bzip2: out of memory".to_owned()),
                _ => corrupt(bzip2::BROKEN.to_owned()),
            }),
            Self::Gzip(decoder) => {
                let starved = input.unwritten().is_empty();
                match decoder.decode(input, output) {
                    // "No progress without input" comes as an error too, the only one that is neither of inflate
                    // nor of the checks around it.
                    Err(error) if starved && !gzip::is_verdict(&error) => Ok(false),
                    result => result.map_err(|error| corrupt(gzip::reason(&error))),
                }
            }
            Self::Xz(decoder) => decoder.decode(input, output),
            Self::Zstd(decoder) => {
                decoder.decode(input, output).map_err(|error| corrupt(zstd::reason(&error)))
            }
        }
    }

    /// Be ready for the next unit.
    pub(super) fn reinit(&mut self) -> io::Result<()> {
        match self {
            Self::Bzip2(decoder) => decoder.reinit(),
            Self::Gzip(decoder) => decoder.reinit(),
            Self::Xz(decoder) => {
                decoder.close();
                Ok(())
            }
            Self::Zstd(decoder) => decoder.reinit(),
        }
    }
}
