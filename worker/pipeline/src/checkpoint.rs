//! What a run needs to go on after it was killed.
//!
//! # Overview
//! A [`Mark`] is a place in the stream. The reader makes one every few MiB and ties it to a chunk; each step adds its
//! own state when it has consumed the stream up to the mark, and ties it to the chunk it makes. When the mark reaches
//! the parts, and the parts up to it are acknowledged, everything to go on from there is known: a [`Checkpoint`].
//!
//! # Boundaries
//! A step may have a state only at boundaries of its own (a gzip member, a block to compress, a part). It then holds
//! the mark until its next boundary and notes how much of its input that was: a resumed run *skips* as much of it. So no
//! step cuts its output for the sake of a mark, and a resumed run makes the same bytes as one that was never stopped.
//!
//! # What is not in it
//! No byte of the stream and no list of parts: `ListParts` is the truth about parts. A checkpoint is small, whatever the
//! size of the object.
//!
//! # Crash consistency
//! A checkpoint is written before the first upload begins (so that one whose answer was lost can be found), when uploads
//! have begun, at marks, when a sink is given up, before publishing, and, of several sinks, when one of them has the
//! object. It is removed when the run has ended, however it ended.

use std::{sync::Arc, time::Duration};

use eft_domain::{Code, Failure, receipt::FailureNote};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{
    checksum::Crc64,
    error::of_checkpoint,
    port::{Committed, PortError, PortResult},
    retry::{RetryPolicy, retrying},
    stage::State,
};

/// The form of a checkpoint; another one is refused.
pub const FORMAT: u32 = 2;

/// How much work a crash may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Bytes of the source that a resumed run may have to read again.
    pub bytes: u64,
    /// Longest time between two marks.
    pub time: Duration,
}

impl Interval {
    /// The least that is promised where nobody asks for another: seconds of work for a fast worker.
    const LEAST: u64 = 256 << 20;
    /// Longest time between two marks; reasonable default.
    const TIME: Duration = Duration::from_secs(30);

    /// The interval for a run that holds `memory` bytes in flight.
    ///
    /// A crash loses what was read since the last mark (a quarter of the interval), and what is in flight behind it or
    /// waits for its part to be full (less than the memory, but for parts that pass). Where parts or the checkpoint are
    /// slow, reading waits before it is more. Where a stage makes much fewer bytes than it reads, a part takes more of the source than that.
    pub fn of(memory: u64) -> Self {
        Self { bytes: Self::LEAST.max(Self::least(memory)), time: Self::TIME }
    }

    /// The smallest interval that a run with this memory can keep.
    pub fn least(memory: u64) -> u64 {
        2 * memory
    }

    /// Bytes between two marks.
    pub(crate) fn marks(self) -> u64 {
        (self.bytes / 4).max(1)
    }
}

/// Where a run goes on, as far as the steps of the pipeline have said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Checksum and length of the source up to here.
    pub source: Crc64,
    /// The state of the source's other checksum, where the store keeps one.
    pub second: Option<State>,
    /// Where this is in the stream of bytes that the next step gets.
    pub position: u64,
    /// The state of each step that the mark has passed.
    pub steps: Vec<SavedStep>,
}

/// The state of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedStep {
    /// Of serial stages, each.
    Chain(Vec<SavedStage>),
    /// Of compression in blocks.
    Blocks(SavedBlocks),
}

/// The state of a serial stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedStage {
    /// Offset in its input at which it was saved.
    pub offset: u64,
    /// Bytes of its input, from the mark on, that were consumed before it could be saved.
    pub skip: u64,
    /// Bytes it had made.
    pub bytes_out: u64,
    /// Time it had worked.
    pub busy: Duration,
    /// Its own state.
    pub state: State,
}

/// The state of compression in blocks, between two blocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedBlocks {
    /// Bytes of its input, from the mark on, that are in blocks already made.
    pub skip: u64,
    /// Bytes in blocks already made.
    pub bytes_in: u64,
    /// Bytes made of them.
    pub bytes_out: u64,
    /// How many blocks.
    pub blocks: u64,
    /// Time it had worked.
    pub busy: Duration,
    /// CRC-32 of the bytes in blocks already made, where it is asked for.
    #[serde(default)]
    pub crc32: u32,
}

