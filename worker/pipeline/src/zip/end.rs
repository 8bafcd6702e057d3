//! The records at the end (4.3.14 to 4.3.16): where the directory is, and how much it holds.

use std::ops::Range;

use eft_domain::{Code, Failure, route::Limits};

use super::{MAX_DIRECTORY, corrupt, number};

pub(super) const END: [u8; 4] = *b"PK\x05\x06";
const END_LEN: usize = 22;
pub(super) const LOCATOR: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_LEN: usize = 20;
pub(super) const RECORD: [u8; 4] = *b"PK\x06\x06";
pub(super) const RECORD_LEN: u64 = 56;
/// Longest ZIP64 record read, with what it may hold for later versions of the format.
const MAX_RECORD: u64 = 4 << 10;

/// Bytes from the end in which the end record is looked for: the longest comment, the record, and a locator before it.
pub(super) const TAIL: u64 = 65_535 + (END_LEN + LOCATOR_LEN) as u64;

/// What the end records say, and agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Entries of the directory.
    pub(super) entries: u64,
    /// Its bytes.
    pub(super) size: u64,
    /// Where it begins.
    pub(super) offset: u64,
}

pub(super) enum Found {
    Plain(End),
    Zip64(Locator),
}

/// The end of a ZIP64 archive, as far as it is read without the record it points to.
pub(super) struct Locator {
    /// Where it says the record is, and where the record has to end.
    at: u64,
    ends: u64,
    /// Entries on this disk and in all, size and offset of the directory, as the plain end record has them.
    plain: [u64; 4],
}

/// What the plain record holds where ZIP64 has the value.
const ELSEWHERE: [u64; 4] = [0xffff, 0xffff, 0xffff_ffff, 0xffff_ffff];

/// Find the end record in the last bytes, which begin at `tail_at`; `first` are the first four bytes of the file.
pub(super) fn find(tail: &[u8], tail_at: u64, first: &[u8]) -> Result<Found, Failure> {
    let mut found = None;
    let mut short = None;
    for at in (0..(tail.len() + 1).saturating_sub(END_LEN)).rev().filter(|at| tail[*at..].starts_with(&END)) {
        let ends = at + END_LEN + number(tail, at + 20, 2) as usize;
        if ends == tail.len() {
            if found.is_some() {
                let message =
                    "two end records fit the end of the file: what the archive holds depends on the reader";
                return Err(Failure::new(Code::ArchiveUnsafe, message));
            }
            found = Some(at);
        } else if ends < tail.len() && short.is_none() {
            short = Some(ends);
        }
    }
    match (found, short) {
        (Some(at), _) => plain(tail, tail_at, at),
        (None, Some(ends)) => {
            let (bytes, from) = (tail.len() - ends, tail_at + ends as u64);
            let message = format!("{bytes} bytes follow the end of the archive, from byte {from}");
            Err(Failure::new(Code::FormatTrailing, message))
        }
        (None, None) if first.starts_with(b"PK\x03\x04") || first.is_empty() => {
            let message = match first.is_empty() {
                true => "the file is empty: expected a ZIP archive",
                false => "the end of the archive is missing: the file ends before its directory does",
            };
            Err(Failure::new(Code::FormatTruncated, message))
        }
        (None, None) => Err(corrupt("this is no ZIP archive: it has no end record")),
    }
}

fn plain(tail: &[u8], tail_at: u64, at: usize) -> Result<Found, Failure> {
    let field = |offset, len| number(tail, at + offset, len);
    let locator = at.checked_sub(LOCATOR_LEN).filter(|at| tail[*at..].starts_with(&LOCATOR));
    one_disk(field(4, 2), field(6, 2), 0xffff)?;
    let plain = [field(8, 2), field(10, 2), field(12, 4), field(16, 4)];
    if let Some(locator) = locator {
        let (disk, disks) = (number(tail, locator + 4, 4), number(tail, locator + 16, 4));
        if disk != 0 || disks > 1 {
            return Err(several_disks());
        }
        let (at, ends) = (number(tail, locator + 8, 8), tail_at + locator as u64);
        return Ok(Found::Zip64(Locator { at, ends, plain }));
    }
    let [here, entries, size, offset] = plain;
    End { entries, size, offset }.placed(here, tail_at + at as u64).map(Found::Plain)
}

fn one_disk(disk: u64, directory: u64, elsewhere: u64) -> Result<(), Failure> {
    let is_first = |disk| disk == 0 || disk == elsewhere;
    if is_first(disk) && is_first(directory) { Ok(()) } else { Err(several_disks()) }
}

fn several_disks() -> Failure {
    Failure::new(Code::ArchiveUnsupported, "the archive is split over several disks; send it in one piece")
}

impl Locator {
    /// Where the ZIP64 record is.
    pub(super) fn record(&self) -> Result<Range<u64>, Failure> {
        match self.ends.checked_sub(self.at) {
            Some(RECORD_LEN..=MAX_RECORD) => Ok(self.at..self.ends),
            _ => Err(corrupt(format!(
                "the ZIP64 end record is not at byte {}, where its locator says",
                self.at
            ))),
        }
    }

    /// What the record says.
    pub(super) fn end(&self, record: &[u8]) -> Result<End, Failure> {
        let field = |offset, len| number(record, offset, len);
        // The size is without the signature and itself.
        if !record.starts_with(&RECORD) || field(4, 8).checked_add(12) != Some(record.len() as u64) {
            return Err(corrupt(format!("there is no sound ZIP64 end record at byte {}", self.at)));
        }
        one_disk(field(16, 4), field(20, 4), 0)?;
        let full = [field(24, 8), field(32, 8), field(40, 8), field(48, 8)];
        let agree = self.plain.iter().zip(&full).zip(&ELSEWHERE);
        if agree.into_iter().any(|((plain, full), elsewhere)| plain != full && plain != elsewhere) {
            return Err(corrupt("the end record and the ZIP64 end record do not agree"));
        }
        let [here, entries, size, offset] = full;
        End { entries, size, offset }.placed(here, self.at)
    }
}

impl End {
    /// The directory is on this disk and ends where the records begin.
    fn placed(self, here: u64, records_at: u64) -> Result<Self, Failure> {
        if here != self.entries {
            return Err(several_disks());
        }
        if self.offset.checked_add(self.size) != Some(records_at) {
            let Self { size, offset, .. } = self;
            let message = format!(
                "the directory is not where the end record says: {size} bytes from byte {offset} do not end at byte \
                 {records_at}, where the record begins"
            );
            return Err(corrupt(message));
        }
        Ok(self)
    }

    /// Whether a directory of this size is read.
    pub(super) fn admit(&self, limits: &Limits) -> Result<(), Failure> {
        if self.entries > limits.max_entries.into() {
            return Err(Failure::limit(Code::LimitEntries, self.entries, limits.max_entries));
        }
        if self.size > MAX_DIRECTORY {
            let message =
                format!("observed a directory of {} bytes, at most {MAX_DIRECTORY} are read", self.size);
            return Err(Failure::new(Code::LimitEntries, message));
        }
        Ok(())
    }
}
