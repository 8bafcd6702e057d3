//! Serial stages: several state machines stepped as one, on the CPU pool.
//!
//! # Overview
//! A [`Chain`] is stepped from its tail: the last stage takes what the one before it has made, and only when it is
//! hungry is that one stepped. So at most [`BETWEEN`] bytes wait between two stages, and they are still in the cache
//! when they are read.
//!
//! # Failure handling
//! What a stage made before it failed is judged by the stages behind it first, so that the first fault of the stream is
//! the one that is named, whatever the chunks it came in. That is exact as far as a stage gives all it made: a tap gives
//! nothing of the chunk it refuses, and a decompressor nothing of the call that met broken data.
//!
//! A stage that decrypts gives out bytes before it knows whether they are genuine. A failure behind it would tell an
//! attacker what the bytes of his making decrypt to, so it is withheld: the chain goes on up to that stage, its output
//! is thrown away, and only once it vouches for all of it is the failure told. If it does not, its own failure is, and
//! nothing that stages behind it counted.
//!
//! # Resuming
//! Each stage is saved when it has consumed the stream up to the same place, what the stage before it had made by then
//! included ([`Chain::want_save`]).

use std::time::Duration;

use eft_domain::{Code, Failure};
use tokio::time::Instant;

use crate::{
    checkpoint::SavedStage,
    stage::{AnyStage, Flow, Input, Kind, Output, Stage, StageInfo, StageReport},
};

/// New bytes a rewriting chain makes per step and per buffer: a few milliseconds of work, against which the hand-over
/// to the pool (tens of microseconds) is nothing.
pub const ROOM: u64 = 1 << 20;

/// Bytes that may wait between two stages of a chain: half an L2 cache of a small server core.
pub const BETWEEN: usize = 256 << 10;

/// What a stage did in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageTotals {
    /// What the stage is.
    pub info: StageInfo,
    /// Bytes that went in.
    pub bytes_in: u64,
    /// Bytes that came out.
    pub bytes_out: u64,
    /// Time it worked, summed over threads.
    pub busy: Duration,
    /// What it counted.
    pub report: StageReport,
}

struct Slot {
    stage: AnyStage,
    input: Input,
    bytes_out: u64,
    busy: Duration,
    done: bool,
    /// It failed, and the stages behind it have yet to judge what it made before.
    failure: Option<Failure>,
    /// What the stage makes for the next one.
    between: Output,
}

/// A mark on its way through the stages.
struct Pending {
    /// The stage it has come to.
    at: usize,
    /// Where it is in that stage's input.
    from: u64,
    saved: Vec<SavedStage>,
}

impl Slot {
    fn step(&mut self, output: &mut Output) -> Result<Flow, Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.done {
            return Ok(Flow::Done);
        }
        let started = Instant::now();
        let before = output.len();
        let flow = self.stage.step(&mut self.input, output);
        self.busy += started.elapsed();
        self.bytes_out += (output.len() - before) as u64;
        self.done = flow == Ok(Flow::Done);
        flow
    }
}

/// Stages stepped as one.
pub struct Chain {
    slots: Vec<Slot>,
    writes: u64,
    pending: Option<Pending>,
    saved: Option<Vec<SavedStage>>,
    withheld: Option<Withheld>,
}

/// A failure that may be told once a stage before it vouches for what it gave out.
struct Withheld {
    /// The slot of that stage.
    until: usize,
    failure: Failure,
}

/// What went wrong, and in which slot.
type Failed = (usize, Failure);

impl Chain {
    /// A chain of at least one stage.
    pub fn new(stages: Vec<AnyStage>) -> Self {
        let slots = stages.into_iter().map(|stage| Slot {
            stage,
            input: Input::default(),
            bytes_out: 0,
            busy: Duration::ZERO,
            done: false,
            failure: None,
            between: Output::default(),
        });
        Self { slots: slots.collect(), writes: 0, pending: None, saved: None, withheld: None }
    }

    /// A chain that goes on from saved states. What it is given then begins at the mark.
    ///
    /// # Errors
    /// `checkpoint.refused` when these are not the states of these stages.
    pub fn resumed(stages: Vec<AnyStage>, saved: Vec<SavedStage>) -> Result<Self, Failure> {
        let mut chain = Self::new(stages);
        if chain.slots.len() != saved.len() {
            let message =
                format!("the checkpoint has {} stages here, the route {}", saved.len(), chain.slots.len());
            return Err(Failure::new(Code::CheckpointRefused, message));
        }
        for (slot, saved) in chain.slots.iter_mut().zip(saved) {
            slot.stage.restore(saved.state)?;
            slot.input = Input::resumed(saved.offset, saved.skip);
            slot.bytes_out = saved.bytes_out;
            slot.busy = saved.busy;
        }
        Ok(chain)
    }

    /// Ask for the states of all stages at this place of the input, or as soon behind it as each has one. Nothing
    /// happens while an earlier place is still waited for. [`Chain::step`] then stops with [`Flow::Boundary`].
    pub fn want_save(&mut self, position: u64) -> bool {
        let free = self.pending.is_none() && self.saved.is_none();
        if free {
            self.pending = Some(Pending { at: 0, from: position, saved: Vec::new() });
        }
        free
    }

    /// The states that [`Chain::want_save`] asked for, once they are there. All output so far is of before them.
    pub fn take_saved(&mut self) -> Option<Vec<SavedStage>> {
        self.saved.take()
    }