impl SavedStep {
    /// Where the step's output stands: what the mark's position becomes behind it.
    pub fn position(&self) -> u64 {
        match self {
            Self::Chain(stages) => stages.last().map_or(0, |stage| stage.bytes_out),
            Self::Blocks(blocks) => blocks.bytes_out,
        }
    }
}

impl Mark {
    /// A step has saved its state.
    pub(crate) fn pass(&mut self, step: SavedStep) {
        self.position = step.position();
        self.steps.push(step);
    }
}

/// What a run is: another one does not go on from its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The source version.
    pub source: String,
    /// The revision of the route.
    pub route: String,
    /// Where the output goes.
    pub destination: String,
    /// How the output is cut into parts, and by which version of this program.
    pub plan: String,
    /// The delivery, by which the destination knows its object again.
    pub delivery: String,
}

/// The parts that all live sinks have acknowledged, and where to go on behind them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Parts 1 to this.
    pub parts: u32,
    /// Checksum and length of the output in them.
    pub output: Crc64,
    /// Checksum and length of the output when the mark came to the packer; at most `output`.
    pub packed: Crc64,
    /// Where to go on.
    pub mark: Mark,
}

/// A sink as a run has left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedSink {
    /// Its name, as [`ObjectSink::uri`](crate::port::ObjectSink::uri) says it.
    pub name: String,
    /// Uploads that stood under the name before this run began one.
    pub before: Vec<String>,
    /// The upload, by the name its sink gave it; none before it has begun.
    pub upload: Option<String>,
    /// What became of it, if the run is done with it.
    pub ended: Option<SavedEnd>,
}

/// What became of a sink while the run goes on with others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedEnd {
    /// The object stands there.
    Delivered(Committed),
    /// It was given up; its upload is removed when the run ends.
    GivenUp(FailureNote),
}

impl SavedSink {
    /// A sink to which nothing was sent yet.
    pub fn new(name: String, before: Vec<String>) -> Self {
        Self { name, before, upload: None, ended: None }
    }

    /// Why it was given up, if it was.
    pub fn given_up(&self) -> Option<Failure> {
        match &self.ended {
            Some(SavedEnd::GivenUp(note)) => {
                Some(Failure::new(note.known().unwrap_or(Code::DestinationUnavailable), note.message.clone()))
            }
            _ => None,
        }
    }

    /// What stands there, if it has the object.
    pub fn delivered(&self) -> Option<&Committed> {
        match &self.ended {
            Some(SavedEnd::Delivered(committed)) => Some(committed),
            _ => None,
        }
    }
}

/// Everything a run needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// [`FORMAT`].
    pub format: u32,
    /// What the run is.
    pub pinned: Pinned,
    /// How often it was started.
    pub attempt: u64,
    /// Where the output goes.
    pub sinks: Vec<SavedSink>,
    /// What is done; `None` when nothing is.
    pub done: Option<Done>,
    /// Everything is sent and is being published: the checksum and length of the object.
    pub publishing: Option<Crc64>,
}

impl Checkpoint {
    /// Of a run that has not begun.
    pub fn new(pinned: Pinned, sinks: Vec<SavedSink>) -> Self {
        Self { format: FORMAT, pinned, attempt: 1, sinks, done: None, publishing: None }
    }

    /// The sink with this name.
    pub fn sink(&self, name: &str) -> Option<&SavedSink> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    /// Something was begun at a sink that the run is not done with.
    pub fn has_begun(&self) -> bool {
        self.live_uploads().next().is_some()
    }

    /// The uploads of the sinks that the run is not done with.
    pub fn live_uploads(&self) -> impl Iterator<Item = &str> {
        let live = self.sinks.iter().filter(|sink| sink.ended.is_none());
        live.filter_map(|sink| sink.upload.as_deref())
    }

    /// Say what became of a sink, or which upload it has now.
    pub fn note(&mut self, name: &str, change: impl FnOnce(&mut SavedSink)) {
        if let Some(sink) = self.sinks.iter_mut().find(|sink| sink.name == name) {
            change(sink);
        }
    }

