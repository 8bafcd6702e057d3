//! A job of the service, whose run is ended in part and delivered again.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{
    Actor, Arrival, ByteSize, Command, Job, JobState, Receipt, Route, Tenant,
    job::{Arrived, PinnedRoute, Refused, Retention, Runner},
    receipt::{DeliveryOutcome, Outcome, SignedReceipt},
    route::Profile,
    tenant::Output,
};
use eft_fakes::pattern;
use eft_pipeline::{budget::Budget, pool::Pool};
use eft_s3::{Action, Config, Fault, Op, Server};
use eft_store::{Catalog, ChangeError, Clock, Desk, StoreResult, memory::Region};
use eft_worker::{
    run::Shared,
    s3::Clients,
    serve::{
        Times, Worker,
        health::Pulse,
        protect::Unprotected,
        queue::{Received, WorkQueue},
        transfer::{Engine, Finished, Task, Transfers},
    },
    sign::SigningKey,
};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

const SIZE: usize = 12 << 20;

/// What the desk has sent, once each.
struct Queue(Region);

impl WorkQueue for Queue {
    fn receive(&self, wait: Duration) -> BoxFuture<'_, StoreResult<Option<Received>>> {
        async move {
            let Some((message, _)) = self.0.take_work() else {
                tokio::time::sleep(wait.min(Duration::from_millis(20))).await;
                return Ok(None);
            };
            Ok(Some(Received { body: message.to_message(), receipt: "1".to_owned(), receives: 1 }))
        }
        .boxed()
    }

    fn hide<'a>(&'a self, _: &'a str, _: Duration) -> BoxFuture<'a, StoreResult<()>> {
        async { Ok(()) }.boxed()
    }

    fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async { Ok(()) }.boxed()
    }
}

/// The engine, which begins a run when it is told to.
struct Gated {
    engine: Engine,
    begin: Arc<Semaphore>,
    ended: Arc<Semaphore>,
}

impl Transfers for Gated {
    fn run<'a>(&'a self, task: Task, cancel: CancellationToken) -> BoxFuture<'a, Finished> {
        async move {
            self.begin.acquire().await.unwrap().forget();
            let finished = self.engine.run(task, cancel).await;
            self.ended.add_permits(1);
            finished
        }
        .boxed()
    }
}

struct Bed {
    server: Server,
    content: Bytes,
    desk: Desk,
    job: Job,
    drain: CancellationToken,
    /// Runs that may begin.
    begin: Arc<Semaphore>,
    /// Runs that have ended.
    ended: Arc<Semaphore>,
    region: Region,
    folder: tempfile::TempDir,
    /// Receipts in the order in which the runs ended.
    told: Mutex<Vec<Receipt>>,
}

impl Bed {
    /// A job of a route with this text, and a worker for it.
    async fn new(route: &str) -> Self {
        let server =
            Server::start(Config::with_buckets(["ingest", "one", "two", "three", "archive"])).unwrap();
        let content = pattern(1, SIZE);
        let version_id = server.put_object("ingest", "a/file", content.clone());
        server.reset_log();
        let clock = Clock::simulated();
        let region = Region::new(clock);
        let shared = Arc::new(region.clone());
        let desk = Desk {
            ledger: shared.clone(),
            runs: shared.clone(),
            catalog: shared.clone(),
            keys: shared.clone(),
            dispatch: shared.clone(),
            notify: shared,
            clock,
            retention: Retention::default(),
            actor: Actor::part("worker"),
            source: "eft/test".to_owned(),
        };
        let route = Route::parse_yaml(route, Profile::Platform).unwrap();
        region.put_tenant(&tenant(&PLACES)).await.unwrap();
        region.put_route(&route, None).await.unwrap();
        let arrived = Arrived {
            arrival: Arrival { bucket: "ingest".into(), key: "a/file".into(), version_id },
            size: SIZE as u64,
            etag: None,
            at: clock.now(),
            tenant: Some("acme".parse().unwrap()),
            route: Some(PinnedRoute { id: route.effective_id(), revision: route.revision() }),
            runner: Runner::Worker,
            turn: None,
            trace: None,
        };
        let (job, _) = desk.begin(&arrived, &Command::Accept).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bed = Self {
            server,
            content,
            desk,
            job,
            drain: CancellationToken::new(),
            begin: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            ended: Arc::new(Semaphore::new(0)),
            region,
            folder,
            told: Mutex::default(),
        };
        bed.start();
        bed
    }

