//! Whole transfers over memory: right bytes or a right error, nothing partial visible, nothing left behind.

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use eft_domain::{
    ByteSize, Code,
    route::{
        Codec, CompressSpec, CsvSpec, DecompressSpec, Limits, LineEnd, LoneCr, NewlineSpec, StageSpec,
        ValidateSpec,
    },
};
use eft_fakes::{Fault, MemorySink, MemorySource, SinkFaults, SourceFaults, conformance, pattern};
use eft_pipeline::{
    budget::Budget,
    checksum::Crc64,
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{ErrorKind, ObjectSink, ObjectSource, SinkLimits},
    progress::Progress,
    retry::RetryPolicy,
    transfer::{Outcome, Stopped, Transfer},
};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;
const LIMITS: SinkLimits = SinkLimits { min_part: 1 << 20, ..SinkLimits::S3 };

fn request<'a>(size: Option<u64>, stages: &'a [StageSpec], limits: &'a Limits) -> Request<'a> {
    Request {
        archive: None,
        size,
        stages,
        limits,
        sha256: true,
        sink: LIMITS,
        memory: ByteSize::mib(48),
        concurrency: 4,
        part_size: Some(ByteSize::mib(1)),
        threads: 2,
        near: false,
        refuse_empty: false,
        given: Given::default(),
    }
}

fn transfer(source: MemorySource, sinks: &[&MemorySink], stages: &[StageSpec]) -> Transfer {
    let limits = Limits::default();
    let plan = Plan::new(&request(source.size(), stages, &limits)).unwrap();
    Transfer {
        source: Arc::new(source),
        more: None,
        sinks: sinks.iter().map(|sink| Arc::new((*sink).clone()) as Arc<dyn ObjectSink>).collect(),
        budget: Budget::new(plan.memory),
        reading: Concurrency::new(plan.reads),
        writing: Concurrency::new(plan.writes),
        plan,
        pool: Pool::new(NonZeroUsize::new(2).unwrap()),
        retry: RetryPolicy::DEFAULT,
        keeper: None,
        progress: Arc::new(Progress::default()),
        cancel: CancellationToken::new(),
    }
}

async fn run(source: MemorySource, sink: &MemorySink, stages: &[StageSpec]) -> Result<Outcome, Stopped> {
    let ended = transfer(source, &[sink], stages).run().await;
    assert_eq!(sink.open_uploads(), 0, "an upload was left behind");
    if ended.is_err() {
        assert_eq!(sink.object(), None, "a failed transfer published something");
    }
    ended
}

fn sink() -> MemorySink {
    MemorySink::default().limits(LIMITS)
}

fn csv(rows: usize) -> Bytes {
    (0..rows).flat_map(|n| format!("{n},row {n},{}\n", n * 7919).into_bytes()).collect()
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_as_they_are_whatever_their_number() {
    for len in [0, 1, MIB - 1, MIB, MIB + 1, 9 * MIB + 5] {
        let bytes = pattern(len as u64, len);
        let sink = sink();
        let outcome = run(MemorySource::new(bytes.clone()).with_checksum(), &sink, &[]).await.unwrap();
        assert_eq!(sink.object(), Some(bytes.clone()), "{len} bytes");
        assert_eq!((outcome.source, outcome.output), (Crc64::of(&bytes), Crc64::of(&bytes)));
        assert!(outcome.compared.is_some() && outcome.deliveries[0].is_verified());

        let sink = self::sink();
        run(MemorySource::new(bytes.clone()).stream(), &sink, &[]).await.unwrap();
        assert_eq!(sink.object(), Some(bytes), "{len} bytes of a stream");
    }
}

#[tokio::test]
async fn stages_run_in_order_and_are_counted() {
    let bytes = csv(400_000);
    let compress = |codec| StageSpec::Compress(CompressSpec { codec, level: 3 });
    let packed = sink();
    run(MemorySource::new(bytes.clone()), &packed, &[compress(Codec::Gzip)]).await.unwrap();
    let packed = packed.object().unwrap();
    assert!(packed.len() < bytes.len() / 2);

    let stages = [
        StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip }),
        StageSpec::Validate(ValidateSpec::Csv(CsvSpec::default())),
        compress(Codec::Zstd),
    ];
    let repacked = sink();
    let outcome = run(MemorySource::new(packed), &repacked, &stages).await.unwrap();
    let names: Vec<_> = outcome.stages.iter().map(|stage| stage.info.name).collect();
    assert_eq!(names, ["digest.sha256", "decompress", "validate.csv", "compress", "digest.sha256"]);
    assert_eq!(outcome.stages[2].report.records, Some(400_000));

    let back = sink();
    let stages = [StageSpec::Decompress(DecompressSpec { codec: Codec::Zstd })];
    run(MemorySource::new(repacked.object().unwrap()), &back, &stages).await.unwrap();
    assert_eq!(back.object(), Some(bytes));
}

