//! A run to several sinks over memory, and sinks that do not answer.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{ByteSize, route::Limits};
use eft_fakes::{
    MemorySink, MemorySource,
    faulty::{Call, Dice, FaultySink, Rule, Trouble},
    pattern,
};
use eft_pipeline::{
    budget::Budget,
    checkpoint::{Checkpoint, CheckpointStore, Interval, Keeper, Pinned, SavedSink},
    checksum::Crc64,
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{Committed, ErrorKind, ObjectSink, Part, PartAck, PortError, PortResult, SinkLimits, Upload},
    progress::Progress,
    retry::RetryPolicy,
    transfer::{Outcome, Stopped, Transfer},
};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const SIZE: usize = 12 << 20;
pub(crate) const LIMITS: SinkLimits = SinkLimits { min_part: MIB / 4, ..SinkLimits::S3 };
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A checkpoint as a row would hold it.
#[derive(Clone, Default)]
pub(crate) struct Shelf {
    text: Arc<Mutex<Option<String>>>,
    /// From now on nothing is stored, and nobody is told.
    pub(crate) stuck: Arc<AtomicBool>,
}

impl Shelf {
    pub(crate) fn get(&self) -> Option<Checkpoint> {
        self.text.lock().unwrap().as_ref().map(|text| serde_json::from_str(text).unwrap())
    }
}

impl CheckpointStore for Shelf {
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>> {
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if self.stuck.load(Relaxed) {
                std::future::pending::<()>().await;
            }
            *self.text.lock().unwrap() = Some(serde_json::to_string(checkpoint).unwrap());
            Ok(())
        }
        .boxed()
    }

    fn remove(&self) -> BoxFuture<'_, PortResult<()>> {
        async move {
            self.text.lock().unwrap().take();
            Ok(())
        }
        .boxed()
    }
}

/// A run to several sinks that may have to be started several times.
pub(crate) struct Rig {
    pub(crate) content: Bytes,
    pub(crate) source: Arc<MemorySource>,
    pub(crate) sinks: Vec<MemorySink>,
    pub(crate) shelf: Shelf,
    pub(crate) progress: Arc<Progress>,
    pub(crate) pool: Pool,
    pub(crate) keeps: bool,
}

pub(crate) fn sink(name: &str) -> MemorySink {
    MemorySink::default().named(name).limits(LIMITS).latency(Duration::from_millis(5))
}

impl Rig {
    pub(crate) fn new(sinks: impl IntoIterator<Item = MemorySink>) -> Self {
        let content = pattern(1, SIZE);
        let source = MemorySource::new(content.clone()).with_checksum().latency(Duration::from_millis(3));
        Self {
            content,
            source: Arc::new(source),
            sinks: sinks.into_iter().collect(),
            shelf: Shelf::default(),
            progress: Arc::default(),
            pool: Pool::new(NonZeroUsize::MIN),
            keeps: true,
        }
    }

    pub(crate) async fn run(&self) -> Result<Outcome, Stopped> {
        let ports: Vec<Arc<dyn ObjectSink>> =
            self.left().into_iter().map(|sink| Arc::new(sink) as _).collect();
        self.run_to(ports).await
    }

    /// The sinks that do not have the object, as the worker finds them out: by the checkpoint, and by looking.
    pub(crate) fn left(&self) -> Vec<MemorySink> {
        let noted = |sink: &MemorySink| {
            let saved = self.shelf.get();
            saved.is_some_and(|saved| saved.sink(&sink.uri()).is_some_and(|it| it.delivered().is_some()))
        };
        self.sinks.iter().filter(|sink| sink.object().is_none() && !noted(sink)).cloned().collect()
    }

    pub(crate) async fn run_to(&self, sinks: Vec<Arc<dyn ObjectSink>>) -> Result<Outcome, Stopped> {
        let request = Request {
            size: Some(SIZE as u64),
            stages: &[],
            archive: None,
            limits: &Limits::default(),
            sha256: false,
            given: Given::default(),
            sink: LIMITS,
            memory: ByteSize::mib(3),
            concurrency: 3,
            part_size: Some(ByteSize(LIMITS.min_part)),
            threads: 1,
            near: false,
            refuse_empty: false,
        };
        let plan = Plan::new(&request).unwrap();
        let keeper = match self.keeps {
            true => Some(self.keeper(&sinks).await?),
            false => None,
        };
        let transfer = Transfer {
            source: self.source.clone(),
            more: None,
            sinks,
            budget: Budget::new(plan.memory),
            reading: Concurrency::new(plan.reads),
            writing: Concurrency::new(plan.writes),
            plan,
            pool: self.pool.clone(),
            retry: RetryPolicy::DEFAULT,
            keeper,
            progress: Arc::clone(&self.progress),
            cancel: CancellationToken::new(),
        };
        let ended = transfer.run().await;
        assert_eq!(transfer.budget.available(), transfer.budget.bytes(), "a lease is not given back");
        ended
    }

    async fn keeper(&self, sinks: &[Arc<dyn ObjectSink>]) -> Result<Keeper, Stopped> {
        let interval = Interval { bytes: 6 * MIB, time: HOUR };
        let store = Arc::new(self.shelf.clone());
        if let Some(checkpoint) = self.shelf.get() {
            return Ok(Keeper::resume(store, RetryPolicy::DEFAULT, interval, checkpoint));
        }
        let text = String::new;
        let pinned =
            Pinned { source: text(), route: text(), destination: text(), plan: text(), delivery: text() };
        let sinks = sinks.iter().map(|sink| SavedSink::new(sink.uri(), Vec::new())).collect();
        Ok(Keeper::begin(store, RetryPolicy::DEFAULT, interval, Checkpoint::new(pinned, sinks)).await?)
    }

