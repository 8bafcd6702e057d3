//! The central directory (4.3.12): what the archive holds.

use eft_domain::{
    Code, Failure,
    route::{Limits, entry_fault},
};

use super::{Method, Packed, corrupt, end::End, local, name, number};

pub(super) const HEADER: [u8; 4] = *b"PK\x01\x02";
const FIXED: usize = 46;
/// Bits of the flags (4.4.4).
const ENCRYPTED: u16 = 1 << 0;
const PATCH: u16 = 1 << 5;
const STRONGLY_ENCRYPTED: u16 = 1 << 6;
const UTF8: u16 = 1 << 11;
const MASKED: u16 = 1 << 13;
/// "Made by" hosts whose attributes hold a Unix mode (4.4.2).
pub(super) const UNIX: u16 = 3;
const DARWIN: u16 = 19;
/// The type in a mode (`stat.h`).
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
/// A ratio below this many bytes says nothing; see [`Limits::max_ratio`].
const RATIO_FROM: u64 = 1 << 20;
/// Names in a message.
const LISTED: usize = 3;

/// One entry, as the directory has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: UTF-8 where it says so, otherwise code page 437.
    pub name: String,
    /// Bytes that come out.
    pub size: u64,
    /// Bytes in the archive.
    pub compressed: u64,
    /// CRC-32 of what comes out.
    pub crc32: u32,
    pub(super) raw_name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    /// The Unix type and permissions, where the entry was made on Unix.
    mode: Option<u32>,
    pub(super) header_at: u64,
    /// Where the next entry begins, or the directory.
    pub(super) ends_by: u64,
}

impl Entry {
    /// A folder, by its name.
    pub fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }

    /// By its text, or by the very bytes where they do not say what they are: many tools write UTF-8 and do not say so.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name || self.raw_name == name.as_bytes()
    }

    /// The entry in words.
    pub(super) fn place(&self) -> String {
        format!("entry {}", name::shown(&self.name))
    }

    /// Whether it is unpacked, and how.
    pub(super) fn admit(&self, limits: &Limits) -> Result<Packed, Failure> {
        let refused = |code, why: String| Err(Failure::new(code, format!("{}: {why}", self.place())));
        match self.mode.map(|mode| mode & TYPE) {
            Some(LINK) => return refused(Code::ArchiveUnsafe, "is a symbolic link".into()),
            None | Some(0 | REGULAR) => {}
            Some(other) => {
                return refused(Code::ArchiveUnsafe, format!("is not a regular file (type {other:#o})"));
            }
        }
        if self.flags & (ENCRYPTED | STRONGLY_ENCRYPTED | MASKED) != 0 {
            return refused(Code::ArchiveUnsupported, "is encrypted".into());
        }
        if self.flags & PATCH != 0 {
            return refused(Code::ArchiveUnsupported, "is a patch of another file".into());
        }
        let method = match self.method {
            0 => Method::Stored,
            8 => Method::Deflate,
            other => {
                let why = format!(
                    "is compressed with method {other}{}; stored (0) and deflate (8) are read",
                    method_name(other)
                );
                return refused(Code::ArchiveUnsupported, why);
            }
        };
        if method == Method::Stored && self.size != self.compressed {
            let why = format!("is stored, but has {} bytes of which {} come out", self.compressed, self.size);
            return refused(Code::FormatCorrupt, why);
        }
        let extension =
            self.name.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, end)| end);
        if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("zip")) {
            return refused(
                Code::ArchiveUnsupported,
                "is an archive itself; archives in archives are not opened".into(),
            );
        }
        self.within(limits)?;
        Ok(Packed {
            name: name::shown(&self.name),
            method,
            compressed: self.compressed,
            size: self.size,
            crc32: self.crc32,
            nameless: extension.is_none(),
        })
    }

    /// What the directory promises is within the limits; what comes out is held to them again, and to the promise.
    fn within(&self, limits: &Limits) -> Result<(), Failure> {
        if self.size > limits.max_output_bytes.bytes() {
            let observed = format!("{} bytes", self.size);
            return Err(Failure::limit(Code::LimitOutputBytes, observed, limits.max_output_bytes.bytes()));
        }
        if self.size >= RATIO_FROM && self.size > self.compressed.saturating_mul(limits.max_ratio.into()) {
            let (size, compressed) = (self.size, self.compressed);
            let observed = format!("{} ({size} bytes from {compressed})", size / compressed.max(1));
            return Err(Failure::limit(Code::LimitRatio, observed, limits.max_ratio));
        }
        Ok(())
    }
}

fn method_name(method: u16) -> &'static str {
    // 4.4.5.
    match method {
        1..=6 => " (of PKZIP 1)",
        9 => " (Deflate64)",
        12 => " (bzip2)",
        14 => " (LZMA)",
        93 => " (zstd)",
        95 => " (xz)",
        98 => " (PPMd)",
        99 => " (AES encryption)",
        _ => "",
    }
}

/// The first names of an archive, for a message.
pub(super) fn listed<'a>(files: impl Iterator<Item = &'a Entry>) -> String {
    let mut count = 0;
    let mut names = Vec::new();
    for file in files {
        count += 1;
        if names.len() < LISTED {
            names.push(name::shown(&file.name));
        }
    }
    match (count, count - names.len()) {
        (0, _) => "no files".to_owned(),
        (_, 0) => format!("{count} ({})", names.join(", ")),
        (_, more) => format!("{count} ({} and {more} more)", names.join(", ")),
    }
}

