//! `decompress` of one entry of a ZIP archive: raw deflate (RFC 1951) or stored bytes, held to the size and the CRC-32
//! that the directory of the archive gives.
//!
//! The directory is read before, by ranges ([`crate::zip`]); what comes here is the entry's compressed bytes alone. The
//! inflate is the one of `gzip`: zlib-rs, as measured in the module above.

use crc_fast::{CrcAlgorithm, Digest};
use eft_domain::route::Limits;
use eft_domain::{Code, Failure};
use flate2::{FlushDecompress, Status};

use super::super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State};
use super::SCRATCH;
use super::meter::Meter;
use crate::zip::{Method, Packed};

/// The inflate state and window of zlib-rs: 46 KiB measured.
const MEMORY: u64 = 64 << 10;
/// First bytes of an archive: of its first entry, or of the end of an empty one.
const ARCHIVES: [[u8; 4]; 2] = [*b"PK\x03\x04", *b"PK\x05\x06"];

/// The `decompress` stage for an entry of a ZIP archive.
pub struct UnzipEntry {
    entry: Packed,
    inflate: Option<flate2::Decompress>,
    scratch: Vec<u8>,
    crc: Digest,
    meter: Meter,
    /// The first bytes of the content.
    first: Vec<u8>,
    /// The deflate data has ended.
    ended: bool,
    /// The inflate filled all the room it had and may have more without input.
    pending: bool,
    /// The deflate data is broken behind what came out.
    broken: bool,
    /// All of it came out, and everything agrees.
    whole: bool,
}

impl UnzipEntry {
    /// A stage for one entry. Of the limits it enforces `max_output_bytes` and `max_ratio`.
    pub fn new(entry: Packed, limits: &Limits) -> Self {
        let inflate = (entry.method == Method::Deflate).then(|| flate2::Decompress::new(false));
        Self {
            inflate,
            scratch: vec![0; SCRATCH],
            crc: Digest::new(CrcAlgorithm::Crc32IsoHdlc),
            meter: Meter::new(limits),
            first: Vec::new(),
            ended: entry.method == Method::Stored,
            pending: false,
            broken: false,
            whole: false,
            entry,
        }
    }

    fn corrupt(&self, why: &str) -> Failure {
        Failure::new(Code::FormatCorrupt, format!("entry {}: {why}", self.entry.name))
    }

    /// Unpack once into the scratch; how many bytes came out.
    fn unpack(&mut self, input: &mut Input, room: usize) -> usize {
        let (read, made) = match &mut self.inflate {
            None => {
                let len = room.min(input.chunk().len());
                self.scratch[..len].copy_from_slice(&input.chunk()[..len]);
                (len, len)
            }
            Some(inflate) => {
                let (read, made) = (inflate.total_in(), inflate.total_out());
                let status =
                    inflate.decompress(input.chunk(), &mut self.scratch[..room], FlushDecompress::None);
                let (read, made) =
                    ((inflate.total_in() - read) as usize, (inflate.total_out() - made) as usize);
                match status {
                    Ok(Status::StreamEnd) => self.ended = true,
                    Ok(_) => {}
                    // What came out before is judged first, as it is where it came out in a step before.
                    Err(_) => self.broken = true,
                }
                self.pending = made == room && !self.ended;
                (read, made)
            }
        };
        input.advance(read);
        made
    }

    /// Take what came out into account.
    fn count(&mut self, made: usize, read: u64) -> Result<(), Failure> {
        self.meter.add(made, read)?;
        let bytes = &self.scratch[..made];
        self.crc.update(bytes);
        let wanted = ARCHIVES[0].len() - self.first.len();
        self.first.extend_from_slice(&bytes[..wanted.min(made)]);
        if self.entry.nameless && ARCHIVES.iter().any(|archive| self.first == archive) {
            let message = format!(
                "entry {}: is an archive itself; archives in archives are not opened",
                self.entry.name
            );
            return Err(Failure::new(Code::ArchiveUnsupported, message));
        }
        if self.meter.made() > self.entry.size {
            let size = self.entry.size;
            return Err(self.corrupt(&format!("more comes out than the {size} bytes the directory says")));
        }
        Ok(())
    }

    /// All input was read: everything has to agree.
    fn finish(&mut self, read: u64) -> Result<Flow, Failure> {
        if !self.ended {
            return Err(self.corrupt("its deflate data does not end within it"));
        }
        if self.meter.made() != self.entry.size {
            let (made, size) = (self.meter.made(), self.entry.size);
            return Err(self.corrupt(&format!("{made} bytes come out, the directory says {size}")));
        }
        if self.crc.finalize() != u64::from(self.entry.crc32) {
            return Err(self.corrupt("its CRC-32 is wrong"));
        }
        self.meter.finish(read)?;
        self.whole = true;
        Ok(Flow::Done)
    }
}

impl Stage for UnzipEntry {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: "decompress.zip",
            kind: Kind::Seek,
            ordered: true,
            resume: ResumeClass::R3,
            memory: SCRATCH as u64 + MEMORY,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            if input.is_empty() && !self.pending {
                return if input.is_ended() { self.finish(input.offset()) } else { Ok(Flow::Hungry) };
            }
            if self.inflate.is_some() && self.ended {
                return Err(self.corrupt("its deflate data ends before it does"));
            }
            // One byte over what it should be is enough to see.
            let over = (self.entry.size - self.meter.made()).saturating_add(1);
            let over = usize::try_from(over).unwrap_or(usize::MAX);
            let room = self.scratch.len().min(output.room()).min(self.meter.allowance()).min(over);
            if room == 0 {
                return Ok(Flow::Full);
            }
            let made = self.unpack(input, room);
            self.count(made, input.offset())?;
            output.put(&self.scratch[..made]);
            if self.broken {
                return Err(self.corrupt("the deflate data is broken"));
            }
        }
    }

    fn report(&self) -> StageReport {
        StageReport { frames: Some(u64::from(self.whole)), ..StageReport::default() }
    }

    fn save(&self) -> Option<State> {
        None
    }

    fn restore(&mut self, _: State) -> Result<(), Failure> {
        Err(super::super::bad_state("decompress.zip", "an entry of an archive is read from its beginning"))
    }
}
