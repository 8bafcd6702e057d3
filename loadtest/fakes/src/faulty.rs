//! Ports that fail as a seed says: wrappers around any source, sink and checkpoint store.
//!
//! What happens to a call follows from the seed, from what the call is for (its range, its part) and from how often that
//! was asked before. It does not follow from the order in which calls come, so the pool's threads do not change it.
#![deny(clippy::missing_trait_methods, reason = "a wrapper that leaves a method out wraps nothing there")]

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use eft_pipeline::{
    checkpoint::{Checkpoint, CheckpointStore},
    checksum::Crc64,
    port::{
        Committed, ErrorKind, Frames, ObjectSink, ObjectSource, Part, PartAck, PassingPart, PortError,
        PortResult, SinkLimits, Upload,
    },
    stored::Stored,
};
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, future::ready, stream};
use tokio::{sync::watch, time::Instant};

use crate::Pattern;

/// A call of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the methods'")]
pub enum Call {
    Read,
    Put,
    Begin,
    Reopen,
    Uploads,
    Parts,
    Write,
    Pass,
    Commit,
    Abort,
    Save,
    Remove,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 12] = [
        Self::Read,
        Self::Put,
        Self::Begin,
        Self::Reopen,
        Self::Uploads,
        Self::Parts,
        Self::Write,
        Self::Pass,
        Self::Commit,
        Self::Abort,
        Self::Save,
        Self::Remove,
    ];

    /// It makes an object visible: when its answer is lost the adapter has to look, and may not come to know.
    pub fn publishes(self) -> bool {
        matches!(self, Self::Put | Self::Commit)
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Refused; nothing was done.
    Fails(ErrorKind),
    /// Done, but reported as failed.
    DoneButFails(ErrorKind),
    /// Done, after this long.
    Slow(Duration),
    /// Not done, and reported after this long, as an adapter reports an answer that did not come.
    Hangs(Duration),
    /// Done, and reported as [`Trouble::Hangs`] is.
    DoneThenHangs(Duration),
    /// Of [`Call::Read`]: the body breaks with this error.
    Cut(ErrorKind),
    /// Of [`Call::Read`]: the body ends early, without an error.
    Short,
    /// Of [`Call::Read`]: a bit of the body is another.
    Flip,
    /// Of [`Call::Read`]: the body stops, and its connection stays.
    Stall,
}

/// How often what happens to which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// To this.
    pub call: Call,
    /// This.
    pub trouble: Trouble,
    /// In so many of a thousand.
    pub per_mille: u64,
    /// And then no more.
    pub times: u64,
}

#[derive(Debug, Default)]
struct Counts {
    asked: BTreeMap<(Call, u64), u64>,
    times: Vec<(Call, u64, Instant)>,
    fired: Vec<u64>,
}

/// Decides what happens to each call of the ports that share it.
#[derive(Debug)]
pub struct Dice {
    seed: u64,
    rules: Vec<Rule>,
    counts: Mutex<Counts>,
    calls: watch::Sender<u64>,
}

/// What was decided, and a draw for where.
type Rolled = Option<(Trouble, u64)>;

impl Dice {
    /// Of the first rule that fires.
    pub fn new(seed: u64, rules: Vec<Rule>) -> Arc<Self> {
        let counts = Counts { fired: vec![0; rules.len()], ..Counts::default() };
        Arc::new(Self { seed, rules, counts: Mutex::new(counts), calls: watch::Sender::new(0) })
    }

