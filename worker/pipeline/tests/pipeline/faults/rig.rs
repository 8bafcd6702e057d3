//! Runs over memory with faults between, and what is asked of each.

use std::{
    fmt,
    num::NonZeroUsize,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{
    ByteSize, Failure,
    route::{
        CharsetSpec, Codec, Columns, CompressSpec, CsvSpec, CsvToJsonlSpec, DecompressSpec, Limits,
        Malformed, OnError, StageSpec, ValidateSpec,
    },
};
use eft_fakes::{
    MemorySink, MemorySource,
    faulty::{Dice, FaultySink, FaultySource, FaultyStore},
    pattern,
};
use eft_pipeline::{
    budget::Budget,
    checkpoint::{Checkpoint, CheckpointStore, Interval, Keeper, Pinned, SavedSink},
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{Frames, ObjectSink, ObjectSource, PortResult, SinkLimits},
    progress::Progress,
    resume::sweep,
    retry::RetryPolicy,
    stage::compress::{BlockCompressor, Scratch},
    stored::Stored,
    transfer::{Outcome, Stopped, Transfer},
};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::draw::Story;

const MIB: usize = 1 << 20;
const LIMITS: SinkLimits = SinkLimits { min_part: 128 << 10, ..SinkLimits::S3 };

/// What is done to which bytes, and what must come of it.
pub(crate) struct Route {
    name: &'static str,
    stages: Vec<StageSpec>,
    memory: u64,
    input: Bytes,
    pub(crate) output: Bytes,
    pool: Pool,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn records(rows: usize, name: &str) -> Vec<u8> {
    (0..rows)
        .flat_map(|n| format!("{n},{name} {},{}\n", n % 97, n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

fn gzip_members(content: &[u8]) -> Bytes {
    let compressor = BlockCompressor::new(CompressSpec { codec: Codec::Gzip, level: 1 });
    let member = |piece: &[u8]| {
        compressor.compress(&mut Scratch::default(), &[Bytes::copy_from_slice(piece)]).unwrap().concat()
    };
    content.chunks(60_000).flat_map(member).collect()
}

impl Route {
    /// The one that is published by `put`.
    pub(crate) const ONE_REQUEST: usize = 1;

    pub(crate) fn all() -> Vec<Self> {
        let pool = Pool::new(NonZeroUsize::new(2).unwrap());
        let csv = CsvSpec::default();
        let named = ["id", "name", "key"].map(str::to_owned).to_vec();
        let repack = vec![
            StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip }),
            StageSpec::Validate(ValidateSpec::Csv(csv.clone())),
            StageSpec::Compress(CompressSpec { codec: Codec::Zstd, level: 1 }),
        ];
        let jsonl = vec![
            StageSpec::Charset(CharsetSpec {
                from: "windows-1252".parse().unwrap(),
                malformed: Malformed::Reject,
            }),
            StageSpec::CsvToJsonl(CsvToJsonlSpec {
                input: CsvSpec { columns: Columns::Named(named), ..csv },
                on_error: OnError::Fail,
                omit_null: false,
            }),
        ];
        let latin: Vec<u8> =
            records(50_000, "na@ve").iter().map(|byte| if *byte == b'@' { 0xef } else { *byte }).collect();
        let routes = [
            ("identity", vec![], 3 * MIB as u64, pattern(1, 6 * MIB + 4321)),
            ("identity in one request", vec![], 3 * MIB as u64, pattern(2, 70_001)),
            ("gunzip, csv, zstd", repack, 24 << 20, gzip_members(&records(110_000, "row"))),
            ("charset, jsonl", jsonl, 24 << 20, latin.into()),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let routes = routes.into_iter().map(|(name, stages, memory, input)| {
            let route = Route { name, stages, memory, input, output: Bytes::new(), pool: pool.clone() };
            let output = runtime.block_on(route.output());
            Route { output, ..route }
        });
        routes.collect()
    }

    /// What a run without faults makes.
    async fn output(&self) -> Bytes {
        let sink = MemorySink::default().limits(LIMITS);
        let source = Arc::new(MemorySource::new(self.input.clone()));
        self.transfer(source, Arc::new(sink.clone()), None, false, CancellationToken::new())
            .run()
            .await
            .unwrap();
        sink.object().unwrap()
    }

    fn transfer(
        &self,
        source: Arc<dyn ObjectSource>,
        sink: Arc<dyn ObjectSink>,
        keeper: Option<Keeper>,
        sha256: bool,
        cancel: CancellationToken,
    ) -> Transfer {
        let request = Request {
            archive: None,
            size: source.size(),
            stages: &self.stages,
            limits: &Limits { max_ratio: u32::MAX, ..Limits::default() },
            sha256,
            given: Given::default(),
            sink: LIMITS,
            memory: ByteSize(self.memory),
            concurrency: 3,
            part_size: Some(ByteSize(LIMITS.min_part)),
            threads: 2,
            near: false,
            refuse_empty: false,
        };
        let plan = Plan::new(&request).unwrap();
        Transfer {
            source,
            more: None,
            sinks: vec![sink],
            budget: Budget::new(plan.memory),
            reading: Concurrency::new(plan.reads),
            writing: Concurrency::new(plan.writes),
            plan,
            pool: self.pool.clone(),
            retry: RetryPolicy::DEFAULT,
            keeper,
            progress: Arc::new(Progress::default()),
            cancel,
        }
    }
}

/// A checkpoint as a file would hold it.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Option<String>>>);

impl Shelf {
    pub(crate) fn get(&self) -> Option<Checkpoint> {
        self.0.lock().unwrap().as_ref().map(|text| serde_json::from_str(text).unwrap())
    }
}

impl CheckpointStore for Shelf {
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>> {
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            *self.0.lock().unwrap() = Some(serde_json::to_string(checkpoint).unwrap());
            Ok(())
        }
        .boxed()
    }

    fn remove(&self) -> BoxFuture<'_, PortResult<()>> {
        async move {
            self.0.lock().unwrap().take();
            Ok(())
        }
        .boxed()
    }
}

/// Bytes of the source that are alive, and the most that were.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicU64,
    peak: AtomicU64,
}

struct Counted(Bytes, Arc<Gauge>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.now.fetch_sub(self.0.len() as u64, SeqCst);
    }
}