/// A slice passes the source's own bytes on, through a window of new bytes.
#[tokio::test]
async fn text_stages_carry_objects_larger_than_their_windows() {
    let text = csv(500_000);
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    let bytes = Bytes::from([b"\xef\xbb\xbf", &text[..]].concat());
    let crlf = StageSpec::Newline(NewlineSpec { to: LineEnd::CrLf, lone_cr: LoneCr::Keep });
    for (stages, len) in [
        (vec![StageSpec::StripBom], text.len()),
        (vec![StageSpec::StripBom, crlf.clone()], text.len() + lines),
        (vec![crlf, StageSpec::StripBom], text.len() + lines),
    ] {
        let sink = sink();
        run(MemorySource::new(bytes.clone()), &sink, &stages).await.unwrap();
        let made = sink.object().unwrap();
        assert_eq!(made.len(), len);
        assert!(made.iter().filter(|byte| **byte != b'\r').eq(text.iter()));
    }
}

#[tokio::test]
async fn a_rejected_file_is_not_visible_and_says_where() {
    let mut bytes = csv(200_000).to_vec();
    let at = bytes.len() - 9;
    bytes[at] = b'\n';
    let sink = sink();
    let stages = [StageSpec::Validate(ValidateSpec::Csv(CsvSpec::default()))];
    let stopped = run(MemorySource::new(bytes), &sink, &stages).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::Validation, "{}", stopped.failure);
    let csv = stopped.stages.iter().find(|stage| stage.info.name == "validate.csv").unwrap();
    assert_eq!(csv.report.rejects[0].record, 200_001);
}

#[tokio::test(start_paused = true)]
async fn broken_bodies_are_resumed_from_the_last_good_byte() {
    let bytes = pattern(1, 6 * MIB);
    let transient = ErrorKind::Transient;
    let faults = SourceFaults {
        read: VecDeque::from([None, Some(ErrorKind::Throttled), Some(transient)]),
        cut: VecDeque::from([Some((100_000, transient)), None, None, Some((MIB / 2, transient))]),
        short: VecDeque::from([None, None, None, None, None, Some(70_000)]),
        stall: VecDeque::from([None, None, None, None, None, None, Some(MIB / 3)]),
        ..SourceFaults::default()
    };
    let sink = sink();
    run(MemorySource::new(bytes.clone()).with_checksum().faults(faults), &sink, &[]).await.unwrap();
    assert_eq!(sink.object(), Some(bytes));
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_read_again_once_and_then_refused() {
    let bytes = pattern(2, 3 * MIB);
    let flipped = |times: usize| {
        let flip = VecDeque::from(vec![Some(12_345); times]);
        let faults = SourceFaults { flip, ..SourceFaults::default() };
        MemorySource::new(bytes.clone()).with_checksum().faults(faults)
    };
    let healed = sink();
    run(flipped(1), &healed, &[]).await.unwrap();
    assert_eq!(healed.object(), Some(bytes.clone()));
    let stopped = run(flipped(100), &sink(), &[]).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::IntegritySource);
}

