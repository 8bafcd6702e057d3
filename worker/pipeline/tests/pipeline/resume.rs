//! Runs that are killed and gone on with, over memory: the same bytes, little read twice, nothing left behind.

use crate::pgp_support;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::codec_support::{compress, text};
use bytes::Bytes;
use eft_domain::{
    ByteSize, Code,
    route::{
        Codec, CompressSpec, CsvSpec, DecompressSpec, Limits, PgpVerify, ScanSpec, StageSpec, ValidateSpec,
        ZipSpec,
    },
};
use eft_fakes::{Fault, MemoryScanner, MemorySink, MemorySource, Pattern, SinkFaults, pattern};
use eft_pipeline::{
    budget::Budget,
    checkpoint::{Checkpoint, CheckpointStore, Interval, Keeper, Pinned, SavedSink, SavedStep},
    checksum::Crc64,
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{ErrorKind, ObjectSink, ObjectSource, PortResult, SinkLimits},
    progress::Progress,
    retry::RetryPolicy,
    stage::{AnyStage, Input, Output, Stage},
    transfer::{Outcome, Stopped, Transfer},
};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
const LIMITS: SinkLimits = SinkLimits { min_part: MIB / 4, ..SinkLimits::S3 };

/// A checkpoint as a file would hold it.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Option<String>>>);

impl Shelf {
    fn get(&self) -> Option<Checkpoint> {
        self.0.lock().unwrap().as_ref().map(|text| serde_json::from_str(text).unwrap())
    }
}

impl Shelf {
    fn put(&self, checkpoint: &Checkpoint) {
        *self.0.lock().unwrap() = Some(serde_json::to_string(checkpoint).unwrap());
    }
}

