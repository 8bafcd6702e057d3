//! `split`: the objects are the file, cut between records; all of them or none are published.

use crate::pgp_support;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use crate::codec_support::{self, decompress};
use bytes::Bytes;
use eft_domain::{
    ByteSize, Code,
    route::{
        Codec, Columns, CompressSpec, CsvSpec, DecompressSpec, DialectSpec, DropSpec, Limits, PgpVerify,
        RecordsSpec, SplitSpec, StageSpec, ValidateSpec,
    },
};
use eft_fakes::{Fault, MemorySink, MemorySource, SinkFaults};
use eft_pipeline::{
    budget::Budget,
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{ErrorKind, Numbered, ObjectSink, PortResult, SinkLimits},
    retry::RetryPolicy,
    transfer::{Outcome, Stopped, Transfer},
};
use futures::{FutureExt, future::BoxFuture};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

const LIMITS: SinkLimits = SinkLimits { min_part: 64 << 10, ..SinkLimits::S3 };

/// Sinks that are made when they are asked for.
#[derive(Default)]
struct Places {
    sinks: Mutex<Vec<MemorySink>>,
    /// The faults of the sink with this number.
    faulty: Mutex<Option<(u64, SinkFaults)>>,
}

impl Places {
    fn place(&self, number: u64) -> MemorySink {
        let mut sinks = self.sinks.lock().unwrap();
        assert_eq!(sinks.len() as u64 + 1, number, "in order, each once");
        let faults = self.faulty.lock().unwrap().take_if(|(at, _)| *at == number);
        let sink = MemorySink::default().limits(LIMITS);
        let sink = match faults {
            Some((_, faults)) => sink.faults(faults),
            None => sink,
        };
        sinks.push(sink.clone());
        sink
    }

    fn objects(&self) -> Vec<Option<Bytes>> {
        self.sinks.lock().unwrap().iter().map(MemorySink::object).collect()
    }

    fn open_uploads(&self) -> usize {
        self.sinks.lock().unwrap().iter().map(|sink| sink.open_uploads()).sum()
    }
}

impl Numbered for Places {
    fn open(&self, number: u64, _: usize) -> BoxFuture<'_, PortResult<Arc<dyn ObjectSink>>> {
        async move { Ok(Arc::new(self.place(number)) as Arc<dyn ObjectSink>) }.boxed()
    }
}

async fn run(
    file: &Bytes,
    stages: &[StageSpec],
    limits: &Limits,
    places: &Arc<Places>,
) -> Result<Outcome, Stopped> {
    let given = Given { keys: pgp_support::ring(stages).unwrap(), ..Given::default() };
    let request = Request {
        size: Some(file.len() as u64),
        stages,
        archive: None,
        limits,
        sha256: false,
        given,
        sink: LIMITS,
        memory: ByteSize::mib(48),
        concurrency: 3,
        part_size: Some(ByteSize(LIMITS.min_part)),
        threads: 2,
        near: false,
        refuse_empty: false,
    };
    let plan = Plan::new(&request).unwrap();
    let transfer = Transfer {
        source: Arc::new(MemorySource::new(file.clone()).with_checksum()),
        sinks: vec![Arc::new(places.place(1))],
        more: Some(places.clone()),
        budget: Budget::new(plan.memory),
        reading: Concurrency::new(plan.reads),
        writing: Concurrency::new(plan.writes),
        plan,
        pool: Pool::new(NonZeroUsize::new(2).unwrap()),
        retry: RetryPolicy::DEFAULT,
        keeper: None,
        progress: Arc::default(),
        cancel: CancellationToken::new(),
    };
    transfer.run().await
}

fn split(after_records: Option<u64>, after_bytes: Option<u64>, header: bool) -> SplitSpec {
    SplitSpec {
        after_records,
        after_bytes: after_bytes.map(ByteSize),
        header,
        max_outputs: 10_000,
        records: RecordsSpec::Csv(DialectSpec::default()),
    }
}

/// What Python's `csv` would call records is what no generated file needs to know here: each is given.
fn expected(records: &[Vec<u8>], spec: &SplitSpec) -> Vec<Vec<u8>> {
    let header = records.first().filter(|_| spec.header).cloned().unwrap_or_default();
    let mut objects = vec![header.clone()];
    let mut held = 0;
    for record in &records[usize::from(spec.header && !records.is_empty())..] {
        let last = objects.last_mut().unwrap();
        let full = spec.after_records.is_some_and(|most| held >= most)
            || (held > 0 && spec.after_bytes.is_some_and(|most| last.len() as u64 >= most.bytes()));
        if full {
            held = 0;
            objects.push(header.clone());
        }
        objects.last_mut().unwrap().extend_from_slice(record);
        held += 1;
    }
    objects
}

