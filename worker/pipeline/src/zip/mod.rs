//! ZIP archives, read by ranges: the directory at the end first, then one entry's bytes as an object of their own.
//!
//! # Overview
//! "APPNOTE.TXT - .ZIP File Format Specification" 6.3.10 (PKWARE) is the format; section numbers below are its own.
//! [`Archive::open`] finds the end record, ZIP64 or not, and reads the directory. [`Archive::unpack`] reads the local
//! header of one entry and gives a source of its compressed bytes, with what the stage that undoes the compression
//! checks ([`Packed`]). Parsing (`end`, `directory`, `local`, `name`) is over bytes in memory and does no IO.
//! [`Frame`] writes what stands around the only entry of an archive of our own.
//!
//! # What is refused
//! Two readers of an archive must not see two archives, so there is one way to read it: the directory says what there
//! is, stands where the end record says, and ends where that record begins; its count is exact; local headers and data
//! descriptors agree with it; no two entries share a byte or a name. Names that lead out of a folder are refused
//! wherever they stand in the archive; links, encryption and other methods than stored and deflate where such an entry
//! is asked for. An archive inside the archive is not opened, and refused where nothing else could be meant.
//!
//! # Memory
//! [`MAX_DIRECTORY`] bounds the directory, `limits.max_entries` the entries. Both are gone before the transfer begins.

mod directory;
mod end;
mod local;
mod name;
mod source;
mod write;

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use eft_domain::{
    Code, Failure,
    route::{Limits, glob_matches},
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    error::of_source,
    port::{ErrorKind, ObjectSource, PortError, PortResult},
    retry::{RetryPolicy, retrying},
};

use self::end::{End, Found};

pub use self::directory::Entry;
pub use self::source::EntrySource;
pub use self::write::Frame;

/// Largest directory, in bytes: 10,000 entries with 800 bytes each, ten times what tools write.
pub const MAX_DIRECTORY: u64 = 8 << 20;

/// How an entry is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored,
    /// RFC 1951.
    Deflate,
}

/// One entry for the stage that unpacks it: what its bytes are, and what must come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Its name, as messages show it.
    pub name: String,
    /// How it is packed.
    pub method: Method,
    /// Bytes in the archive.
    pub compressed: u64,
    /// Bytes that come out.
    pub size: u64,
    /// Their CRC-32 (ISO-HDLC).
    pub crc32: u32,
    /// The name tells nothing of the content, which therefore must not be an archive.
    pub nameless: bool,
}

/// What a run takes out of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// The entries, in the order of the archive.
    pub entries: Arc<[Packed]>,
    /// Each becomes an object of its own; otherwise all become one, one behind the other.
    pub apart: bool,
}

/// An archive whose directory was read and found sound.
pub struct Archive {
    source: Arc<dyn ObjectSource>,
    retry: RetryPolicy,
    entries: Vec<Entry>,
}

impl Archive {
    /// Find and read the directory.
    ///
    /// # Errors
    /// `plan.refused` for a stream, `format.*`, `archive.*` and `limit.*` as the bytes are, and what reading them meets.
    pub async fn open(
        source: Arc<dyn ObjectSource>,
        limits: &Limits,
        retry: RetryPolicy,
    ) -> Result<Self, Failure> {
        let Some(size) = source.size() else {
            let message = "a ZIP archive is read by the directory at its end, which a stream has not yet: \
                           give a file or an object";
            return Err(Failure::new(Code::PlanRefused, message));
        };
        if size > limits.max_input_bytes.bytes() {
            let observed = format!("{size} bytes");
            return Err(Failure::limit(Code::LimitInputBytes, observed, limits.max_input_bytes.bytes()));
        }
        let reader = Reader { source: source.as_ref(), retry: &retry };
        let end = reader.end(size).await?;
        end.admit(limits)?;
        let directory = reader.read(end.offset..end.offset + end.size).await?;
        let entries = directory::parse(&directory, &end)?;
        Ok(Self { source, retry, entries })
    }

    /// What it holds, folders included, in the order of the directory.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry with this name, or the only file where none is asked for.
    ///
    /// # Errors
    /// `archive.entry`, with what there is instead.
    pub fn find(&self, name: Option<&str>) -> Result<&Entry, Failure> {
        let missing = |what: String| Failure::new(Code::ArchiveEntry, what);
        let files = || self.entries.iter().filter(|entry| !entry.is_folder());
        match name {
            Some(name) => files().find(|entry| entry.is_named(name)).ok_or_else(|| {
                let there = directory::listed(files());
                missing(format!("the archive has no file {}; it has {there}", name::shown(name)))
            }),
            None => {
                let mut all = files();
                match (all.next(), all.next()) {
                    (Some(entry), None) => Ok(entry),
                    (None, _) => Err(missing("the archive has no file".to_owned())),
                    _ => Err(missing(format!(
                        "the route takes the only file of an archive, but this one has {}; name one with `entry`",
                        directory::listed(files())
                    ))),
                }
            }
        }
    }

