//! Every wait of the data path, by a clock that stands still but for who waits: how long, how often, and for what.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{ByteSize, Code, route::Limits};
use eft_fakes::{
    MemorySink, MemorySource, SourceFaults,
    faulty::{Call, Dice, FaultySink, FaultySource, FaultyStore, Rule, Trouble},
    pattern,
};
use eft_pipeline::{
    budget::Budget,
    checkpoint::{Checkpoint, CheckpointStore, Interval, Keeper, Pinned, SavedSink},
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{ErrorKind, Frames, ObjectSink, ObjectSource, PortResult, SinkLimits},
    progress::Progress,
    retry::RetryPolicy,
    stored::Stored,
    transfer::{Outcome, Stopped, Transfer},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const KIB: usize = 1 << 10;
const LIMITS: SinkLimits = SinkLimits { min_part: 128 << 10, ..SinkLimits::S3 };
/// The clock's tick: a wait ends with the next one.
const TICK: Duration = Duration::from_millis(1);
/// Several parts.
const SEVERAL: usize = (3 << 20) + 5;
const HOUR: Duration = Duration::from_secs(3600);

fn transfer(source: Arc<dyn ObjectSource>, sink: Arc<dyn ObjectSink>, concurrency: usize) -> Transfer {
    let request = Request {
        archive: None,
        size: source.size(),
        stages: &[],
        limits: &Limits::default(),
        sha256: false,
        given: Given::default(),
        sink: LIMITS,
        memory: ByteSize::mib(64),
        concurrency,
        part_size: Some(ByteSize(LIMITS.min_part)),
        threads: 1,
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
        pool: Pool::new(NonZeroUsize::new(1).unwrap()),
        retry: RetryPolicy::DEFAULT,
        keeper: None,
        progress: Arc::new(Progress::default()),
        cancel: CancellationToken::new(),
    }
}

fn rule(call: Call, trouble: Trouble, times: u64) -> Rule {
    Rule { call, trouble, per_mille: 1000, times }
}

/// A transfer of so many bytes between ports that fail as these rules say; parts are sent from memory.
fn between(bytes: usize, rules: Vec<Rule>) -> (Transfer, Arc<Dice>) {
    to_sink_of(SinkLimits { passes: false, ..LIMITS }, bytes, rules)
}

fn to_sink_of(limits: SinkLimits, bytes: usize, rules: Vec<Rule>) -> (Transfer, Arc<Dice>) {
    let dice = Dice::new(1, rules);
    let source: Arc<dyn ObjectSource> = Arc::new(MemorySource::new(pattern(1, bytes)));
    let sink: Arc<dyn ObjectSink> = Arc::new(MemorySink::default().limits(limits));
    let source = Arc::new(FaultySource { inner: source, dice: Arc::clone(&dice) });
    let sink = Arc::new(FaultySink { inner: sink, dice: Arc::clone(&dice) });
    (transfer(source, sink, 8), dice)
}

#[derive(Default)]
struct Shelf(Mutex<Option<Checkpoint>>);

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

async fn keeper(dice: &Arc<Dice>, time: Duration) -> Result<Keeper, eft_domain::Failure> {
    let text = String::new;
    let pinned =
        Pinned { source: text(), route: text(), destination: text(), plan: text(), delivery: text() };
    let store = Arc::new(FaultyStore { inner: Arc::new(Shelf::default()), dice: Arc::clone(dice) });
    let interval = Interval { bytes: 1 << 40, time };
    Keeper::begin(
        store,
        RetryPolicy::DEFAULT,
        interval,
        Checkpoint::new(pinned, vec![SavedSink::new("memory:sink".to_owned(), vec![])]),
    )
    .await
}

/// Try a call until it is given up, and say when it was made.
async fn given_up(call: Call, kind: ErrorKind) -> (Code, BTreeMap<u64, Vec<Instant>>) {
    let fails = rule(call, Trouble::Fails(kind), u64::MAX);
    // One range and one part, where there need not be several.
    let (bytes, mut rules) = match call {
        Call::Read | Call::Put => (70 * KIB, vec![fails]),
        _ => (SEVERAL, vec![fails]),
    };
    if call == Call::Abort {
        rules.push(rule(Call::Write, Trouble::Fails(ErrorKind::Denied), 1));
    }
    let (transfer, dice) = between(bytes, rules);
    let code = match call {
        Call::Save => keeper(&dice, HOUR).await.err().unwrap().code,
        _ => transfer.run().await.unwrap_err().failure.code,
    };
    (code, dice.times(call))
}

/// Every call is made eight times, after pauses below bounds that double, and longer ones after throttling.
#[tokio::test(start_paused = true)]
async fn pauses_are_drawn_below_bounds_that_double() {
    let cases = [
        (Call::Read, Code::SourceUnavailable),
        (Call::Put, Code::DestinationUnavailable),
        (Call::Begin, Code::DestinationUnavailable),
        (Call::Write, Code::DestinationUnavailable),
        (Call::Commit, Code::DestinationUnavailable),
        (Call::Abort, Code::DestinationAccess),
        (Call::Save, Code::CheckpointUnavailable),
    ];
    let bounds =
        |base: u64| (0..7).map(move |n| Duration::from_millis(base << n).min(Duration::from_secs(20)));
    for (call, expected) in cases {
        for (kind, base) in [(ErrorKind::Transient, 100), (ErrorKind::Throttled, 500)] {
            let (mut most, mut longest) = (0, [Duration::ZERO; 7]);
            for _ in 0..16 {
                let (code, times) = given_up(call, kind).await;
                assert_eq!(code, expected, "{call:?}");
                for made in times.values() {
                    most = most.max(made.len());
                    for (at, pair) in made.windows(2).enumerate() {
                        longest[at] = longest[at].max(pair[1] - pair[0]);
                    }
                }
            }
            assert_eq!(most, 8, "{call:?}");
            for (longest, bound) in longest.into_iter().zip(bounds(base)) {
                // Of sixteen draws one is above a quarter, but once in 2^32.
                assert!(longest <= bound + TICK && longest > bound / 4, "{call:?}: {longest:?} of {bound:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_help_is_not_waited_for() {
    for call in [Call::Read, Call::Put, Call::Begin, Call::Write, Call::Commit, Call::Save] {
        let start = Instant::now();
        let (_, times) = given_up(call, ErrorKind::Denied).await;
        assert!(times.values().all(|made| made.len() == 1), "{call:?}: {times:?}");
        assert_eq!(start.elapsed(), Duration::ZERO, "{call:?}");
    }
}

/// A part that is refused while it is read is sent again from memory, and all its attempts together are as many as ever.
#[tokio::test(start_paused = true)]
async fn attempts_of_a_part_are_counted_whichever_way_it_is_sent() {
    let fails = |call| rule(call, Trouble::Fails(ErrorKind::Transient), u64::MAX);
    let (transfer, dice) = to_sink_of(LIMITS, SEVERAL, vec![fails(Call::Pass), fails(Call::Write)]);
    let stopped = transfer.run().await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::DestinationUnavailable);
    let most = |call| dice.times(call).values().map(Vec::len).max();
    assert_eq!((most(Call::Pass), most(Call::Write)), (Some(1), Some(7)));

    // Whoever is not allowed to send so may be allowed to otherwise, and is not waited for.
    let denied = |call| rule(call, Trouble::Fails(ErrorKind::Denied), u64::MAX);
    let (transfer, dice) = to_sink_of(LIMITS, SEVERAL, vec![denied(Call::Pass), denied(Call::Write)]);
    let start = Instant::now();
    assert_eq!(transfer.run().await.unwrap_err().failure.code, Code::DestinationAccess);
    assert!(dice.times(Call::Write).values().all(|made| made.len() == 1));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// The attempts of a range start anew with every byte, and so do its pauses.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_again_and_again_is_read_on_quickly() {
    let bytes = pattern(3, 100 * KIB);
    let cut = VecDeque::from(vec![Some((5 * KIB, ErrorKind::Transient)); 19]);
    let source = MemorySource::new(bytes.clone()).faults(SourceFaults { cut, ..SourceFaults::default() });
    let sink = MemorySink::default().limits(LIMITS);
    let start = Instant::now();
    transfer(Arc::new(source), Arc::new(sink.clone()), 1).run().await.unwrap();
    assert_eq!(sink.object(), Some(bytes));
    let longest = RetryPolicy::DEFAULT.base * 19;
    assert!(start.elapsed() <= longest + TICK * 19, "{:?}", start.elapsed());
    assert!(start.elapsed() > longest / 10, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_asked_for_again_after_the_idle_time() {
    let idle = Duration::from_secs(5);
    for policy in [RetryPolicy::DEFAULT, RetryPolicy { idle, ..RetryPolicy::DEFAULT }] {
        let (mut transfer, dice) = between(70 * KIB, vec![rule(Call::Read, Trouble::Stall, 1)]);
        transfer.retry = policy;
        transfer.run().await.unwrap();
        // The range is asked for by its start, and on from what has come.
        let times: Vec<_> = dice.times(Call::Read).into_values().flatten().collect();
        let waited = times[1] - times[0];
        assert!(waited >= policy.idle && waited <= policy.idle + policy.base + TICK, "{waited:?}");
    }
    assert_eq!(RetryPolicy::DEFAULT.idle, Duration::from_secs(30));
}

/// A source that takes its time before every frame.
struct Slow {
    bytes: Bytes,
    every: Duration,
    size: Option<u64>,
    reads: Mutex<u32>,
}

impl ObjectSource for Slow {
    fn uri(&self) -> String {
        "slow".to_owned()
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    fn checksum(&self) -> Option<Stored> {
        None
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        *self.reads.lock().unwrap() += 1;
        let end = range.end.min(self.bytes.len() as u64) as usize;
        let body = self.bytes.slice(range.start as usize..end);
        let every = self.every;
        let frames = stream::unfold(body, move |mut body| async move {
            (!body.is_empty()).then_some(())?;
            tokio::time::sleep(every).await;
            let frame = body.split_to(body.len().min(10 * KIB));
            Some((Ok(frame), body))
        });
        async move { Ok(frames.boxed()) }.boxed()
    }
}

async fn slowly(every: Duration, size: Option<u64>) -> (Result<Outcome, Stopped>, u32, Duration) {
    let bytes = pattern(4, 70 * KIB);
    let source = Arc::new(Slow { bytes, every, size, reads: Mutex::default() });
    let start = Instant::now();
    let sink = Arc::new(MemorySink::default().limits(LIMITS));
    let ended = transfer(source.clone(), sink, 1).run().await;
    let reads = *source.reads.lock().unwrap();
    (ended, reads, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_not_a_stalled_one() {
    let idle = RetryPolicy::DEFAULT.idle;
    let len = 70 * KIB as u64;
    let size = Some(len);
    let (ended, reads, took) = slowly(idle - TICK, size).await;
    assert_eq!((ended.unwrap().source.len(), reads), (len, 1));
    assert_eq!(took, (idle - TICK) * 7);
    // A byte is never too late for a stream, which cannot be asked again.
    let (ended, _, took) = slowly(HOUR, None).await;
    assert_eq!((ended.unwrap().source.len(), took), (len, HOUR * 7));
    // One that never has a byte in time is given up.
    let (ended, reads, took) = slowly(idle + TICK, size).await;
    assert_eq!((ended.unwrap_err().failure.code, reads), (Code::SourceUnavailable, 8));
    assert!(took >= idle * 8 && took <= idle * 8 + Duration::from_millis(12_700) + TICK * 8, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_request_halves_what_is_in_flight() {
    for (call, passes) in [(Call::Read, false), (Call::Read, true), (Call::Write, false), (Call::Pass, true)]
    {
        let rules = vec![rule(call, Trouble::Fails(ErrorKind::Throttled), 1)];
        let (transfer, _) = to_sink_of(SinkLimits { passes, ..LIMITS }, SEVERAL, rules);
        let window = if call == Call::Read { &transfer.reading } else { &transfer.writing };
        let before = window.window();
        assert!(before >= 8, "{call:?}: {before}");
        transfer.run().await.unwrap();
        assert_eq!(window.throttles(), 1, "{call:?}");
        // It has grown since, by less than one a round of answers.
        assert!(window.window() < before, "{call:?}: {} of {before}", window.window());
    }
}

/// A place to go on from is kept by time where bytes come slowly.
#[tokio::test(start_paused = true)]
async fn a_place_to_go_on_from_is_kept_by_time() {
    let mut saves = Vec::new();
    for time in [Duration::from_secs(10), HOUR] {
        let dice = Dice::new(1, Vec::new());
        let source = MemorySource::new(pattern(5, 8 << 20)).latency(Duration::from_secs(4));
        let sink = MemorySink::default().limits(LIMITS);
        let mut transfer = transfer(Arc::new(source), Arc::new(sink), 1);
        let ranges = (8u64 << 20).div_ceil(transfer.plan.range_bytes);
        assert!(ranges >= 8, "{ranges} ranges are not enough to tell");
        transfer.keeper = Some(keeper(&dice, time).await.unwrap());
        transfer.run().await.unwrap();
        saves.push((dice.times(Call::Save)[&0].len() as u64, ranges));
    }
    let [(often, ranges), (seldom, _)] = saves[..] else { unreachable!() };
    // The beginning, the upload's id, and that it is being published; otherwise every third range of 4 s.
    assert_eq!(seldom, 3);
    assert!(
        often >= seldom + (ranges - 1) / 3 - 1 && often <= seldom + ranges / 3 + 1,
        "{often} of {ranges}"
    );
}

#[tokio::test(start_paused = true)]
async fn memory_is_waited_for_as_long_as_it_takes_and_no_longer_than_wanted() {
    let (transfer, _) = between(70 * KIB, Vec::new());
    let held = transfer.budget.carve(transfer.plan.memory).await;
    let start = Instant::now();
    let give_back = async {
        tokio::time::sleep(HOUR).await;
        drop(held);
    };
    let (ended, ()) = tokio::join!(transfer.run(), give_back);
    ended.unwrap();
    assert_eq!(start.elapsed(), HOUR);

    let (transfer, _) = between(70 * KIB, Vec::new());
    let _held = transfer.budget.carve(transfer.plan.memory).await;
    let start = Instant::now();
    let stop = async {
        tokio::time::sleep(TICK * 7).await;
        transfer.cancel.cancel();
    };
    let (ended, ()) = tokio::join!(transfer.run(), stop);
    assert_eq!(ended.unwrap_err().failure.code, Code::Interrupted);
    assert_eq!(start.elapsed(), TICK * 7);
}