    /// Refuse to go on with another run's checkpoint.
    ///
    /// # Errors
    /// `checkpoint.refused`, with everything that differs. The delivery is not compared: it is the checkpoint's.
    pub fn admit(&self, run: &Pinned) -> Result<(), Failure> {
        if self.format != FORMAT {
            let message = format!("the checkpoint has format {}, this program reads {FORMAT}", self.format);
            return Err(Failure::new(Code::CheckpointRefused, message));
        }
        let of = &self.pinned;
        let pairs = [
            ("source", &of.source, &run.source),
            ("route revision", &of.route, &run.route),
            ("destination", &of.destination, &run.destination),
            ("plan", &of.plan, &run.plan),
        ];
        let differs: Vec<_> = pairs
            .iter()
            .filter(|(_, was, is)| was != is)
            // Its text may have been written by anybody.
            .map(|(what, was, is)| {
                let was = was.escape_debug();
                format!("the checkpoint is of {what} {was}, this run has {is}")
            })
            .collect();
        if differs.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Code::CheckpointRefused, differs.join("; ")))
    }
}

/// Where a run's checkpoint is kept.
pub trait CheckpointStore: Send + Sync {
    /// Replace the checkpoint, atomically: after a crash the old one or the new one is there.
    ///
    /// # Errors
    /// As the store finds them. `Changed`: somebody else owns the run now, and this one has to stop.
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>>;

    /// Forget it; fine when there is none.
    ///
    /// # Errors
    /// As the store finds them.
    fn remove(&self) -> BoxFuture<'_, PortResult<()>>;
}

/// The checkpoint of a run, kept up to date.
#[derive(Clone)]
pub struct Keeper {
    store: Arc<dyn CheckpointStore>,
    retry: RetryPolicy,
    /// How much work a crash may cost.
    pub interval: Interval,
    checkpoint: Arc<Mutex<Checkpoint>>,
    resumes: bool,
}

impl Keeper {
    /// Keep the checkpoint of a new run. It is stored before this returns.
    ///
    /// # Errors
    /// `checkpoint.unavailable`, retries spent.
    pub async fn begin(
        store: Arc<dyn CheckpointStore>,
        retry: RetryPolicy,
        interval: Interval,
        checkpoint: Checkpoint,
    ) -> Result<Self, Failure> {
        let checkpoint = Checkpoint { attempt: 0, ..checkpoint };
        let keeper = Self { resumes: false, ..Self::resume(store, retry, interval, checkpoint) };
        keeper.update(|_| ()).await?;
        Ok(keeper)
    }

    /// Keep the checkpoint that an earlier run has left.
    pub fn resume(
        store: Arc<dyn CheckpointStore>,
        retry: RetryPolicy,
        interval: Interval,
        mut checkpoint: Checkpoint,
    ) -> Self {
        checkpoint.attempt += 1;
        Self { store, retry, interval, checkpoint: Arc::new(Mutex::new(checkpoint)), resumes: true }
    }

    /// The run goes on with another's work.
    pub fn resumes(&self) -> bool {
        self.resumes
    }

    /// The checkpoint now.
    pub async fn get(&self) -> Checkpoint {
        self.checkpoint.lock().await.clone()
    }

    /// Change it, and return once the store has it. Changes are stored one after the other.
    ///
    /// # Errors
    /// `checkpoint.unavailable`, retries spent.
    pub async fn update(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), Failure> {
        let mut checkpoint = self.checkpoint.lock().await;
        change(&mut checkpoint);
        let saved = retrying(&self.retry, |_: &PortError| (), || self.store.save(&checkpoint)).await;
        saved.map_err(|error| of_checkpoint(&error))
    }

    /// Forget it: the run has ended.
    ///
    /// # Errors
    /// `checkpoint.unavailable`, retries spent.
    pub async fn remove(&self) -> Result<(), Failure> {
        let removed = retrying(&self.retry, |_: &PortError| (), || self.store.remove()).await;
        removed.map_err(|error| of_checkpoint(&error))
    }
}
