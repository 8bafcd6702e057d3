//! `validate.trailer`: the last record says how many there are, and what a column adds up to.
//!
//! # Overview
//! A tap. Which record is the last is known at the end only: a record counts as data once another follows. Sums are
//! exact ([`exact`]); a number is never rounded.
//!
//! # Failure handling
//! A record that cannot be added is final at once, whatever the route tolerates: without it no sum is right. At the end
//! everything that is wrong with the trailer is said, with what it says and what the file has.
//!
//! # Memory
//! The record being read and the one before it, where the end of a chunk cuts them: each of at most
//! `limits.max_record_bytes`.

mod check;
mod exact;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use eft_domain::{
    Code, Failure,
    route::{ColumnRef, Limits, Place, TrailerSpec},
};
use serde::{Deserialize, Serialize};

use self::exact::Exact;
use super::{
    Flow, Input, Kind, MAX_STATE, Output, Reject, ResumeClass, Stage, StageInfo, StageReport, State,
    bad_state, pack, records::Records, unpack,
};

const NAME: &str = "validate.trailer";

/// The stage `validate.trailer`.
#[derive(Debug)]
pub struct TrailerValidate {
    spec: TrailerSpec,
    records: Records,
    max_record: u64,
    /// The record being read, where it began in an earlier chunk.
    open: Vec<u8>,
    /// The last complete record: the trailer, unless another follows.
    last: Option<Vec<u8>>,
    /// What is known of the records before it.
    seen: Seen,
    reject: Option<Reject>,
}

/// What is known of the records before the last.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Offset of the last complete record.
    start: u64,
    /// The header is among them.
    header: bool,
    /// Records of data.
    data: u64,
    /// Where the column is, once the header has named it.
    column: Option<Place>,
    sum: Exact,
}

#[derive(Serialize, Deserialize)]
struct Between {
    start: u64,
    header: bool,
    data: u64,
    column: Option<u32>,
    sum: String,
    last: Option<String>,
}

impl TrailerValidate {
    /// A check at the start of a file.
    pub fn new(spec: TrailerSpec, limits: &Limits) -> Self {
        let max_record = limits.max_record_bytes.bytes();
        let column = spec.sum.as_ref().and_then(|sum| match sum.column {
            ColumnRef::At(place) => Some(place),
            ColumnRef::Name(_) => None,
        });
        Self {
            records: Records::new(spec.records, max_record).with_header(spec.header),
            spec,
            max_record,
            open: Vec::new(),
            last: None,
            seen: Seen { column, ..Seen::default() },
            reject: None,
        }
    }

    /// Read the chunk, which starts at `base`; or its first record when somebody waits. Returns how much that is.
    fn read(&mut self, chunk: &[u8], base: u64, one: bool) -> Result<usize, Failure> {
        // The last complete record, where it stands in this chunk.
        let mut here: Option<&[u8]> = None;
        let mut to = 0;
        while to < chunk.len() {
            let (n, ended) = self.records.advance(&chunk[to..], base + to as u64)?;
            let piece = &chunk[to..to + n];
            to += n;
            if !ended {
                self.open.extend_from_slice(piece);
                break;
            }
            match here.take() {
                Some(record) => self.pass(record)?,
                None => self.pass_last()?,
            }
            if self.open.is_empty() {
                here = Some(piece);
            } else {
                self.open.extend_from_slice(piece);
                self.last = Some(std::mem::take(&mut self.open));
            }
            if one {
                break;
            }
        }
        if let Some(record) = here {
            self.last = Some(record.to_vec());
        }
        Ok(to)
    }

    /// The last complete record is not the trailer.
    fn pass_last(&mut self) -> Result<(), Failure> {
        match self.last.take() {
            Some(record) => self.pass(&record),
            None => Ok(()),
        }
    }

    /// A record that is not the trailer.
    fn pass(&mut self, record: &[u8]) -> Result<(), Failure> {
        let passed = self.seen.pass(&self.spec, record);
        passed.map_err(|(column, reason)| self.fail(self.seen.header_or_data(&self.spec), column, reason))
    }

    fn fail(&mut self, record: u64, column: Option<String>, reason: String) -> Failure {
        let offset = self.seen.start;
        let what = if record == 0 { "header".to_owned() } else { format!("record {record}") };
        let at = column.as_ref().map_or_else(String::new, |column| format!(", {column}"));
        let failure = Failure::new(Code::Validation, format!("{what} at byte {offset}{at}: {reason}"));
        self.reject = Some(Reject { record, offset, column, reason });
        failure
    }

    /// The stream has ended: the last record is the trailer.
    fn finish(&mut self) -> Result<(), Failure> {
        if self.records.finish() {
            self.pass_last()?;
            self.last = Some(std::mem::take(&mut self.open));
        }
        let record = self.seen.data + 1;
        let trailer = self.last.take();
        match self.seen.compare(&self.spec, trailer.as_deref(), self.records.read) {
            Ok(()) => Ok(()),
            Err(reason) => Err(self.fail(record, None, format!("trailer: {reason}"))),
        }
    }

    fn can_save(&self) -> bool {
        self.records.is_between() && self.last.as_ref().is_none_or(|last| last.len() as u64 <= MAX_STATE)
    }
}

impl Stage for TrailerValidate {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            // A vector that grows may have twice the room it needs.
            memory: size_of::<Self>() as u64 + 4 * self.max_record,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        while !input.is_empty() {
            if input.wants_save() && self.can_save() {
                return Ok(Flow::Boundary);
            }
            let to = self.read(input.chunk(), input.offset(), input.wants_save())?;
            if let Some(bytes) = input.take(to) {
                output.pass(bytes);
            }
        }
        if !input.is_finished() {
            return Ok(Flow::Hungry);
        }
        self.finish()?;
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        let rejects: Vec<_> = self.reject.iter().cloned().collect();
        StageReport {
            records: Some(self.seen.data),
            errors: rejects.len() as u64,
            rejects,
            ..StageReport::default()
        }
    }

    fn save(&self) -> Option<State> {
        let Seen { start, header, data, column, sum } = self.seen.clone();
        let column = column.and_then(|column| match column {
            Place::Field(number) => Some(number),
            Place::Bytes(..) => None,
        });
        let between = || Between {
            start,
            header,
            data,
            column,
            sum: sum.to_string(),
            last: self.last.as_ref().map(|last| BASE64.encode(last)),
        };
        self.can_save().then(|| pack(&between()))?
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { start, header, data, column, sum, last } = unpack(NAME, state)?;
        let last =
            last.map(|last| BASE64.decode(last)).transpose().map_err(|error| bad_state(NAME, error))?;
        let sum: Exact = sum.parse().map_err(|_| bad_state(NAME, "the sum is not a number"))?;
        if last.as_ref().is_some_and(|last| last.len() as u64 > self.max_record) {
            return Err(bad_state(NAME, "the last record is too long"));
        }
        let read = data.checked_add(u64::from(header) + u64::from(last.is_some()));
        self.records.resume(read.ok_or_else(|| bad_state(NAME, "too many records"))?);
        let column = self.seen.column.or(column.map(Place::Field));
        (self.seen, self.last) = (Seen { start, header, data, column, sum }, last);
        Ok(())
    }
}
