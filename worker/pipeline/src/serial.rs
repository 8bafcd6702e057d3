//! Steps of serial stages: a [`Chain`] between two links, on the CPU pool.
//!
//! # Backpressure
//! A chain that makes new bytes reserves [`ROOM`] in its window before each step. A chain of taps forwards the very
//! chunks it was given, with their leases and checksums.
//!
//! # Several objects
//! Stages begin anew with every object of the stream, so that each is checked and made by itself; what they count is told
//! of all together. A step may join what it makes of them.
//!
//! # Failure handling
//! What a chain finds behind a step that has yet to vouch for what it gave out is told once that step has: until then the
//! stream is read on and thrown away, as `chain.rs` does within a chain.
//!
//! # Resuming
//! A mark that comes with a chunk goes through the chain and leaves with the chunk that was made up to it.

use eft_domain::Failure;

use crate::{
    budget::{Budget, Lease},
    chain::{Chain, ROOM, StageTotals},
    checkpoint::{Mark, SavedStage, SavedStep},
    checksum::Crc64,
    chunk::Chunk,
    objects::{Incoming, add},
    ordered::{Downstream, Flowing, Upstream, downstream_gone},
    pool::Pool,
    progress::Progress,
    stage::{AnyStage, Flow, Output},
};

/// Input this small is worked on in place: the hand-over to the pool would cost more than it saves the reactor.
pub(crate) const INLINE: u64 = 4 << 10;

/// A chain, fresh or at the place where an earlier run was saved.
pub(crate) struct Resumable {
    chain: Chain,
    /// Bytes from the mark to where the last stage was saved.
    skip: u64,
    /// Where its output goes on.
    offset: u64,
}

impl Resumable {
    /// These stages, from their start or from saved states.
    pub(crate) fn new(stages: Vec<AnyStage>, saved: Option<Vec<SavedStage>>) -> Result<Self, Failure> {
        let Some(saved) = saved else { return Ok(Self { chain: Chain::new(stages), skip: 0, offset: 0 }) };
        let from = saved.first().map_or(0, |stage| stage.offset.saturating_sub(stage.skip));
        let offset = saved.last().map_or(0, |stage| stage.bytes_out);
        let skip = offset.saturating_sub(from);
        Ok(Self { chain: Chain::resumed(stages, saved)?, skip, offset })
    }
}

/// What a step of the pipeline needs besides its data.
pub(crate) struct Crew<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) progress: &'a Progress,
    /// Where totals go, also those of a step that failed.
    pub(crate) totals: &'a (dyn Fn(Vec<StageTotals>) + Sync),
    /// A step before this one gives out bytes before it can vouch for them.
    pub(crate) withhold: bool,
    /// The stream is several objects.
    pub(crate) several: bool,
}

/// A chain that failed, and what its stages did.
struct Failed {
    failure: Failure,
    totals: Vec<StageTotals>,
}

/// The objects that were made, and what the stages did with them.
#[derive(Default)]
struct Made {
    objects: usize,
    totals: Vec<StageTotals>,
}

impl Made {
    fn one(&mut self, chain: &Chain, crew: &Crew<'_>) {
        self.objects += 1;
        add(&mut self.totals, crew.numbered(self.objects, chain.totals()));
    }
}

/// What is said of the object with this number, from 1.
pub(crate) fn of_object(number: usize, text: &str) -> String {
    format!("object {number}: {text}")
}

/// Makes the stages anew for the object with this number, from 0.
pub(crate) type Remake<'a> = &'a (dyn Fn(usize) -> Result<Vec<AnyStage>, Failure> + Sync);

impl Crew<'_> {
    /// Step a chain: in place when there is little to do, on the pool otherwise.
    async fn step(
        &self,
        mut chain: Chain,
        mut output: Output,
        input: u64,
    ) -> Result<(Chain, Output, Flow), Failed> {
        let work = move || {
            let flow = chain.step(&mut output);
            (chain, output, flow)
        };
        let worked = if input <= INLINE { Ok(work()) } else { self.pool.run(work).await };
        match worked {
            Ok((chain, output, Ok(flow))) => Ok((chain, output, flow)),
            Ok((chain, _, Err(failure))) => Err(Failed { failure, totals: chain.totals() }),
            Err(failure) => Err(Failed { failure, totals: Vec::new() }),
        }
    }

    /// The failure and the totals, once they may be told. What the step holds of the stream has to be dropped before.
    async fn tell(&self, failed: Failed, made: Made, incoming: &mut Incoming) -> Failure {
        if self.withhold {
            incoming.drain().await;
        }
        let (Failed { mut failure, totals }, Made { objects, totals: mut all }) = (failed, made);
        if self.several {
            failure.message = of_object(objects + 1, &failure.message);
        }
        add(&mut all, self.numbered(objects + 1, totals));
        (self.totals)(all);
        failure
    }

    /// Totals in which rejected records say of which object they are.
    fn numbered(&self, object: usize, mut totals: Vec<StageTotals>) -> Vec<StageTotals> {
        for reject in totals.iter_mut().filter(|_| self.several).flat_map(|total| &mut total.report.rejects) {
            reject.reason = of_object(object, &reject.reason);
        }
        totals
    }

    /// Wait until the steps before this one have vouched for what they gave out; if they do not, for ever: their own
    /// failure ends the transfer.
    pub(crate) async fn prove(&self, upstream: &mut Upstream<Chunk>) {
        if self.withhold {
            upstream.drain().await;
        }
    }
}

