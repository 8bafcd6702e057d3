//! The header before an entry's bytes and the descriptor behind them (4.3.7, 4.3.9): they have to say what the directory
//! says.

use std::ops::Range;

use eft_domain::{Code, Failure};

use super::{
    directory::{Entry, widen},
    number,
};

pub(super) const HEADER: [u8; 4] = *b"PK\x03\x04";
/// Bytes of a local header without its name and extra field.
pub(super) const FIXED: u64 = 30;
/// The longest data descriptor: signature, CRC-32, and two sizes of eight bytes.
pub(super) const DESCRIPTOR: u64 = 24;
pub(super) const SIGNATURE: &[u8] = b"PK\x07\x08";
/// Bits of the flags that decide how the bytes are read.
const ENCRYPTED: u64 = 1;
const DESCRIBED: u64 = 8;

/// Where name and extra field are.
pub(super) fn names(fixed: &[u8], entry: &Entry) -> Result<Range<u64>, Failure> {
    if !fixed.starts_with(&HEADER) {
        return Err(differs(entry, "there is no local header where the directory says"));
    }
    let len = number(fixed, 26, 2) + number(fixed, 28, 2);
    let start = entry.header_at + FIXED;
    if start + len + entry.compressed > entry.ends_by {
        return Err(differs(entry, "it runs into what follows it"));
    }
    Ok(start..start + len)
}

/// Where the entry's bytes are.
pub(super) fn data(fixed: &[u8], names: &[u8], entry: &Entry) -> Result<Range<u64>, Failure> {
    let field = |offset, len| number(fixed, offset, len);
    let (name, extra) = names.split_at(field(26, 2) as usize);
    if name != entry.raw_name {
        return Err(differs(entry, "its local header has another name"));
    }
    if field(8, 2) != u64::from(entry.method) || (field(6, 2) ^ u64::from(entry.flags)) & ENCRYPTED != 0 {
        return Err(differs(entry, "its local header says that it is packed in another way"));
    }
    let mut sizes = [(field(22, 4), 8), (field(18, 4), 8)];
    let described = has_descriptor(fixed);
    // With a descriptor the sizes may be zero here, and all ones without a field that has them.
    if widen(&mut sizes, extra).is_none() && !described {
        return Err(differs(entry, "its local header lacks the sizes of ZIP64"));
    }
    let [(size, _), (compressed, _)] = sizes;
    let wanted = [(size, entry.size), (compressed, entry.compressed), (field(14, 4), entry.crc32.into())];
    let unsaid = |value: u64| described && (value == 0 || value == 0xffff_ffff);
    if wanted.iter().any(|(local, central)| local != central && !unsaid(*local)) {
        return Err(differs(entry, "its local header has other sizes or another checksum"));
    }
    let start = entry.header_at + FIXED + names.len() as u64;
    Ok(start..start + entry.compressed)
}

/// Sizes and checksum follow the bytes.
pub(super) fn has_descriptor(fixed: &[u8]) -> bool {
    number(fixed, 6, 2) & DESCRIBED != 0
}

/// Behind the bytes stands what the directory says, in one of the four forms in use.
pub(super) fn descriptor(bytes: &[u8], entry: &Entry) -> Result<(), Failure> {
    let crc = entry.crc32.to_le_bytes();
    let wide = [entry.compressed, entry.size].map(u64::to_le_bytes).concat();
    let narrow = [entry.compressed, entry.size].map(|size| (size as u32).to_le_bytes()).concat();
    let is_narrow = entry.compressed.max(entry.size) <= u32::MAX.into();
    let says = |bytes: &[u8]| {
        bytes
            .strip_prefix(&crc[..])
            .is_some_and(|sizes| sizes.starts_with(&wide) || is_narrow && sizes.starts_with(&narrow))
    };
    if says(bytes) || bytes.strip_prefix(SIGNATURE).is_some_and(says) {
        return Ok(());
    }
    Err(differs(entry, "the descriptor behind it has other sizes or another checksum"))
}

fn differs(entry: &Entry, why: &str) -> Failure {
    let message = format!("{} is not what the directory says: {why}", entry.place());
    Failure::new(Code::ArchiveUnsafe, message)
}
