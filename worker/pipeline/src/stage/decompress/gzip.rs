//! The beginning of a gzip member (RFC 1952, section 2.3).

use std::io;

use eft_domain::Code;

use super::unit::Judged;

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATE: u8 = 8;
/// Flag bits that must be zero, and that a reader must refuse otherwise (section 2.3.1.2).
const RESERVED: u8 = 0b1110_0000;

/// Judge the first bytes of a member, at least one.
pub(super) fn judge(head: &[u8]) -> Judged {
    let known = head.len().min(MAGIC.len());
    if head[..known] != MAGIC[..known] {
        return Judged::Foreign;
    }
    match *head {
        [_, _, method, ..] if method != DEFLATE => {
            Judged::Refused(Code::FormatCorrupt, format!("unknown compression method {method}"))
        }
        [_, _, _, flags, ..] if flags & RESERVED != 0 => {
            Judged::Refused(Code::FormatCorrupt, format!("reserved flags are set ({flags:#04x})"))
        }
        [_, _, _, _, ..] => Judged::Unit,
        _ => Judged::More,
    }
}

/// Whether an error of the decoder is about the bytes, and not "no progress without input or room".
pub(super) fn is_verdict(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::Other || is_inflate(error)
}

fn is_inflate(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<flate2::DecompressError>())
}

/// What an error says. Of one and the same fault zlib-rs says different things, depending on how much input and room it
/// was given.
pub(super) fn reason(error: &io::Error) -> String {
    if is_inflate(error) { "the deflate data is broken".to_owned() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_judged_at_the_first_byte_that_tells() {
        assert_eq!(judge(&[0]), Judged::Foreign);
        assert_eq!(judge(&[0x1f]), Judged::More);
        assert_eq!(judge(&[0x1f, 0]), Judged::Foreign);
        assert_eq!(judge(&[0x1f, 0x8b, 8]), Judged::More);
        assert_eq!(judge(&[0x1f, 0x8b, 8, 0x1f]), Judged::Unit);
        assert!(matches!(judge(&[0x1f, 0x8b, 7]), Judged::Refused(..)));
        for bit in 5..8 {
            assert!(matches!(judge(&[0x1f, 0x8b, 8, 1 << bit]), Judged::Refused(..)));
        }
    }
}