    /// How often each rule has fired.
    pub fn fired(&self) -> Vec<u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).fired.clone()
    }

    /// When a call was made, by what it was for: a range by its start, a part by its number, anything else by 0.
    pub fn times(&self, call: Call) -> BTreeMap<u64, Vec<Instant>> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times = BTreeMap::<_, Vec<_>>::new();
        for (_, place, at) in counts.times.iter().filter(|(made, ..)| *made == call) {
            times.entry(*place).or_default().push(*at);
        }
        times
    }

    /// Wait until so many more calls were made.
    pub async fn calls(&self, count: u64) {
        let until = *self.calls.borrow() + count;
        // The sender is of this very value.
        drop(self.calls.subscribe().wait_for(|calls| *calls >= until).await);
    }

    fn roll(&self, call: Call, place: u64) -> Rolled {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { asked, times, fired } = &mut *counts;
        times.push((call, place, Instant::now()));
        let nth = asked.entry((call, place)).or_default();
        *nth += 1;
        let mut draws = Pattern::new(self.seed);
        for word in [call as u64, place, *nth] {
            draws = Pattern::new(draws.word() ^ word);
        }
        let mut rolled = None;
        for (rule, fired) in self.rules.iter().zip(fired) {
            let hit = draws.word() % 1000 < rule.per_mille;
            if rolled.is_none() && rule.call == call && hit && *fired < rule.times {
                *fired += 1;
                rolled = Some((rule.trouble, draws.word()));
            }
        }
        drop(counts);
        self.calls.send_modify(|calls| *calls += 1);
        rolled
    }

    /// Do it, or what the dice say.
    async fn around<T>(
        &self,
        call: Call,
        place: u64,
        doing: impl Future<Output = PortResult<T>>,
    ) -> PortResult<T> {
        let rolled = self.roll(call, place);
        suffer(call, rolled.map(|(trouble, _)| trouble), doing).await
    }
}

async fn suffer<T>(
    call: Call,
    trouble: Option<Trouble>,
    doing: impl Future<Output = PortResult<T>>,
) -> PortResult<T> {
    let late = if call.publishes() { ErrorKind::Indeterminate } else { ErrorKind::Transient };
    match trouble {
        Some(Trouble::Fails(kind)) => Err(error(call, kind)),
        Some(Trouble::DoneButFails(kind)) => {
            doing.await?;
            Err(error(call, kind))
        }
        Some(Trouble::Slow(time)) => {
            tokio::time::sleep(time).await;
            doing.await
        }
        Some(Trouble::Hangs(time)) => {
            tokio::time::sleep(time).await;
            Err(error(call, late))
        }
        Some(Trouble::DoneThenHangs(time)) => {
            doing.await?;
            tokio::time::sleep(time).await;
            Err(error(call, late))
        }
        Some(Trouble::Cut(_) | Trouble::Short | Trouble::Flip | Trouble::Stall) | None => doing.await,
    }
}

fn error(call: Call, kind: ErrorKind) -> PortError {
    PortError::new(kind, format!("injected into {call:?}: {kind:?}"))
}

/// A source whose reads and bodies fail.
pub struct FaultySource {
    /// The one that does the work.
    pub inner: Arc<dyn ObjectSource>,
    /// What fails.
    pub dice: Arc<Dice>,
}

impl ObjectSource for FaultySource {
    fn uri(&self) -> String {
        self.inner.uri()
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn checksum(&self) -> Option<Stored> {
        self.inner.checksum()
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        async move {
            let rolled = self.dice.roll(Call::Read, range.start);
            let trouble = rolled.map(|(trouble, _)| trouble);
            let frames = suffer(Call::Read, trouble, self.inner.read(range.clone())).await?;
            let Some((trouble, draw)) = rolled else { return Ok(frames) };
            let at = draw % (range.end - range.start).max(1);
            Ok(match trouble {
                Trouble::Cut(kind) => {
                    head(frames, at).chain(stream::iter([Err(error(Call::Read, kind))])).boxed()
                }
                Trouble::Short => head(frames, at).boxed(),
                Trouble::Stall => head(frames, at).chain(stream::pending()).boxed(),
                Trouble::Flip => flip(frames, at).boxed(),
                _ => frames,
            })
        }
        .boxed()
    }
}

/// The first `left` bytes.
fn head(frames: Frames, left: u64) -> impl Stream<Item = PortResult<Bytes>> {
    frames.scan(left, |left, frame| {
        ready(match frame {
            Ok(_) if *left == 0 => None,
            Ok(frame) => {
                let keep = frame.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= keep as u64;
                // A slice would keep the whole frame alive, which is more than arrived.
                Some(Ok(if keep < frame.len() { Bytes::copy_from_slice(&frame[..keep]) } else { frame }))
            }
            Err(error) => Some(Err(error)),
        })
    })
}

/// All of it, but for a bit of the byte at `at`.
fn flip(frames: Frames, at: u64) -> impl Stream<Item = PortResult<Bytes>> {
    frames.scan(at, |left, frame| {
        ready(Some(frame.map(|frame| {
            let here = usize::try_from(*left).ok().filter(|at| *at < frame.len());
            *left = left.wrapping_sub(frame.len() as u64);
            let Some(at) = here else { return frame };
            // Behind the frame that it falls into it is never reached.
            *left = u64::MAX;
            let mut bytes = frame.to_vec();
            bytes[at] ^= 1;
            bytes.into()
        })))
    })
}

/// A sink that fails.
pub struct FaultySink {
    /// The one that does the work.
    pub inner: Arc<dyn ObjectSink>,
    /// What fails.
    pub dice: Arc<Dice>,
}

impl FaultySink {
    fn upload(&self, inner: Box<dyn Upload>) -> Box<dyn Upload> {
        Box::new(FaultyUpload { inner, dice: Arc::clone(&self.dice) })
    }
}

impl ObjectSink for FaultySink {
    fn uri(&self) -> String {
        self.inner.uri()
    }

