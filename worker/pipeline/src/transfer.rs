//! One object from its source to its sinks: the steps joined, the result verified, then published.
//!
//! # Overview
//! `fetch → steps → upload` run as one future, linked by short bounded channels; each waits for the next, so the sink
//! sets the pace. Where there are no steps, and one sink, parts go straight through (`pipe.rs`). Only when all of them have
//! ended well, and the source's checksum agrees, is anything published.
//!
//! # Ordering
//! Bytes flow in order through every step; reads and writes are in flight side by side.
//!
//! # Failure handling
//! A sink that fails is given up, and the others go on. Any other error, and that of the last sink, ends the transfer: every
//! upload is aborted, also one whose beginning was still under way. Bytes that
//! do not have the source's checksum are read once more from the start; then it is `integrity.source`. A source is also
//! read once more when an upload is spent, because all of it has to be sent into a new one.
//!
//! # Resuming
//! With a [`Keeper`] the place to go on from is kept while the run goes on, and a run that is stopped, or fails for a
//! reason that may pass, leaves its uploads for the next (`resume.rs`). What is wrong with the file ends it for good.
//!
//! # Cancellation
//! By token, not by dropping the future: uploads under way are aborted before [`Transfer::run`] returns. Once publishing
//! has begun it is carried through; its outcome is known either way.

use std::sync::{Arc, Mutex, PoisonError};

use eft_domain::{Class, Code, Failure, receipt::ResumedFrom};
use futures::{
    FutureExt,
    future::{BoxFuture, join_all, try_join_all},
};
use tokio_util::sync::CancellationToken;

use crate::{
    blocks::run_blocks,
    budget::Budget,
    chain::StageTotals,
    checkpoint::{Done, Keeper},
    checksum::Crc64,
    chunk::Chunk,
    concurrency::Concurrency,
    error::{interrupted, of_sink},
    fetch::Fetch,
    objects::{Incoming, run_bounds},
    ordered::{Upstream, link},
    pipe::{Pipe, Piped, Source, at_end_of, size_to_pass},
    plan::{Plan, Step},
    pool::Pool,
    port::{Committed, Numbered, ObjectSink, ObjectSource, PortError, Verified},
    progress::Progress,
    resume::{Saved, Start, can_go_on, revive, start_over, take_up, unseen},
    retry::{RetryPolicy, retrying},
    rework::Rework,
    scan::run_scan,
    serial::{Crew, Resumable, run_rewrite, run_taps},
    split::run_split,
    stored::Account,
    upload::{Lane, Sending, Uploaded, Uploads, any_left},
};

/// Chunks that may wait between two steps. They are paid for by their leases; one is in hand, one is next.
const LINK: usize = 2;

/// Times a source is read whole when its bytes do not have its checksum.
const SOURCE_ATTEMPTS: u32 = 2;

/// Times everything is sent when an upload is spent: who is in the way twice stays there.
pub const SEND_ATTEMPTS: u32 = 2;

/// Everything a transfer needs.
pub struct Transfer {
    /// Where the bytes come from.
    pub source: Arc<dyn ObjectSource>,
    /// Where they go; all get the same bytes, and each ends as it ends. None of them has them yet. Of a plan that splits:
    /// where the first object goes.
    pub sinks: Vec<Arc<dyn ObjectSink>>,
    /// Where the objects behind the first go, of a plan that splits.
    pub more: Option<Arc<dyn Numbered>>,
    /// What was planned.
    pub plan: Plan,
    /// Threads for stages.
    pub pool: Pool,
    /// The process's memory; the plan's share is taken from it.
    pub budget: Budget,
    /// Requests in flight towards the source.
    pub reading: Concurrency,
    /// Requests in flight towards the sinks.
    pub writing: Concurrency,
    /// How requests are re-issued.
    pub retry: RetryPolicy,
    /// Keeps what a later run needs to go on; `None`: what was done is lost with the process.
    pub keeper: Option<Keeper>,
    /// Where it counts.
    pub progress: Arc<Progress>,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// What a transfer did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Checksum and size of the bytes read.
    pub source: Crc64,
    /// The algorithm of the store's own checksum of the source, if it has one: it was compared, and agreed.
    pub compared: Option<&'static str>,
    /// Checksum and size of the bytes written.
    pub output: Crc64,
    /// What each stage did, in order.
    pub stages: Vec<StageTotals>,
    /// One a sink, in order; of a plan that splits, of each object in order.
    pub deliveries: Vec<Delivery>,
    /// Where an earlier run's work was taken up.
    pub resumed_from: Option<ResumedFrom>,
}

/// What became of one sink.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Parts it was sent in.
    pub parts: u32,
    /// The published object, or why there is none.
    pub result: Result<Committed, Failure>,
}