/// A source whose frames are counted for as long as anybody holds them.
struct Weighed {
    inner: MemorySource,
    gauge: Arc<Gauge>,
}

impl ObjectSource for Weighed {
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
        let gauge = Arc::clone(&self.gauge);
        async move {
            let frames = self.inner.read(range).await?;
            let weigh = move |frame: Bytes| {
                let now = gauge.now.fetch_add(frame.len() as u64, SeqCst) + frame.len() as u64;
                gauge.peak.fetch_max(now, SeqCst);
                Bytes::from_owner(Counted(frame, Arc::clone(&gauge)))
            };
            Ok(frames.map(move |frame| frame.map(&weigh)).boxed())
        }
        .boxed()
    }
}

/// What outlives the runs of a story.
pub(crate) struct Rig {
    source: Arc<Weighed>,
    pub(crate) sink: MemorySink,
    pub(crate) shelf: Shelf,
}

impl Rig {
    pub(crate) fn new(story: &Story<'_>) -> Self {
        let inner = MemorySource::new(story.route.input.clone()).latency(Duration::from_millis(3));
        let inner = if story.checksum { inner.with_checksum() } else { inner };
        let sink = MemorySink::default().limits(LIMITS).latency(Duration::from_millis(5));
        Self { source: Arc::new(Weighed { inner, gauge: Arc::default() }), sink, shelf: Shelf::default() }
    }