fn now(
    file: Vec<u8>,
    stages: &[StageSpec],
    limits: &Limits,
    places: &Arc<Places>,
) -> Result<Outcome, Stopped> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(&file.into(), stages, limits, places))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_objects_are_the_file_between_records(
        fields in proptest::collection::vec(("[a-c,\n]{0,6}", 1usize..4), 0..60),
        // From records of a few bytes to several ranges and parts.
        repeat in prop_oneof![Just(1usize), Just(3_000), Just(40_000)],
        after_records in proptest::option::of(1u64..20),
        after_bytes in proptest::option::of(1u64..2_000_000),
        header in any::<bool>(),
    ) {
        prop_assume!(after_records.is_some() || after_bytes.is_some());
        let records: Vec<Vec<u8>> = fields
            .iter()
            .map(|(text, wide)| format!("\"{}\",{}\n", text.repeat(repeat.min(4_000)), "x".repeat(*wide)).into_bytes())
            .collect();
        let spec = split(after_records, after_bytes, header);
        let places = Arc::new(Places::default());
        let outcome = now(records.concat(), &[StageSpec::Split(spec)], &Limits::default(), &places).unwrap();
        let expected = expected(&records, &spec);
        prop_assert_eq!(outcome.deliveries.len(), expected.len());
        let objects: Vec<_> = places.objects().into_iter().map(|object| object.unwrap().to_vec()).collect();
        prop_assert!(objects == expected, "{} objects, {} expected", objects.len(), expected.len());
        for (delivery, object) in outcome.deliveries.iter().zip(&objects) {
            let whole = delivery.result.as_ref().unwrap().whole.unwrap();
            prop_assert_eq!(whole, eft_pipeline::checksum::Crc64::of(object));
        }
        let report = &outcome.stages[0].report;
        prop_assert_eq!(report.frames, Some(expected.len() as u64));
        prop_assert_eq!(report.records, Some((records.len() as u64).saturating_sub(u64::from(header))));
        prop_assert_eq!(outcome.output.len(), expected.iter().map(|object| object.len() as u64).sum::<u64>());
        prop_assert_eq!(places.open_uploads(), 0);
    }
}

fn rows(count: usize) -> Vec<u8> {
    (0..count).flat_map(|row| format!("{row},some text of row {row}\n").into_bytes()).collect()
}

#[test]
fn each_object_is_compressed_by_itself() {
    for codec in [Codec::Gzip, Codec::Zstd, Codec::Bzip2, Codec::Xz] {
        let packed = codec_support::compress(Codec::Gzip, 1, &rows(50_000));
        let stages = [
            StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip }),
            StageSpec::Split(SplitSpec { records: RecordsSpec::Lines, ..split(Some(20_000), None, false) }),
            StageSpec::Compress(CompressSpec { codec, level: 1 }),
        ];
        let places = Arc::new(Places::default());
        now(packed.to_vec(), &stages, &Limits::default(), &places).unwrap();
        let objects: Vec<Vec<u8>> =
            places.objects().into_iter().map(|object| decompress(codec, &object.unwrap()).bytes).collect();
        assert_eq!(objects.concat(), rows(50_000));
        let lines = |object: &Vec<u8>| object.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(objects.iter().map(lines).collect::<Vec<_>>(), [20_000, 20_000, 10_000], "{codec:?}");
    }
}

#[test]
fn what_is_wrong_in_the_last_record_publishes_none() {
    let mut file = rows(1_000);
    file.extend(std::iter::repeat_n(b'x', 2 << 20));
    let limits = Limits { max_record_bytes: ByteSize::mib(1), ..Limits::default() };
    let places = Arc::new(Places::default());
    let stopped =
        now(file, &[StageSpec::Split(split(Some(100), None, false))], &limits, &places).unwrap_err();
    assert_eq!(stopped.failure.code, Code::LimitRecordBytes);
    assert_eq!(stopped.stages[0].report.records, Some(1_000));
    assert!(places.objects().len() > 5 && places.objects().iter().all(Option::is_none));
    assert_eq!(places.open_uploads(), 0);
}

#[test]
fn more_objects_than_allowed_are_none() {
    let spec = SplitSpec { max_outputs: 3, ..split(Some(10), None, false) };
    for (count, fits) in [(30, true), (31, false)] {
        let places = Arc::new(Places::default());
        let ended = now(rows(count), &[StageSpec::Split(spec)], &Limits::default(), &places);
        assert_eq!(
            ended.as_ref().err().map(|stopped| stopped.failure.code),
            (!fits).then_some(Code::LimitOutputs)
        );
        assert_eq!(
            (places.objects().iter().flatten().count(), places.open_uploads()),
            (if fits { 3 } else { 0 }, 0)
        );
    }
}

#[test]
fn the_limit_of_the_output_is_that_of_all_objects() {
    let file = rows(1_000);
    for (less, fits) in [(0, true), (1, false)] {
        let limits = Limits { max_output_bytes: ByteSize(file.len() as u64 - less), ..Limits::default() };
        let places = Arc::new(Places::default());
        let stages = [StageSpec::Split(split(None, Some(1_000), false))];
        let ended = now(file.clone(), &stages, &limits, &places).map_err(|stopped| stopped.failure.code);
        assert_eq!(ended.err(), (!fits).then_some(Code::LimitOutputBytes));
        assert_eq!(places.open_uploads(), 0);
    }
}