/// A stage meets the damage before the checksum is known: the file is read on to its end before anybody is blamed.
#[tokio::test]
async fn damage_on_the_way_is_not_taken_for_a_broken_file() {
    let bytes = csv(200_000);
    let check = [StageSpec::Validate(ValidateSpec::Csv(CsvSpec::default()))];
    // A record separator becomes another character: a field too many. In the first of several ranges.
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let source = |bytes: Bytes, times: usize| {
        let flip = VecDeque::from(vec![Some(at); times]);
        MemorySource::new(bytes).with_checksum().faults(SourceFaults { flip, ..SourceFaults::default() })
    };
    let healed = sink();
    run(source(bytes.clone(), 1), &healed, &check).await.unwrap();
    assert_eq!(healed.object(), Some(bytes.clone()));
    let stopped = run(source(bytes.clone(), 1000), &sink(), &check).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::IntegritySource);

    let broken = Bytes::from([&bytes[..], b"a,b\n"].concat());
    let stopped = run(source(broken, 0), &sink(), &check).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::Validation);
}

/// A damaged record, and then a source that cannot be read on: whose fault it is cannot be told.
#[tokio::test]
async fn nobody_is_blamed_for_what_cannot_be_read() {
    let bytes = csv(200_000);
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let faults = SourceFaults {
        flip: VecDeque::from([Some(at * 8)]),
        read: VecDeque::from([None, Some(ErrorKind::Denied), Some(ErrorKind::Denied)]),
        ..SourceFaults::default()
    };
    // The stage meets the damage in the first range while the second is waited for.
    let source = MemorySource::new(bytes).with_checksum().faults(faults).latency(Duration::from_millis(300));
    let sink = sink();
    let check = [StageSpec::Validate(ValidateSpec::Csv(CsvSpec::default()))];
    let mut transfer = transfer(source, &[&sink], &check);
    transfer.reading = Concurrency::new(1);
    let stopped = transfer.run().await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::SourceAccess, "{}", stopped.failure);
    assert_eq!((sink.object(), sink.open_uploads()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_gone_or_changed_is_not_tried_again() {
    for (kind, code) in [(ErrorKind::NotFound, Code::SourceGone), (ErrorKind::Changed, Code::SourceChanged)] {
        let faults =
            SourceFaults { read: VecDeque::from([None, None, Some(kind)]), ..SourceFaults::default() };
        let stopped =
            run(MemorySource::new(pattern(3, 5 * MIB)).faults(faults), &sink(), &[]).await.unwrap_err();
        assert_eq!(stopped.failure.code, code);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_are_sent_again_and_a_full_disk_is_not() {
    let bytes = pattern(4, 5 * MIB);
    let again = [Fault::Fails(ErrorKind::Transient), Fault::DoneButFails(ErrorKind::Transient)];
    let write = again.into_iter().map(Some).collect();
    let healed = sink().faults(SinkFaults { write, ..SinkFaults::default() });
    run(MemorySource::new(bytes.clone()), &healed, &[]).await.unwrap();
    assert_eq!(healed.object(), Some(bytes.clone()));

    let write = VecDeque::from([None, Some(Fault::Fails(ErrorKind::Full))]);
    let full = sink().faults(SinkFaults { write, ..SinkFaults::default() });
    let stopped = run(MemorySource::new(bytes), &full, &[]).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::DestinationFull);
}

#[tokio::test(start_paused = true)]
async fn one_sink_of_two_may_fail() {
    let bytes = pattern(5, 5 * MIB);
    let good = sink();
    let write = VecDeque::from([Some(Fault::Fails(ErrorKind::Denied))]);
    let bad = sink().faults(SinkFaults { write, ..SinkFaults::default() });
    let outcome = transfer(MemorySource::new(bytes.clone()), &[&good, &bad], &[]).run().await.unwrap();
    assert!(outcome.deliveries[0].result.is_ok());
    assert_eq!(outcome.deliveries[1].result.as_ref().unwrap_err().code, Code::DestinationAccess);
    assert_eq!((good.object(), bad.object()), (Some(bytes), None));
    assert_eq!((good.open_uploads(), bad.open_uploads()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn stopping_at_any_moment_leaves_nothing_behind() {
    for moment in (0..400).step_by(7) {
        let sink = sink().latency(Duration::from_millis(40));
        let source = MemorySource::new(pattern(6, 8 * MIB)).latency(Duration::from_millis(15));
        let transfer = transfer(source, &[&sink], &[]);
        let stop = async {
            tokio::time::sleep(Duration::from_millis(moment)).await;
            transfer.cancel.cancel();
        };
        let (ended, ()) = tokio::join!(transfer.run(), stop);
        assert_eq!(sink.open_uploads(), 0, "stopped after {moment} ms");
        match ended {
            Ok(_) => assert!(sink.object().is_some()),
            Err(stopped) => {
                assert_eq!(stopped.failure.code, Code::Interrupted);
                assert_eq!(sink.object(), None, "stopped after {moment} ms");
            }
        }
    }
}

#[test]
fn every_order_of_stages_has_a_plan_within_its_memory() {
    let limits = Limits::default();
    let all = [
        StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip }),
        StageSpec::Decompress(DecompressSpec { codec: Codec::Zstd }),
        StageSpec::StripBom,
        StageSpec::Validate(ValidateSpec::Utf8),
        StageSpec::Compress(CompressSpec { codec: Codec::Gzip, level: 6 }),
        StageSpec::Compress(CompressSpec { codec: Codec::Zstd, level: 3 }),
    ];
    for case in 0..all.len().pow(3) {
        let stages: Vec<_> =
            (0..3).map(|place| all[case / all.len().pow(place) % all.len()].clone()).collect();
        for sha256 in [false, true] {
            for memory in [8, 32, 64, 256] {
                let memory = ByteSize::mib(memory);
                let far =
                    Request { sha256, memory, part_size: None, ..request(Some(1 << 40), &stages, &limits) };
                let plans = [Plan::new(&far), Plan::new(&Request { near: true, ..far })];
                for plan in &plans {
                    match plan {
                        Ok(plan) => {
                            assert!(plan.memory <= memory.bytes() && plan.schedule.largest() < plan.memory)
                        }
                        Err(failure) => assert_eq!(failure.code, Code::PlanRefused),
                    }
                }
                // What can be made from S3 can be made from a file.
                let [far, near] = plans.map(|plan| plan.map_or(0, |plan| plan.schedule.reach()));
                assert!(near >= far / 100 * 97, "{stages:?} {memory}: {near} of {far}");
            }
        }
    }
}

/// The memory that a refusal names is enough: no window waits for a lease that waits for the window.
#[tokio::test]
async fn the_memory_that_is_named_suffices() {
    let zstd = [StageSpec::Compress(CompressSpec { codec: Codec::Zstd, level: 3 })];
    let gzip = [StageSpec::Compress(CompressSpec { codec: Codec::Gzip, level: 1 })];
    let table = [StageSpec::Validate(ValidateSpec::Csv(CsvSpec::default()))];
    let both =
        [table[0].clone(), zstd[0].clone(), StageSpec::Decompress(DecompressSpec { codec: Codec::Zstd })];
    let rows = csv(1_500_000);
    let zeros = Bytes::from(vec![0; 48 * MIB]);
    let cases: [(&[StageSpec], &Bytes); 5] =
        [(&[], &rows), (&table, &rows), (&zstd, &rows), (&both, &rows), (&gzip, &zeros)];
    for (stages, bytes) in cases {
        for stream in [false, true] {
            // A part that is not a multiple of what ranges are cut by, or what the plan takes between files.
            for (concurrency, near) in [(1, false), (4, false), (1, true), (4, true)] {
                let source = MemorySource::new(bytes.clone()).with_checksum();
                let source = if stream { source.stream() } else { source };
                let limits = Limits::default();
                let request = |memory| Request {
                    memory: ByteSize(memory),
                    concurrency,
                    part_size: (!near).then_some(ByteSize((3 << 20) + 4096)),
                    near,
                    ..request(source.size(), stages, &limits)
                };
                let refusal = Plan::new(&request(1024)).unwrap_err();
                let named: ByteSize = refusal.message.rsplit(' ').next().unwrap().parse().unwrap();
                let plan = Plan::new(&request(named.bytes())).unwrap();
                let sink = sink();
                let mut transfer = transfer(source, &[&sink], stages);
                (transfer.budget, transfer.plan) = (Budget::new(plan.memory), plan);
                transfer.run().await.unwrap();
                assert!(sink.object().is_some(), "{stages:?} {stream} {concurrency} {near}");
            }
        }
    }
}

/// Memory follows the object: two parts of a known size, and parts that reach what an unknown one may become.
#[test]
fn memory_suits_the_object() {
    let limits = Limits::default();
    let gunzip = [StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip })];
    let zstd = [StageSpec::Compress(CompressSpec { codec: Codec::Zstd, level: 3 })];
    let memory = |size: u64, stages: &[StageSpec]| {
        let request =
            Request { sink: SinkLimits::S3, part_size: None, ..request(Some(size), stages, &limits) };
        let plan = Plan::with_memory_to_suit(&request).unwrap();
        assert!(plan.schedule.reach() >= size.min(SinkLimits::S3.max_object));
        plan.memory >> 20
    };
    let tib = 1 << 40;
    for stages in [&[][..], &gunzip, &zstd] {
        assert_eq!(memory(1 << 30, stages), 128);
    }
    assert_eq!(memory(tib, &[]), 256);
    assert!((128..=512).contains(&memory(tib, &zstd)));
    assert!((512..=4096).contains(&memory(tib, &gunzip)));
    assert!(memory(SinkLimits::S3.max_object, &[]) <= 16 << 10);
    assert!(memory(SinkLimits::S3.max_object, &gunzip) <= 16 << 10);
}

struct Memory(std::sync::Mutex<std::collections::HashMap<String, MemorySink>>);

impl Memory {
    fn at(&self, name: &str) -> MemorySink {
        self.0.lock().unwrap().entry(name.to_owned()).or_default().clone()
    }
}

impl conformance::Place for Memory {
    fn sink(&self, name: &str) -> BoxFuture<'_, Arc<dyn ObjectSink>> {
        let sink = self.at(name);
        async move { Arc::new(sink) as Arc<dyn ObjectSink> }.boxed()
    }

    fn source(&self, name: &str) -> BoxFuture<'_, Arc<dyn ObjectSource>> {
        let source = MemorySource::new(self.at(name).object().unwrap()).with_checksum();
        async move { Arc::new(source) as Arc<dyn ObjectSource> }.boxed()
    }

    fn visible(&self, name: &str) -> BoxFuture<'_, Option<Bytes>> {
        let object = self.at(name).object();
        async move { object }.boxed()
    }

    fn leftovers(&self) -> BoxFuture<'_, usize> {
        let open = self.0.lock().unwrap().values().map(MemorySink::open_uploads).sum();
        async move { open }.boxed()
    }
}

