//! Tells records apart.

use bytes::Bytes;
use eft_domain::route::{EbcdicRecords, EbcdicSpec, EbcdicType, Limits, width};
use eft_domain::{Code, Failure};

use crate::stage::Input;

/// Bytes of a record descriptor word.
const RDW: usize = 4;
const NEL: u8 = 0x15;
const LF: u8 = 0x25;
const CR: u8 = 0x0d;

/// The data of a record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) bytes: Bytes,
    /// Offset of its first byte in the stream, its descriptor included.
    pub(super) offset: u64,
}

/// Collects the bytes of a record.
#[derive(Debug)]
pub(super) struct Framer {
    records: EbcdicRecords,
    /// Longest record taken, in bytes.
    max: u64,
    /// Offset of the record being read.
    start: u64,
    /// The first bytes of its descriptor.
    descriptor: Vec<u8>,
    /// Bytes of its data, where its descriptor was read or none is needed.
    length: Option<usize>,
    /// Its data so far, where a chunk's end cut it.
    held: Vec<u8>,
}

impl Framer {
    pub(super) fn new(spec: &EbcdicSpec, limits: &Limits) -> Result<Self, Failure> {
        let invalid = |what: String| Err(Failure::new(Code::RouteInvalid, what));
        let layout = spec.layout.as_deref().unwrap_or_default();
        let length = match spec.records {
            EbcdicRecords::Fixed(0) => return invalid("records of no bytes".to_owned()),
            EbcdicRecords::Fixed(bytes) if width(layout) > bytes.into() => {
                return invalid(format!("the layout has {} bytes, a record {bytes}", width(layout)));
            }
            EbcdicRecords::Fixed(bytes) => Some(bytes as usize),
            EbcdicRecords::Rdw | EbcdicRecords::Nel => None,
        };
        let max = limits.max_record_bytes.bytes();
        if let Some(length) = length.filter(|length| *length as u64 > max) {
            return invalid(format!("a record of {length} bytes is longer than the {max} the route allows"));
        }
        let number = |kind| matches!(kind, EbcdicType::Packed(_) | EbcdicType::Binary(_));
        if spec.records == EbcdicRecords::Nel && layout.iter().any(|field| number(field.kind)) {
            return invalid("packed or binary numbers in records that end with a line end".to_owned());
        }
        let (descriptor, held) = (Vec::new(), Vec::new());
        Ok(Self { records: spec.records, max, start: 0, descriptor, length, held })
    }

    /// Bytes of the longest record there may be.
    pub(super) fn longest(&self) -> u64 {
        match self.records {
            EbcdicRecords::Fixed(bytes) => bytes.into(),
            EbcdicRecords::Rdw => self.max.min(u16::MAX.into()),
            EbcdicRecords::Nel => self.max,
        }
    }

    /// Nothing of a record was read.
    pub(super) fn is_between(&self) -> bool {
        self.held.is_empty() && self.descriptor.is_empty()
    }

    /// The next record, which is number `number`; `None` when it needs more input.
    ///
    /// # Errors
    /// When it is too long, or no record begins where it should.
    pub(super) fn next(&mut self, input: &mut Input, number: u64) -> Result<Option<Record>, Failure> {
        if self.is_between() {
            self.start = input.offset();
        }
        if self.records == EbcdicRecords::Nel {
            return self.until_line_end(input, number);
        }
        if self.length.is_none() && !self.read_descriptor(input, number)? {
            return Ok(None);
        }
        let length = self.length.unwrap_or_default();
        while self.held.len() < length {
            let missing = length - self.held.len();
            match input.take(missing.min(input.chunk().len())) {
                None => return Ok(None),
                Some(bytes) if bytes.len() == length => return Ok(Some(self.record(bytes))),
                Some(bytes) => self.held.extend_from_slice(&bytes),
            }
        }
        let bytes = std::mem::take(&mut self.held).into();
        Ok(Some(self.record(bytes)))
    }

    /// Read up to a line end.
    fn until_line_end(&mut self, input: &mut Input, number: u64) -> Result<Option<Record>, Failure> {
        loop {
            let chunk = input.chunk();
            let end = memchr::memchr2(NEL, LF, chunk);
            let more = end.unwrap_or(chunk.len());
            let seen = (self.held.len() + more + usize::from(end.is_some())) as u64;
            if seen > self.max {
                return Err(self.too_long(number));
            }
            let bytes = input.take(more);
            if end.is_none() {
                match bytes {
                    None => return Ok(None),
                    Some(bytes) => self.held.extend_from_slice(&bytes),
                }
                continue;
            }
            input.advance(1);
            let mut bytes = bytes.unwrap_or_default();
            if !self.held.is_empty() {
                self.held.extend_from_slice(&bytes);
                bytes = std::mem::take(&mut self.held).into();
            }
            let bytes = match bytes.last() {
                Some(&CR) => bytes.slice(..bytes.len() - 1),
                _ => bytes,
            };
            return Ok(Some(self.record(bytes)));
        }
    }

    /// Collect a descriptor; returns whether it is whole.
    fn read_descriptor(&mut self, input: &mut Input, number: u64) -> Result<bool, Failure> {
        while self.descriptor.len() < RDW {
            let missing = RDW - self.descriptor.len();
            let Some(bytes) = input.take(missing.min(input.chunk().len())) else { return Ok(false) };
            self.descriptor.extend_from_slice(&bytes);
        }
        let [high, low, flags @ ..] = &self.descriptor[..] else { return Ok(false) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let corrupt = |why: &str| {
            let bytes: Vec<_> = self.descriptor.iter().map(|byte| format!("{byte:02x}")).collect();
            let (bytes, start) = (bytes.join(" "), self.start);
            Failure::new(
                Code::FormatCorrupt,
                format!("no record descriptor at byte {start}, before record {number}: {why} ({bytes})"),
            )
        };
        if *flags != [0, 0] {
            return Err(corrupt("its last two bytes are not zero, as they are in unspanned records"));
        }
        if length < RDW {
            return Err(corrupt("its length is less than its own"));
        }
        if length as u64 > self.max {
            let observed = format!("{length} bytes in record {number} at byte {}", self.start);
            return Err(Failure::limit(Code::LimitRecordBytes, observed, self.max));
        }
        self.length = Some(length - RDW);
        Ok(true)
    }

    /// The record whose end the end of the stream is.
    ///
    /// # Errors
    /// When it is not whole.
    pub(super) fn finish(&mut self, number: u64) -> Result<Option<Record>, Failure> {
        if self.is_between() {
            return Ok(None);
        }
        if self.records == EbcdicRecords::Nel {
            let bytes = std::mem::take(&mut self.held).into();
            return Ok(Some(self.record(bytes)));
        }
        let start = self.start;
        let message = match self.length {
            Some(length) => {
                let held = self.held.len();
                format!("the file ends after {held} of the {length} bytes of record {number} at byte {start}")
            }
            None => format!("the file ends within the descriptor of record {number} at byte {start}"),
        };
        Err(Failure::new(Code::FormatTruncated, message))
    }

    fn record(&mut self, bytes: Bytes) -> Record {
        if self.records == EbcdicRecords::Rdw {
            self.length = None;
            self.descriptor.clear();
        }
        Record { bytes, offset: self.start }
    }

    fn too_long(&self, number: u64) -> Failure {
        let (start, max) = (self.start, self.max);
        let observed = format!("at least {} bytes in record {number} at byte {start}", max + 1);
        Failure::limit(Code::LimitRecordBytes, observed, max)
    }
}
