//! `scan`: the scanner sees exactly the bytes, and nothing it finds something in is published.

use crate::codec_support;
use crate::pgp_support;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use eft_domain::{
    ByteSize, Code,
    route::{
        Codec, CompressSpec, DecompressSpec, Larger, Limits, PgpVerify, ScanSpec, StageSpec, ValidateSpec,
    },
};
use eft_fakes::{MemoryScanner, MemorySink, MemorySource};
use eft_pipeline::{
    budget::Budget,
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{ErrorKind, ObjectSource, SinkLimits},
    progress::Progress,
    retry::RetryPolicy,
    stage::{ResumeClass, Scanned},
    transfer::{Outcome, Stopped, Transfer},
};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

const LIMITS: SinkLimits = SinkLimits { min_part: 64 << 10, ..SinkLimits::S3 };
const NEEDLE: &[u8] = b"\0found\0";

/// A run, with what is left to look at behind it.
struct Rig {
    source: MemorySource,
    scanner: MemoryScanner,
    sink: MemorySink,
    budget: Budget,
    progress: Arc<Progress>,
}

impl Rig {
    fn new(file: impl Into<Bytes>, scanner: MemoryScanner) -> Self {
        Self {
            source: MemorySource::new(file).with_checksum(),
            scanner,
            sink: MemorySink::default().limits(LIMITS),
            budget: Budget::new(64 << 20),
            progress: Arc::default(),
        }
    }

    fn plan(&self, stages: &[StageSpec]) -> Plan {
        let request = Request {
            size: self.source.size(),
            stages,
            archive: None,
            limits: &Limits { max_ratio: u32::MAX, ..Limits::default() },
            sha256: false,
            given: Given {
                keys: pgp_support::ring(stages).unwrap(),
                scanner: Some(Arc::new(self.scanner.clone())),
                ..Given::default()
            },
            sink: LIMITS,
            memory: ByteSize::mib(48),
            concurrency: 3,
            part_size: Some(ByteSize(LIMITS.min_part)),
            threads: 2,
            near: false,
            refuse_empty: false,
        };
        Plan::new(&request).unwrap()
    }

    /// Carry it out; nothing is left afterwards, whatever the end.
    async fn run(self, stages: &[StageSpec]) -> (Result<Outcome, Stopped>, Option<Bytes>) {
        let plan = self.plan(stages);
        let transfer = Transfer {
            source: Arc::new(self.source),
            sinks: vec![Arc::new(self.sink.clone())],
            more: None,
            budget: self.budget.clone(),
            reading: Concurrency::new(plan.reads),
            writing: Concurrency::new(plan.writes),
            plan,
            pool: Pool::new(NonZeroUsize::new(2).unwrap()),
            retry: RetryPolicy::DEFAULT,
            keeper: None,
            progress: self.progress.clone(),
            cancel: CancellationToken::new(),
        };
        let ended = tokio::time::timeout(Duration::from_secs(600), transfer.run()).await.expect("it hangs");
        drop(transfer);
        assert_eq!(self.sink.open_uploads(), 0);
        assert_eq!(self.budget.available(), self.budget.bytes(), "memory is held for ever");
        (ended, self.sink.object())
    }

    fn now(self, stages: &[StageSpec]) -> (Result<Outcome, Stopped>, Option<Bytes>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.run(stages))
    }
}

/// Why it failed; nothing is published then.
fn failed((ended, object): (Result<Outcome, Stopped>, Option<Bytes>)) -> Stopped {
    assert_eq!(object, None);
    ended.unwrap_err()
}

fn scan(max_bytes: u64, larger: Larger) -> StageSpec {
    StageSpec::Scan(ScanSpec { max_bytes: ByteSize(max_bytes), larger })
}

fn any_size() -> StageSpec {
    scan(1 << 30, Larger::Refuse)
}

fn gunzip() -> StageSpec {
    StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip })
}

/// The file with this content, compressed or not.
fn file(packed: bool, plain: &[u8]) -> Bytes {
    if packed { codec_support::compress(Codec::Gzip, 1, plain).into() } else { Bytes::copy_from_slice(plain) }
}

