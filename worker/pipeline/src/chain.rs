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
//! # Backpressure
//! A chain that makes new bytes reserves [`ROOM`] in its window before each step. A chain of taps forwards the very
//! chunks it was given, with their leases and checksums.

use std::time::Duration;

use eft_domain::Failure;
use tokio::time::Instant;

use crate::{
    budget::{Budget, Lease},
    checksum::Crc64,
    chunk::Chunk,
    ordered::{Downstream, Flowing, Upstream, downstream_gone},
    pool::Pool,
    progress::Progress,
    stage::{AnyStage, Flow, Input, Kind, Output, Stage, StageInfo, StageReport},
};

/// New bytes a rewriting chain makes per step and per buffer: a few milliseconds of work, against which the hand-over
/// to the pool (tens of microseconds) is nothing.
pub const ROOM: u64 = 1 << 20;

/// Bytes that may wait between two stages of a chain: half an L2 cache of a small server core.
pub const BETWEEN: usize = 256 << 10;

/// Input this small is worked on in place: the hand-over to the pool would cost more than it saves the reactor.
const INLINE: u64 = 4 << 10;

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
        Self { slots: slots.collect(), writes: 0, withheld: None }
    }

    /// Bytes written to memory since this was last asked.
    fn take_writes(&mut self) -> u64 {
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

    /// Step until the input is consumed, the output is full, or all is done.
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
                match flow.map_err(|failure| (last, failure))? {
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
            match flow {
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

/// What a step of the pipeline needs besides its data.
pub(crate) struct Crew<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) progress: &'a Progress,
    /// Where totals go, also those of a step that failed.
    pub(crate) totals: &'a (dyn Fn(Vec<StageTotals>) + Sync),
}

impl Crew<'_> {
    /// Step a chain: in place when there is little to do, on the pool otherwise.
    async fn step(
        &self,
        mut chain: Chain,
        mut output: Output,
        input: u64,
    ) -> Result<(Chain, Output, Flow), Failure> {
        let work = move || {
            let flow = chain.step(&mut output);
            (chain, output, flow)
        };
        let (chain, output, flow) = if input <= INLINE { work() } else { self.pool.run(work).await? };
        match flow {
            Ok(flow) => Ok((chain, output, flow)),
            Err(failure) => {
                (self.totals)(chain.totals());
                Err(failure)
            }
        }
    }
}

/// Run a chain of taps: the chunks go on as they came.
pub(crate) async fn run_taps(
    mut chain: Chain,
    mut upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    while let Some(chunk) = upstream.next().await {
        chunk.segments.iter().for_each(|segment| chain.input().push(segment.clone()));
        (chain, _, _) = crew.step(chain, Output::with_room(0), chunk.len).await?;
        downstream.send(Flowing::Item(chunk)).await.map_err(|_| downstream_gone())?;
    }
    chain.input().end();
    (chain, _, _) = crew.step(chain, Output::with_room(0), 0).await?;
    (crew.totals)(chain.totals());
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

/// Run a chain that makes new bytes, in chunks of about [`ROOM`]. A chunk leaves when it is full, so that buffers are
/// used to their end and their leases are true.
pub(crate) async fn run_rewrite(
    mut chain: Chain,
    mut upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
    window: Budget,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    let mut offset = 0;
    let mut lease = window.reserve(ROOM).await;
    let mut output = Output::with_room(ROOM as usize);
    let mut flow = Flow::Hungry;
    // Pays for the input that the chain still holds.
    let mut input: Option<Chunk> = None;
    while flow != Flow::Done {
        if flow == Flow::Hungry {
            drop(input.take());
            match upstream.next().await {
                Some(chunk) => {
                    chunk.segments.iter().for_each(|segment| chain.input().push(segment.clone()));
                    input = Some(Chunk { segments: Vec::new(), ..chunk });
                }
                None => chain.input().end(),
            }
        }
        let work = input.as_ref().map_or(0, |chunk| chunk.len);
        (chain, output, flow) = crew.step(chain, output, work).await?;
        if flow != Flow::Hungry && !output.is_empty() {
            let chunk = emit(&mut output, lease, offset);
            offset += chunk.len;
            crew.progress.copied(chain.take_writes());
            downstream.send(Flowing::Item(chunk)).await.map_err(|_| downstream_gone())?;
            lease = window.reserve(ROOM).await;
            output.renew(ROOM as usize);
        }
    }
    (crew.totals)(chain.totals());
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

fn emit(output: &mut Output, mut lease: Lease, offset: u64) -> Chunk {
    let segments = output.take();
    lease.shrink(segments.iter().map(|segment| segment.len() as u64).sum());
    let crc = Crc64::of_segments(segments.iter().map(|segment| segment.as_ref()));
    Chunk { crc: Some(crc), ..Chunk::new(offset, segments, lease) }
}