impl CheckpointStore for Shelf {
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>> {
        async move {
            let text = serde_json::to_string(checkpoint).unwrap();
            assert!(text.len() < 100_000, "a checkpoint of {} bytes", text.len());
            tokio::time::sleep(Duration::from_millis(1)).await;
            *self.0.lock().unwrap() = Some(text);
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

/// A run that may have to be started several times.
struct Rig {
    source: Arc<MemorySource>,
    sink: MemorySink,
    stages: Vec<StageSpec>,
    shelf: Shelf,
    progress: Arc<Progress>,
    pool: Pool,
    memory: u64,
    given: Given,
}

fn pinned() -> Pinned {
    let text = |text: &str| text.to_owned();
    Pinned {
        source: text("s"),
        route: text("r"),
        destination: text("d"),
        plan: text("p"),
        delivery: text("1"),
    }
}

impl Rig {
    fn new(bytes: impl Into<Bytes>, stages: &[StageSpec]) -> Self {
        Self {
            source: Arc::new(MemorySource::new(bytes).with_checksum()),
            sink: MemorySink::default().limits(LIMITS),
            stages: stages.to_vec(),
            shelf: Shelf::default(),
            progress: Arc::default(),
            pool: Pool::new(NonZeroUsize::new(2).unwrap()),
            // The least that each takes.
            memory: if stages.is_empty() { 3 * MIB } else { 24 * MIB },
            given: Given::default(),
        }
    }

    fn plan(&self) -> Plan {
        let request = Request {
            size: self.source.size(),
            stages: &self.stages,
            archive: None,
            limits: &Limits { max_ratio: u32::MAX, ..Limits::default() },
            sha256: true,
            given: self.given.clone(),
            sink: LIMITS,
            memory: ByteSize(self.memory),
            concurrency: 3,
            part_size: Some(ByteSize(LIMITS.min_part)),
            threads: 2,
            near: false,
            refuse_empty: false,
        };
        Plan::new(&request).unwrap()
    }

    async fn run(&self, interval: u64, cancel: CancellationToken) -> Result<Outcome, Stopped> {
        let plan = self.plan();
        let interval = Interval { bytes: interval, time: Duration::from_secs(3600) };
        let store = Arc::new(self.shelf.clone());
        let keeper = match self.shelf.get() {
            Some(checkpoint) => Keeper::resume(store, RetryPolicy::DEFAULT, interval, checkpoint),
            None => {
                let before = self.sink.uploads().await.unwrap();
                let checkpoint = Checkpoint::new(pinned(), vec![SavedSink::new(self.sink.uri(), before)]);
                Keeper::begin(store, RetryPolicy::DEFAULT, interval, checkpoint).await?
            }
        };
        let transfer = Transfer {
            source: self.source.clone(),
            more: None,
            sinks: vec![Arc::new(self.sink.clone())],
            budget: Budget::new(plan.memory),
            reading: Concurrency::new(plan.reads),
            writing: Concurrency::new(plan.writes),
            plan,
            pool: self.pool.clone(),
            retry: RetryPolicy::DEFAULT,
            keeper: Some(keeper),
            progress: Arc::clone(&self.progress),
            cancel,
        };
        transfer.run().await
    }

    /// Run, kill when some bytes more were moved, as the seed says, and so on until it ends; returns the outcome and the
    /// number of kills. In real time, which decides nothing: the pool's threads know no other.
    async fn run_with_kills(&mut self, interval: u64, seed: u64) -> (Outcome, u64) {
        let mut pattern = Pattern::new(seed);
        let size = self.source.size().unwrap();
        for kills in 0.. {
            self.progress = Arc::default();
            let done = self.shelf.get().and_then(|checkpoint| checkpoint.done);
            let from = done.map_or(0, |done| done.mark.source.len() + done.output.len());
            let to = from + pattern.word() % (2 * size);
            let moved = async {
                loop {
                    let now = self.progress.snapshot();
                    if now.read + now.written > to {
                        return;
                    }
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            };
            // The future is dropped where it stands, like the memory of a process that is killed.
            tokio::select! {
                biased;
                () = moved => {}
                ended = self.run(interval, CancellationToken::new()) => return (ended.unwrap(), kills),
            }
        }
        unreachable!("some run is let go to its end")
    }

    /// Run and kill as soon as there is something to go on from.
    async fn kill_midway(&self) {
        let marked = async {
            while self.shelf.get().is_none_or(|checkpoint| checkpoint.done.is_none()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            () = marked => {}
            ended = self.run(2 * MIB, CancellationToken::new()) => panic!("it ended: {:?}", ended.err()),
        }
    }

    /// Run and kill when half of the source was read.
    async fn kill_halfway(&self) {
        let half = self.source.size().unwrap() / 2;
        let midway = async {
            while self.progress.snapshot().read < half {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        };
        // The future is dropped where it stands.
        tokio::select! {
            biased;
            () = midway => {}
            ended = self.run(MIB, CancellationToken::new()) => panic!("it ended: {:?}", ended.err()),
        }
    }

    fn bytes_read(&self) -> u64 {
        self.source.reads().iter().map(|range| range.end - range.start).sum()
    }
}

fn gunzip_csv_zstd() -> Vec<StageSpec> {
    vec![
        StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip }),
        StageSpec::Validate(ValidateSpec::Csv(CsvSpec::default())),
        StageSpec::Compress(CompressSpec { codec: Codec::Zstd, level: 1 }),
    ]
}

fn records(len: usize) -> Vec<u8> {
    let mut content = text(3, len);
    content.truncate(content.iter().rposition(|&byte| byte == b'\n').unwrap() + 1);
    content
}

/// A bgzip-like file: members of at most 64 KiB of content.
fn members(len: usize) -> Bytes {
    let content = records(len);
    content.chunks(60_000).flat_map(|piece| compress(Codec::Gzip, 1, piece)).collect()
}

async fn killed_runs_end_as_one_that_was_not(bytes: Bytes, stages: &[StageSpec], seeds: u64) {
    let whole = Rig::new(bytes.clone(), stages);
    let expected = whole.run(u64::MAX, CancellationToken::new()).await.unwrap();
    let mut resumed = 0;
    for seed in 0..seeds {
        let mut rig = Rig::new(bytes.clone(), stages);
        // Small files want more marks than their memory allows to promise.
        let promised = Interval::least(rig.memory);
        let (outcome, kills) = rig.run_with_kills(promised.min(4 * MIB), seed).await;
        assert_eq!(rig.sink.object(), whole.sink.object(), "seed {seed}");
        assert_eq!((outcome.source, outcome.output), (expected.source, expected.output));
        let reports = |outcome: &Outcome| {
            let stages = outcome.stages.iter();
            stages.map(|stage| (stage.bytes_in, stage.bytes_out, stage.report.clone())).collect::<Vec<_>>()
        };
        assert_eq!(reports(&outcome), reports(&expected), "seed {seed}: the counts of a resumed run");
        assert_eq!(rig.sink.open_uploads(), 0, "seed {seed}: an upload was left behind");
        assert!(rig.shelf.get().is_none(), "seed {seed}: the checkpoint of an ended run");
        let again = rig.bytes_read() - rig.source.size().unwrap();
        assert!(again <= kills * promised, "seed {seed}: {again} bytes read again after {kills} kills");
        resumed += u64::from(outcome.resumed_from.is_some_and(|from| from.source_offset > 0));
    }
    assert!(resumed > 0, "no run went on from the middle: the test shows nothing");
}

#[tokio::test]
async fn an_identity_run_goes_on() {
    killed_runs_end_as_one_that_was_not(pattern(1, 40 << 20), &[], 8).await;
}

#[tokio::test]
async fn a_run_through_stages_goes_on() {
    killed_runs_end_as_one_that_was_not(members(12 << 20), &gunzip_csv_zstd(), 4).await;
}

#[tokio::test]
async fn an_archive_goes_on() {
    let zip = StageSpec::Zip(ZipSpec { entry: Some("a.csv".to_owned()), level: 1 });
    killed_runs_end_as_one_that_was_not(records(12 << 20).into(), &[zip], 4).await;
}

#[tokio::test]
async fn a_member_that_never_ends_is_read_again_from_its_start() {
    let bytes = compress(Codec::Gzip, 1, &records(4 << 20));
    let stages = gunzip_csv_zstd();
    let whole = Rig::new(bytes.clone(), &stages);
    whole.run(u64::MAX, CancellationToken::new()).await.unwrap();
    let mut rig = Rig::new(bytes, &stages);
    let (outcome, _) = rig.run_with_kills(MIB, 5).await;
    assert_eq!(rig.sink.object(), whole.sink.object());
    assert_eq!(outcome.resumed_from, None);
    assert_eq!(rig.sink.open_uploads(), 0);
}

/// A scanner has to see all bytes in one go, whatever a run that was killed had shown it.
#[tokio::test]
async fn a_scan_starts_over() {
    let content = pattern(1, 40 << 20);
    let mut rig = Rig::new(content.clone(), &[StageSpec::Scan(ScanSpec::default())]);
    let StageSpec::Scan(spec) = &mut rig.stages[0] else { unreachable!() };
    spec.max_bytes = ByteSize::mib(64);
    let scanner = MemoryScanner::default().latency(Duration::from_millis(1));
    rig.given.scanner = Some(Arc::new(scanner.clone()));
    rig.kill_halfway().await;
    assert!(rig.shelf.get().unwrap().done.is_none(), "a place was kept that cannot be gone on from");
    let outcome = rig.run(MIB, CancellationToken::new()).await.unwrap();
    assert_eq!((rig.sink.object(), outcome.resumed_from), (Some(content.clone()), None));
    assert_eq!((rig.sink.open_uploads(), rig.shelf.get().is_none()), (0, true));
    let scans = scanner.scans();
    assert!(scans.len() == 2 && scans[0].len() < content.len() && scans[1] == content);
}

/// What was decrypted is not vouched for before the end, so nothing of a run that was killed is taken up.
#[tokio::test]
async fn a_message_is_decrypted_from_its_start() {
    let content = records(3 << 20);
    let stages = [pgp_support::decrypt_by(&["acme"], PgpVerify::Required, &["acme"])];
    let mut rig = Rig::new(pgp_support::gpg("--encrypt --sign -r acme@ -u acme@ -z 0", &content), &stages);
    rig.given.keys = pgp_support::ring(&stages).unwrap();
    rig.memory = 64 * MIB;
    rig.kill_halfway().await;
    let outcome = rig.run(MIB, CancellationToken::new()).await.unwrap();
    assert_eq!((rig.sink.object(), outcome.resumed_from), (Some(content.into()), None));
    assert_eq!((rig.sink.open_uploads(), rig.shelf.get().is_none()), (0, true));
}

#[tokio::test]
async fn an_interrupted_run_keeps_its_upload_and_a_rejected_one_does_not() {
    let rig = Rig::new(pattern(1, 30 << 20), &[]);
    let cancel = CancellationToken::new();
    let stop = async {
        while rig.shelf.get().is_none_or(|checkpoint| checkpoint.done.is_none()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(rig.run(2 * MIB, cancel.clone()), stop);
    let stopped = ended.unwrap_err();
    assert_eq!(stopped.failure.code, Code::Interrupted);
    assert!(stopped.resumable && rig.sink.open_uploads() == 1 && rig.shelf.get().is_some());
    let outcome = rig.run(2 * MIB, CancellationToken::new()).await.unwrap();
    assert!(outcome.resumed_from.is_some());
    assert_eq!((rig.sink.object(), rig.sink.open_uploads()), (Some(pattern(1, 30 << 20)), 0));

    let mut text = records(6 << 20);
    text.extend_from_slice(b"\"broken");
    let rig = Rig::new(text, &gunzip_csv_zstd()[1..]);
    let stopped = rig.run(2 * MIB, CancellationToken::new()).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::Validation);
    assert!(!stopped.resumable && rig.sink.open_uploads() == 0 && rig.shelf.get().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_was_down_is_gone_on_with() {
    let down = vec![Some(Fault::Fails(ErrorKind::Transient)); 200];
    let mut faults = SinkFaults { write: vec![None; 20].into(), ..SinkFaults::default() };
    faults.write.extend(down);
    let mut rig = Rig::new(pattern(1, 30 << 20), &[]);
    rig.sink = rig.sink.faults(faults);
    let stopped = rig.run(2 * MIB, CancellationToken::new()).await.unwrap_err();
    assert_eq!((stopped.failure.code, stopped.resumable), (Code::DestinationUnavailable, true));
    rig.sink = rig.sink.faults(SinkFaults::default());
    let outcome = rig.run(2 * MIB, CancellationToken::new()).await.unwrap();
    assert!(outcome.resumed_from.is_some_and(|from| from.source_offset > 0));
    assert_eq!((rig.sink.object(), rig.sink.open_uploads()), (Some(pattern(1, 30 << 20)), 0));
}

/// `ListParts` is the truth: what the checkpoint says of parts that are not there is worth nothing.
#[tokio::test]
async fn a_lost_upload_is_begun_anew() {
    for lost in ["upload", "part"] {
        let rig = Rig::new(pattern(1, 30 << 20), &[]);
        rig.kill_midway().await;
        rig.sink.lose(lost == "part");
        let outcome = rig.run(2 * MIB, CancellationToken::new()).await.unwrap();
        assert_eq!(outcome.resumed_from, None, "{lost}");
        assert_eq!((rig.sink.object(), rig.sink.open_uploads()), (Some(pattern(1, 30 << 20)), 0), "{lost}");
    }
}

#[tokio::test]
async fn other_bytes_than_before_are_refused() {
    let mut rig = Rig::new(pattern(1, 30 << 20), &[]);
    rig.kill_midway().await;
    // The mark stands half a part before the end of the parts: the other half is made twice.
    let mut checkpoint = rig.shelf.get().unwrap();
    let done = checkpoint.done.as_mut().unwrap();
    let (at, half) = (done.output.len() - LIMITS.min_part, LIMITS.min_part as usize / 2);
    let sent = pattern(1, 30 << 20);
    let before = Crc64::of(&sent[..at as usize + half]);
    (done.packed, done.mark.source, done.mark.position) = (before, before, before.len());
    let digest = |stage: &mut AnyStage| {
        let mut input = Input::default();
        input.push(sent.slice(..at as usize + half));
        stage.step(&mut input, &mut Output::with_room(0)).unwrap();
        stage.save().unwrap()
    };
    for step in &mut done.mark.steps {
        let SavedStep::Chain(stages) = step else { panic!("only digests") };
        for stage in stages {
            (stage.offset, stage.bytes_out, stage.skip) = (before.len(), before.len(), 0);
            stage.state = digest(&mut AnyStage::Sha256(Box::default()));
        }
    }
    rig.shelf.put(&checkpoint);
    rig.source = Arc::new(MemorySource::new(pattern(2, 30 << 20)));
    let stopped = rig.run(2 * MIB, CancellationToken::new()).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::CheckpointRefused);
}

#[test]
fn another_run_is_refused_with_everything_that_differs() {
    let checkpoint = Checkpoint::new(pinned(), Vec::new());
    checkpoint.admit(&Pinned { delivery: "another".to_owned(), ..pinned() }).unwrap();
    let other = Pinned { source: "S2".to_owned(), route: "R2".to_owned(), ..pinned() };
    let failure = checkpoint.admit(&other).unwrap_err();
    assert_eq!(failure.code, Code::CheckpointRefused);
    assert!(failure.message.contains("S2") && failure.message.contains("R2"), "{failure}");
    let newer = Checkpoint { format: 99, ..checkpoint };
    assert!(newer.admit(&pinned()).unwrap_err().message.contains("format 99"));
}