fn content(len: usize) -> Vec<u8> {
    codec_support::text(5, len)
}

fn scanned(outcome: &Outcome) -> Vec<Scanned> {
    outcome.stages.iter().filter_map(|stage| stage.report.scan.clone()).collect()
}

fn report(bytes: u64, skipped: bool) -> Scanned {
    Scanned { scanner: "memory 1.0".to_owned(), bytes, skipped }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_scanner_sees_exactly_the_bytes(
        len in prop_oneof![0usize..10, 0usize..300_000, 1_000_000usize..4_000_000],
        frame in 1_000usize..400_000,
        stream in any::<bool>(),
        packed in any::<bool>(),
        then in prop_oneof![Just(None), Just(Some(Codec::Gzip)), Just(Some(Codec::Zstd))],
    ) {
        let plain = content(len);
        let file = file(packed, &plain);
        let scanner = MemoryScanner::new(NEEDLE);
        let mut rig = Rig::new(file.clone(), scanner.clone());
        rig.source = rig.source.frame(frame);
        if stream {
            rig.source = rig.source.stream();
        }
        let mut stages = vec![any_size()];
        if packed {
            stages.extend([gunzip(), any_size()]);
        }
        stages.extend(then.map(|codec| StageSpec::Compress(CompressSpec { codec, level: 1 })));
        let (ended, object) = rig.now(&stages);
        let outcome = ended.unwrap();
        let object = object.unwrap();
        let unpacked = |codec| codec_support::decompress(codec, &object).bytes;
        let output = then.map_or_else(|| object.to_vec(), unpacked);
        prop_assert!(output == plain);
        let seen = scanner.scans();
        prop_assert!(seen[0] == file);
        prop_assert!(!packed || seen[1] == plain);
        let expected: Vec<_> = seen.iter().map(|scan| report(scan.len() as u64, false)).collect();
        prop_assert_eq!(scanned(&outcome), expected);
    }

    #[test]
    fn what_is_found_anywhere_is_not_published(
        len in prop_oneof![0usize..10, 0usize..300_000, 1_000_000usize..4_000_000],
        at in any::<prop::sample::Index>(),
        frame in 1_000usize..400_000,
        packed in any::<bool>(),
    ) {
        let mut plain = content(len);
        let at = at.index(plain.len() + 1);
        plain.splice(at..at, NEEDLE.iter().copied());
        let file = file(packed, &plain);
        let mut rig = Rig::new(file, MemoryScanner::new(NEEDLE));
        rig.source = rig.source.frame(frame);
        let stages = if packed { vec![gunzip(), any_size()] } else { vec![any_size()] };
        let stopped = failed(rig.now(&stages));
        prop_assert_eq!(stopped.failure.code, Code::ScanInfected);
        prop_assert_eq!(stopped.failure.message, "memory 1.0 found Test.Needle");
        let of_scan = stopped.stages.last().unwrap();
        prop_assert_eq!(of_scan.report.scan.clone(), Some(report(plain.len() as u64, false)));
    }

    #[test]
    fn a_scanner_that_is_lost_publishes_nothing(
        len in 0usize..2_000_000,
        at in any::<prop::sample::Index>(),
        packed in any::<bool>(),
    ) {
        let plain = content(len);
        // At the very end it has seen all, and still said nothing.
        let dies = at.index(plain.len() + 1) as u64;
        let file = file(packed, &plain);
        let stages = if packed { vec![gunzip(), any_size()] } else { vec![any_size()] };
        let stopped = failed(Rig::new(file, MemoryScanner::new(NEEDLE).dies_at(dies)).now(&stages));
        prop_assert_eq!(stopped.failure.code, Code::ScanUnavailable);
        prop_assert!(stopped.failure.message.starts_with("memory:scanner is lost"));
    }
}