/// A transfer that ended without a published object.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// Why.
    pub failure: Failure,
    /// What the stages had counted, with the reject report.
    pub stages: Vec<StageTotals>,
    /// Why each sink has no object, in their order; empty where the reason is no sink's.
    pub lost: Vec<Failure>,
    /// Uploads that could not be removed.
    pub leftovers: Vec<PortError>,
    /// What was done is kept: a run with the same checkpoint goes on.
    pub resumable: bool,
    /// Nothing was read: an upload is gone that an earlier run was publishing, and the object may stand by now. A run with
    /// the same checkpoint goes on, to those sinks at which it still does not.
    pub look_again: bool,
}

impl Stopped {
    /// Stopped for this reason; the message names what could not be removed.
    pub fn new(mut failure: Failure, stages: Vec<StageTotals>, leftovers: Vec<PortError>) -> Self {
        for left in &leftovers {
            failure.message.push_str(&format!("; an upload is left behind: {}", left.message));
        }
        Self { failure, stages, lost: Vec::new(), leftovers, resumable: false, look_again: false }
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::new(failure, Vec::new(), Vec::new())
    }
}

/// What was read and sent, and is not visible yet.
pub(crate) struct Streamed {
    pub(crate) source: Crc64,
    pub(crate) resumed_from: Option<ResumedFrom>,
    /// The objects; several only of a plan that splits.
    pub(crate) uploaded: Vec<Uploaded>,
}

