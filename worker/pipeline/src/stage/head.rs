//! `head`: only the first records pass.
//!
//! # Overview
//! A slice: what passes are the input's own bytes. Behind the last record that passes, the source is still read to its
//! end, so that its checksum is verified, and nothing more is looked at.

use eft_domain::{
    Failure,
    route::{HeadSpec, Limits},
};

use super::{
    Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, pack, records::Records,
    unpack,
};

const NAME: &str = "head";

/// The stage `head`.
#[derive(Debug)]
pub struct HeadRecords {
    records: Records,
    first: u64,
}

impl HeadRecords {
    /// A stage at the start of a file.
    pub fn new(spec: HeadSpec, limits: &Limits) -> Self {
        Self { records: Records::new(spec.records, limits.max_record_bytes.bytes()), first: spec.first }
    }

    /// The part of the chunk that passes: as far as there is room, or to the next record's end when somebody waits.
    fn cut(&mut self, input: &Input, room: usize) -> Result<usize, Failure> {
        let (chunk, base) = (input.chunk(), input.offset());
        let chunk = &chunk[..chunk.len().min(room)];
        let mut to = 0;
        while to < chunk.len() && self.records.read < self.first {
            let (n, ended) = self.records.advance(&chunk[to..], base + to as u64)?;
            to += n;
            if ended && input.wants_save() {
                break;
            }
        }
        Ok(to)
    }
}

impl Stage for HeadRecords {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Slice,
            ordered: true,
            resume: ResumeClass::R1,
            memory: size_of::<Self>() as u64,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        while !input.is_empty() {
            if input.wants_save() && self.records.is_between() {
                return Ok(Flow::Boundary);
            }
            if self.records.read == self.first {
                input.advance(input.chunk().len());
                continue;
            }
            let room = output.room_for_all();
            if room == 0 {
                return Ok(Flow::Full);
            }
            let to = self.cut(input, room)?;
            if let Some(bytes) = input.take(to) {
                output.pass(bytes);
            }
        }
        if !input.is_finished() {
            return Ok(Flow::Hungry);
        }
        self.records.finish();
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        StageReport { records: Some(self.records.read), ..StageReport::default() }
    }

    fn save(&self) -> Option<State> {
        self.records.is_between().then(|| pack(&self.records.read))?
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        self.records.resume(unpack::<u64>(NAME, state)?.min(self.first));
        Ok(())
    }
}
