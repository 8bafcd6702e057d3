//! Parts that are sent while they are read.
//!
//! # Overview
//! Where no step looks at the bytes and one sink gets them, a part need not be in memory before it is sent: its range is
//! read into the request that sends it, and its checksum, taken on the way, goes behind it. What was received is sent on
//! while it is in the cache, and its memory is used again at once.
//!
//! # Ordering
//! Parts pass side by side and end in any order; their checksums are joined in the order of the object. With a checkpoint
//! no more are under way than a crash may cost. Each leases what it takes before it is asked for ([`PASSING`], or all of it
//! where it is held), and none waits for another lease while it has one.
//!
//! # Failure handling
//! A source's body that breaks goes on from its last good byte within the same request, unless that takes longer than the
//! sink waits ([`IDLE`]). A part that the sink does not take is read once more, now into memory, and from there sent as often
//! as the policy has it: so a sink that fails costs one more reading of the parts that it failed, and a source that is slow
//! does not make it fail twice. Where that happens to [`STRIKES`] parts in a row, or to one because of its form, all that
//! follow are sent from memory.
//!
//! # Cancellation
//! Dropping the future drops both connections of each part. The upload is in `Uploads`.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{Code, Failure};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::{self, FuturesUnordered},
};
use tokio::time::Instant;

use crate::{
    budget::Budget,
    checkpoint::{Done, Mark},
    checksum::Crc64,
    concurrency::Concurrency,
    error::{of_sink, of_source},
    fetch::RangeRead,
    plan::Plan,
    port::{ErrorKind, Frames, ObjectSource, Part, PartAck, PassingPart, PortError, PortResult, Upload},
    progress::Progress,
    range::{RangeFrames, Reading},
    retry::{RetryPolicy, draw, retrying},
    stored::Account,
    upload::{Lane, Sending, Uploaded, any_left},
};

/// What a part takes while it passes: the slab that is sent, the one that is received into, one of which a rest could not be
/// sent (three of 256 KiB), and as much again for two connections.
pub(crate) const PASSING: u64 = 3 << 19;

/// A source that gives no byte for this long is asked again, where the policy has no less: S3 closes a connection on which
/// nothing is sent for about 20 s.
const IDLE: Duration = Duration::from_secs(10);

/// Parts in a row that did not pass before no more are tried. What asks to slow down is no sign of what it takes.
const STRIKES: u32 = 3;

/// A source and a sink with nothing between them.
pub(crate) struct Pipe<'a> {
    sending: &'a Sending<'a>,
    from: Arc<Source>,
    /// Size of the object.
    size: u64,
    /// The plan's memory.
    window: Budget,
    /// Parts in a row that did not pass.
    strikes: AtomicU32,
}

/// What parts are read from.
pub(crate) struct Source {
    source: Arc<dyn ObjectSource>,
    concurrency: Concurrency,
    retry: RetryPolicy,
    progress: Arc<Progress>,
}

impl Source {
    pub(crate) fn new(
        source: Arc<dyn ObjectSource>,
        concurrency: Concurrency,
        retry: RetryPolicy,
        progress: Arc<Progress>,
    ) -> Arc<Self> {
        let retry = RetryPolicy { idle: retry.idle.min(IDLE), ..retry };
        Arc::new(Self { source, concurrency, retry, progress })
    }

    fn reading(&self) -> Reading<'_> {
        let Self { source, concurrency, retry, progress } = self;
        Reading { source: source.as_ref(), concurrency, retry: *retry, progress }
    }
}

/// What is known of a part that passes, beside its frames.
#[derive(Default)]
struct Passing {
    read: AtomicU64,
    /// Why the source did not give all of it.
    failed: Mutex<Option<PortError>>,
}

/// Why a part is not at the sink.
enum Lost {
    Source(PortError),
    Sink(PortError),
}

/// The size of the object, where parts may be sent while they are read.
pub(crate) fn size_to_pass(plan: &Plan, source: &dyn ObjectSource, lanes: &[Lane]) -> Option<u64> {
    let [lane] = lanes else { return None };
    let plain = plan.steps.is_empty() && lane.sink.limits().passes && lane.dead.is_none();
    Account::joined(source.checksum(), Crc64::default()).filter(|_| plain)?;
    plan.output_size().filter(|size| *size > plan.schedule.first())
}

/// The end of the last part: where nothing is between source and sink a run can always go on from there.
pub(crate) fn at_end_of(parts: u32, output: Crc64) -> Done {
    let mark = Mark { source: output, second: None, position: output.len(), steps: Vec::new() };
    Done { parts, output, packed: output, mark }
}

