//! The beginning of an xz stream ("The .xz File Format", version 1.2.1, section 2.1.1), and the decoder for one.

use async_compression::core::util::{PartialBuffer, WriteBuffer};
use crc_fast::CrcAlgorithm;
use eft_domain::Code;
use liblzma::stream::{Action, Error, Status, Stream, TELL_UNSUPPORTED_CHECK};

use super::unit::Judged;

/// Largest dictionary a block may ask for, in bytes: what `xz -9` asks for, the highest preset. The format allows up to
/// 4 GiB. A dictionary is allocated whole, and takes memory as it fills.
pub const MAX_DICTIONARY: u64 = 64 << 20;

/// What liblzma may take in all, enforced by it before it allocates: a dictionary, and for the decoder's tables and up
/// to three further filters (1 KiB to 32 KiB each) as much as `xz -vv` rounds up to.
pub(super) const MEMORY: u64 = MAX_DICTIONARY + (1 << 20);

const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const HEADER: usize = 12;

/// Judge the first bytes of a stream, at least one.
pub(super) fn judge(head: &[u8]) -> Judged {
    let known = head.len().min(MAGIC.len());
    if head[..known] != MAGIC[..known] {
        return Judged::Foreign;
    }
    let Some((header, _)) = head.split_first_chunk::<HEADER>() else { return Judged::More };
    let [.., first, second, a, b, c, d] = *header;
    let refused = |why: String| Judged::Refused(Code::FormatCorrupt, why);
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, &[first, second]);
    if crc != u64::from(u32::from_le_bytes([a, b, c, d])) {
        return refused("the checksum of the stream header is wrong".into());
    }
    match (first, second) {
        // None, CRC32, CRC64, SHA-256; the format reserves the others.
        (0, 0x00 | 0x01 | 0x04 | 0x0a) => Judged::Unit,
        (0, check @ 0..=0x0f) => refused(format!(
            "made with a check of number {check}; known are CRC32 (1), CRC64 (4), SHA-256 (10) and none (0)"
        )),
        _ => refused(format!("reserved stream flags are set ({first:#04x}, {second:#04x})")),
    }
}

/// Decodes one stream. Not the decoder of `async-compression`: that one builds liblzma with its bindings generated
/// anew, which needs libclang, and can neither cap the memory nor refuse what it cannot check.
#[derive(Default)]
pub(super) struct XzDecoder {
    /// From the first byte of a stream to its last: a dictionary is held no longer than it is needed.
    stream: Option<Stream>,
}

impl std::fmt::Debug for XzDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XzDecoder").field("is_open", &self.stream.is_some()).finish()
    }
}

impl XzDecoder {
    /// Decode some; true at the end of the stream.
    pub(super) fn decode(
        &mut self,
        input: &mut PartialBuffer<&[u8]>,
        output: &mut WriteBuffer<'_>,
    ) -> Result<bool, (Code, String)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = Stream::new_stream_decoder(MEMORY, TELL_UNSUPPORTED_CHECK);
                self.stream.insert(stream.map_err(|error| (Code::Internal, format!("liblzma: {error}")))?)
            }
        };
        let (read, made) = (stream.total_in(), stream.total_out());
        let result = stream.process(input.unwritten(), output.initialize_unwritten(), Action::Run);
        input.advance((stream.total_in() - read) as usize);
        output.advance((stream.total_out() - made) as usize);
        match result {
            Ok(status) => Ok(status == Status::StreamEnd),
            Err(Error::MemLimit) => {
                let needed = needed(stream);
                let why = format!("needs {needed} bytes of memory to decode, at most {MEMORY} are allowed");
                Err((Code::LimitWindow, why))
            }
            Err(Error::Mem) => Err((Code::Internal, "liblzma: out of memory".into())),
            Err(Error::Options) => {
                let why =
                    "a block or the end of the stream asks for what is not supported (a filter, or flags)";
                Err((Code::FormatCorrupt, why.into()))
            }
            // Data, and Format where the end of the stream is not one.
            Err(_) => {
                Err((Code::FormatCorrupt, "a block, its check, or the index of the stream is broken".into()))
            }
        }
    }

    /// Be ready for the next stream.
    pub(super) fn close(&mut self) {
        self.stream = None;
    }
}

/// How much memory a decoder asks for that was stopped at its limit. It does not say, but refuses a limit below that.
fn needed(stream: &mut Stream) -> u64 {
    let (mut refused, mut accepted) = (MEMORY, u64::MAX);
    while accepted - refused > 1 {
        let middle = refused + (accepted - refused) / 2;
        match stream.set_memlimit(middle) {
            Ok(()) => accepted = middle,
            Err(_) => refused = middle,
        }
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(first: u8, second: u8) -> Vec<u8> {
        let crc = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, &[first, second]) as u32;
        [&MAGIC[..], &[first, second], &crc.to_le_bytes()].concat()
    }

    #[test]
    fn heads_are_judged_at_the_first_byte_that_tells() {
        let sound = header(0, 4);
        for len in 1..HEADER {
            assert_eq!(judge(&sound[..len]), Judged::More, "{len}");
        }
        assert_eq!(judge(&sound), Judged::Unit);
        assert_eq!(judge(&[0xfd, b'7', b'Z']), Judged::Foreign);
        let refused = |head: &[u8], text: &str| match judge(head) {
            Judged::Refused(Code::FormatCorrupt, why) => assert!(why.contains(text), "{why}"),
            other => panic!("{other:?}"),
        };
        for check in 0..16 {
            match check {
                0 | 1 | 4 | 10 => assert_eq!(judge(&header(0, check)), Judged::Unit),
                _ => refused(&header(0, check), &format!("number {check};")),
            }
        }
        refused(&header(1, 4), "reserved");
        refused(&header(0, 0x14), "reserved");
        let mut broken = sound;
        broken[11] ^= 1;
        refused(&broken, "checksum");
    }
}