#[test]
fn the_cap_is_exact_and_a_policy() {
    for len in [0, 1, 100_000, 3_000_000] {
        let file = content(len);
        let cap = file.len() as u64;
        for larger in [Larger::Refuse, Larger::Pass] {
            let stage = scan(cap.max(1), larger);
            let (ended, object) = Rig::new(file.clone(), MemoryScanner::new(NEEDLE)).now(&[stage]);
            assert_eq!(scanned(&ended.unwrap()), [report(cap, false)]);
            assert_eq!(object.unwrap(), file);
        }
        if len < 2 {
            continue;
        }
        let stopped =
            failed(Rig::new(file.clone(), MemoryScanner::new(NEEDLE)).now(&[scan(cap - 1, Larger::Refuse)]));
        assert_eq!(stopped.failure.code, Code::LimitScanBytes);
        let said = format!("observed at least {cap} bytes, the route allows {}", cap - 1);
        assert_eq!(stopped.failure.message, said);
        for less in [1, cap / 2, cap - 1] {
            let scanner = MemoryScanner::new(NEEDLE);
            let stages = [scan(cap - less, Larger::Pass)];
            let (ended, object) = Rig::new(file.clone(), scanner.clone()).now(&stages);
            assert_eq!(scanned(&ended.unwrap()), [report(cap - less, true)]);
            assert_eq!(
                (object.unwrap(), &scanner.scans()[0][..]),
                (file.clone().into(), &file[..len - less as usize])
            );
        }
    }
}

#[test]
fn what_is_found_before_the_cap_is_found() {
    let mut file = content(1_000_000);
    file.splice(500_000..500_000, NEEDLE.iter().copied());
    for (cap, code) in [(500_000 + NEEDLE.len() as u64, Some(Code::ScanInfected)), (500_000, None)] {
        let (ended, object) =
            Rig::new(file.clone(), MemoryScanner::new(NEEDLE)).now(&[scan(cap, Larger::Pass)]);
        assert_eq!(object.is_some(), code.is_none());
        assert_eq!(ended.err().map(|stopped| stopped.failure.code), code);
    }
}

/// The scanner's own limit is lower than the route's.
#[test]
fn a_scanner_that_wants_no_more_has_scanned_nothing() {
    let file = content(1_000_000);
    let scanner = MemoryScanner::new(NEEDLE).limit(100_000);
    let stopped = failed(Rig::new(file.clone(), scanner.clone()).now(&[any_size()]));
    assert_eq!(stopped.failure.code, Code::LimitScanBytes);
    assert!(stopped.failure.message.contains("`size limit exceeded`"), "{}", stopped.failure.message);
    let (ended, object) = Rig::new(file.clone(), scanner).now(&[scan(1 << 30, Larger::Pass)]);
    assert_eq!(scanned(&ended.unwrap()), [report(0, true)]);
    assert_eq!(object.unwrap(), file);
}

#[tokio::test(start_paused = true)]
async fn a_scanner_is_waited_for_at_the_start_only() {
    let refused = Some(ErrorKind::Transient);
    let scanner = MemoryScanner::new(NEEDLE).begin_faults([refused, refused, None]);
    let rig = Rig::new(content(100_000), scanner);
    let progress = rig.progress.clone();
    let (ended, object) = rig.run(&[any_size()]).await;
    assert!(ended.is_ok() && object.is_some());
    assert_eq!(progress.snapshot().retries, 2);
    for kind in [ErrorKind::Transient, ErrorKind::Permanent] {
        let scanner = MemoryScanner::new(NEEDLE).begin_faults([Some(kind); 9]);
        let stopped = failed(Rig::new(content(100_000), scanner.clone()).run(&[any_size()]).await);
        assert_eq!(stopped.failure.code, Code::ScanUnavailable);
        assert_eq!(stopped.failure.message, "memory:scanner cannot be reached");
        assert!(scanner.scans().is_empty());
    }
}

