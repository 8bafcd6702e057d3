//! The beginning of a bzip2 stream. There is no standard; the source is the library's own format, as described in the
//! manual of bzip2 1.0.8 and its `decompress.c`.

use eft_domain::Code;

use super::unit::Judged;

const MAGIC: [u8; 3] = *b"BZh";
/// What stands after the header: the first bits of a block (pi), or the end of a stream without one (its square root).
const BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];

/// What every fault behind the header is called: the library says no more.
pub(super) const BROKEN: &str = "a block is broken, or its checksum or that of the stream is wrong";

/// Judge the first bytes of a stream, at least one.
pub(super) fn judge(head: &[u8]) -> Judged {
    let known = head.len().min(MAGIC.len());
    if head[..known] != MAGIC[..known] {
        return Judged::Foreign;
    }
    let [level, rest @ ..] = &head[known..] else { return Judged::More };
    if !(b'1'..=b'9').contains(level) {
        return Judged::Foreign;
    }
    let known = rest.len().min(BLOCK.len());
    if rest[..known] != BLOCK[..known] && rest[..known] != END[..known] {
        let why = "neither a block nor the end of the stream follows the header";
        return Judged::Refused(Code::FormatCorrupt, why.into());
    }
    if known == BLOCK.len() { Judged::Unit } else { Judged::More }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_judged_at_the_first_byte_that_tells() {
        assert_eq!(judge(b"B"), Judged::More);
        assert_eq!(judge(b"Z"), Judged::Foreign);
        assert_eq!(judge(b"BZ0"), Judged::Foreign);
        assert_eq!(judge(b"BZh"), Judged::More);
        assert_eq!(judge(b"BZh0"), Judged::Foreign);
        assert_eq!(judge(b"BZh9"), Judged::More);
        assert_eq!(judge(b"BZh91AY&S"), Judged::More);
        assert_eq!(judge(b"BZh11AY&SY"), Judged::Unit);
        assert_eq!(judge(b"BZh1\x17rE8P\x90"), Judged::Unit);
        assert!(matches!(judge(b"BZh91AZ"), Judged::Refused(Code::FormatCorrupt, _)));
    }
}