    /// Save the stage at `at` if a mark waits for it and it can be saved after `flow`.
    fn save(&mut self, at: usize, flow: Flow) -> bool {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.at == at) else { return false };
        let slot = &mut self.slots[at];
        let offset = slot.input.offset();
        if flow == Flow::Done {
            // The stream ends: there is nothing to go on with.
            self.pending = None;
            return false;
        }
        if flow == Flow::Full || offset < pending.from {
            return false;
        }
        let state = slot.stage.save();
        slot.input.want_save(state.is_none());
        let Some(state) = state else {
            if flow == Flow::Boundary {
                // It stopped where it has no state after all: asked again it would stop here for ever.
                slot.input.want_save(false);
                self.pending = None;
            }
            return false;
        };
        pending.saved.push(SavedStage {
            offset,
            skip: offset - pending.from,
            bytes_out: slot.bytes_out,
            busy: slot.busy,
            state,
        });
        (pending.at, pending.from) = (at + 1, slot.bytes_out);
        if at + 1 == self.slots.len() {
            self.saved = self.pending.take().map(|pending| pending.saved);
        }
        true
    }

    /// Bytes written to memory since this was last asked.
    pub(crate) fn take_writes(&mut self) -> u64 {
        std::mem::take(&mut self.writes)
    }

    /// Only looks at the bytes.
    pub fn is_tap(&self) -> bool {
        self.slots.iter().all(|slot| slot.stage.info().kind == Kind::Tap)
    }

    /// The input of the first stage.
    pub fn input(&mut self) -> &mut Input {
        &mut self.slots[0].input
    }

    /// Step until the input is consumed, the output is full, all is done, or what [`Chain::want_save`] asked for is there.
    ///
    /// # Errors
    /// The first error of a stage; final.
    pub fn step(&mut self, output: &mut Output) -> Result<Flow, Failure> {
        if self.withheld.is_none() {
            match self.step_to(self.slots.len() - 1, output) {
                Ok(flow) => return Ok(flow),
                Err(failed) => self.withhold(failed)?,
            }
        }
        self.prove()
    }

    /// Keep a failure that may not be told yet.
    fn withhold(&mut self, (at, failure): Failed) -> Result<(), Failure> {
        match self.slots[..at].iter().rposition(|slot| slot.stage.is_unverified()) {
            Some(until) => {
                self.withheld = Some(Withheld { until, failure });
                Ok(())
            }
            None => Err(failure),
        }
    }

    /// Step as far as the stage that has to vouch for what it gave out, and throw away what it makes.
    fn prove(&mut self) -> Result<Flow, Failure> {
        while let Some(Withheld { until, failure }) = self.withheld.take() {
            let mut nowhere = Output::with_room(BETWEEN);
            match self.step_to(until, &mut nowhere) {
                Ok(Flow::Done) => self.withhold((until, failure))?,
                Ok(flow) => {
                    self.withheld = Some(Withheld { until, failure });
                    if flow == Flow::Hungry {
                        return Ok(flow);
                    }
                }
                Err(failed) => self.withhold(failed)?,
            }
        }
        Ok(Flow::Hungry)
    }

    /// Step the slots up to this one, which makes the output.
    fn step_to(&mut self, last: usize, output: &mut Output) -> Result<Flow, Failed> {
        let mut at = last;
        loop {
            if at == last {
                let before = output.writes();
                let flow = self.slots[last].step(output);
                self.writes += output.writes() - before;
                let flow = flow.map_err(|failure| (last, failure))?;
                self.save(last, flow);
                match flow {
                    _ if self.saved.is_some() => return Ok(Flow::Boundary),
                    Flow::Boundary => {}
                    Flow::Hungry if last > 0 => at = last - 1,
                    flow => return Ok(flow),
                }
                continue;
            }
            // A tap at the tail uses no room of its own, so the bytes made before it are held to the room here.
            let room = if self.is_tap() { 0 } else { output.room_for_all().min(BETWEEN) };
            if room == 0 && !self.is_tap() {
                return Ok(Flow::Full);
            }
            // Kept from step to step, so that its buffers are used to their end.
            let mut between = std::mem::take(&mut self.slots[at].between);
            between.renew(room);
            let flow = self.slots[at].step(&mut between);
            self.writes += between.writes();
            let moved = !between.is_empty();
            let made = between.take();
            self.slots[at].between = between;
            let next = &mut self.slots[at + 1].input;
            made.into_iter().for_each(|bytes| next.push(bytes));
            if flow == Ok(Flow::Done) && !next.is_ended() {
                next.end();
            }
            let flow = match flow {
                Err(failure) if moved => {
                    self.slots[at].failure = Some(failure);
                    Flow::Full
                }
                flow => flow.map_err(|failure| (at, failure))?,
            };
            // What was made before the mark goes through the next stage before anything behind it is made.
            let saved = self.save(at, flow);
            match flow {
                _ if saved => at += 1,
                Flow::Hungry if !moved && at == 0 => return Ok(Flow::Hungry),
                Flow::Hungry if !moved => at -= 1,
                _ => at += 1,
            }
        }
    }

    /// What the stages did. Of those behind one that does not vouch for what it gave out, nothing they counted.
    pub fn totals(&self) -> Vec<StageTotals> {
        let mut vouched = true;
        let totals = self.slots.iter().map(|slot| {
            let report = if vouched { slot.stage.report() } else { StageReport::default() };
            vouched &= !slot.stage.is_unverified();
            StageTotals {
                info: slot.stage.info(),
                bytes_in: slot.input.offset(),
                bytes_out: slot.bytes_out,
                busy: slot.busy,
                report,
            }
        });
        totals.collect()
    }
}