/// How far a pipe has come.
pub(crate) enum Piped {
    /// All is sent, and nothing published; with the checksum of the source.
    Sent(Crc64, Uploaded),
    /// The upload takes only parts that are in memory.
    Refused(Vec<Lane>),
}

impl<'a> Pipe<'a> {
    /// For an object of this size.
    pub(crate) fn new(sending: &'a Sending<'a>, from: Arc<Source>, size: u64) -> Self {
        let window = Budget::new(sending.plan.input_window);
        Self { sending, from, size, window, strikes: AtomicU32::new(0) }
    }
}

impl Pipe<'_> {
    /// Send what is left behind `done`, if the sink takes it so.
    pub(crate) async fn run(&self, mut lanes: Vec<Lane>, done: Option<&Done>) -> Result<Piped, Failure> {
        if lanes.iter().any(|lane| lane.upload.is_none()) {
            self.sending.begin(&mut lanes).await?;
        }
        match lanes.iter().all(|lane| lane.upload.as_ref().is_some_and(|upload| upload.passes())) {
            true => self.send(lanes, done).await,
            false => Ok(Piped::Refused(lanes)),
        }
    }

    async fn send(&self, mut lanes: Vec<Lane>, done: Option<&Done>) -> Result<Piped, Failure> {
        let Sending { plan, keeper, progress, .. } = *self.sending;
        plan.admit_output(0, self.size)?;
        let part = plan.schedule.first();
        let (mut parts, mut crc) = done.map_or((0, Crc64::default()), |done| (done.parts, done.output));
        let mut next = (parts + 1, crc.len());
        let mut ahead = BTreeMap::new();
        let mut moving = FuturesUnordered::new();
        let mut saving = OptionFuture::<BoxFuture<'_, Result<(), Failure>>>::default();
        // Up to where the checkpoint is, or is about to be.
        let (mut stored, mut marked, mut at) = (crc.len(), crc.len(), Instant::now());
        loop {
            let mut waits = false;
            while next.1 < self.size && moving.len() < self.at_once() {
                let range = next.1..self.size.min(next.1 + part);
                waits = keeper.is_some_and(|keeper| range.end - stored > keeper.interval.bytes.max(part));
                let upload = lanes.first().and_then(|lane| lane.upload.clone()).filter(|_| !waits);
                let Some(upload) = upload else { break };
                next = (next.0 + 1, range.end);
                moving.push(self.carry(upload, next.0 - 1, range));
            }
            if let Some(keeper) = keeper.filter(|_| marked == stored && crc.len() > marked) {
                let due =
                    crc.len() - marked >= keeper.interval.marks() || at.elapsed() >= keeper.interval.time;
                if due || waits {
                    (marked, at) = (crc.len(), Instant::now());
                    let done = at_end_of(parts, crc);
                    saving = Some(keeper.update(|checkpoint| checkpoint.done = Some(done)).boxed()).into();
                }
            }
            let is_saving = marked != stored;
            if moving.is_empty() && !is_saving {
                break;
            }
            tokio::select! {
                biased;
                Some(saved) = &mut saving, if is_saving => {
                    saved?;
                    stored = marked;
                }
                Some(moved) = moving.next(), if !moving.is_empty() => match moved {
                    Ok(ack) => {
                        progress.wrote_part(ack.crc.len());
                        ahead.insert(ack.number, ack.crc);
                        while let Some(joined) = ahead.remove(&(parts + 1)) {
                            (parts, crc) = (parts + 1, crc.then(joined));
                        }
                        lanes.iter_mut().for_each(|lane| lane.acks.push(ack.clone()));
                    }
                    Err(Lost::Source(error)) => return Err(of_source(&error)),
                    Err(Lost::Sink(error)) => {
                        self.sending.uploads.failed(&error);
                        lanes.iter_mut().for_each(|lane| lane.give_up(of_sink(&error)));
                        any_left(&lanes, self.sending.uploads)?;
                    }
                },
            }
        }
        if crc.len() != self.size {
            let message = format!("{} of {} bytes were sent, and none are under way", crc.len(), self.size);
            return Err(Failure::new(Code::Internal, message));
        }
        let account = Account::joined(self.from.source.checksum(), crc);
        let source = account.map_or(Ok(crc), |account| account.check(&self.from.source.uri()))?;
        Ok(Piped::Sent(source, Uploaded { lanes, whole: None, crc, parts }))
    }

    /// Parts that may be under way.
    fn at_once(&self) -> usize {
        self.from.concurrency.window().min(self.sending.concurrency.window()).max(1)
    }

    /// Bring a part from the source to the sink.
    async fn carry(&self, upload: Arc<dyn Upload>, number: u32, range: Range<u64>) -> Result<PartAck, Lost> {
        let Sending { concurrency, progress, .. } = self.sending;
        let mut retry = self.sending.retry;
        let throttled = |error: &PortError| {
            if error.kind == ErrorKind::Throttled {
                concurrency.throttled();
            }
        };
        if upload.passes() && self.strikes.load(Relaxed) < STRIKES {
            let lease = self.window.reserve(PASSING.min(self.window.bytes())).await;
            let passed = self.pass(upload.as_ref(), number, range.clone()).await?;
            drop(lease);
            let error = match passed {
                Ok(ack) => {
                    self.strikes.store(0, Relaxed);
                    self.from.concurrency.succeeded();
                    concurrency.succeeded();
                    return Ok(ack);
                }
                Err(error) => error,
            };
            // Another form of the same request may be taken where this one is not: a proxy that checks signatures may not
            // know it, and a policy may be about it.
            let other =
                matches!(error.kind, ErrorKind::Unsupported | ErrorKind::Permanent | ErrorKind::Denied);
            let pause = retry.pause(&error, 1, draw());
            if !other && pause.is_none() {
                return Err(Lost::Sink(error));
            }
            self.strikes.fetch_add(u32::from(error.kind != ErrorKind::Throttled), Relaxed);
            throttled(&error);
            progress.retried();
            tokio::time::sleep(pause.unwrap_or_default()).await;
            retry.attempts -= u32::from(!other);
        }
        let lease = self.window.reserve(range.end - range.start).await;
        let mut held = RangeRead::new(range.clone());
        held.read(self.from.reading()).await.map_err(Lost::Source)?;
        self.from.concurrency.succeeded();
        let (segments, crc) = held.into_segments();
        let part = Part {
            number,
            offset: range.start,
            segments: segments.into(),
            crc,
            leases: Arc::new([Arc::new(lease)]),
        };
        let on_retry = |error: &PortError| {
            progress.retried();
            throttled(error);
        };
        let ack = retrying(&retry, on_retry, || upload.write(part.clone())).await.map_err(Lost::Sink)?;
        concurrency.succeeded();
        Ok(ack)
    }

    /// Send a part while it is read.
    async fn pass(
        &self,
        upload: &dyn Upload,
        number: u32,
        range: Range<u64>,
    ) -> Result<PortResult<PartAck>, Lost> {
        let (passing, crc) = (Arc::<Passing>::default(), Arc::<OnceLock<Crc64>>::default());
        let (offset, len) = (range.start, range.end - range.start);
        let mut range = RangeFrames::new(range);
        // Before the sink is asked for anything: it would wait for a source that does not answer.
        let first = range.next(self.from.reading()).await.map_err(Lost::Source)?;
        passing.read.store(range.received(), Relaxed);
        let kept = Arc::downgrade(&passing);
        let frames = frames(range, first, Arc::clone(&self.from), kept, Arc::clone(&crc));
        let passed = upload.pass(PassingPart { number, offset, len, frames, crc: Arc::clone(&crc) }).await;
        let error = match passed {
            Ok(ack) if crc.get() == Some(&ack.crc) => return Ok(Ok(ack)),
            Ok(_) => PortError::new(ErrorKind::Checksum, format!("part {number}: taken before it was read")),
            Err(error) => error,
        };
        self.from.progress.reads_again(passing.read.load(Relaxed));
        match passing.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The sink can only say that its bytes have ended.
            Some(error) => Err(Lost::Source(error)),
            None => Ok(Err(error)),
        }
    }
}

