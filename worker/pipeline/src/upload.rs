//! Parts on their way to their sinks: several in flight, each to all sinks, nothing visible before the commit.
//!
//! # Overview
//! The first part is held back until it is known whether it is the only one: an object of one part is published in one
//! request. Otherwise each sink begins an upload of its own, and each part goes to all of them from the same memory.
//!
//! # Failure handling
//! A sink that fails for good, its retries spent, is given up: what is still under way to it is dropped, so that it holds
//! no memory and keeps nobody waiting. The others go on, and the outcome says which is which. Its upload is removed when
//! the transfer ends. When no sink is left the transfer fails with the first one's error.
//!
//! # Resuming
//! A mark that comes with the bytes is kept once the part it falls into, and all before it, are acknowledged by every
//! sink that is alive.
//!
//! # Cancellation
//! Uploads are begun in tasks of their own and registered in [`Uploads`], so that one whose answer is still on its way
//! when the transfer stops is found and aborted too.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use eft_domain::{Failure, receipt::FailureNote};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture, join_all},
    stream::FuturesUnordered,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    checkpoint::{Checkpoint, Done, Keeper, SavedEnd},
    checksum::Crc64,
    chunk::Chunk,
    concurrency::Concurrency,
    error::of_sink,
    marks::{Marks, Skip},
    objects::Incoming,
    pack::Packer,
    plan::Plan,
    port::{ErrorKind, ObjectSink, Part, PartAck, PortError, PortResult, Upload},
    progress::Progress,
    retry::{RetryPolicy, retrying},
    rework::Rework,
};

type Begun = JoinHandle<PortResult<Arc<dyn Upload>>>;

/// Every upload a transfer has begun.
#[derive(Default)]
pub(crate) struct Uploads {
    begun: Mutex<Vec<Begun>>,
    spent: AtomicBool,
    lost: Mutex<Vec<Failure>>,
}

impl Uploads {
    /// One of them has failed like this.
    pub(crate) fn failed(&self, error: &PortError) {
        self.spent.fetch_or(error.kind == ErrorKind::Spent, Relaxed);
    }

    /// One of them is of no use any more.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Relaxed)
    }

    /// No sink is left; why, each.
    pub(crate) fn all_lost(&self, failures: Vec<Failure>) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = failures;
    }

    /// Why each sink was lost; empty while one is left.
    pub(crate) fn lost(&self) -> Vec<Failure> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An upload that an earlier run has begun.
    pub(crate) fn adopt(&self, upload: Arc<dyn Upload>) {
        let task = tokio::spawn(async move { Ok(upload) });
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    async fn begin(&self, sink: Arc<dyn ObjectSink>) -> PortResult<Arc<dyn Upload>> {
        let (answer, begun) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let upload: PortResult<Arc<dyn Upload>> = sink.begin().await.map(Arc::from);
            // The transfer may have stopped meanwhile; the handle still has the upload.
            drop(answer.send(upload.clone()));
            upload
        });
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        begun
            .await
            .unwrap_or_else(|_| Err(PortError::new(ErrorKind::Permanent, "beginning the upload panicked")))
    }

    /// Abort all but those that are to be kept, also those whose beginning is still under way. Returns what could not be
    /// removed.
    pub(crate) async fn abort(&self, retry: &RetryPolicy, kept: &[String]) -> Vec<PortError> {
        let begun = std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner));
        let aborts = begun.into_iter().map(|task| async move {
            match task.await {
                Ok(Ok(upload)) if upload.id().is_some_and(|id| kept.contains(&id)) => None,
                Ok(Ok(upload)) => retrying(retry, |_| (), || upload.abort()).await.err(),
                Ok(Err(_)) => None,
                Err(error) => Some(PortError::new(ErrorKind::Permanent, error.to_string())),
            }
        });
        join_all(aborts).await.into_iter().flatten().collect()
    }
}

/// One sink's side of the transfer.
pub(crate) struct Lane {
    pub(crate) sink: Arc<dyn ObjectSink>,
    /// Once begun.
    pub(crate) upload: Option<Arc<dyn Upload>>,
    /// Parts it has taken, in any order.
    pub(crate) acks: Vec<PartAck>,
    /// Why it was given up.
    pub(crate) dead: Option<Failure>,
    /// Ends what is under way to it.
    pub(crate) gone: CancellationToken,
    /// No checkpoint says yet that it was given up.
    pub(crate) unsaved: bool,
}

impl Lane {
    /// A sink that has nothing yet.
    pub(crate) fn new(sink: &Arc<dyn ObjectSink>) -> Self {
        let gone = CancellationToken::new();
        Self { sink: Arc::clone(sink), upload: None, acks: Vec::new(), dead: None, gone, unsaved: false }
    }

    /// A sink that gets nothing.
    pub(crate) fn given_up(sink: &Arc<dyn ObjectSink>, failure: Failure) -> Self {
        let mut lane = Self::new(sink);
        lane.give_up(failure);
        lane
    }