    /// The files whose names match, of which there has to be one.
    ///
    /// # Errors
    /// `archive.entry`, with what there is instead.
    pub fn matching(&self, glob: &str) -> Result<Vec<&Entry>, Failure> {
        let files = || self.entries.iter().filter(|entry| !entry.is_folder());
        let found: Vec<_> = files().filter(|entry| glob_matches(glob, &entry.name)).collect();
        if found.is_empty() {
            let (glob, there) = (name::shown(glob), directory::listed(files()));
            let message = format!("no file in the archive matches {glob}; it has {there}");
            return Err(Failure::new(Code::ArchiveEntry, message));
        }
        Ok(found)
    }

    /// The bytes of these entries, one behind the other, and how they are unpacked. Local headers are read `ahead` at a
    /// time.
    ///
    /// # Errors
    /// As [`Archive::unpack`] of each; `limit.max_output_bytes` of all together.
    pub async fn unpack_all(
        &self,
        entries: &[&Entry],
        limits: &Limits,
        ahead: usize,
    ) -> Result<(Arc<dyn ObjectSource>, Vec<Packed>), Failure> {
        let promised = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
        if promised > limits.max_output_bytes.bytes() {
            let observed = format!("{promised} bytes in {} entries", entries.len());
            return Err(Failure::limit(Code::LimitOutputBytes, observed, limits.max_output_bytes.bytes()));
        }
        // A list, because a closure within the stream would keep its caller's future from being `Send`.
        let lookups: Vec<_> = entries.iter().map(|entry| self.locate(entry, limits)).collect();
        let located: Vec<_> = stream::iter(lookups).buffered(ahead.max(1)).try_collect().await?;
        let (ranges, packed): (Vec<_>, Vec<Packed>) = located.into_iter().unzip();
        let what = match &packed[..] {
            [packed] => format!("entry {}", packed.name),
            several => format!("{} entries", several.len()),
        };
        let source = EntrySource::new(Arc::clone(&self.source), ranges, &what);
        Ok((Arc::new(source), packed))
    }

    /// The bytes of an entry as an object, and how they are unpacked.
    ///
    /// # Errors
    /// `archive.unsafe`, `archive.unsupported`, `limit.*` or `format.corrupt` as the entry is, and what reading meets.
    pub async fn unpack(
        &self,
        entry: &Entry,
        limits: &Limits,
    ) -> Result<(Arc<dyn ObjectSource>, Packed), Failure> {
        let (data, packed) = self.locate(entry, limits).await?;
        let source = EntrySource::new(Arc::clone(&self.source), [data], &format!("entry {}", packed.name));
        Ok((Arc::new(source), packed))
    }

    /// Where the bytes of an entry are, by its local header, and how they are unpacked.
    async fn locate(&self, entry: &Entry, limits: &Limits) -> Result<(Range<u64>, Packed), Failure> {
        let packed = entry.admit(limits)?;
        let reader = Reader { source: self.source.as_ref(), retry: &self.retry };
        let fixed = reader.read(entry.header_at..entry.header_at + local::FIXED).await?;
        let names = local::names(&fixed, entry)?;
        let names = reader.read(names).await?;
        let data = local::data(&fixed, &names, entry)?;
        if local::has_descriptor(&fixed) {
            let room = local::DESCRIPTOR.min(entry.ends_by - data.end);
            let descriptor = reader.read(data.end..data.end + room).await?;
            local::descriptor(&descriptor, entry)?;
        }
        Ok((data, packed))
    }
}

/// Reads small ranges whole.
struct Reader<'a> {
    source: &'a dyn ObjectSource,
    retry: &'a RetryPolicy,
}

impl Reader<'_> {
    async fn end(&self, size: u64) -> Result<End, Failure> {
        let tail_at = size.saturating_sub(end::TAIL);
        let tail = self.read(tail_at..size).await?;
        let first = match tail_at {
            0 => tail.slice(..tail.len().min(4)),
            _ => self.read(0..4).await?,
        };
        match end::find(&tail, tail_at, &first)? {
            Found::Plain(end) => Ok(end),
            Found::Zip64(locator) => {
                let record = self.read(locator.record()?).await?;
                locator.end(&record)
            }
        }
    }

    /// Every byte of a range.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, Failure> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let read = retrying(self.retry, |_| (), || self.attempt(range.clone())).await;
        read.map_err(|error| of_source(&error))
    }

    async fn attempt(&self, range: Range<u64>) -> PortResult<Bytes> {
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut frames = self.source.read(range.clone()).await?;
        let mut bytes = Vec::with_capacity(wanted);
        while let Some(frame) = frames.try_next().await? {
            bytes.extend_from_slice(&frame[..frame.len().min(wanted - bytes.len())]);
        }
        if bytes.len() < wanted {
            let message = format!(
                "{}: {} of {wanted} bytes came from byte {}",
                self.source.uri(),
                bytes.len(),
                range.start
            );
            return Err(PortError::new(ErrorKind::Transient, message));
        }
        Ok(bytes.into())
    }
}

fn corrupt(message: impl Into<String>) -> Failure {
    Failure::new(Code::FormatCorrupt, message)
}

/// Two, four or eight bytes, the lowest first; the caller has looked that they are there.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