/// Run a chain of taps: the chunks go on as they came.
pub(crate) async fn run_taps(
    chain: Resumable,
    remake: Remake<'_>,
    upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    let Resumable { mut chain, skip: mut dropped, .. } = chain;
    let (mut incoming, mut made) = (Incoming::new(upstream), Made::default());
    loop {
        let (mut some, mut waiting) = (false, None);
        while let Some(mut chunk) = incoming.next(some).await {
            some = true;
            chunk.segments.iter().for_each(|segment| chain.input().push(segment.clone()));
            want(&mut chain, &mut waiting, chunk.mark.take());
            let mut flow = Flow::Boundary;
            while flow == Flow::Boundary {
                (chain, _, flow) = match crew.step(chain, Output::with_room(0), chunk.len).await {
                    Ok(stepped) => stepped,
                    Err(failed) => {
                        drop(chunk);
                        return Err(crew.tell(failed, made, &mut incoming).await);
                    }
                };
                chunk.mark = chunk.mark.or(passed(&mut chain, &mut waiting));
            }
            let drop_now = dropped.min(chunk.len);
            if drop_now > 0 {
                let mark = chunk.mark.take();
                dropped -= chunk.split_to(drop_now).len;
                chunk.mark = mark;
            }
            downstream.send(Flowing::Item(chunk)).await.map_err(|_| downstream_gone())?;
        }
        chain.input().end();
        (chain, _, _) = match crew.step(chain, Output::with_room(0), 0).await {
            Ok(stepped) => stepped,
            Err(failed) => return Err(crew.tell(failed, made, &mut incoming).await),
        };
        made.one(&chain, &crew);
        if !incoming.has_more() {
            break;
        }
        // Two at once would be twice the memory.
        drop(chain);
        chain = Chain::new(remake(made.objects)?);
    }
    (crew.totals)(made.totals);
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

/// Run a chain that makes new bytes, in chunks of about [`ROOM`]. A chunk leaves when it is full, so that buffers are
/// used to their end and their leases are true. With `joins` what is made of several objects is one.
pub(crate) async fn run_rewrite(
    chain: Resumable,
    remake: Remake<'_>,
    joins: bool,
    upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
    window: Budget,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    let Resumable { mut chain, mut offset, .. } = chain;
    let (mut incoming, mut made) = (Incoming::new(upstream), Made::default());
    let mut lease = window.reserve(ROOM).await;
    let mut output = Output::with_room(ROOM as usize);
    let send =
        |chunk: Chunk| async { downstream.send(Flowing::Item(chunk)).await.map_err(|_| downstream_gone()) };
    loop {
        let mut flow = Flow::Hungry;
        // Pays for the input that the chain still holds.
        let mut input: Option<Chunk> = None;
        let (mut some, mut waiting) = (false, None);
        // The next chunk to leave is the first of another object than the chunks before it.
        let (mut begins, mut sent) = (made.objects > 0 && !joins, false);
        while flow != Flow::Done {
            if flow == Flow::Hungry {
                drop(input.take());
                match incoming.next(some).await {
                    Some(mut chunk) => {
                        some = true;
                        chunk.segments.iter().for_each(|segment| chain.input().push(segment.clone()));
                        want(&mut chain, &mut waiting, chunk.mark.take());
                        input = Some(Chunk { segments: Vec::new(), ..chunk });
                    }
                    None => chain.input().end(),
                }
            }
            let work = input.as_ref().map_or(0, |chunk| chunk.len);
            (chain, output, flow) = match crew.step(chain, output, work).await {
                Ok(stepped) => stepped,
                Err(failed) => {
                    drop(input);
                    return Err(crew.tell(failed, made, &mut incoming).await);
                }
            };
            let mark = passed(&mut chain, &mut waiting);
            // A mark cuts the chunk: it stands behind the very last byte.
            if mark.is_some() || (flow != Flow::Hungry && !output.is_empty()) {
                let chunk =
                    Chunk { mark, begins: std::mem::take(&mut begins), ..emit(&mut output, lease, offset) };
                offset += chunk.len;
                sent = true;
                crew.progress.copied(chain.take_writes());
                send(chunk).await?;
                lease = window.reserve(ROOM).await;
                output.renew(ROOM as usize);
            }
        }
        made.one(&chain, &crew);
        // An object of which nothing came is one all the same.
        if !sent && !joins && (begins || incoming.has_more()) {
            send(Chunk { offset, begins, ..Chunk::default() }).await?;
        }
        if !incoming.has_more() {
            break;
        }
        // Two at once would be twice the memory.
        drop(chain);
        chain = Chain::new(remake(made.objects)?);
    }
    (crew.totals)(made.totals);
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

/// Take a mark into the chain, unless an earlier one is still on its way.
fn want(chain: &mut Chain, waiting: &mut Option<Box<Mark>>, mark: Option<Box<Mark>>) {
    if let Some(mark) = mark
        && chain.want_save(mark.position)
    {
        *waiting = Some(mark);
    }
}

/// The mark that has passed the chain, if one has.
fn passed(chain: &mut Chain, waiting: &mut Option<Box<Mark>>) -> Option<Box<Mark>> {
    let saved = chain.take_saved()?;
    let mut mark = waiting.take()?;
    mark.pass(SavedStep::Chain(saved));
    Some(mark)
}

fn emit(output: &mut Output, mut lease: Lease, offset: u64) -> Chunk {
    let segments = output.take();
    lease.shrink(segments.iter().map(|segment| segment.len() as u64).sum());
    let crc = Crc64::of_segments(segments.iter().map(|segment| segment.as_ref()));
    Chunk { crc: Some(crc), ..Chunk::new(offset, segments, lease) }
}
