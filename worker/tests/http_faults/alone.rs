//! One fault on one request: once, and for ever.

use eft_domain::Code;
use eft_s3::{Action, Code as S3, Fault, Op, Profile};
use futures::{StreamExt, stream};

use crate::rig::{Case, Ended, Way, deliver};

/// Deliveries side by side: most of them wait.
const WIDTH: usize = 12;

/// How a case has to end: delivered, or with this code.
type Verdict = Result<(), Code>;

/// A fault, and how a delivery ends that meets it once and whenever it asks.
struct Row {
    way: Way,
    op: Op,
    bucket: &'static str,
    action: Action,
    once: Verdict,
    ever: Verdict,
}

const RIGHT: Verdict = Ok(());

fn error(code: S3) -> Action {
    Action::Error { code }
}

/// Faults that change nothing.
fn harmless() -> Vec<Action> {
    vec![Action::Latency { ms: 3 }, Action::Bandwidth { bytes_per_second: 64 << 20 }]
}

/// Refusals that pass.
fn busy() -> Vec<Action> {
    [S3::InternalError, S3::SlowDown, S3::ServiceUnavailable].map(error).to_vec()
}

/// The request takes effect, and its answer does not come or cannot be read.
fn lost() -> Vec<Action> {
    let code = S3::InternalError;
    vec![Action::DoneThenError { code }, Action::DoneThenClose, Action::DoneThenHang]
}

/// The same, of answers that are documents.
fn garbled() -> Vec<Action> {
    let cut = [0, 60].map(|after| Action::CutBody { after });
    let stall = [0, 60].map(|after| Action::StallBody { after, ms: None });
    [&cut[..], &stall, &[Action::FlipBit { at: 0 }]].concat()
}

/// A 200 that is an error.
fn embedded(done: bool) -> Action {
    Action::ErrorIn200 { code: S3::InternalError, done }
}

struct Rows(Vec<Row>);