    /// Leave it out from now on; the first reason counts.
    pub(crate) fn give_up(&mut self, failure: Failure) {
        if self.dead.is_none() {
            (self.dead, self.unsaved) = (Some(failure), true);
            self.gone.cancel();
        }
    }

    /// For the checkpoint: it was given up since it was asked last.
    fn take_unsaved(&mut self) -> Option<(String, FailureNote)> {
        let failure = self.dead.as_ref().filter(|_| std::mem::take(&mut self.unsaved))?;
        Some((self.sink.uri(), FailureNote::from(failure)))
    }
}

/// What is ready to be published.
pub(crate) struct Uploaded {
    pub(crate) lanes: Vec<Lane>,
    /// The object when it is a single part that was not sent yet.
    pub(crate) whole: Option<Part>,
    pub(crate) crc: Crc64,
    pub(crate) parts: u32,
}

/// How parts are sent.
pub(crate) struct Sending<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) concurrency: Concurrency,
    pub(crate) retry: RetryPolicy,
    pub(crate) uploads: &'a Uploads,
    pub(crate) progress: &'a Progress,
    pub(crate) keeper: Option<&'a Keeper>,
    /// Goes with the keeper.
    pub(crate) rework: Option<&'a Rework>,
}

/// A part's answers: one a sink, `None` for a sink that was left out.
struct Sent {
    number: u32,
    len: u64,
    answers: Vec<Option<(PortResult<PartAck>, u64)>>,
}

