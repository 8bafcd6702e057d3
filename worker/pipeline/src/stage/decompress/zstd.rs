//! The beginning of a zstd frame (RFC 8878, sections 3.1.1 and 3.1.2).

use std::io;

use eft_domain::Code;

use super::unit::Judged;

/// Largest window a frame may ask for, in bytes: 2^23, what `zstd` up to level 19 asks for and the least the RFC
/// recommends a decoder to support. The window is the memory a decoder holds; `zstd --long` and `--ultra` ask for
/// up to 2 GiB.
pub const MAX_WINDOW: u64 = 8 << 20;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The last three bytes of a skippable frame's magic number; the high half of the first is 5.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// Judge the first bytes of a frame, at least one.
pub(super) fn judge(head: &[u8]) -> Judged {
    let (first, rest) = (head[0], &head[1..]);
    let known = rest.len().min(3);
    let skippable = first >> 4 == 5 && rest[..known] == SKIPPABLE[..known];
    if skippable {
        return match *rest {
            [_, _, _, a, b, c, d] => skip(u32::from_le_bytes([a, b, c, d])),
            _ => Judged::More,
        };
    }
    let known = head.len().min(MAGIC.len());
    if head[..known] != MAGIC[..known] {
        return Judged::Foreign;
    }
    match head[known..] {
        [descriptor, ref fields @ ..] => frame(descriptor, fields),
        [] => Judged::More,
    }
}

fn skip(bytes: u32) -> Judged {
    Judged::Skip(bytes.into())
}

/// Judge the fields after the frame header descriptor.
fn frame(descriptor: u8, fields: &[u8]) -> Judged {
    if descriptor & 0x08 != 0 {
        return Judged::Refused(Code::FormatCorrupt, "a reserved bit is set in the frame header".into());
    }
    let single = descriptor & 0x20 != 0;
    let window_len = usize::from(!single);
    let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_len = match descriptor >> 6 {
        0 => usize::from(single),
        n => 1 << n,
    };
    if fields.len() < window_len + dictionary_len + content_len {
        return Judged::More;
    }
    let (window, fields) = fields.split_at(window_len);
    let (dictionary, content) = fields.split_at(dictionary_len);

    let dictionary = little_endian(dictionary);
    if dictionary != 0 {
        let why = format!("made with dictionary {dictionary}; dictionaries are not supported");
        return Judged::Refused(Code::FormatCorrupt, why);
    }
    let window = match *window {
        // Section 3.1.1.1.2: 2^(10 + exponent), and as many eighths of that as the mantissa says.
        [byte] => {
            let base = 1u64 << (10 + (byte >> 3));
            base + base / 8 * u64::from(byte & 7)
        }
        _ => little_endian(content) + if content_len == 2 { 256 } else { 0 },
    };
    if window > MAX_WINDOW {
        let why = format!("asks for a window of {window} bytes, at most {MAX_WINDOW} are allowed");
        return Judged::Refused(Code::LimitWindow, why);
    }
    Judged::Unit
}

/// What an error says. The buffer libzstd may find too small is its own, which holds one block of the size allowed.
pub(super) fn reason(error: &io::Error) -> String {
    match error.to_string() {
        text if text == "Destination buffer is too small" => {
            "a block is longer than the window allows".to_owned()
        }
        text => text,
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge_fields(fields: &[u8]) -> Judged {
        judge(&[&MAGIC[..], fields].concat())
    }

    #[test]
    fn magic_numbers() {
        assert_eq!(judge(&[0x28]), Judged::More);
        assert_eq!(judge(&[0x28, 0xb5, 0x2f, 0xfd]), Judged::More);
        assert_eq!(judge(&[0x28, 0xb5, 0x2f, 0xfe]), Judged::Foreign);
        assert_eq!(judge(&[0x27]), Judged::Foreign, "legacy formats are not read");
        for low in 0..16 {
            assert_eq!(judge(&[0x50 | low, 0x2a, 0x4d, 0x18, 1, 2, 0]), Judged::More);
            assert_eq!(judge(&[0x50 | low, 0x2a, 0x4d, 0x18, 1, 2, 0, 1]), Judged::Skip(0x0100_0201));
        }
        assert_eq!(judge(&[0x60, 0x2a]), Judged::Foreign);
        assert_eq!(judge(&[0x50, 0x2a, 0x4d, 0x19]), Judged::Foreign);
    }

    #[test]
    fn windows() {
        assert_eq!(judge_fields(&[0x00]), Judged::More);
        assert_eq!(judge_fields(&[0x00, 13 << 3]), Judged::Unit);
        let refused = |why: &str| match judge_fields(&[0x00, 13 << 3 | 1]) {
            Judged::Refused(Code::LimitWindow, text) => assert!(text.contains(why), "{text}"),
            other => panic!("{other:?}"),
        };
        refused("9437184");
        // A single segment: the window is the content.
        assert_eq!(judge_fields(&[0xa0, 0, 0, 0x80]), Judged::More);
        assert_eq!(judge_fields(&[0xa0, 0, 0, 0x80, 0]), Judged::Unit);
        assert!(matches!(judge_fields(&[0xa0, 1, 0, 0x80, 0]), Judged::Refused(Code::LimitWindow, _)));
        assert!(matches!(
            judge_fields(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0xff]),
            Judged::Refused(Code::LimitWindow, _)
        ));
        // Not a single segment: a large content is no window.
        assert_eq!(judge_fields(&[0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]), Judged::Unit);
    }

    #[test]
    fn dictionaries_and_reserved_bits() {
        assert_eq!(judge_fields(&[0x01, 0, 0]), Judged::Unit, "id 0 is no dictionary");
        match judge_fields(&[0x03, 0, 1, 0, 0, 0x80]) {
            Judged::Refused(Code::FormatCorrupt, text) => assert!(text.contains("2147483649"), "{text}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(judge_fields(&[0x08]), Judged::Refused(Code::FormatCorrupt, _)));
    }
}