#[test]
fn one_that_cannot_be_published_does_not_hold_up_the_others() {
    let places = Arc::new(Places::default());
    let faults =
        SinkFaults { commit: vec![Some(Fault::Fails(ErrorKind::Denied))].into(), ..SinkFaults::default() };
    *places.faulty.lock().unwrap() = Some((2, faults));
    let outcome =
        now(rows(30), &[StageSpec::Split(split(Some(10), None, false))], &Limits::default(), &places);
    let results: Vec<_> = outcome
        .unwrap()
        .deliveries
        .into_iter()
        .map(|delivery| delivery.result.map_err(|failure| failure.code).is_ok())
        .collect();
    assert_eq!(results, [true, false, true]);
    assert_eq!(places.objects().iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(places.open_uploads(), 0);
}

/// What is cut is not known to be genuine before the end: what is wrong with it is told of genuine messages alone.
#[test]
fn nothing_is_told_of_a_message_that_does_not_hold() {
    let key = ["acme"];
    let spec = SplitSpec { max_outputs: 2, records: RecordsSpec::Lines, ..split(Some(10), None, false) };
    let stages = [pgp_support::decrypt_by(&key, PgpVerify::Required, &key), StageSpec::Split(spec)];
    let message = pgp_support::gpg("--encrypt --sign -r acme@ -u acme@ -z 0", &rows(200_000));
    let mut forged = message.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for (message, code, cut) in
        [(message.to_vec(), Code::LimitOutputs, true), (forged, Code::CryptoRefused, false)]
    {
        let places = Arc::new(Places::default());
        let stopped = now(message, &stages, &Limits::default(), &places).unwrap_err();
        assert_eq!(stopped.failure.code, code);
        assert_eq!(stopped.stages.iter().any(|stage| stage.info.name == "split"), cut);
        assert_eq!((places.objects().iter().flatten().count(), places.open_uploads()), (0, 0));
    }
}

/// As above, of what the places find: the second object's name is taken.
#[test]
fn nothing_is_told_of_a_place_either() {
    let key = ["acme"];
    let spec = SplitSpec { records: RecordsSpec::Lines, ..split(Some(10_000), None, false) };
    let stages = [pgp_support::decrypt_by(&key, PgpVerify::Required, &key), StageSpec::Split(spec)];
    let message = pgp_support::gpg("--encrypt --sign -r acme@ -u acme@ -z 0", &rows(200_000));
    let mut forged = message.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for (message, code) in [(message.to_vec(), Code::DestinationExists), (forged, Code::CryptoRefused)] {
        let places = Arc::new(Places::default());
        let faults =
            SinkFaults { begin: vec![Some(Fault::Fails(ErrorKind::Exists))].into(), ..SinkFaults::default() };
        *places.faulty.lock().unwrap() = Some((2, faults));
        let stopped = now(message, &stages, &Limits::default(), &places).unwrap_err();
        assert_eq!(stopped.failure.code, code);
        assert_eq!((places.objects().iter().flatten().count(), places.open_uploads()), (0, 0));
    }
}

/// What stands behind a split sees each object by itself, as a run of its own would.
#[tokio::test]
async fn stages_begin_anew_with_every_object() {
    let rows: Vec<String> = (0..9_000).map(|row| format!("{row},\"a {row}\"\n")).collect();
    let file: Bytes = format!("id,note\n{}", rows.concat()).into();
    let csv = CsvSpec { columns: Columns::Header(vec!["id".into(), "note".into()]), ..CsvSpec::default() };
    let behind = [
        StageSpec::Validate(ValidateSpec::Csv(csv.clone())),
        StageSpec::Drop(DropSpec { first: 1, last: 1, records: RecordsSpec::Lines }),
        StageSpec::Compress(CompressSpec { codec: Codec::Zstd, level: 1 }),
    ];
    let split = SplitSpec {
        after_records: Some(2_000),
        after_bytes: None,
        header: true,
        max_outputs: 10,
        records: RecordsSpec::Lines,
    };
    let stages: Vec<_> = [StageSpec::Split(split)].into_iter().chain(behind.clone()).collect();
    let places = Arc::new(Places::default());
    let outcome = run(&file, &stages, &Limits::default(), &places).await.unwrap();
    let objects = places.objects();
    assert_eq!(objects.len(), 5);
    for (piece, object) in rows.chunks(2_000).zip(objects) {
        // Without the header that every object has, and without its last record.
        let wanted = piece[..piece.len() - 1].concat();
        assert!(decompress(Codec::Zstd, &object.unwrap()).bytes == wanted.as_bytes());
    }
    let checked = outcome.stages.iter().find(|stage| stage.info.name == "validate.csv").unwrap();
    assert_eq!(checked.report.records, Some(9_000));

    // The fourth object is broken: none is published, and the message says which.
    let broken = String::from_utf8(file.to_vec()).unwrap().replace("\n7000,", "\n7000,extra,");
    let places = Arc::new(Places::default());
    let stopped = run(&broken.into(), &stages, &Limits::default(), &places).await.unwrap_err();
    assert_eq!(stopped.failure.code, Code::Validation);
    assert!(stopped.failure.message.starts_with("object 4: "), "{}", stopped.failure);
    assert!(places.objects().iter().all(Option::is_none) && places.open_uploads() == 0);
}
