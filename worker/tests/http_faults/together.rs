//! Several faults at once, drawn by seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use eft_domain::{Code, route::OnExisting};
use eft_fakes::Pattern;
use eft_s3::{Action, Code as S3, Fault, Op, Profile};
use futures::{StreamExt, stream};

use crate::rig::{Case, Way, deliver};

const RUNS: u64 = 200;
const WIDTH: usize = 12;

/// A run that takes longer waits for ever: each request ends in time, and there are few.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a fault is put on, and where.
type Place = (Op, &'static str);

fn places(way: Way) -> Vec<Place> {
    let head = [(Op::HeadObject, "source"), (Op::HeadObject, "target"), (Op::GetObjectTagging, "source")];
    let get = (Op::GetObject, "source");
    let of_target: &[Op] = match way {
        Way::Put => &[Op::PutObject, Op::PutObject],
        Way::Copy => &[Op::CopyObject, Op::CopyObject, Op::CopyObject],
        Way::CopyParts => &[
            Op::CreateMultipartUpload,
            Op::UploadPartCopy,
            Op::UploadPartCopy,
            Op::CompleteMultipartUpload,
            Op::CompleteMultipartUpload,
            Op::AbortMultipartUpload,
        ],
        Way::Parts | Way::Stream => &[
            Op::CreateMultipartUpload,
            Op::ListMultipartUploads,
            Op::UploadPart,
            Op::UploadPart,
            Op::CompleteMultipartUpload,
            Op::CompleteMultipartUpload,
            Op::AbortMultipartUpload,
        ],
        Way::Stopped(_) => &[
            Op::CreateMultipartUpload,
            Op::UploadPart,
            Op::AbortMultipartUpload,
            Op::AbortMultipartUpload,
            Op::ListParts,
            Op::ListParts,
        ],
    };
    let mut places = head.to_vec();
    places.extend(of_target.iter().map(|op| (*op, "target")));
    if !matches!(way, Way::Copy | Way::CopyParts) {
        places.extend([get, get]);
    }
    places
}

fn story(seed: u64) -> Case {
    let mut words = Pattern::new(seed ^ 0x5eed);
    let mut below = |bound: usize| (words.word() % bound as u64) as usize;
    let stopped = Way::Stopped(1 + below(4) as u64);
    let way = [Way::Put, Way::Parts, Way::Parts, Way::Stream, Way::Copy, Way::CopyParts, stopped][below(7)];
    let places = places(way);
    let mut faults: Vec<_> = (0..1 + below(4))
        .map(|_| {
            let place = places[below(places.len())];
            fault(&mut below, place)
        })
        .collect();
    // Bytes of a stream are compared with nothing.
    for fault in &mut faults {
        if way == Way::Stream
            && matches!(fault.action, Action::FlipBit { .. })
            && fault.op == Some(Op::GetObject)
        {
            fault.action = Action::Close;
        }
    }
    // Listings are asked for after a create that was lost only, and removals after a failure.
    if faults.iter().any(|fault| fault.op == Some(Op::ListMultipartUploads)) {
        faults.push(Fault::on(Op::CreateMultipartUpload, Action::DoneThenClose).times(1));
    }
    // What an answer that is lost leaves open is looked at, and that may fail too.
    let publishes = [Op::PutObject, Op::CopyObject, Op::CompleteMultipartUpload];
    if faults.iter().any(|fault| fault.op.is_some_and(|op| publishes.contains(&op))) && below(3) == 0 {
        let code = [S3::InternalError, S3::AccessDenied][below(2)];
        let blind = Fault::on(Op::HeadObject, Action::Error { code }).bucket("target");
        faults.push(blind.skip(1).times(1 + below(8) as u64));
    }
    let profile = Profile { without_versions: below(4) == 0, ..Profile::default() };
    let policy = [OnExisting::Fail, OnExisting::Replace, OnExisting::Version][below(3)];
    Case { way, faults, profile, policy, seed }
}

fn fault(below: &mut impl FnMut(usize) -> usize, (op, bucket): Place) -> Fault {
    let reads = matches!(op, Op::HeadObject | Op::GetObject | Op::GetObjectTagging);
    let conditional = matches!(op, Op::PutObject | Op::CompleteMultipartUpload);
    let document = matches!(
        op,
        Op::CreateMultipartUpload | Op::CompleteMultipartUpload | Op::CopyObject | Op::UploadPartCopy
    );
    let code = [S3::InternalError, S3::SlowDown, S3::ServiceUnavailable, S3::AccessDenied][below(4)];
    // Most of what goes wrong passes.
    let code = if below(3) > 0 { S3::InternalError } else { code };
    let action = match below(14) {
        0 => Action::Latency { ms: 1 << below(5) },
        1 => Action::Close,
        2 => Action::DoneThenClose,
        3 if below(2) == 0 => Action::DoneThenHang,
        4 | 5 => Action::DoneThenError { code: S3::InternalError },
        6 if op == Op::GetObject => Action::CutBody { after: below(1 << 20) as u64 },
        6 | 7 if document => {
            [Action::CutBody { after: below(90) as u64 }, Action::FlipBit { at: 0 }][below(2)].clone()
        }
        7 if op == Op::GetObject => Action::FlipBit { at: below(1 << 20) as u64 },
        8 if op == Op::GetObject => Action::StallBody { after: below(1 << 20) as u64, ms: Some(5) },
        8 if matches!(op, Op::UploadPart | Op::PutObject) => Action::CorruptUpload,
        8 if document && op != Op::CreateMultipartUpload => {
            Action::ErrorIn200 { code: S3::InternalError, done: below(2) == 0 }
        }
        9 if conditional => Action::Error { code: S3::ConditionalRequestConflict },
        9 if op == Op::UploadPart => Action::Error { code: S3::NoSuchUpload },
        10 if reads && bucket == "source" => Action::ReplaceObject,
        11 if !reads => Action::Error { code: S3::OperationAborted },
        _ => Action::Error { code },
    };
    let fault = Fault::on(op, action).bucket(bucket).skip(below(3) as u64 * below(2) as u64);
    let fault = match below(3) {
        0 => fault.probability(0.4),
        1 => fault.every(2),
        _ => fault,
    };
    match below(4) {
        0 => fault,
        times => fault.times(times as u64),
    }
}

/// The codes that these faults, and no others, may end with.
fn codes(case: &Case) -> Vec<Code> {
    let mut codes: Vec<_> = case.faults.iter().flat_map(|fault| of(case, fault)).collect();
    if matches!(case.way, Way::Stopped(_)) {
        codes.push(Code::Interrupted);
    }
    // Given up although it would have been answered: any of the requests, and any look.
    if case.is_hasty() {
        codes.extend([Code::SourceUnavailable, Code::DestinationUnavailable, Code::DestinationIndeterminate]);
    }
    codes
}

fn of(case: &Case, fault: &Fault) -> Vec<Code> {
    let source = fault.bucket.as_deref() == Some("source");
    match (&fault.action, fault.op) {
        (Action::Latency { .. }, _) => vec![],
        (Action::FlipBit { .. }, Some(Op::GetObject)) => vec![Code::IntegritySource],
        (Action::ReplaceObject, _) if case.profile.without_versions => vec![Code::SourceChanged],
        (Action::ReplaceObject, _) => vec![],
        (Action::CorruptUpload, _) => vec![Code::IntegrityDestination],
        (Action::Error { code: S3::AccessDenied }, _) if source => vec![Code::SourceAccess],
        (_, _) if source => vec![Code::SourceUnavailable],
        // What was published is looked at.
        (_, Some(Op::HeadObject)) => vec![Code::DestinationUnavailable, Code::DestinationIndeterminate],
        (Action::Error { code: S3::AccessDenied }, _) => vec![Code::DestinationAccess],
        _ => vec![Code::DestinationUnavailable],
    }
}

/// An upload may stay where nobody can look for it or remove it.
fn may_leave(case: &Case) -> bool {
    let removes = [Op::ListMultipartUploads, Op::AbortMultipartUpload, Op::ListParts];
    case.faults.iter().any(|fault| fault.op.is_some_and(|op| removes.contains(&op)))
}

struct Told {
    end: String,
    fired: BTreeSet<String>,
    left: bool,
}

async fn live(seed: u64) -> Told {
    let case = story(seed);
    let ended = deliver(case.clone()).await;
    ended.check();
    if let Some(code) = ended.code() {
        let allowed = codes(&case);
        assert!(allowed.contains(&code), "{case:?}: {}; allowed are {allowed:?}", ended.said());
    }
    let open = ended.open();
    assert!(open == 0 || may_leave(&case), "{case:?}: {open} uploads are left: {}", ended.said());
    let log = ended.server.request_log();
    let fired = log.iter().flat_map(|record| {
        record.faults.iter().map(|fault| format!("{}: {fault}", record.op)).collect::<Vec<_>>()
    });
    Told {
        end: ended.code().map_or("right bytes", Code::as_str).to_owned(),
        fired: fired.collect(),
        left: open > 0,
    }
}

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how many runs is the caller's to say")]
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_seed() {
    let alone = number("EFT_FAULT_SEED");
    let seeds = alone.map_or(0..number("EFT_FAULT_RUNS").unwrap_or(RUNS), |seed| seed..seed + 1);
    let runs = stream::iter(seeds.clone()).map(|seed| async move {
        let run = tokio::spawn(live(seed));
        match tokio::time::timeout(PATIENCE, run).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(panic)) => Err(format!("EFT_FAULT_SEED={seed}: {panic}")),
            Err(_) => Err(format!("EFT_FAULT_SEED={seed} waits for ever: {:?}", story(seed))),
        }
    });
    let (mut ends, mut fired) = (BTreeMap::<_, u64>::new(), BTreeMap::<_, u64>::new());
    let (mut left, mut wrong) = (0, Vec::new());
    let mut runs = runs.buffer_unordered(WIDTH);
    while let Some(told) = runs.next().await {
        match told {
            Ok(told) => {
                *ends.entry(told.end).or_default() += 1;
                told.fired.into_iter().for_each(|fault| *fired.entry(fault).or_default() += 1);
                left += u64::from(told.left);
            }
            Err(text) => wrong.push(text),
        }
    }
    println!(
        "{} runs; {left} had to leave an upload; ends: {ends:#?}; faults that fired: {fired:#?}",
        seeds.end - seeds.start
    );
    assert!(wrong.is_empty(), "{} runs:\n{}", wrong.len(), wrong.join("\n"));
    if alone.is_some() {
        return;
    }
    // A test that cannot fail is a defect: each of these ends must have come, and most faults have fired.
    for end in [
        "right bytes",
        Code::SourceUnavailable.as_str(),
        Code::DestinationUnavailable.as_str(),
        Code::DestinationAccess.as_str(),
        Code::DestinationIndeterminate.as_str(),
        Code::Interrupted.as_str(),
    ] {
        assert!(ends.contains_key(end), "no run ended with {end}");
    }
    assert!(fired.len() > 50, "{} faults fired", fired.len());
}
