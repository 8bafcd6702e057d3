//! `ebcdic`: the records of a mainframe become lines of UTF-8, or with a layout records of CSV.
//!
//! # Overview
//! A rewrite, record by record: `frame` tells records apart, `fields` makes a line of one. Only text fields are
//! transcoded. Packed and binary numbers are read as what they are: transcoding their bytes would destroy them.
//!
//! # Records
//! - **Fixed**: every so many bytes. The file ends with a whole one.
//! - **RDW**: two bytes of length, big-endian and itself included, two bytes of zero, and the data. Anything else in the
//!   last two (a segment of a spanned record) is final, since no record behind it can be found. Block descriptors are
//!   not read: transfer programs leave them out.
//! - **NEL**: up to 15 or 25; a CR (0d) before that belongs to the line end. The last record needs none.
//!
//! With a layout a record of variable length has exactly the bytes of the layout; one of fixed length has at least them.
//!
//! # The output
//! Without a layout a record is a line, ended by LF; one that holds the code of an LF or CR would be two, and is broken.
//! With a layout it is a record of CSV (RFC 4180, ended by LF), texts quoted where they have to be. Numbers are written
//! without leading zeros, with as many decimals as their scale; a negative zero is a zero.
//!
//! # Failure handling
//! A broken record (a digit or sign that is none, a wrong length) is left out of the output, counted and listed, within
//! `limits.max_errors`. What breaks the framing is final.
//!
//! # Memory
//! One record: in pieces where chunks cut it, and as the line made of it.

mod fields;
mod frame;
mod page;
mod tables;

use eft_domain::Failure;
use eft_domain::route::{EbcdicSpec, Limits};
use serde::{Deserialize, Serialize};

use self::fields::Lines;
use self::frame::{Framer, Record};
use super::csv::Tally;
use super::pending::Capped;
use super::{
    Flow, Input, Kind, Output, Reject, ResumeClass, Stage, StageInfo, StageReport, State, pack, unpack,
};

const NAME: &str = "ebcdic";

/// The stage `ebcdic`.
#[derive(Debug)]
pub struct Ebcdic {
    framer: Framer,
    lines: Lines,
    tally: Tally,
    /// The line that leaves next, and how much of it has left.
    line: Vec<u8>,
    left: usize,
    capped: Capped,
    ended: bool,
}

#[derive(Serialize, Deserialize)]
struct Between {
    records: u64,
    errors: u64,
    rejects: Vec<Reject>,
    made: u64,
}

impl Ebcdic {
    /// A stage at the start of a stream.
    ///
    /// # Errors
    /// [`Code::RouteInvalid`](eft_domain::Code::RouteInvalid) when the layout does not fit the records.
    pub fn new(spec: EbcdicSpec, limits: &Limits) -> Result<Self, Failure> {
        let framer = Framer::new(&spec, limits)?;
        let lines = Lines::new(spec);
        let line = lines.header();
        let (tally, capped) = (Tally::new(limits.max_errors), Capped::new(limits));
        Ok(Self { framer, lines, tally, line, left: 0, capped, ended: false })
    }

    /// Make a line of a record.
    fn convert(&mut self, record: &Record) -> Result<(), Failure> {
        self.lines.write(&record.bytes, &mut self.line, |column, reason| {
            self.tally.note(|number| Reject {
                record: number,
                offset: record.offset,
                column: column.map(str::to_owned),
                reason: reason.to_owned(),
            });
        });
        if self.tally.broken() {
            self.line.clear();
        }
        self.tally.end_record()
    }

    fn is_between(&self) -> bool {
        self.line.is_empty() && self.framer.is_between()
    }
}

impl Stage for Ebcdic {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R1,
            memory: size_of::<Self>() as u64
                + self.lines.memory()
                + self.framer.longest() * (1 + self.lines.growth()),
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            self.left += self.capped.put(&self.line[self.left..], output)?;
            if self.left < self.line.len() {
                return Ok(Flow::Full);
            }
            self.line.clear();
            self.left = 0;
            if input.wants_save() && self.is_between() {
                return Ok(Flow::Boundary);
            }
            let number = self.tally.records + 1;
            if let Some(record) = self.framer.next(input, number)? {
                self.convert(&record)?;
                continue;
            }
            if !input.is_finished() {
                return Ok(Flow::Hungry);
            }
            if self.ended {
                return Ok(Flow::Done);
            }
            self.ended = true;
            if let Some(record) = self.framer.finish(number)? {
                self.convert(&record)?;
            }
        }
    }

    fn report(&self) -> StageReport {
        StageReport {
            records: Some(self.tally.records),
            errors: self.tally.errors,
            rejects: self.tally.rejects.clone(),
            ..StageReport::default()
        }
    }

    fn save(&self) -> Option<State> {
        if !self.is_between() {
            return None;
        }
        let Tally { records, errors, rejects, .. } = &self.tally;
        pack(&Between {
            records: *records,
            errors: *errors,
            rejects: rejects.clone(),
            made: self.capped.made(),
        })
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { records, errors, rejects, made } = unpack(NAME, state)?;
        (self.tally.records, self.tally.errors, self.tally.rejects) = (records, errors, rejects);
        self.capped.resume(made);
        // The header left before the state was saved.
        self.line.clear();
        Ok(())
    }
}