    fn limits(&self) -> SinkLimits {
        self.inner.limits()
    }

    fn put(&self, part: Part) -> BoxFuture<'_, PortResult<Committed>> {
        self.dice.around(Call::Put, 0, self.inner.put(part)).boxed()
    }

    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Upload>>> {
        async move {
            let begun = Mutex::new(None);
            let begin = async {
                let upload = self.inner.begin().await?;
                *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(upload);
                Ok(())
            };
            let said = self.dice.around(Call::Begin, 0, begin).await;
            let begun = begun.into_inner().unwrap_or_else(PoisonError::into_inner);
            match (said, begun) {
                (Ok(()), Some(upload)) => Ok(self.upload(upload)),
                // What was begun without an answer is the adapter's to remove: nobody else can know of it.
                (Err(error), Some(upload)) => {
                    upload.abort().await?;
                    Err(error)
                }
                (Err(error), None) => Err(error),
                (Ok(()), None) => Err(error(Call::Begin, ErrorKind::Permanent)),
            }
        }
        .boxed()
    }

    fn reopen<'a>(&'a self, id: &'a str) -> BoxFuture<'a, PortResult<Box<dyn Upload>>> {
        async move {
            let reopened = self.dice.around(Call::Reopen, 0, self.inner.reopen(id)).await?;
            Ok(self.upload(reopened))
        }
        .boxed()
    }

    fn uploads(&self) -> BoxFuture<'_, PortResult<Vec<String>>> {
        self.dice.around(Call::Uploads, 0, self.inner.uploads()).boxed()
    }
}

struct FaultyUpload {
    inner: Box<dyn Upload>,
    dice: Arc<Dice>,
}

impl Upload for FaultyUpload {
    fn id(&self) -> Option<String> {
        self.inner.id()
    }

    fn parts(&self, count: u32, whole: Crc64) -> BoxFuture<'_, PortResult<Option<Vec<PartAck>>>> {
        self.dice.around(Call::Parts, 0, self.inner.parts(count, whole)).boxed()
    }

    fn write(&self, part: Part) -> BoxFuture<'_, PortResult<PartAck>> {
        self.dice.around(Call::Write, part.number.into(), self.inner.write(part)).boxed()
    }

    fn passes(&self) -> bool {
        self.inner.passes()
    }

    fn pass(&self, part: PassingPart) -> BoxFuture<'_, PortResult<PartAck>> {
        self.dice.around(Call::Pass, part.number.into(), self.inner.pass(part)).boxed()
    }

    fn commit<'a>(&'a self, parts: &'a [PartAck], whole: Crc64) -> BoxFuture<'a, PortResult<Committed>> {
        self.dice.around(Call::Commit, 0, self.inner.commit(parts, whole)).boxed()
    }

    fn abort(&self) -> BoxFuture<'_, PortResult<()>> {
        self.dice.around(Call::Abort, 0, self.inner.abort()).boxed()
    }
}

/// A checkpoint store that fails.
pub struct FaultyStore {
    /// The one that does the work.
    pub inner: Arc<dyn CheckpointStore>,
    /// What fails.
    pub dice: Arc<Dice>,
}

impl CheckpointStore for FaultyStore {
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>> {
        self.dice.around(Call::Save, 0, self.inner.save(checkpoint)).boxed()
    }

    fn remove(&self) -> BoxFuture<'_, PortResult<()>> {
        self.dice.around(Call::Remove, 0, self.inner.remove()).boxed()
    }
}
