//! Parts that are sent while they are read: which are, and what becomes of those that fail on the way.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{ByteSize, Code, route::Limits};
use eft_fakes::{
    MemorySink, MemorySource, SourceFaults,
    faulty::{Call, Dice, FaultySink, Rule, Trouble},
    pattern,
};
use eft_pipeline::{
    budget::Budget,
    checkpoint::{Checkpoint, CheckpointStore, Interval, Keeper, Pinned, SavedSink},
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{ErrorKind, ObjectSink, ObjectSource, PortResult, SinkLimits},
    progress::Progress,
    retry::RetryPolicy,
    stored::Stored,
    transfer::{Outcome, Stopped, Transfer},
};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

const PART: u64 = 1 << 20;
const LIMITS: SinkLimits = SinkLimits { min_part: PART, ..SinkLimits::S3 };
/// Twelve parts and a bit.
const SIZE: usize = 12 * PART as usize + 5;
const PARTS: usize = 13;

struct Rig {
    content: Bytes,
    source: Arc<MemorySource>,
    sink: MemorySink,
    dice: Arc<Dice>,
    progress: Arc<Progress>,
    memory: ByteSize,
    keeper: Option<Keeper>,
}

fn rule(call: Call, trouble: Trouble, times: u64) -> Rule {
    Rule { call, trouble, per_mille: 1000, times }
}

impl Rig {
    fn new(rules: Vec<Rule>) -> Self {
        let content = pattern(1, SIZE);
        Self {
            source: Arc::new(MemorySource::new(content.clone()).with_checksum().frame(100_003)),
            content,
            sink: MemorySink::default().limits(LIMITS).latency(Duration::from_millis(3)),
            dice: Dice::new(1, rules),
            progress: Arc::default(),
            memory: ByteSize::mib(16),
            keeper: None,
        }
    }

    fn faults(mut self, faults: SourceFaults) -> Self {
        let source = MemorySource::new(self.content.clone()).with_checksum().frame(100_003);
        self.source = Arc::new(source.faults(faults));
        self
    }

    async fn run(&self) -> Result<Outcome, Stopped> {
        self.run_of(self.source.clone()).await
    }

    async fn run_of(&self, source: Arc<dyn ObjectSource>) -> Result<Outcome, Stopped> {
        let request = Request {
            archive: None,
            size: source.size(),
            stages: &[],
            limits: &Limits::default(),
            sha256: false,
            given: Given::default(),
            sink: LIMITS,
            memory: self.memory,
            concurrency: 4,
            part_size: Some(ByteSize(PART)),
            threads: 1,
            near: false,
            refuse_empty: false,
        };
        let plan = Plan::new(&request).unwrap();
        let sink = FaultySink { inner: Arc::new(self.sink.clone()), dice: Arc::clone(&self.dice) };
        let transfer = Transfer {
            source,
            more: None,
            sinks: vec![Arc::new(sink) as Arc<dyn ObjectSink>],
            budget: Budget::new(plan.memory),
            reading: Concurrency::new(plan.reads),
            writing: Concurrency::new(plan.writes),
            plan,
            pool: Pool::new(NonZeroUsize::MIN),
            retry: RetryPolicy::DEFAULT,
            keeper: self.keeper.clone(),
            progress: Arc::clone(&self.progress),
            cancel: CancellationToken::new(),
        };
        transfer.run().await
    }

    /// How many parts were sent while they were read, and how many from memory.
    fn sent(&self) -> (usize, usize) {
        let count = |call| self.dice.times(call).values().map(Vec::len).sum();
        (count(Call::Pass), count(Call::Write))
    }

