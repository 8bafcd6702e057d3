//! `drop`: records are left out at the start and at the end.
//!
//! # Overview
//! A slice: what passes are the input's own bytes. Which records are the last is known at the end only, so as many as
//! are dropped there are held back, as the pieces they came in, and each record that ends lets the oldest of them go.
//!
//! # Memory
//! At most `last` complete records and the one being read are held, each of at most `limits.max_record_bytes`; the
//! route is refused where that is more than [`MAX_HELD`](eft_domain::route::MAX_HELD).
//!
//! # Resuming
//! What is held back is part of the state. Where that may be more than [`MAX_STATE`](super::MAX_STATE) there is no state (R3).

mod held;

use std::collections::VecDeque;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use eft_domain::{
    Failure,
    route::{DropSpec, Limits},
};
use serde::{Deserialize, Serialize};

use self::held::Held;
use super::{
    Flow, Input, Kind, MAX_STATE, Output, ResumeClass, Stage, StageInfo, StageReport, State, bad_state, pack,
    records::Records, unpack,
};

const NAME: &str = "drop";

/// What a held piece may keep alive beyond its own bytes: the buffers it begins and ends in.
const SLACK: u64 = 2 << 20;

/// The stage `drop`.
#[derive(Debug)]
pub struct DropRecords {
    spec: DropSpec,
    records: Records,
    max_record: u64,
    held: Held,
    /// Lengths of the complete records that are held back.
    lengths: VecDeque<u64>,
    /// Bytes at the start of what is held that need not be held any longer.
    due: u64,
}

#[derive(Serialize, Deserialize)]
struct Between {
    read: u64,
    /// Lengths of the records that are held back.
    lengths: VecDeque<u64>,
    held: String,
}

impl DropRecords {
    /// A stage at the start of a file.
    pub fn new(spec: DropSpec, limits: &Limits) -> Self {
        let max_record = limits.max_record_bytes.bytes();
        Self {
            spec,
            records: Records::new(spec.records, max_record),
            max_record,
            held: Held::default(),
            lengths: VecDeque::new(),
            due: 0,
        }
    }

    fn most_held(&self) -> u64 {
        self.spec.last.saturating_mul(self.max_record)
    }

    /// Leave out what belongs to the first records.
    fn skip(&mut self, input: &mut Input) -> Result<(), Failure> {
        while self.records.read < self.spec.first && !input.is_empty() {
            let (n, _) = self.records.advance(input.chunk(), input.offset())?;
            input.advance(n);
            if input.wants_save() && self.records.is_between() {
                break;
            }
        }
        Ok(())
    }

    /// A record of those that may be the last has ended.
    fn end_record(&mut self, length: u64) {
        self.lengths.push_back(length);
        if self.lengths.len() as u64 > self.spec.last {
            self.due += self.lengths.pop_front().unwrap_or_default();
        }
    }

    /// Hold back the chunk, or its first record when somebody waits, and see what that lets go.
    fn hold(&mut self, input: &mut Input) -> Result<(), Failure> {
        let (base, len) = (input.offset(), input.chunk().len());
        let mut to = 0;
        while to < len {
            let open = self.records.open;
            let (n, ended) = self.records.advance(&input.chunk()[to..], base + to as u64)?;
            to += n;
            if ended {
                self.end_record(open + n as u64);
                if input.wants_save() {
                    break;
                }
            }
        }
        if let Some(bytes) = input.take(to) {
            self.held.push(bytes);
        }
        Ok(())
    }

    /// Pass on what need not be held back, as far as there is room. False: there is none for the rest.
    fn release(&mut self, output: &mut Output) -> bool {
        while self.due > 0 {
            let room = output.room_for_all() as u64;
            let Some(bytes) = self.held.take(self.due.min(room)) else { return false };
            self.due -= bytes.len() as u64;
            output.pass(bytes);
        }
        true
    }

    /// The first records are left out and nothing is held back: bytes need not be looked at any more.
    fn is_through(&self) -> bool {
        self.spec.last == 0 && self.records.read == self.spec.first
    }

    /// There is a state here: between two records, all that can be passed on is.
    fn can_save(&self) -> bool {
        self.records.is_between() && self.due == 0 && self.most_held() <= MAX_STATE
    }
}

impl Stage for DropRecords {
    fn info(&self) -> StageInfo {
        let held = match self.spec.last {
            0 => 0,
            _ => self.most_held() + self.max_record + SLACK,
        };
        let resume = if self.most_held() <= MAX_STATE { ResumeClass::R1 } else { ResumeClass::R3 };
        StageInfo {
            name: NAME,
            kind: Kind::Slice,
            ordered: true,
            resume,
            memory: size_of::<Self>() as u64 + held,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            if !self.release(output) {
                return Ok(Flow::Full);
            }
            if input.is_empty() {
                break;
            }
            if input.wants_save() && self.can_save() {
                return Ok(Flow::Boundary);
            }
            if self.records.read < self.spec.first {
                self.skip(input)?;
            } else if self.is_through() {
                let room = output.room_for_all();
                let Some(bytes) = input.take(room.min(input.chunk().len())).filter(|bytes| !bytes.is_empty())
                else {
                    return Ok(Flow::Full);
                };
                output.pass(bytes);
            } else {
                self.hold(input)?;
            }
        }
        if !input.is_finished() {
            return Ok(Flow::Hungry);
        }
        let (open, first) = (self.records.open, self.records.read < self.spec.first);
        if self.records.finish() && !first {
            self.end_record(open);
        }
        if !self.release(output) {
            return Ok(Flow::Full);
        }
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        let between = || Between {
            read: self.records.read,
            lengths: self.lengths.clone(),
            held: BASE64.encode(self.held.concat()),
        };
        self.can_save().then(|| pack(&between()))?
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { read, lengths, held } = unpack(NAME, state)?;
        let held = BASE64.decode(held).map_err(|error| bad_state(NAME, error))?;
        let sum = lengths.iter().try_fold(0u64, |sum, length| sum.checked_add(*length));
        let fits = lengths.len() as u64 <= self.spec.last && sum == Some(held.len() as u64);
        if !fits || held.len() as u64 > MAX_STATE {
            return Err(bad_state(NAME, "not as many records as it may hold back"));
        }
        self.records.resume(read);
        (self.held, self.lengths) = (Held::from(Bytes::from(held)), lengths);
        Ok(())
    }
}