    fn start(&self) {
        let clients = Clients::for_endpoint(&self.server.endpoint());
        let engine = Engine {
            shared: Shared { budget: Budget::new(128 << 20), pool: Pool::new(NonZeroUsize::MIN), clients },
            memory: Some(ByteSize::mib(48)),
            concurrency: 3,
            interval: None,
            buckets: BTreeMap::new(),
            archive: Some("archive".to_owned()),
            keys: None,
            scanner: None,
            signing: SigningKey::load_or_create(&self.folder.path().join("key")).unwrap(),
        };
        let worker = Worker {
            desk: self.desk.clone(),
            queue: Arc::new(Queue(self.region.clone())),
            transfers: Arc::new(Gated {
                engine,
                begin: Arc::clone(&self.begin),
                ended: Arc::clone(&self.ended),
            }),
            circuits: Arc::default(),
            releases: Arc::default(),
            protection: Arc::new(Unprotected),
            times: Times::DEFAULT,
            name: "worker".to_owned(),
            pulse: Arc::new(Pulse::new(Duration::from_secs(120))),
            drain: self.drain.clone(),
        };
        tokio::spawn(async move { worker.serve(1).await });
    }

    /// Send it, and wait until it stands like this.
    async fn run(&self, until: JobState) -> Job {
        let sequence = self.desk.ledger.get(self.job.id).await.unwrap().unwrap();
        self.desk.send(&sequence).await.unwrap();
        let ended = async {
            loop {
                let job = self.desk.ledger.get(self.job.id).await.unwrap().unwrap();
                if job.state == until && job.sequence > sequence.sequence && job.outbox.is_empty() {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let job = tokio::time::timeout(Duration::from_secs(60), ended).await;
        let Ok(job) = job else { panic!("it stands at {:?}", self.region.jobs()) };
        if let Some(text) = self.desk.receipt(&job).await.unwrap() {
            self.told.lock().unwrap().push(SignedReceipt::parse(&text).unwrap().receipt);
        }
        job
    }

    fn receipt(&self) -> Receipt {
        self.told.lock().unwrap().last().unwrap().clone()
    }

    fn stands(&self, bucket: &str) -> Vec<String> {
        let keys = self.server.keys(bucket);
        let all = keys.iter().all(|key| self.server.get_object(bucket, key).unwrap() == self.content);
        assert!(all, "{bucket}: other bytes");
        keys
    }

    fn puts(&self, bucket: &str) -> usize {
        let writes = |record: &&eft_s3::Record| {
            record.bucket == bucket
                && ["PutObject", "CompleteMultipartUpload", "CopyObject"].contains(&record.op.as_str())
        };
        self.server.request_log().iter().filter(writes).count()
    }

    fn read(&self) -> u64 {
        let log = self.server.request_log();
        log.iter().filter(|record| record.op == "GetObject").map(|record| record.bytes_out).sum()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

const PLACES: [&str; 3] = ["one", "two", "three"];

/// Whose files they are, who may deliver to these buckets.
fn tenant(places: &[&str]) -> Tenant {
    let place = |bucket: &&str| Output { bucket: bucket.parse().unwrap(), prefix: "out/".to_owned() };
    let outputs = places.iter().map(place).collect();
    Tenant { outputs, ..Tenant::new("acme".parse().unwrap()) }
}

fn route(stages: &str, archive: &str) -> String {
    let to = |bucket: &str| format!("{{s3: {{bucket: {bucket}, key: \"out/{{name}}\", on_existing: fail}}}}");
    let all = PLACES.map(to).join(", ");
    format!(
        "{{id: tee, tenant: acme, match: {{prefix: a/}}, executor: worker, stages: [{stages}], destinations: [{all}]{archive}}}"
    )
}

const ARCHIVE: &str = ", archive: {storage_class: STANDARD_IA, original: true}";

fn delivered(receipt: &Receipt) -> Vec<(bool, bool)> {
    let of = |one: &eft_domain::receipt::Delivery| {
        (one.outcome == DeliveryOutcome::Delivered, one.already_delivered)
    };
    receipt.deliveries.iter().map(of).collect()
}

#[tokio::test]
async fn a_job_goes_to_all_destinations_from_one_pass_and_to_the_archive() {
    let bed = Bed::new(&route("{strip_bom: {}}", ARCHIVE)).await;
    bed.run(JobState::Succeeded).await;
    for bucket in ["one", "two", "three"] {
        assert_eq!(bed.stands(bucket), ["out/file"]);
    }
    assert_eq!(bed.stands("archive").len(), 1);
    assert_eq!((bed.read(), bed.receipt().deliveries.len()), (SIZE as u64, 4), "{:?}", bed.receipt());
}

/// Whether its bytes are streamed or copied by S3. It finds out with the first thing it stores; that a copy asks once more
/// is in `tests/copy.rs`.
#[tokio::test]
async fn what_is_cancelled_while_it_runs_becomes_visible_nowhere() {
    for stages in ["{strip_bom: {}}", ""] {
        let bed = Bed::new(&route(stages, "")).await;
        bed.begin.forget_permits(Semaphore::MAX_PERMITS);
        bed.run(JobState::Running).await;
        let cancel = Command::Cancel { reason: "wrong file".into() };
        bed.desk.change_and_tell(bed.job.id, &cancel).await.unwrap();
        bed.begin.add_permits(1);
        bed.ended.acquire().await.unwrap().forget();
        for bucket in ["one", "two", "three"] {
            assert_eq!((bed.stands(bucket).len(), bed.puts(bucket)), (0, 0), "{stages}: {bucket}");
        }
        assert_eq!(bed.desk.ledger.get(bed.job.id).await.unwrap().unwrap().state, JobState::Cancelled);
    }
}

/// It was accepted while its tenant might deliver there. Whether it is run for the first time or once more: it waits, its
/// tenant gets nothing to where it may not any more, and nothing is lost when it may again.
#[tokio::test]
async fn a_place_that_was_taken_away_gets_nothing() {
    for stages in ["{strip_bom: {}}", ""] {
        let bed = Bed::new(&route(stages, "")).await;
        let runs = [None, Some(Command::Replay { reason: "once more".into(), route: None })];
        for again in runs {
            bed.region.put_tenant(&tenant(&["one", "three"])).await.unwrap();
            if let Some(again) = &again {
                bed.server.reset_log();
                bed.desk.change_and_tell(bed.job.id, again).await.unwrap();
            }
            let failure = bed.run(JobState::Held).await.failure.unwrap();
            assert_eq!(failure.code, "destination.withdrawn");
            assert!(failure.message.contains("may not deliver to s3://two/out/"), "{}", failure.message);
            assert_eq!(PLACES.map(|place| bed.puts(place)), [0; 3], "{stages}");
            bed.region.put_tenant(&tenant(&PLACES)).await.unwrap();
            let resume = Command::Resume { reason: "it may again".into() };
            bed.desk.change_and_tell(bed.job.id, &resume).await.unwrap();
            if again.is_none() {
                bed.run(JobState::Succeeded).await;
                assert_eq!(PLACES.map(|place| bed.stands(place).len()), [1; 3]);
            }
        }
    }
}

/// Nothing is asked of the place that has it.
#[tokio::test]
async fn a_place_that_was_taken_away_after_its_delivery_keeps_no_other_from_theirs() {
    let bed = Bed::new(&route("{strip_bom: {}}", "")).await;
    let denied = Action::Error { code: eft_s3::Code::AccessDenied };
    bed.server.set_faults([Fault::on(Op::UploadPart, denied).bucket("two")]);
    bed.run(JobState::PartiallyDelivered).await;
    bed.server.set_faults([]);
    bed.region.put_tenant(&tenant(&["two", "three"])).await.unwrap();
    let again = Command::Redeliver { reason: "it may now".into() };
    bed.desk.change_and_tell(bed.job.id, &again).await.unwrap();
    bed.run(JobState::Succeeded).await;
    assert_eq!(delivered(&bed.receipt()), [(true, true), (true, false), (true, true)]);
}

/// The others have it: their job ends without the one, and says why.
#[tokio::test]
async fn a_place_that_was_taken_away_before_it_is_delivered_to_again_ends_the_job() {
    let bed = Bed::new(&route("{strip_bom: {}}", "")).await;
    let denied = Action::Error { code: eft_s3::Code::AccessDenied };
    bed.server.set_faults([Fault::on(Op::UploadPart, denied).bucket("two")]);
    bed.run(JobState::PartiallyDelivered).await;
    bed.server.set_faults([]);
    bed.region.put_tenant(&tenant(&["one", "three"])).await.unwrap();
    let again = Command::Redeliver { reason: "it may now".into() };
    bed.desk.change_and_tell(bed.job.id, &again).await.unwrap();
    let job = bed.run(JobState::PartiallyDelivered).await;
    assert_eq!((job.failure.unwrap().code.as_str(), bed.puts("two")), ("destination.withdrawn", 0));
    assert_eq!(delivered(&bed.receipt()), [(true, false), (false, false), (true, false)], "as it was told");

    // Not one whose owner has died when it was about to publish: that may stand.
    bed.desk.change_and_tell(bed.job.id, &again).await.unwrap();
    let lease = Duration::from_secs(60);
    let claimed = bed.desk.change(bed.job.id, &Command::Claim { owner: "dies".into(), lease }).await.unwrap();
    let fence = claimed.fence;
    let save = Command::Save { fence, checkpoint: "{}".into(), advanced: false, publishing: true };
    bed.desk.change(bed.job.id, &save).await.unwrap();
    bed.desk.change(bed.job.id, &Command::HandBack { fence, reason: "dies".into() }).await.unwrap();
    let held = bed.run(JobState::Held).await;
    assert!(held.publishing && held.failure.unwrap().code == "destination.withdrawn");
}

/// By the names that its route gives them. Asked again, the one that has failed alone is written to.
#[tokio::test]
async fn a_job_makes_several_objects_of_one() {
    let stages = "{split: {after_bytes: 4MiB}}";
    let bed = Bed::new(&route(stages, "").replace("{name}", "{name}-{n}")).await;
    let denied = Action::Error { code: eft_s3::Code::AccessDenied };
    bed.server.set_faults([Fault::on(Op::CompleteMultipartUpload, denied.clone()).bucket("two").skip(1)]);
    bed.run(JobState::PartiallyDelivered).await;
    let made = |place: &str| {
        let keys = bed.server.keys(place);
        assert_eq!(keys, ["out/file-00001", "out/file-00002", "out/file-00003"], "{place}");
        let made: Vec<_> = keys.iter().map(|key| bed.server.get_object(place, key).unwrap()).collect();
        assert!(made.concat() == bed.content, "{place}: other bytes");
    };
    made("one");
    made("three");
    assert!(bed.server.keys("two").len() < 3);
    bed.server.set_faults([]);
    bed.server.reset_log();
    let again = Command::Redeliver { reason: "it may now".into() };
    bed.desk.change_and_tell(bed.job.id, &again).await.unwrap();
    bed.run(JobState::Succeeded).await;
    made("two");
    assert_eq!((bed.puts("one"), bed.puts("three")), (0, 0));
    let uris: BTreeSet<_> = bed.receipt().deliveries.iter().map(|one| one.uri.to_string()).collect();
    assert_eq!((bed.receipt().deliveries.len(), uris.len()), (9, 9), "each object is told of once");
}

/// Once an object may be visible nobody is told that none is.
#[tokio::test]
async fn what_s3_is_copying_cannot_be_cancelled() {
    let bed = Bed::new(&route("", "")).await;
    bed.server.set_faults([Fault::on(Op::CopyObject, Action::Latency { ms: 3_600_000 })]);
    bed.desk.send(&bed.job).await.unwrap();
    let is_delivering = async {
        while bed.desk.ledger.get(bed.job.id).await.unwrap().unwrap().state != JobState::Delivering {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_delivering).await.unwrap();
    let cancel = Command::Cancel { reason: "too late".into() };
    let refused = bed.desk.change_and_tell(bed.job.id, &cancel).await.unwrap_err();
    let state = JobState::Delivering;
    assert_eq!(refused, ChangeError::Refused(Refused::State { command: "cancel", state }));
}

/// It stands at its destinations, and waits for its source to be archived.
#[tokio::test]
async fn what_is_delivered_and_not_archived_cannot_be_cancelled() {
    let bed = Bed::new(&route("{strip_bom: {}}", ARCHIVE)).await;
    let denied = Action::Error { code: eft_s3::Code::AccessDenied };
    bed.server.set_faults([Fault::on(Op::HeadObject, denied).bucket("ingest").skip(1)]);
    let job = bed.run(JobState::Held).await;
    assert_eq!((job.failure.unwrap().code.as_str(), bed.stands("one").len()), ("source.access", 1));
    let cancel = Command::Cancel { reason: "wrong file".into() };
    let refused = bed.desk.change_and_tell(bed.job.id, &cancel).await.unwrap_err();
    assert_eq!(refused, ChangeError::Refused(Refused::Publishing));
}

/// A copy that was refused has published nothing: its job may be cancelled while it waits.
#[tokio::test]
async fn what_s3_did_not_copy_can_be_cancelled() {
    let bed = Bed::new(&route("", "")).await;
    bed.server.set_faults([Fault::on(Op::CopyObject, Action::Error { code: eft_s3::Code::AccessDenied })]);
    bed.run(JobState::Held).await;
    let cancel = Command::Cancel { reason: "wrong file".into() };
    bed.desk.change_and_tell(bed.job.id, &cancel).await.unwrap();
}

/// What the first run has archived is not in the way of the second.
#[tokio::test]
async fn a_replay_finds_the_original_in_the_archive() {
    let bed = Bed::new(&route("{strip_bom: {}}", ARCHIVE).replace("{name}", "{run_id}")).await;
    bed.run(JobState::Succeeded).await;
    let again = Command::Replay { reason: "to see it again".into(), route: None };
    bed.desk.change_and_tell(bed.job.id, &again).await.unwrap();
    bed.run(JobState::Succeeded).await;
    assert_eq!((bed.stands("one").len(), bed.stands("archive").len(), bed.puts("archive")), (2, 1, 1));
    assert_eq!(bed.receipt().run_id.generation(), 2);
    assert_eq!(delivered(&bed.receipt()), [(true, false), (true, false), (true, false), (true, true)]);
}

/// One of three fails. Asked again it alone is written to: not even a reader who has taken the others away changes that.
#[tokio::test]
async fn a_redelivery_touches_only_what_has_failed() {
    let bed = Bed::new(&route("{strip_bom: {}}", "")).await;
    let denied = || Action::Error { code: eft_s3::Code::AccessDenied };
    bed.server.set_faults([Fault::on(Op::UploadPart, denied()).bucket("two")]);
    let job = bed.run(JobState::PartiallyDelivered).await;
    assert_eq!(job.failure.unwrap().code, "destination.access");
    assert_eq!(bed.receipt().outcome, Outcome::PartiallyDelivered);
    assert_eq!(delivered(&bed.receipt()), [(true, false), (false, false), (true, false)]);
    assert!(bed.stands("two").is_empty() && bed.server.open_uploads().is_empty());

    bed.server.set_faults([]);
    bed.server.reset_log();
    let again = Command::Redeliver { reason: "it may now".into() };
    bed.desk.change_and_tell(bed.job.id, &again).await.unwrap();
    bed.run(JobState::Succeeded).await;
    assert_eq!(delivered(&bed.receipt()), [(true, true), (true, false), (true, true)]);
    assert_eq!((bed.puts("one"), bed.puts("two"), bed.puts("three")), (0, 1, 0));
    let asked = bed.server.request_log().iter().any(|record| ["one", "three"].contains(&&record.bucket[..]));
    assert!(!asked, "what is known to be delivered is not even looked at");
    assert_eq!(bed.stands("two"), ["out/file"]);
}

/// The destinations have it, and the source cannot be read for those that are left: that passes, and is waited for.
#[tokio::test]
async fn a_source_that_is_down_is_waited_for_although_some_have_been_delivered_to() {
    let bed = Bed::new(&route("{strip_bom: {}}", "")).await;
    let denied = || Action::Error { code: eft_s3::Code::AccessDenied };
    bed.server.set_faults([Fault::on(Op::UploadPart, denied()).bucket("two")]);
    bed.run(JobState::PartiallyDelivered).await;
    bed.server.set_faults([Fault::on(Op::GetObject, denied())]);
    let again = Command::Redeliver { reason: "it may now".into() };
    bed.desk.change_and_tell(bed.job.id, &again).await.unwrap();
    let job = bed.run(JobState::Held).await;
    assert_eq!(job.failure.unwrap().code, "source.access");
    bed.server.set_faults([]);
    let resume = Command::Resume { reason: "it is back".into() };
    bed.desk.change_and_tell(bed.job.id, &resume).await.unwrap();
    bed.run(JobState::Succeeded).await;
    assert_eq!(delivered(&bed.receipt()), [(true, true), (true, false), (true, true)]);
}