    /// Run until `when`, then drop it where it stands, as SIGKILL would.
    pub(crate) async fn kill(&self, sinks: Vec<Arc<dyn ObjectSink>>, when: impl Fn() -> bool) {
        let moment = async {
            while !when() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            () = moment => {}
            ended = self.run_to(sinks) => panic!("it ended: {:?}", ended.map(|outcome| outcome.deliveries)),
        }
        // What it had sent arrives.
        tokio::time::sleep(HOUR).await;
    }

    /// Run to all sinks, and drop it while it publishes, before anything is visible.
    pub(crate) async fn kill_publishing(&self) {
        let mutes = (0..self.sinks.len()).map(|at| self.mute(at));
        self.kill(mutes.collect(), || self.is_publishing()).await;
    }

    /// This sink, of which no commit ends.
    pub(crate) fn mute(&self, at: usize) -> Arc<dyn ObjectSink> {
        Arc::new(Mute { inner: self.sinks[at].clone(), commit: true, refuses: false })
    }

    pub(crate) fn is_publishing(&self) -> bool {
        self.shelf.get().is_some_and(|saved| saved.publishing.is_some())
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.source.reads().iter().map(|range| range.end - range.start).sum()
    }

    pub(crate) fn done(&self) -> bool {
        self.shelf.get().is_some_and(|checkpoint| checkpoint.done.is_some())
    }

    /// Each has the object or nothing, once, and nothing is left behind.
    pub(crate) fn assert_ended(&self, have: &[bool]) {
        for (sink, has) in self.sinks.iter().zip(have) {
            let name = sink.uri();
            let object = sink.object();
            assert!(object.as_ref().is_none_or(|object| *object == self.content), "{name}: other bytes");
            assert_eq!((object.is_some(), sink.commits()), (*has, u64::from(*has)), "{name}");
            assert_eq!(sink.open_uploads(), 0, "{name}: an upload is left behind");
        }
        assert!(self.shelf.get().is_none(), "the checkpoint of an ended run");
    }
}

pub(crate) fn port(sink: &MemorySink) -> Arc<dyn ObjectSink> {
    Arc::new(sink.clone())
}

pub(crate) fn failing(call: Call, trouble: Trouble) -> Vec<Rule> {
    vec![Rule { call, trouble, per_mille: 1000, times: u64::MAX }]
}

pub(crate) fn faulty(sink: &MemorySink, rules: Vec<Rule>) -> Arc<dyn ObjectSink> {
    Arc::new(FaultySink { inner: port(sink), dice: Dice::new(1, rules) })
}

/// A sink of which one call never answers; the first part is refused where `refuses` says so.
pub(crate) struct Mute {
    pub(crate) inner: MemorySink,
    pub(crate) commit: bool,
    pub(crate) refuses: bool,
}

struct MuteUpload {
    inner: Box<dyn Upload>,
    commit: bool,
    refuses: AtomicBool,
}

impl ObjectSink for Mute {
    fn uri(&self) -> String {
        self.inner.uri()
    }

    fn limits(&self) -> SinkLimits {
        LIMITS
    }

    fn put(&self, part: Part) -> BoxFuture<'_, PortResult<Committed>> {
        self.inner.put(part)
    }

    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Upload>>> {
        async move {
            let (commit, refuses) = (self.commit, AtomicBool::new(self.refuses));
            Ok(Box::new(MuteUpload { inner: self.inner.begin().await?, commit, refuses }) as _)
        }
        .boxed()
    }

    fn reopen<'a>(&'a self, id: &'a str) -> BoxFuture<'a, PortResult<Box<dyn Upload>>> {
        self.inner.reopen(id)
    }

    fn uploads(&self) -> BoxFuture<'_, PortResult<Vec<String>>> {
        self.inner.uploads()
    }
}

impl Upload for MuteUpload {
    fn id(&self) -> Option<String> {
        self.inner.id()
    }

    fn parts(&self, count: u32, whole: Crc64) -> BoxFuture<'_, PortResult<Option<Vec<PartAck>>>> {
        self.inner.parts(count, whole)
    }

    fn write(&self, part: Part) -> BoxFuture<'_, PortResult<PartAck>> {
        match (self.commit, self.refuses.swap(false, Relaxed)) {
            (true, _) => self.inner.write(part),
            (false, true) => async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(PortError::new(ErrorKind::Denied, "no"))
            }
            .boxed(),
            // Its bytes are held for as long as it is waited for.
            (false, false) => async move {
                std::future::pending::<()>().await;
                drop(part);
                Err(PortError::new(ErrorKind::Transient, "never"))
            }
            .boxed(),
        }
    }

    fn commit<'a>(&'a self, parts: &'a [PartAck], whole: Crc64) -> BoxFuture<'a, PortResult<Committed>> {
        if self.commit { std::future::pending().boxed() } else { self.inner.commit(parts, whole) }
    }

    fn abort(&self) -> BoxFuture<'_, PortResult<()>> {
        self.inner.abort()
    }
}