impl Transfer {
    /// Carry it out.
    ///
    /// # Errors
    /// When no sink got the object. What was begun is removed, or listed in [`Stopped::leftovers`].
    pub async fn run(&self) -> Result<Outcome, Stopped> {
        if let Some(Err(failure)) = self.source.size().map(|size| self.plan.admit(size)) {
            if let Some(keeper) = &self.keeper {
                keeper.remove().await?;
            }
            return Err(failure.into());
        }
        let budget = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(self.stopped(interrupted(), Vec::new(), Vec::new(), true)),
            budget = self.budget.carve(self.plan.memory) => budget,
        };
        let (mut reads, mut sends) = (1, 1);
        loop {
            let totals = Mutex::new(Vec::new());
            let uploads = Uploads::default();
            let start = match self.start(&uploads).await {
                Ok(Some(start)) => start,
                Ok(None) => {
                    let stopped = self.stopped(unseen(), Vec::new(), Vec::new(), true);
                    return Err(Stopped { look_again: true, ..stopped });
                }
                // Whatever the reason: only the checkpoint knows of the uploads that an earlier run has left.
                Err(failure) => return Err(self.stopped(failure, Vec::new(), Vec::new(), true)),
            };
            let streamed = self.stream(start, &uploads, &totals).await;
            let published = match streamed {
                Ok(streamed) => self.publish(streamed, &uploads).await,
                Err(failure) => Err(failure),
            };
            let mut stages = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
            stages.sort_by_key(|(step, _)| *step);
            let stages = stages.into_iter().flat_map(|(_, totals)| totals).collect();
            let failure = match published {
                Ok(outcome) => {
                    if let Some(keeper) = &self.keeper {
                        // The object stands; a checkpoint that stays finds that out.
                        drop(keeper.remove().await);
                    }
                    return Ok(Outcome { stages, ..outcome });
                }
                Err(failure) => failure,
            };
            let spent = uploads.is_spent() && failure.code == Code::DestinationUnavailable;
            let can_go_on = can_go_on(&failure) && !spent;
            let lost = uploads.lost();
            if let Some(keeper) = self.keeper.as_ref().filter(|_| can_go_on && lost.len() > 1) {
                // Lost one after the other, and perhaps for one reason: the next run tries them all.
                drop(keeper.update(revive).await);
            }
            let kept: Vec<_> = match self.keeper.as_ref().filter(|_| can_go_on) {
                Some(keeper) => keeper.get().await.live_uploads().map(str::to_owned).collect(),
                None => Vec::new(),
            };
            let leftovers = uploads.abort(&self.retry, &kept).await;
            let damaged = failure.code == Code::IntegritySource;
            let again = (damaged && reads < SOURCE_ATTEMPTS) || (spent && sends < SEND_ATTEMPTS);
            if again && self.source.size().is_some() && leftovers.is_empty() {
                if let Some(keeper) = &self.keeper {
                    start_over(keeper).await?;
                }
                self.progress.read_again();
                (reads, sends) = (reads + u32::from(damaged), sends + u32::from(spent));
                continue;
            }
            drop(budget);
            let mut stopped = self.stopped(failure, stages, leftovers, can_go_on);
            stopped.lost = lost;
            if let Some(keeper) = self.keeper.as_ref().filter(|_| !stopped.resumable)
                && let Err(failure) = keeper.remove().await
            {
                stopped.failure.message.push_str(&format!("; {}", failure.message));
            }
            return Err(stopped);
        }
    }

    /// How it ended without an object; `kept`: what a checkpoint counts on is left to the next run.
    fn stopped(
        &self,
        failure: Failure,
        stages: Vec<StageTotals>,
        leftovers: Vec<PortError>,
        kept: bool,
    ) -> Stopped {
        let mut stopped = Stopped::new(failure, stages, leftovers);
        stopped.resumable = self.keeper.is_some() && kept;
        if stopped.resumable {
            stopped.failure.message.push_str("; what was done is kept: go on with the same checkpoint");
        }
        stopped
    }

    /// Where this run starts.
    async fn start(&self, uploads: &Uploads) -> Result<Option<Start>, Failure> {
        match self.keeper.as_ref().filter(|keeper| keeper.resumes()) {
            Some(keeper) => take_up(&self.sinks, keeper, uploads, &self.retry).await,
            None => Ok(Some(Start::afresh(&self.sinks))),
        }
    }

    /// Read, transform and send; nothing is visible afterwards.
    async fn stream(
        &self,
        start: Start,
        uploads: &Uploads,
        totals: &Mutex<Vec<(usize, Vec<StageTotals>)>>,
    ) -> Result<Streamed, Failure> {
        let plan = &self.plan;
        let Start { lanes, done } = start;
        let passes = size_to_pass(plan, self.source.as_ref(), &lanes);
        let done = match passes {
            Some(_) => done.map(|done| at_end_of(done.parts, done.output)),
            None => done,
        };
        let mark = done.as_ref().map(|done| &done.mark);
        let account = match mark {
            Some(mark) => Account::resumed(self.source.checksum(), mark)?,
            None => Account::new(self.source.checksum()),
        };
        if let Some(done) = &done {
            self.progress.resumed(done.mark.source.len(), done.output.len(), done.parts);
        }
        let rework = self.keeper.as_ref().map(|keeper| Rework::new(keeper.interval, account.len()));
        let (downstream, mut upstream) = link(LINK);
        let fetch = Fetch {
            source: self.source.as_ref(),
            range_bytes: plan.range_bytes,
            plan: Some(plan),
            window: Budget::new(plan.input_window),
            concurrency: self.reading.clone(),
            retry: self.retry,
            progress: &self.progress,
            account: Mutex::new(account),
            rework: rework.as_ref(),
        };

        let reports: Vec<_> = (0..plan.steps.len())
            .map(|step| {
                move |stages| {
                    totals.lock().unwrap_or_else(PoisonError::into_inner).push((step, stages));
                }
            })
            .collect();
        let remakes: Vec<_> = plan
            .steps
            .iter()
            .map(|step| {
                move |object| match step {
                    Step::Taps(stages) | Step::Rewrite { stages, .. } => plan.stages(stages, object),
                    _ => Ok(Vec::new()),
                }
            })
            .collect();
        let mut saved = Saved::of(mark, plan.steps.len())?;
        let mut steps: Vec<BoxFuture<'_, Result<(), Failure>>> = Vec::new();
        for (at, ((step, report), remake)) in plan.steps.iter().zip(&reports).zip(&remakes).enumerate() {
            let (downstream, next) = link(LINK);
            let upstream = std::mem::replace(&mut upstream, next);
            let withhold = plan.withholds(at);
            let several = plan.is_several(at);
            let crew = Crew { pool: &self.pool, progress: &self.progress, totals: report, withhold, several };
            steps.push(match step {
                Step::Taps(_) => {
                    let chain = Resumable::new(remake(0)?, saved.chain()?)?;
                    run_taps(chain, remake, upstream, downstream, crew).boxed()
                }
                Step::Rewrite { window, joins, .. } => {
                    let chain = Resumable::new(remake(0)?, saved.chain()?)?;
                    let window = Budget::new(*window);
                    run_rewrite(chain, remake, *joins, upstream, downstream, window, crew).boxed()
                }
                Step::Bounds(ends) => run_bounds(ends, upstream, downstream).boxed(),
                Step::Scan(spec) => {
                    let scanner = plan.given.scanner()?;
                    run_scan(*spec, scanner, &self.retry, upstream, downstream, crew).boxed()
                }
                Step::Split(spec) => run_split(*spec, &plan.limits, upstream, downstream, crew).boxed(),
                Step::Blocks(blocks) => {
                    run_blocks(blocks, saved.blocks()?, upstream, downstream, crew).boxed()
                }
            });
        }
        let resumed_from = match (&self.keeper, &done) {
            (Some(keeper), Some(done)) => Some(ResumedFrom {
                attempt: keeper.get().await.attempt - 1,
                source_offset: done.mark.source.len(),
                parts: done.parts,
            }),
            _ => None,
        };
        let sending = Sending {
            plan,
            concurrency: self.writing.clone(),
            retry: self.retry,
            uploads,
            progress: &self.progress,
            keeper: self.keeper.as_ref(),
            rework: rework.as_ref(),
        };
        let all = async {
            let lanes = match passes {
                Some(size) => match self.pipe(&sending, size).run(lanes, done.as_ref()).await? {
                    Piped::Sent(source, uploaded) => return Ok((source, vec![uploaded])),
                    Piped::Refused(lanes) => lanes,
                },
                None => lanes,
            };
            let send = self.send(&sending, lanes, done, upstream);
            let (source, _, uploaded) = tokio::try_join!(fetch.run(downstream), try_join_all(steps), send)?;
            Ok((source, uploaded))
        };
        let ended = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(interrupted()),
            ended = all => ended,
        };
        match ended {
            Ok((source, uploaded)) => Ok(Streamed { source, resumed_from, uploaded }),
            Err(failure) => Err(self.blame(&fetch, failure).await),
        }
    }

    /// Nothing is between the source, of this size, and its sink.
    fn pipe<'a>(&self, sending: &'a Sending<'a>, size: u64) -> Pipe<'a> {
        let (source, progress) = (Arc::clone(&self.source), Arc::clone(&self.progress));
        Pipe::new(sending, Source::new(source, self.reading.clone(), self.retry, progress), size)
    }

    /// Send all objects. How many there are says something of the content, and so does what goes wrong with one of them.
    async fn send(
        &self,
        sending: &Sending<'_>,
        lanes: Vec<Lane>,
        done: Option<Done>,
        upstream: Upstream<Chunk>,
    ) -> Result<Vec<Uploaded>, Failure> {
        let mut incoming = Incoming::new(upstream);
        let sent = self.send_each(sending, lanes, done, &mut incoming).await;
        let tells = |failure: &Failure| self.plan.splits() || failure.code.class() == Class::Rejected;
        if sent.as_ref().err().is_some_and(tells) && self.plan.withholds(self.plan.steps.len()) {
            incoming.drain().await;
        }
        sent
    }

    /// Send one object after the other.
    async fn send_each(
        &self,
        sending: &Sending<'_>,
        lanes: Vec<Lane>,
        done: Option<Done>,
        incoming: &mut Incoming,
    ) -> Result<Vec<Uploaded>, Failure> {
        let first = sending.run(lanes, done, incoming, 0).await?;
        let (mut before, mut all) = (first.crc.len(), vec![first]);
        while incoming.has_more() {
            let number = all.len() as u64 + 1;
            let lanes = self.open(number, all.last().map_or(&[], |last| &last.lanes)).await?;
            any_left(&lanes, sending.uploads)?;
            let next = sending.run(lanes, None, incoming, before).await?;
            before += next.crc.len();
            all.push(next);
        }
        Ok(all)
    }

    /// Open the places of an object beside those of the one before it. A sink that was given up stays so.
    async fn open(&self, number: u64, before: &[Lane]) -> Result<Vec<Lane>, Failure> {
        let Some(more) = &self.more else {
            return Err(Failure::new(Code::Internal, "several objects, and a place for one"));
        };
        let lanes = before.iter().enumerate().map(|(at, before)| async move {
            if let Some(failure) = &before.dead {
                return Lane::given_up(&before.sink, failure.clone());
            }
            match retrying(&self.retry, |_| self.progress.retried(), || more.open(number, at)).await {
                Ok(sink) => Lane::new(&sink),
                Err(error) => Lane::given_up(&before.sink, of_sink(&error)),
            }
        });
        Ok(join_all(lanes).await)
    }

    /// A file is the sender's fault only if these are the sender's bytes. Where the store can tell, the rest is read for
    /// its checksum, so that damage on the way is not taken for a broken file. If it cannot be read nothing is proven, and
    /// nobody is blamed.
    async fn blame(&self, fetch: &Fetch<'_>, failure: Failure) -> Failure {
        let tells = self.source.size().is_some() && self.source.checksum().is_some();
        if failure.code.class() != Class::Rejected || !tells {
            return failure;
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => interrupted(),
            rest = fetch.rest() => rest.err().unwrap_or(failure),
        }
    }
}

/// What is known of a store's word for a delivery.
impl Delivery {
    /// The store compared the checksum of the whole object.
    pub fn is_verified(&self) -> bool {
        self.result.as_ref().is_ok_and(|committed| committed.verified == Verified::Checksum)
    }
}