    fn assert_delivered(&self) {
        assert!(self.sink.object().is_some_and(|object| object == self.content), "other bytes");
        assert_eq!(self.sink.open_uploads(), 0);
        assert_eq!(self.progress.snapshot().read, SIZE as u64, "each byte counts once");
        assert_eq!(self.progress.snapshot().written, SIZE as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn each_part_is_read_into_the_request_that_sends_it() {
    let rig = Rig::new(Vec::new());
    let outcome = rig.run().await.unwrap();
    rig.assert_delivered();
    assert_eq!(rig.sent(), (PARTS, 0));
    assert_eq!((rig.source.reads().len(), outcome.deliveries[0].parts as usize), (PARTS, PARTS));
    assert_eq!((outcome.source, outcome.output), (outcome.output, outcome.source));
    assert_eq!(outcome.compared, Some("CRC-64/NVME"));
    let most = rig.sink.most_parts_at_once();
    assert!((2..=4).contains(&most), "{most} parts at once");
}

#[tokio::test(start_paused = true)]
async fn what_memory_holds_is_all_that_is_under_way() {
    // The second time each of them has to be held.
    for rules in [Vec::new(), vec![rule(Call::Pass, Trouble::Fails(ErrorKind::Unsupported), u64::MAX)]] {
        let rig = Rig { memory: ByteSize::mib(2), ..Rig::new(rules) };
        rig.run().await.unwrap();
        rig.assert_delivered();
        assert!(rig.sink.most_parts_at_once() <= 2, "{} parts at once", rig.sink.most_parts_at_once());
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_refused_is_read_again_and_sent_from_memory() {
    for kind in [ErrorKind::Transient, ErrorKind::Throttled, ErrorKind::Checksum, ErrorKind::Unsupported] {
        for trouble in [Trouble::Fails(kind), Trouble::DoneButFails(kind)] {
            let rig = Rig::new(vec![rule(Call::Pass, trouble, 2)]);
            rig.run().await.unwrap();
            rig.assert_delivered();
            assert_eq!((rig.sent(), rig.source.reads().len()), ((PARTS, 2), PARTS + 2), "{trouble:?}");
            assert_eq!(rig.progress.snapshot().retries, 2);
            assert!((1..=2 * PART).contains(&rig.progress.snapshot().reread), "{trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_three_in_a_row_no_more_are_tried() {
    let fails = |kind| vec![rule(Call::Pass, Trouble::Fails(kind), u64::MAX)];
    let rig = Rig::new(fails(ErrorKind::Transient));
    rig.run().await.unwrap();
    rig.assert_delivered();
    let (passed, written) = rig.sent();
    // Those that are under way with the third.
    assert!((3..=6).contains(&passed) && written == PARTS, "{passed} tried, {written} from memory");
    // To slow down is asked of whatever is sent.
    let rig = Rig::new(fails(ErrorKind::Throttled));
    rig.run().await.unwrap();
    rig.assert_delivered();
    assert_eq!(rig.sent(), (PARTS, PARTS));
}

/// The sink would be gone by then.
#[tokio::test(start_paused = true)]
async fn a_source_that_stalls_is_asked_again_before_the_sink_gives_up() {
    let stall = VecDeque::from(vec![None, Some(300_000)]);
    let rig = Rig::new(Vec::new()).faults(SourceFaults { stall, ..SourceFaults::default() });
    let start = tokio::time::Instant::now();
    rig.run().await.unwrap();
    rig.assert_delivered();
    assert_eq!(rig.sent(), (PARTS, 0));
    assert!(start.elapsed() < Duration::from_secs(11), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_goes_on_within_its_part() {
    let cut = VecDeque::from(vec![
        None,
        Some((700_000, ErrorKind::Transient)),
        None,
        Some((5, ErrorKind::Throttled)),
    ]);
    let rig = Rig::new(Vec::new()).faults(SourceFaults { cut, ..SourceFaults::default() });
    rig.run().await.unwrap();
    rig.assert_delivered();
    assert_eq!((rig.sent(), rig.source.reads().len()), ((PARTS, 0), PARTS + 2));
    assert_eq!(rig.progress.snapshot().reread, 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_midway_is_not_the_sinks_fault() {
    let cut = VecDeque::from(vec![None, None, Some((700_000, ErrorKind::Changed))]);
    let rig = Rig::new(Vec::new()).faults(SourceFaults { cut, ..SourceFaults::default() });
    let stopped = rig.run().await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::SourceChanged);
    assert_eq!((rig.sink.object(), rig.sink.open_uploads()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn other_bytes_than_the_stores_checksum_are_not_published() {
    let flip = VecDeque::from(vec![Some(77); 4 * PARTS]);
    let rig = Rig::new(Vec::new()).faults(SourceFaults { flip, ..SourceFaults::default() });
    let stopped = rig.run().await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::IntegritySource);
    assert_eq!((rig.sink.object(), rig.sink.open_uploads()), (None, 0));
    // Once is the way's fault, and read once more.
    let flip = VecDeque::from(vec![Some(77)]);
    let rig = Rig::new(Vec::new()).faults(SourceFaults { flip, ..SourceFaults::default() });
    rig.run().await.unwrap();
    rig.assert_delivered();
    assert_eq!(rig.sent(), (2 * PARTS, 0));
}

/// With a checksum that is made in the order of the bytes.
struct Ordered(Arc<MemorySource>, Stored);

impl ObjectSource for Ordered {
    fn uri(&self) -> String {
        self.0.uri()
    }

    fn size(&self) -> Option<u64> {
        self.0.size()
    }

    fn checksum(&self) -> Option<Stored> {
        Some(self.1)
    }

    fn read(&self, range: std::ops::Range<u64>) -> BoxFuture<'_, PortResult<eft_pipeline::port::Frames>> {
        self.0.read(range)
    }
}

#[tokio::test(start_paused = true)]
async fn a_checksum_that_is_made_in_order_is_still_compared() {
    use sha2::{Digest as _, Sha256};
    let rig = Rig::new(Vec::new());
    let right: [u8; 32] = Sha256::digest(&rig.content).into();
    let outcome = rig.run_of(Arc::new(Ordered(rig.source.clone(), Stored::Sha256(right)))).await.unwrap();
    assert_eq!((outcome.compared, rig.sent()), (Some("SHA-256"), (0, PARTS)));
    rig.assert_delivered();

    let rig = Rig::new(Vec::new());
    let wrong = Stored::Sha256([7; 32]);
    let stopped = rig.run_of(Arc::new(Ordered(rig.source.clone(), wrong))).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::IntegritySource);
}

#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Option<Checkpoint>>>);

impl CheckpointStore for Shelf {
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>> {
        *self.0.lock().unwrap() = Some(checkpoint.clone());
        async { Ok(()) }.boxed()
    }

    fn remove(&self) -> BoxFuture<'_, PortResult<()>> {
        self.0.lock().unwrap().take();
        async { Ok(()) }.boxed()
    }
}

/// Whether it passes or not, a run goes on from what the other has left.
#[tokio::test(start_paused = true)]
async fn a_run_goes_on_from_where_parts_of_the_other_kind_have_ended() {
    for first_passes in [true, false] {
        let shelf = Shelf::default();
        let interval = Interval { bytes: 3 * PART, time: Duration::from_secs(3600) };
        let text = String::new;
        let pinned =
            Pinned { source: text(), route: text(), destination: text(), plan: text(), delivery: text() };
        let new = Checkpoint::new(pinned, vec![SavedSink::new("memory:sink".to_owned(), vec![])]);
        let keeper = Keeper::begin(Arc::new(shelf.clone()), RetryPolicy::DEFAULT, interval, new).await;

        let mut rig = Rig { keeper: Some(keeper.unwrap()), ..Rig::new(Vec::new()) };
        rig.sink = rig.sink.limits(SinkLimits { passes: first_passes, ..LIMITS });
        let done = || shelf.0.lock().unwrap().as_ref().and_then(|saved| saved.done.clone());
        let killed = async {
            while done().is_none_or(|done| done.parts < 4) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            () = killed => {}
            ended = rig.run() => panic!("it ended: {:?}", ended.is_ok()),
        }
        let (done, saved) = (done().unwrap(), shelf.0.lock().unwrap().clone().unwrap());
        let read = rig.progress.snapshot().read;
        assert!(read - done.output.len() <= interval.bytes, "{read} read, {} kept", done.output.len());

        rig.sink = rig.sink.limits(SinkLimits { passes: !first_passes, ..LIMITS });
        rig.keeper = Some(Keeper::resume(Arc::new(shelf.clone()), RetryPolicy::DEFAULT, interval, saved));
        let before = rig.sent();
        let outcome = rig.run().await.unwrap();
        let from = outcome.resumed_from.unwrap();
        assert_eq!(from.parts, done.parts);
        rig.assert_delivered();
        let (passed, written) = (rig.sent().0 - before.0, rig.sent().1 - before.1);
        let left = PARTS - done.parts as usize;
        assert_eq!((passed, written), if first_passes { (0, left) } else { (left, 0) });
        assert!(shelf.0.lock().unwrap().is_none());
    }
}