#[tokio::test]
async fn the_memory_fake_conforms() {
    conformance::run(&Memory(std::sync::Mutex::default())).await;
}

/// An upload that is gone, or that the store refuses to complete, takes all of the object with it: sent again, once.
#[tokio::test(start_paused = true)]
async fn a_spent_upload_is_begun_anew_once() {
    let bytes = pattern(7, 5 * MIB + 1);
    let spent = |times: usize| VecDeque::from(vec![Some(Fault::Fails(ErrorKind::Spent)); times]);
    let in_commit = |times| SinkFaults { commit: spent(times), ..SinkFaults::default() };
    let in_write = |times| SinkFaults { write: spent(times), ..SinkFaults::default() };
    for faults in [in_commit(1), in_write(1)] {
        let sink = sink().faults(faults);
        let transfer = transfer(MemorySource::new(bytes.clone()).with_checksum(), &[&sink], &[]);
        let outcome = transfer.run().await.unwrap();
        assert_eq!((sink.object(), sink.open_uploads()), (Some(bytes.clone()), 0));
        assert_eq!((outcome.source, outcome.deliveries[0].parts), (Crc64::of(&bytes), 6));
        let progress = transfer.progress.snapshot();
        assert_eq!((progress.read, progress.parts), (bytes.len() as u64, 6));
        assert!(progress.reread > 0);
    }
    for faults in [in_commit(2), in_write(20)] {
        let sink = sink().faults(faults);
        let source = MemorySource::new(bytes.clone());
        let stopped = run(source, &sink, &[]).await.unwrap_err();
        assert_eq!(stopped.failure.code, Code::DestinationUnavailable);
    }
    // A stream can be read once.
    let sink = sink().faults(in_commit(1));
    let stopped = run(MemorySource::new(bytes).stream(), &sink, &[]).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::DestinationUnavailable);
}