impl Rows {
    fn add(
        &mut self,
        (way, op, bucket): (Way, Op, &'static str),
        actions: impl IntoIterator<Item = Action>,
        once: Verdict,
        ever: Verdict,
    ) {
        let rows = actions.into_iter().map(|action| Row { way, op, bucket, action, once, ever });
        self.0.extend(rows);
    }
}

fn reads(rows: &mut Rows) {
    let gone = Err(Code::SourceUnavailable);
    for op in [Op::HeadObject, Op::GetObjectTagging] {
        let at = (Way::Put, op, "source");
        rows.add(at, harmless(), RIGHT, RIGHT);
        rows.add(at, busy(), RIGHT, gone);
        rows.add(at, [Action::Close, Action::DoneThenClose], RIGHT, gone);
        // The whole time of the request is over; the run is not.
        rows.add(at, [Action::DoneThenHang], gone, gone);
        rows.add(at, [error(S3::AccessDenied)], Err(Code::SourceAccess), Err(Code::SourceAccess));
        rows.add(at, [Action::ReplaceObject], RIGHT, RIGHT);
    }
    let head = (Way::Put, Op::HeadObject, "source");
    rows.add(head, [error(S3::NoSuchKey)], Err(Code::SourceGone), Err(Code::SourceGone));

    for way in [Way::Put, Way::Parts] {
        let get = (way, Op::GetObject, "source");
        rows.add(get, harmless(), RIGHT, RIGHT);
        rows.add(get, busy(), RIGHT, gone);
        rows.add(get, [Action::Close], RIGHT, gone);
        rows.add(get, lost(), RIGHT, gone);
        rows.add(get, [error(S3::RequestTimeout)], RIGHT, gone);
        rows.add(get, [Action::CutBody { after: 0 }, Action::StallBody { after: 0, ms: None }], RIGHT, gone);
        // What has come is not asked for again: it ends.
        rows.add(get, [Action::CutBody { after: 30_000 }], RIGHT, RIGHT);
        rows.add(
            get,
            [Action::StallBody { after: 400_000, ms: None }, Action::StallBody { after: 9, ms: Some(20) }],
            RIGHT,
            RIGHT,
        );
        rows.add(get, [Action::FlipBit { at: 700 }], RIGHT, Err(Code::IntegritySource));
        rows.add(get, [error(S3::AccessDenied)], Err(Code::SourceAccess), Err(Code::SourceAccess));
        rows.add(get, [error(S3::NoSuchVersion)], Err(Code::SourceGone), Err(Code::SourceGone));
        rows.add(get, [error(S3::PreconditionFailed)], Err(Code::SourceChanged), Err(Code::SourceChanged));
        rows.add(get, [Action::ReplaceObject], RIGHT, RIGHT);
    }
}

fn writes(rows: &mut Rows) {
    let down = Err(Code::DestinationUnavailable);
    let refused = Err(Code::DestinationAccess);
    let damaged = Err(Code::IntegrityDestination);
    let denied = || [error(S3::AccessDenied)];

    // The look before anything is sent.
    let head = (Way::Put, Op::HeadObject, "target");
    rows.add(head, harmless(), RIGHT, RIGHT);
    rows.add(head, busy(), RIGHT, down);
    rows.add(head, [Action::Close, Action::DoneThenClose], RIGHT, down);
    rows.add(head, [Action::DoneThenHang], down, down);
    rows.add(head, denied(), RIGHT, RIGHT);

    let put = (Way::Put, Op::PutObject, "target");
    rows.add(put, harmless(), RIGHT, RIGHT);
    rows.add(put, busy(), RIGHT, down);
    rows.add(put, [Action::Close, error(S3::RequestTimeout)], RIGHT, down);
    rows.add(put, [S3::ConditionalRequestConflict, S3::OperationAborted].map(error), RIGHT, down);
    // Refused, and nothing stands there: it was another's for a moment.
    rows.add(put, [error(S3::PreconditionFailed)], RIGHT, down);
    rows.add(put, lost(), RIGHT, RIGHT);
    rows.add(put, [Action::CorruptUpload], RIGHT, damaged);
    rows.add(put, denied(), refused, refused);
    rows.add(put, [error(S3::NoSuchBucket)], Err(Code::DestinationMissing), Err(Code::DestinationMissing));
    rows.add(put, [error(S3::InvalidRequest)], down, down);

    let create = (Way::Parts, Op::CreateMultipartUpload, "target");
    rows.add(create, harmless(), RIGHT, RIGHT);
    rows.add(create, busy(), RIGHT, down);
    rows.add(create, [Action::Close, error(S3::OperationAborted)], RIGHT, down);
    rows.add(create, lost(), RIGHT, down);
    rows.add(create, garbled(), RIGHT, down);
    rows.add(create, denied(), refused, refused);
    rows.add(create, [error(S3::NoSuchBucket)], Err(Code::DestinationMissing), Err(Code::DestinationMissing));

    let part = (Way::Parts, Op::UploadPart, "target");
    rows.add(part, harmless(), RIGHT, RIGHT);
    rows.add(part, busy(), RIGHT, down);
    rows.add(part, [Action::Close, error(S3::RequestTimeout), error(S3::OperationAborted)], RIGHT, down);
    rows.add(part, lost(), RIGHT, down);
    rows.add(part, [Action::CorruptUpload], RIGHT, damaged);
    // Once it may have been about how the part was sent.
    rows.add(part, denied(), RIGHT, refused);
    rows.add(part, [error(S3::NoSuchBucket)], Err(Code::DestinationMissing), Err(Code::DestinationMissing));
    // All of it goes into a new one.
    rows.add(part, [error(S3::NoSuchUpload)], RIGHT, down);

    for way in [Way::Parts, Way::CopyParts] {
        let complete = (way, Op::CompleteMultipartUpload, "target");
        rows.add(complete, harmless(), RIGHT, RIGHT);
        rows.add(complete, busy(), RIGHT, down);
        rows.add(complete, [Action::Close, embedded(false), error(S3::OperationAborted)], RIGHT, down);
        rows.add(complete, [error(S3::ConditionalRequestConflict)], RIGHT, down);
        rows.add(
            complete,
            [Action::ErrorIn200 { code: S3::ConditionalRequestConflict, done: false }],
            RIGHT,
            down,
        );
        rows.add(complete, [error(S3::PreconditionFailed)], RIGHT, down);
        rows.add(complete, lost(), RIGHT, RIGHT);
        rows.add(complete, garbled(), RIGHT, RIGHT);
        rows.add(complete, [embedded(true)], RIGHT, RIGHT);
        rows.add(complete, [error(S3::BadDigest)], RIGHT, damaged);
        rows.add(complete, denied(), refused, refused);
        rows.add(complete, [error(S3::InvalidPart)], down, down);
        rows.add(complete, [error(S3::NoSuchUpload)], down, down);
    }
    let conflict = (Way::Stream, Op::CompleteMultipartUpload, "target");
    rows.add(conflict, [error(S3::ConditionalRequestConflict)], down, down);
}

fn copies(rows: &mut Rows) {
    let down = Err(Code::DestinationUnavailable);
    let refused = Err(Code::DestinationAccess);
    let copy = (Way::Copy, Op::CopyObject, "target");
    rows.add(copy, lost(), RIGHT, RIGHT);
    rows.add(copy, garbled(), RIGHT, RIGHT);
    rows.add(copy, [embedded(true)], RIGHT, RIGHT);
    let part = (Way::CopyParts, Op::UploadPartCopy, "target");
    rows.add(part, lost(), RIGHT, down);
    rows.add(part, garbled(), RIGHT, down);
    rows.add(part, [error(S3::NoSuchUpload)], RIGHT, down);
    for at in [copy, part] {
        rows.add(at, harmless(), RIGHT, RIGHT);
        rows.add(at, busy(), RIGHT, down);
        rows.add(at, [Action::Close, embedded(false), error(S3::OperationAborted)], RIGHT, down);
        rows.add(at, [error(S3::AccessDenied)], refused, refused);
        rows.add(at, [error(S3::PreconditionFailed)], Err(Code::SourceChanged), Err(Code::SourceChanged));
        // An endpoint that does not copy is streamed through.
        rows.add(at, [error(S3::NotImplemented)], RIGHT, RIGHT);
    }
    let create = (Way::CopyParts, Op::CreateMultipartUpload, "target");
    rows.add(create, lost(), RIGHT, down);
}

/// Of a run that is stopped: nothing is left, or it is said.
fn removals(rows: &mut Rows) {
    let stopped = Err(Code::Interrupted);
    for op in [Op::AbortMultipartUpload, Op::ListParts] {
        let at = (Way::Stopped(2), op, "target");
        rows.add(at, harmless(), stopped, stopped);
        rows.add(at, busy(), stopped, stopped);
        rows.add(at, lost(), stopped, stopped);
        rows.add(at, [Action::Close, error(S3::AccessDenied)], stopped, stopped);
    }
    rows.add((Way::Stopped(2), Op::ListParts, "target"), garbled(), stopped, stopped);
}

fn rows() -> Vec<Row> {
    let mut rows = Rows(Vec::new());
    reads(&mut rows);
    writes(&mut rows);
    copies(&mut rows);
    removals(&mut rows);
    rows.0
}

/// Carry out these cases, and say what of them is not as it has to be.
async fn judged(cases: Vec<(Case, Verdict)>) -> Vec<String> {
    let judged = stream::iter(cases).map(|(case, verdict)| async move {
        let Fault { op, bucket, action, times, .. } = &case.faults[0];
        let text = format!("{:?}, {op:?} of {bucket:?} {times:?} times: {action:?}", case.way);
        let ended = tokio::spawn(async move {
            let ended = deliver(case).await;
            ended.check();
            (ended.code(), ended.said(), ended.fired(&ended.case.faults[0]), left(&ended))
        });
        match ended.await {
            Err(panic) => Some(format!("{text}: {panic}")),
            Ok((_, _, 0, _)) => Some(format!("{text}: never fired")),
            Ok((.., Some(left))) => Some(format!("{text}: {left}")),
            Ok((code, said, ..)) if code != verdict.err() => {
                Some(format!("{text}: expected {verdict:?}: {said}"))
            }
            Ok(_) => None,
        }
    });
    judged.buffer_unordered(WIDTH).filter_map(std::future::ready).collect().await
}

/// Uploads that are open may only be those that nobody could remove.
fn left(ended: &Ended) -> Option<String> {
    let fault = &ended.case.faults[0];
    let refused = matches!(fault.action, Action::Error { .. } | Action::Close) && fault.times.is_none();
    let excused =
        fault.op == Some(Op::AbortMultipartUpload) && (refused || fault.action == error(S3::AccessDenied));
    let (open, said) = (ended.open(), ended.said().contains("left behind"));
    match open {
        0 => None,
        1 if excused && said => None,
        _ => Some(format!("{open} uploads are left: {}", ended.said())),
    }
}

async fn judge(of: impl Fn(&Row) -> bool) {
    let cases = rows().into_iter().filter(of).flat_map(|row| {
        let fault = Fault::on(row.op, row.action).bucket(row.bucket);
        [(fault.clone().times(1), row.once), (fault, row.ever)]
            .map(|(fault, verdict)| (Case::new(row.way, [fault]), verdict))
    });
    let cases: Vec<_> = cases.collect();
    let total = cases.len();
    assert!(total > 30, "{total} cases");
    let wrong = judged(cases).await;
    assert!(wrong.is_empty(), "{} of {total} cases:\n{}", wrong.len(), wrong.join("\n"));
    println!("{total} cases");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_source() {
    judge(|row| row.bucket == "source").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_destination() {
    judge(|row| row.bucket == "target").await;
}

/// Where versions are not kept, what is replaced while it is read is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_source_without_versions() {
    let profile = Profile { without_versions: true, ..Profile::default() };
    let changed = Err(Code::SourceChanged);
    let cases = [
        (Way::Put, Op::HeadObject, changed),
        (Way::Parts, Op::HeadObject, changed),
        (Way::Copy, Op::HeadObject, changed),
        (Way::CopyParts, Op::HeadObject, changed),
        (Way::Parts, Op::GetObject, changed),
        // It was read in one piece.
        (Way::Put, Op::GetObject, RIGHT),
    ];
    let cases = cases.map(|(way, op, verdict)| {
        let fault = Fault::on(op, Action::ReplaceObject).bucket("source").times(1);
        (Case { profile, ..Case::new(way, [fault]) }, verdict)
    });
    let wrong = judged(cases.into()).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