impl Sending<'_> {
    /// Send an object, or what is left of it behind `done`; nothing is published yet. `before`: bytes of the objects
    /// before it.
    pub(crate) async fn run(
        &self,
        mut lanes: Vec<Lane>,
        done: Option<Done>,
        incoming: &mut Incoming,
        before: u64,
    ) -> Result<Uploaded, Failure> {
        let sequential = lanes.iter().any(|lane| lane.sink.limits().sequential);
        let limit = || if sequential { 1 } else { self.concurrency.window() };

        let splits = self.plan.splits();
        let mut skip = Skip::of(done.as_ref());
        let mut begun = lanes.iter().any(|lane| lane.upload.is_some());
        let (mut count, mut crc) = done.map_or((0, Crc64::default()), |done| (done.parts, done.output));
        let mut marks = Marks::after(count);
        let mut packer = Some(Packer::resumed(self.plan.schedule, count, crc.len()));
        let mut parts = VecDeque::<Part>::new();
        let mut sending = FuturesUnordered::new();
        let mut saving = OptionFuture::<BoxFuture<'_, Result<(), Failure>>>::default();
        let mut is_saving = false;
        let mut storing = self.rework.map(Rework::storing);
        let mut marked = None;
        // Where the size is known so is this, and the first part need not wait for the second: there may be memory for one.
        let mut some = false;
        let several = self.plan.output_size().is_some_and(|size| size > self.plan.schedule.first());
        loop {
            while begun && sending.len() < limit() {
                let Some(part) = parts.pop_front() else { break };
                sending.push(self.send(&lanes, part));
            }
            if let Some(keeper) = self.keeper.filter(|_| !is_saving) {
                let given_up: Vec<_> = lanes.iter_mut().filter_map(Lane::take_unsaved).collect();
                let done = marks.take_done();
                if done.is_some() || !given_up.is_empty() {
                    marked = done.as_ref().map(|done| done.mark.source.len());
                    // Together: what is done is done at those sinks that are left.
                    let save = keeper.update(|checkpoint| {
                        checkpoint.done = done.or_else(|| checkpoint.done.take());
                        for (name, note) in given_up {
                            checkpoint.note(&name, |sink| sink.ended = Some(SavedEnd::GivenUp(note)));
                        }
                    });
                    (saving, is_saving) = (Some(save.boxed()).into(), true);
                }
            }
            if let Some(storing) = &mut storing {
                storing.coming(marked.or_else(|| marks.coming()).filter(|_| begun));
            }
            if packer.is_none() && sending.is_empty() && !is_saving && (parts.is_empty() || !begun) {
                return Ok(Uploaded { lanes, whole: parts.pop_front(), crc, parts: count });
            }
            tokio::select! {
                biased;
                Some(saved) = &mut saving, if is_saving => {
                    is_saving = false;
                    saved?;
                    if let (Some(storing), Some(at)) = (&mut storing, marked.take()) {
                        storing.stored(at);
                    }
                }
                Some(sent) = sending.next(), if !sending.is_empty() => {
                    marks.acknowledge(sent.number);
                    self.record(&mut lanes, sent)?;
                }
                chunk = incoming.next(some), if packer.is_some() && (parts.is_empty() || !begun) && sending.len() < limit() => {
                    let mut chunk = chunk;
                    some |= chunk.is_some();
                    let mark = chunk.as_mut().and_then(|chunk| chunk.mark.take());
                    match &mut chunk {
                        Some(chunk) => skip.drop_from(chunk)?,
                        None => skip.finish()?,
                    }
                    let waiting = parts.len();
                    self.pack(&mut packer, chunk, &mut parts, before)?;
                    for part in parts.range(waiting..) {
                        count += 1;
                        crc = crc.then(part.crc);
                        marks.cut(part.number, crc);
                    }
                    if let (Some(mark), Some(packer)) = (mark, &packer) {
                        let (part, filling) = packer.reached();
                        marks.add(mark, part, crc.then(filling), filling.is_empty().then_some(crc));
                    }
                    // More than one part, one of several objects (whose bytes must not stay in memory until the last is there), or a first part with bytes after it: one request will not do.
                    let more = packer.as_ref().is_some_and(|packer| count > 0 && packer.total() > crc.len());
                    if !begun && (count > 1 || more || (splits && packer.as_ref().is_some_and(|packer| packer.total() > 0)) || (several && count == 1)) {
                        // It stores the checkpoint too, after what is being stored.
                        if is_saving && let Some(saved) = (&mut saving).await {
                            is_saving = false;
                            saved?;
                            if let (Some(storing), Some(at)) = (&mut storing, marked.take()) {
                                storing.stored(at);
                            }
                        }
                        self.begin(&mut lanes).await?;
                        begun = true;
                    }
                }
            }
        }
    }

    /// Add a chunk, or the end, to the parts.
    fn pack(
        &self,
        packer: &mut Option<Packer>,
        chunk: Option<Chunk>,
        parts: &mut VecDeque<Part>,
        before: u64,
    ) -> Result<(), Failure> {
        match (chunk, packer.as_mut()) {
            (Some(chunk), Some(packer)) => {
                packer.push(chunk, parts);
                self.plan.admit_output(before, packer.total())?;
            }
            _ => parts.extend(packer.take().and_then(Packer::finish)),
        }
        Ok(())
    }

    pub(crate) async fn begin(&self, lanes: &mut [Lane]) -> Result<(), Failure> {
        join_all(lanes.iter_mut().filter(|lane| lane.dead.is_none()).map(|lane| async {
            let on_retry = |_: &PortError| self.progress.retried();
            match retrying(&self.retry, on_retry, || self.uploads.begin(Arc::clone(&lane.sink))).await {
                Ok(upload) => lane.upload = Some(upload),
                Err(error) => lane.give_up(of_sink(&error)),
            }
        }))
        .await;
        any_left(lanes, self.uploads)?;
        let Some(keeper) = self.keeper else { return Ok(()) };
        // One that was given up is noted with the next save: until then it is one whose upload is gone.
        let ids = lanes.iter().map(|lane| (lane.sink.uri(), lane.upload.as_ref().and_then(|it| it.id())));
        let ids: Vec<_> = ids.collect();
        let note = |checkpoint: &mut Checkpoint| {
            for (name, id) in ids {
                checkpoint.note(&name, |sink| sink.upload = id);
            }
        };
        keeper.update(note).await
    }

    fn send(&self, lanes: &[Lane], part: Part) -> impl Future<Output = Sent> + use<> {
        let alive = |lane: &Lane| {
            let upload = lane.upload.clone().filter(|_| lane.dead.is_none());
            upload.map(|upload| (upload, lane.gone.clone()))
        };
        let writes: Vec<_> = lanes.iter().map(alive).collect();
        let (retry, concurrency) = (self.retry, self.concurrency.clone());
        async move {
            let answers = writes.into_iter().map(|write| async {
                let (upload, gone) = write?;
                let mut retries = 0;
                let on_retry = |error: &PortError| {
                    retries += 1;
                    if error.kind == ErrorKind::Throttled {
                        concurrency.throttled();
                    }
                };
                let write = retrying(&retry, on_retry, || upload.write(part.clone()));
                let answer = gone.run_until_cancelled(write).await?;
                if answer.is_ok() {
                    concurrency.succeeded();
                }
                Some((answer, retries))
            });
            Sent { number: part.number, len: part.len(), answers: join_all(answers).await }
        }
    }

    fn record(&self, lanes: &mut [Lane], sent: Sent) -> Result<(), Failure> {
        for (lane, answer) in lanes.iter_mut().zip(sent.answers) {
            let Some((answer, retries)) = answer else { continue };
            (0..retries).for_each(|_| self.progress.retried());
            match answer {
                Ok(ack) => lane.acks.push(ack),
                Err(error) => {
                    self.uploads.failed(&error);
                    lane.give_up(of_sink(&error));
                }
            }
        }
        self.progress.wrote_part(sent.len);
        any_left(lanes, self.uploads)
    }
}

/// Fail when no sink is left, with the first one's reason.
pub(crate) fn any_left(lanes: &[Lane], uploads: &Uploads) -> Result<(), Failure> {
    let lost = lanes.iter().map(|lane| lane.dead.clone()).collect::<Option<Vec<_>>>();
    let Some(lost) = lost else { return Ok(()) };
    let Some(first) = lost.first().cloned() else { return Ok(()) };
    uploads.all_lost(lost);
    Err(first)
}