/// The frames of a range, of which `first` was received already. They end once nobody waits for the part any more: a client
/// that was answered early may go on asking for them.
fn frames(
    range: RangeFrames,
    first: Option<Bytes>,
    from: Arc<Source>,
    passing: Weak<Passing>,
    crc: Arc<OnceLock<Crc64>>,
) -> Frames {
    let state = (range, first, from, passing, crc);
    let frames = stream::unfold(Some(state), |state| async move {
        let (mut range, mut first, from, passing, crc) = state?;
        if passing.strong_count() == 0 {
            return None;
        }
        let before = range.received();
        let received = match first.take() {
            Some(first) => Ok(Some(first)),
            None => range.next(from.reading()).await,
        };
        let Some(kept) = passing.upgrade() else {
            from.progress.reads_again(range.received() - before);
            return None;
        };
        match received {
            Ok(frame) => {
                let frame = frame?;
                kept.read.store(range.received(), Relaxed);
                if range.is_whole() {
                    // Whoever gets the last frame asks for the checksum next.
                    crc.get_or_init(|| range.crc());
                }
                Some((Ok(frame), Some((range, None, from, passing, crc))))
            }
            Err(error) => {
                *kept.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
                Some((Err(error), None))
            }
        }
    });
    frames.boxed()
}