/// However slow the scanner, no more waits for it than the plan has memory for.
#[tokio::test(start_paused = true)]
async fn a_slow_scanner_sets_the_pace() {
    let scanner = MemoryScanner::new(NEEDLE).latency(Duration::from_millis(50));
    let file = content(60 << 20);
    let rig = Rig::new(file.clone(), scanner.clone());
    let progress = rig.progress.clone();
    let watched = async {
        let mut most = 0;
        while scanner.scans().iter().all(|scan| scan.len() < file.len()) {
            let seen: usize = scanner.scans().iter().map(Vec::len).sum();
            most = most.max(progress.snapshot().read.saturating_sub(seen as u64));
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        most
    };
    let stages = [any_size()];
    let ((ended, object), most) = tokio::join!(rig.run(&stages), watched);
    assert!(ended.is_ok() && object.unwrap() == file);
    assert!(most <= 48 << 20, "{most} bytes were read and not scanned");
}

#[test]
fn a_plan_needs_a_scanner_and_says_so() {
    let stages = [any_size()];
    let rig = Rig::new(content(10), MemoryScanner::default());
    let plan = rig.plan(&stages);
    assert_eq!(
        (plan.resume, plan.output_size(), plan.infos[0].name),
        (ResumeClass::R3, Some(plan.size.unwrap()), "scan")
    );
    let request = Request {
        size: None,
        stages: &stages,
        archive: None,
        limits: &Limits::default(),
        sha256: false,
        given: Given::default(),
        sink: LIMITS,
        memory: ByteSize::mib(48),
        concurrency: 3,
        part_size: None,
        threads: 2,
        near: false,
        refuse_empty: false,
    };
    let refused = Plan::new(&request).unwrap_err();
    assert_eq!(refused.code, Code::PlanRefused);
    assert!(refused.message.contains("--scanner ADDR or EFT_SCANNER"), "{refused}");
}

/// A message, and the same with a bit of its end flipped.
fn messages(content: &[u8]) -> [Vec<u8>; 2] {
    let message = pgp_support::gpg("--encrypt --sign -r acme@ -u acme@ -z 0", content).to_vec();
    let mut forged = message.clone();
    *forged.last_mut().unwrap() ^= 1;
    [message, forged]
}

/// What is scanned is not known to be genuine before the end: what is found in it is told of genuine messages alone.
#[test]
fn nothing_is_told_of_a_message_that_does_not_hold() {
    let decrypt = pgp_support::decrypt_by(&["acme"], PgpVerify::Required, &["acme"]);
    let mut infected = content(4_000_000);
    infected.splice(10..10, NEEDLE.iter().copied());
    let needle = || MemoryScanner::new(NEEDLE);
    for (scanner, stage, code) in [
        (needle(), any_size(), Code::ScanInfected),
        (needle(), scan(1_000_000, Larger::Refuse), Code::LimitScanBytes),
        // Found in the part before the cap.
        (needle(), scan(1_000_000, Larger::Pass), Code::ScanInfected),
        (needle().limit(1_000_000), any_size(), Code::LimitScanBytes),
        (needle().dies_at(1_000_000), any_size(), Code::ScanUnavailable),
    ] {
        for (message, code) in messages(&infected).into_iter().zip([code, Code::CryptoRefused]) {
            let stopped = failed(Rig::new(message, scanner.clone()).now(&[decrypt.clone(), stage.clone()]));
            assert_eq!(stopped.failure.code, code);
            assert_eq!(
                stopped.stages.iter().any(|stage| stage.info.name == "scan"),
                code != Code::CryptoRefused
            );
        }
    }
}

/// A scan stands between the stage that decrypts and the one that finds something: what that finds is withheld as well.
#[test]
fn nothing_is_told_behind_a_scan_either() {
    let decrypt = pgp_support::decrypt_by(&["acme"], PgpVerify::Required, &["acme"]);
    let mut broken = content(4_000_000);
    broken[1_000] = 0xff;
    let utf8 = StageSpec::Validate(ValidateSpec::Utf8);
    for behind in [vec![utf8.clone()], vec![StageSpec::StripBom, utf8]] {
        let stages = [vec![decrypt.clone(), any_size()], behind].concat();
        let codes = [Code::Validation, Code::CryptoRefused];
        for (message, code) in messages(&broken).into_iter().zip(codes) {
            let stopped = failed(Rig::new(message, MemoryScanner::new(NEEDLE)).now(&stages));
            assert_eq!(stopped.failure.code, code, "{}", stopped.failure);
            let told = stopped.stages.iter().any(|stage| stage.info.name == "validate.utf8");
            assert_eq!(told, code != Code::CryptoRefused);
        }
    }
}