/// Read the whole directory and hold it to what no sound archive does.
pub(super) fn parse(directory: &[u8], end: &End) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    let mut rest = directory;
    while !rest.is_empty() {
        if entries.len() as u64 == end.entries {
            return Err(miscounted(end));
        }
        let at = end.offset + (directory.len() - rest.len()) as u64;
        let (entry, after) = header(rest, at, end.offset)?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() as u64 != end.entries {
        return Err(miscounted(end));
    }
    distinct(&entries)?;
    apart(&mut entries, end.offset)?;
    Ok(entries)
}

fn miscounted(end: &End) -> Failure {
    corrupt(format!("the directory does not hold the {} entries its end record says", end.entries))
}

/// One header at byte `at`, and what follows it.
fn header(bytes: &[u8], at: u64, directory_at: u64) -> Result<(Entry, &[u8]), Failure> {
    let broken = || corrupt(format!("the directory is broken at byte {at}"));
    if bytes.len() < FIXED || !bytes.starts_with(&HEADER) {
        return Err(broken());
    }
    let field = |offset, len| number(bytes, offset, len);
    let short = |offset| field(offset, 2) as u16;
    let [name_len, extra_len, comment_len] = [28, 30, 32].map(|offset| field(offset, 2) as usize);
    let lens = [name_len, extra_len, comment_len];
    let after = FIXED + lens.iter().sum::<usize>();
    if bytes.len() < after {
        return Err(broken());
    }
    let raw_name = &bytes[FIXED..FIXED + name_len];
    let extra = &bytes[FIXED + name_len..FIXED + name_len + extra_len];
    let flags = short(8);
    let Some(name) = name::decode(raw_name, flags & UTF8 != 0) else {
        return Err(corrupt(format!("the name of the entry at byte {at} says it is UTF-8 and is not")));
    };
    if let Some(why) = entry_fault(&name) {
        let message = format!("the name {} of an entry {why}", name::shown(&name));
        return Err(Failure::new(Code::ArchiveUnsafe, message));
    }
    let mut values = [(field(24, 4), 8), (field(20, 4), 8), (field(42, 4), 8), (field(34, 2), 4)];
    widen(&mut values, extra).ok_or_else(broken)?;
    let [(size, _), (compressed, _), (header_at, _), (disk, _)] = values;
    if disk != 0 {
        let message =
            format!("entry {} is on disk {disk}; send the archive in one piece", name::shown(&name));
        return Err(Failure::new(Code::ArchiveUnsupported, message));
    }
    // As far as the directory tells: the extra field of the local header is read with the entry.
    let least = local::FIXED.saturating_add(name_len as u64).saturating_add(compressed);
    if header_at.checked_add(least).is_none_or(|ends| ends > directory_at) {
        let message = format!("entry {} runs over the directory of the archive", name::shown(&name));
        return Err(Failure::new(Code::ArchiveUnsafe, message));
    }
    let made_on = short(4) >> 8;
    let mode = (made_on == UNIX || made_on == DARWIN).then_some((field(38, 4) >> 16) as u32);
    let is_folder = name.ends_with('/');
    if is_folder && size != 0 || !is_folder && mode.is_some_and(|mode| mode & TYPE == FOLDER) {
        let message = format!("entry {} is a file and a folder at once", name::shown(&name));
        return Err(Failure::new(Code::ArchiveUnsafe, message));
    }
    let entry = Entry {
        name,
        size,
        compressed,
        crc32: field(16, 4) as u32,
        raw_name: raw_name.to_vec(),
        flags,
        method: short(10),
        mode,
        header_at,
        ends_by: directory_at,
    };
    Ok((entry, &bytes[after..]))
}

/// Replace values that are all ones by those of the ZIP64 extra field (4.5.3), which holds exactly these, in this order.
/// Each has its length there. `None`: it does not hold them.
pub(super) fn widen(values: &mut [(u64, usize)], extra: &[u8]) -> Option<()> {
    let is_elsewhere = |value: u64, wide: usize| value == if wide == 8 { 0xffff_ffff } else { 0xffff };
    let mut wide = zip64(extra);
    for (value, len) in values.iter_mut().filter(|(value, len)| is_elsewhere(*value, *len)) {
        let (first, rest) = wide?.split_at_checked(*len)?;
        *value = number(first, 0, *len);
        wide = Some(rest);
    }
    Some(())
}

/// The ZIP64 extra field; what follows a broken one is not looked at.
fn zip64(mut extra: &[u8]) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let (data, rest) = rest.split_at_checked(number(head, 2, 2) as usize)?;
        if number(head, 0, 2) == 1 {
            return Some(data);
        }
        extra = rest;
    }
    None
}

/// No name stands twice: which of the two is meant would depend on the reader.
fn distinct(entries: &[Entry]) -> Result<(), Failure> {
    let mut names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            let message = format!("two entries have the name {}", name::shown(pair[0]));
            Err(Failure::new(Code::ArchiveUnsafe, message))
        }
    }
}

/// No entry begins before the one before it has ended: such an archive unpacks to more than it could hold.
fn apart(entries: &mut [Entry], directory_at: u64) -> Result<(), Failure> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_unstable_by_key(|at| entries[*at].header_at);
    let mut next_at = directory_at;
    let mut next: Option<usize> = None;
    for at in order.into_iter().rev() {
        let entry = &mut entries[at];
        entry.ends_by = next_at;
        let ends = entry.header_at + local::FIXED + entry.raw_name.len() as u64 + entry.compressed;
        if ends > next_at {
            let (one, other) =
                (name::shown(&entries[at].name), next.map(|at| name::shown(&entries[at].name)));
            let message = format!("entries {one} and {} share bytes", other.unwrap_or_default());
            return Err(Failure::new(Code::ArchiveUnsafe, message));
        }
        (next_at, next) = (entry.header_at, Some(at));
    }
    Ok(())
}