    pub(crate) async fn run(
        &self,
        story: &Story<'_>,
        dice: &Arc<Dice>,
        cancel: CancellationToken,
    ) -> Result<Outcome, Stopped> {
        let source = FaultySource { inner: self.source.clone(), dice: Arc::clone(dice) };
        let sink: Arc<dyn ObjectSink> =
            Arc::new(FaultySink { inner: Arc::new(self.sink.clone()), dice: Arc::clone(dice) });
        let keeper = match story.checkpoint {
            true => Some(self.keeper(dice).await.map_err(|failure| {
                // Nothing was begun; if the store took it after all, the next run goes on from there.
                Stopped { resumable: self.shelf.get().is_some(), ..Stopped::from(failure) }
            })?),
            false => None,
        };
        let transfer = story.route.transfer(Arc::new(source), sink, keeper, story.checksum, cancel);
        let ended = transfer.run().await;
        assert_eq!(
            transfer.budget.available(),
            transfer.budget.bytes(),
            "{story:?}: a lease is not given back"
        );
        ended
    }

    /// As the worker makes it.
    async fn keeper(&self, dice: &Arc<Dice>) -> Result<Keeper, Failure> {
        let interval = Interval { bytes: MIB as u64, time: Duration::from_secs(3600) };
        let store = Arc::new(FaultyStore { inner: Arc::new(self.shelf.clone()), dice: Arc::clone(dice) });
        if let Some(checkpoint) = self.shelf.get() {
            return Ok(Keeper::resume(store, RetryPolicy::DEFAULT, interval, checkpoint));
        }
        let text = |text: &str| text.to_owned();
        let pinned = Pinned {
            source: text("s"),
            route: text("r"),
            destination: text("d"),
            plan: text("p"),
            delivery: text("1"),
        };
        let sinks = vec![SavedSink::new(self.sink.uri(), self.sink.uploads().await.unwrap())];
        Keeper::begin(store, RetryPolicy::DEFAULT, interval, Checkpoint::new(pinned, sinks)).await
    }

    /// No more of the source is alive than the plan pays for, and none of it after the run.
    pub(crate) fn assert_paid(&self, story: &Story<'_>) {
        let gauge = &self.source.gauge;
        // A thread of the pool that has a chunk in hand when its run is stopped finishes it, in its own time.
        let stopping = std::time::Instant::now();
        while gauge.now.load(SeqCst) > 0 {
            assert!(
                stopping.elapsed() < Duration::from_secs(10),
                "{story:?}: bytes of the source are still held"
            );
            std::thread::sleep(Duration::from_micros(100));
        }
        let peak = gauge.peak.load(SeqCst);
        assert!(peak <= story.route.memory, "{story:?}: {peak} bytes of the source at once");
    }

    /// A run that failed has left what it says, and no more.
    pub(crate) fn assert_left(&self, story: &Story<'_>, stopped: &Stopped) {
        let open = self.sink.open_uploads();
        assert!(stopped.leftovers.is_empty() || story.aborting_fails(), "{story:?}: {:?}", stopped.leftovers);
        if stopped.resumable {
            assert!(self.shelf.get().is_some(), "{story:?}: nothing to go on from");
            assert!(open <= 1 + stopped.leftovers.len(), "{story:?}: {open} uploads of a run to go on with");
            return;
        }
        assert!(
            open <= stopped.leftovers.len(),
            "{story:?}: left behind without a word: {}",
            stopped.failure
        );
        assert!(self.shelf.get().is_none() || story.removing_fails(), "{story:?}: a checkpoint of no use");
    }

    /// Give it up: what was begun is removed, also what a run said it could not remove.
    pub(crate) async fn discard(&self) {
        let sinks: [Arc<dyn ObjectSink>; 1] = [Arc::new(self.sink.clone())];
        let nothing_before = Checkpoint {
            sinks: vec![SavedSink::new(self.sink.uri(), Vec::new())],
            ..self.shelf.get().unwrap_or_else(none)
        };
        sweep(&sinks, &nothing_before, &RetryPolicy::DEFAULT).await.unwrap();
        self.shelf.remove().await.unwrap();
    }
}

fn none() -> Checkpoint {
    let text = String::new;
    let pinned =
        Pinned { source: text(), route: text(), destination: text(), plan: text(), delivery: text() };
    Checkpoint::new(pinned, Vec::new())
}
