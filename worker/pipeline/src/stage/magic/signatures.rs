//! What the first bytes of each type are, and who says so.

use eft_domain::route::MediaType;

/// Types that begin with fixed bytes at a fixed place.
const FIXED: &[(MediaType, usize, &[u8])] = &[
    // Avro specification, "Object Container Files".
    (MediaType::Avro, 0, b"Obj\x01"),
    // GIF89a specification, section 17; WHATWG MIME Sniffing, section 6.1.
    (MediaType::Gif, 0, b"GIF87a"),
    (MediaType::Gif, 0, b"GIF89a"),
    // RFC 1952, section 2.3.1: the magic, and deflate, the only method there is.
    (MediaType::Gzip, 0, &[0x1f, 0x8b, 8]),
    // ITU-T T.81, Annex B: start of image, and the first byte of the next marker.
    (MediaType::Jpeg, 0, &[0xff, 0xd8, 0xff]),
    // LZ4 frame format, "General structure".
    (MediaType::Lz4, 0, &[0x04, 0x22, 0x4d, 0x18]),
    // MS-CFB, section 2.2.
    (MediaType::Ole, 0, &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]),
    // Parquet file format.
    (MediaType::Parquet, 0, b"PAR1"),
    // ISO 32000-2, section 7.5.2: a file begins with it. Viewers that look further are lenient, not right.
    (MediaType::Pdf, 0, b"%PDF-"),
    // W3C PNG, section 5.2.
    (MediaType::Png, 0, &[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a]),
    // 7-Zip's 7zFormat.txt, "Signature Header".
    (MediaType::SevenZip, 0, &[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c]),
    // POSIX.1-2017, pax, "ustar Interchange Format": `magic` at 257. GNU tar has a space behind it instead of NUL.
    (MediaType::Tar, 257, b"ustar\0"),
    (MediaType::Tar, 257, b"ustar "),
    // TIFF 6.0, section 2: both byte orders.
    (MediaType::Tiff, 0, b"II*\0"),
    (MediaType::Tiff, 0, b"MM\0*"),
    // The .xz file format, section 2.1.1.1.
    (MediaType::Xz, 0, &[0xfd, b'7', b'z', b'X', b'Z', 0]),
    // APPNOTE.TXT: a local file header (4.3.7), the end of an empty archive (4.3.16), a split archive (8.5.3).
    (MediaType::Zip, 0, b"PK\x03\x04"),
    (MediaType::Zip, 0, b"PK\x05\x06"),
    (MediaType::Zip, 0, b"PK\x07\x08"),
    // RFC 8878, section 3.1.1.
    (MediaType::Zstd, 0, &[0x28, 0xb5, 0x2f, 0xfd]),
];

/// Byte-order marks (Unicode Standard, section 23.8): UTF-8, UTF-16 big and little endian.
const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF16_BE_MARK: &[u8] = &[0xfe, 0xff];
const UTF16_LE_MARK: &[u8] = &[0xff, 0xfe];

/// Whether a file that begins so can be of the type.
pub(super) fn fits(kind: MediaType, head: &[u8]) -> bool {
    match kind {
        MediaType::Bzip2 => is_bzip2(head),
        MediaType::Html => is_html(head),
        MediaType::Json => is_json(head),
        MediaType::Pgp => is_pgp(head),
        MediaType::Text => is_text(head),
        MediaType::Xml => is_xml(head),
        MediaType::Zstd if is_skippable(head) => true,
        kind => FIXED.iter().any(|(of, at, magic)| {
            *of == kind && head.get(*at..).is_some_and(|rest| rest.starts_with(magic))
        }),
    }
}

/// The type that says most of a file that begins so.
pub(super) fn named(head: &[u8]) -> Option<MediaType> {
    // HTML may look like XML, and all of these are text.
    let last = [MediaType::Html, MediaType::Xml, MediaType::Json, MediaType::Text];
    let others = MediaType::ALL.iter().filter(|kind| !last.contains(kind));
    others.chain(&last).copied().find(|kind| fits(*kind, head))
}

/// The bzip2 format has no standard; its decoder asks for the level, and then the magic of a block or of the end.
fn is_bzip2(head: &[u8]) -> bool {
    let behind = head.strip_prefix(b"BZh").and_then(<[u8]>::split_first);
    behind.is_some_and(|(level, block)| {
        (b'1'..=b'9').contains(level)
            && (block.starts_with(&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59])
                || block.starts_with(&[0x17, 0x72, 0x45, 0x38, 0x50, 0x90]))
    })
}

/// RFC 8878, section 3.1.2: a file may begin with a skippable frame.
fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// RFC 9580: an armor header line (6.2.1), or a packet (4.2) that an encrypted message begins with: a public-key
/// (5.1, version 3 or 6) or symmetric-key encrypted session key (5.3, version 4, 5 or 6).
fn is_pgp(head: &[u8]) -> bool {
    if head.starts_with(b"-----BEGIN PGP ") {
        return true;
    }
    let Some((&tag, rest)) = head.split_first() else { return false };
    let (packet, length) = match tag {
        0xc0.. => match rest.first() {
            Some(0..=191) => (tag & 0x3f, 1),
            Some(192..=223) => (tag & 0x3f, 2),
            Some(255) => (tag & 0x3f, 5),
            _ => return false,
        },
        0x80.. if tag & 3 < 3 => (tag >> 2 & 0xf, 1 << (tag & 3)),
        _ => return false,
    };
    matches!((packet, rest.get(length)), (1, Some(3 | 6)) | (3, Some(4..=6)))
}

/// WHATWG MIME Sniffing, section 7.1: a byte-order mark, or none of the control characters that text does not have.
fn is_text(head: &[u8]) -> bool {
    let binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    head.starts_with(UTF16_BE_MARK) || head.starts_with(UTF16_LE_MARK) || !head.iter().any(binary)
}

/// What follows a byte-order mark of UTF-8 and white space.
fn content(head: &[u8]) -> &[u8] {
    head.strip_prefix(UTF8_MARK).unwrap_or(head).trim_ascii_start()
}

/// WHATWG MIME Sniffing, section 7.1: the first tag, in any case, where its name ends.
fn is_html(head: &[u8]) -> bool {
    let content = content(head);
    [&b"<!DOCTYPE HTML"[..], b"<HTML"].iter().any(|tag| {
        let begins = content.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        begins && matches!(content.get(tag.len()), Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0c | b'>'))
    })
}

/// XML 1.0: `<` and what a declaration, comment, document type or element begins with (2.1, 2.8); in UTF-16 with its
/// mark (appendix F.1), which leaves the second byte to look at.
fn is_xml(head: &[u8]) -> bool {
    let wide = |mark: &[u8], open: &[u8]| head.strip_prefix(mark).is_some_and(|rest| rest.starts_with(open));
    let name = |byte: u8| matches!(byte, b'?' | b'!' | b':' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80..);
    wide(UTF16_BE_MARK, b"\0<")
        || wide(UTF16_LE_MARK, b"<\0")
        || is_text(head) && matches!(content(head), [b'<', next, ..] if name(*next))
}

/// RFC 8259: `{` and then a name or `}`; `[` and then a value or `]`. Of a scalar alone nothing could be told.
fn is_json(head: &[u8]) -> bool {
    if !is_text(head) {
        return false;
    }
    match content(head).split_first() {
        Some((b'{', rest)) => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')),
        Some((b'[', rest)) => {
            let rest = rest.trim_ascii_start();
            let word = [&b"true"[..], b"false", b"null"].iter().any(|word| rest.starts_with(word));
            word || matches!(rest.first(), Some(b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9'))
        }
        _ => false,
    }
}
