//! A run to several destinations.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{
    ByteSize, Code, Failure, Receipt, Route,
    receipt::{DeliveryOutcome, Method, Outcome},
    route::{OnExisting, Profile},
};
use eft_fakes::pattern;
use eft_pipeline::{
    budget::Budget,
    checkpoint::{Checkpoint, CheckpointStore},
    checksum::Crc64,
    concurrency::Concurrency,
    given::Given,
    pool::Pool,
    port::{ObjectSink, PortResult, Upload},
};
use eft_s3::{Action, Code as S3, Config, Fault, Op, Server};
use eft_worker::{
    kept::CheckpointAt,
    place::Goal,
    run::{Done, Job, Shared},
    s3::{Attributes, Client, Clients, S3Sink, Target},
};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;
const SIZE: usize = 30 * MIB + 7;
const STAGES: &str = "stages: [{strip_bom: {}}]";

/// A checkpoint as a row would hold it.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Option<Checkpoint>>>);

impl Shelf {
    fn get(&self) -> Option<Checkpoint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

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

struct Bed {
    server: Server,
    content: Bytes,
    shelf: Shelf,
    stages: &'static str,
}

impl Bed {
    fn new(stages: &'static str) -> Self {
        let server = Server::start(Config::with_buckets(["ingest", "one", "two"])).unwrap();
        let content = pattern(1, SIZE);
        server.put_object("ingest", "file", content.clone());
        server.reset_log();
        Self { server, content, shelf: Shelf::default(), stages }
    }

    fn job(&self, destinations: &[&str]) -> Job {
        let budget = Budget::new(64 << 20);
        let clients = Clients::for_endpoint(&self.server.endpoint());
        Job {
            route: Route::parse_yaml(&format!("{{id: tee, {}}}", self.stages), Profile::Cli).unwrap(),
            source: "s3://ingest/file".parse().unwrap(),
            destinations: destinations.iter().map(|uri| Goal::new(uri.parse().unwrap())).collect(),
            memory: Some(ByteSize::mib(48)),
            concurrency: 3,
            part_size: Some(ByteSize::mib(5)),
            given: Given::default(),
            server_copy: true,
            permit: None,
            run: None,
            shared: Some(Shared { budget, pool: Pool::new(NonZeroUsize::MIN), clients }),
            checkpoint: Some(CheckpointAt::Store(Arc::new(self.shelf.clone()), Box::new(self.shelf.get()))),
            // The least that this memory allows: a mark every 24 MiB.
            interval: Some(ByteSize::mib(96)),
        }
    }

    async fn run(&self, destinations: &[&str]) -> Result<Done, Failure> {
        self.job(destinations).run(CancellationToken::new(), |_, _| ()).await
    }

    /// Run to both, and drop it where it stands when the one has the object, which is noted, and the other has not.
    async fn kill_between_commits(&self) {
        let is_noted = |saved: &Checkpoint| saved.sinks.iter().any(|sink| sink.delivered().is_some());
        self.kill(&["two"], |saved| self.server.get_object("one", "file").is_some() && is_noted(saved)).await;
    }

    /// Run to both, of which these never come to publish, and drop it where it stands.
    async fn kill(&self, never: &[&str], when: impl Fn(&Checkpoint) -> bool) {
        let action = Action::Latency { ms: 3_600_000 };
        let fault = |bucket: &&str| Fault::on(Op::CompleteMultipartUpload, action.clone()).bucket(*bucket);
        self.server.set_faults(never.iter().map(fault));
        let asked = || self.server.stats().in_flight;
        let moment = async {
            while !self.shelf.get().is_some_and(|saved| when(&saved)) || asked() < never.len() as u64 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            () = moment => {}
            done = self.run(&BOTH) => panic!("it ended: {:?}", done.map(|done| done.receipt.outcome)),
        }
        // What it has asked for is forgotten with its connections.
        while asked() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.server.set_faults([]);
    }

    /// What a killed run has begun in a bucket.
    async fn left(&self, bucket: &str) -> Box<dyn Upload> {
        let target = Target {
            uri: format!("s3://{bucket}/file").parse().unwrap(),
            on_existing: OnExisting::Fail,
            delivery_id: "not looked at".to_owned(),
            attributes: Attributes::default(),
        };
        let client = Client::for_endpoint(&self.server.endpoint(), Concurrency::new(1));
        let left = self.server.open_uploads().into_iter().find(|open| open.bucket == bucket).unwrap();
        S3Sink::unchecked(client, target).unwrap().reopen(&left.upload_id).await.unwrap()
    }

    /// The killed run wakes up and comes to its end there, just after the next one has looked.
    async fn wake(&self, bucket: &str) {
        let left = self.server.open_uploads().into_iter().find(|open| open.bucket == bucket).unwrap();
        let (upload, whole) = (self.left(bucket).await, Crc64::of(&self.content));
        let parts = upload.parts(left.parts.len().try_into().unwrap(), whole).await.unwrap();
        upload.commit(&parts.unwrap(), whole).await.unwrap();
        let early = Action::Error { code: S3::NoSuchKey };
        self.server.set_faults([Fault::on(Op::HeadObject, early).bucket(bucket).times(1)]);
    }

    fn read(&self) -> u64 {
        let log = self.server.request_log();
        log.iter().filter(|record| record.op == "GetObject").map(|record| record.bytes_out).sum()
    }

    /// The object stands there once, or not at all.
    fn assert_at(&self, bucket: &str, stands: bool) {
        let object = self.server.get_object(bucket, "file");
        assert!(object.as_ref().is_none_or(|object| *object == self.content), "{bucket}: other bytes");
        assert_eq!(
            (object.is_some(), self.server.versions(bucket, "file").len()),
            (stands, usize::from(stands)),
            "{bucket}"
        );
    }
}

fn outcomes(receipt: &Receipt) -> Vec<(DeliveryOutcome, Method)> {
    receipt.deliveries.iter().map(|one| (one.outcome, one.method)).collect()
}

const BOTH: [&str; 2] = ["s3://one/file", "s3://two/file"];

#[tokio::test]
async fn every_destination_has_it_from_one_download() {
    let bed = Bed::new(STAGES);
    let done = bed.run(&BOTH).await.unwrap();
    assert_eq!((done.receipt.outcome, done.failure), (Outcome::Succeeded, None));
    assert_eq!(outcomes(&done.receipt), [(DeliveryOutcome::Delivered, Method::Stream); 2]);
    let [one, two] = &done.receipt.deliveries[..] else { panic!("two") };
    assert!(one.delivery_id != two.delivery_id && one.crc64nvme == two.crc64nvme && one.parts == 7);
    bed.assert_at("one", true);
    bed.assert_at("two", true);
    assert_eq!((bed.read(), bed.server.open_uploads().len()), (SIZE as u64, 0));
    assert!(bed.shelf.get().is_none());
}

/// S3 copies to each, and no byte passes here.
#[tokio::test]
async fn routes_that_look_at_no_byte_are_copied_to_every_destination() {
    let bed = Bed::new("stages: []");
    let done = bed.run(&BOTH).await.unwrap();
    assert_eq!(outcomes(&done.receipt), [(DeliveryOutcome::Delivered, Method::ServerCopy); 2]);
    bed.assert_at("one", true);
    bed.assert_at("two", true);
    assert_eq!(bed.read(), 0);
}

/// Of each way to fail the others have their object, and nothing of it is left behind.
#[tokio::test]
async fn a_destination_that_fails_costs_the_others_nothing() {
    for stages in [STAGES, "stages: []"] {
        for (bucket, code) in [("none", Code::DestinationMissing), ("two", Code::DestinationExists)] {
            let bed = Bed::new(stages);
            bed.server.put_object("two", "file", "theirs");
            let bad = format!("s3://{bucket}/file");
            let done = bed.run(&[&bad, BOTH[0]]).await.unwrap();
            assert_eq!(done.failure.unwrap().code, code, "{stages}");
            assert_eq!(done.receipt.outcome, Outcome::PartiallyDelivered);
            let [failed, delivered] = &done.receipt.deliveries[..] else { panic!("two") };
            assert!(failed.outcome != DeliveryOutcome::Delivered && failed.failure.is_some());
            assert_eq!(delivered.outcome, DeliveryOutcome::Delivered);
            bed.assert_at("one", true);
            assert_eq!(bed.server.open_uploads().len(), 0);
        }
    }
    // In the middle.
    let bed = Bed::new(STAGES);
    let refused =
        Fault::on(Op::UploadPart, Action::Error { code: eft_s3::Code::AccessDenied }).bucket("two").skip(3);
    bed.server.set_faults([refused]);
    let done = bed.run(&BOTH).await.unwrap();
    assert_eq!(done.failure.unwrap().code, Code::DestinationAccess);
    assert_eq!(done.receipt.outcome, Outcome::PartiallyDelivered);
    bed.assert_at("one", true);
    bed.assert_at("two", false);
    assert_eq!((bed.read(), bed.server.open_uploads().len()), (SIZE as u64, 0));
}

#[tokio::test]
async fn each_destination_says_why_where_all_have_failed() {
    let bed = Bed::new(STAGES);
    bed.server.put_object("two", "file", "theirs");
    let done = bed.run(&["s3://none/file", BOTH[1]]).await.unwrap();
    assert_eq!(done.failure.unwrap().code, Code::DestinationMissing);
    assert_ne!(done.receipt.outcome, Outcome::PartiallyDelivered);
    let codes = done.receipt.deliveries.iter().map(|one| one.failure.as_ref().unwrap().known().unwrap());
    assert_eq!(codes.collect::<Vec<_>>(), [Code::DestinationMissing, Code::DestinationExists]);
}

/// A file that breaks a rule is nowhere, and its receipt says so of each destination.
#[tokio::test]
async fn a_broken_file_is_nowhere() {
    let bed = Bed::new("stages: [{validate: {utf8: {}}}]");
    let done = bed.run(&BOTH).await.unwrap();
    assert_eq!(done.receipt.outcome, Outcome::Rejected);
    assert_eq!(outcomes(&done.receipt), [(DeliveryOutcome::Failed, Method::Stream); 2]);
    bed.assert_at("one", false);
    bed.assert_at("two", false);
    assert_eq!(bed.server.open_uploads().len(), 0);
}

/// Killed when the one has the object and the other has not.
#[tokio::test]
async fn a_crash_between_two_commits_delivers_nothing_twice() {
    for noted in [true, false] {
        let bed = Bed::new(STAGES);
        bed.kill_between_commits().await;
        if !noted {
            // As if it had been killed a moment earlier.
            let mut checkpoint = bed.shelf.get().unwrap();
            checkpoint.sinks[0].ended = None;
            checkpoint.sinks[0].upload = Some("gone".to_owned());
            *bed.shelf.0.lock().unwrap() = Some(checkpoint);
        }
        let before = bed.read();
        let done = bed.run(&BOTH).await.unwrap();
        assert_eq!((done.receipt.outcome, done.failure), (Outcome::Succeeded, None));
        let [one, two] = &done.receipt.deliveries[..] else { panic!("two") };
        assert!(one.already_delivered && !two.already_delivered, "{:?}", done.receipt.deliveries);
        assert_eq!(one.crc64nvme, two.crc64nvme);
        bed.assert_at("one", true);
        bed.assert_at("two", true);
        assert_eq!(bed.server.open_uploads().len(), 0);
        let from = done.receipt.resumed_from.expect("it was resumed").source_offset;
        assert!(from >= 24 << 20, "resumed from {from}");
        assert_eq!(bed.read() - before, SIZE as u64 - from, "not what was left is read");
        assert!(bed.shelf.get().is_none(), "the checkpoint is kept");
    }
}

/// Whoever was stopped while publishing makes the object just after the next run has looked for it; or somebody removes
/// the upload. Either way that run looks there once more, and is the last.
#[tokio::test]
async fn an_upload_that_is_gone_while_it_is_published_is_looked_for_again() {
    for is_made in [true, false] {
        let bed = Bed::new(STAGES);
        bed.kill_between_commits().await;
        match is_made {
            true => bed.wake("two").await,
            false => bed.left("two").await.abort().await.unwrap(),
        }
        let before = bed.read();
        let done = bed.run(&BOTH).await.unwrap();
        assert_eq!((done.receipt.outcome, done.failure), (Outcome::Succeeded, None));
        let again: Vec<_> = done.receipt.deliveries.iter().map(|one| one.already_delivered).collect();
        assert_eq!(again, [true, is_made]);
        assert_eq!(bed.read() - before, if is_made { 0 } else { SIZE as u64 });
        bed.assert_at("one", true);
        bed.assert_at("two", true);
        assert_eq!(bed.server.open_uploads().len(), 0);
        assert!(bed.shelf.get().is_none(), "the checkpoint is kept");
    }
}

/// The other is gone on with, by the same attempt.
#[tokio::test]
async fn one_that_is_made_behind_the_look_does_not_cost_the_other_its_place() {
    let bed = Bed::new(STAGES);
    bed.kill(&["one", "two"], |saved| saved.publishing.is_some()).await;
    bed.wake("one").await;
    let before = bed.read();
    let done = bed.run(&BOTH).await.unwrap();
    assert_eq!((done.receipt.outcome, done.failure), (Outcome::Succeeded, None));
    let from = done.receipt.resumed_from.expect("it was resumed");
    assert_eq!((from.attempt, bed.read() - before), (1, SIZE as u64 - from.source_offset));
    let again: Vec<_> = done.receipt.deliveries.iter().map(|one| one.already_delivered).collect();
    assert_eq!(again, [true, false]);
    bed.assert_at("one", true);
    bed.assert_at("two", true);
}

#[tokio::test]
async fn what_two_places_cannot_share_is_refused() {
    let bed = Bed::new("stages: [{compress: {codec: zip}}]");
    for (places, word) in
        [(["s3://one/a", "s3://one/a"], "twice"), (["s3://one/a.zip", "s3://two/b.zip"], "other bytes")]
    {
        let failure = bed.run(&places).await.err().unwrap();
        assert!(failure.code == Code::PlanRefused && failure.message.contains(word), "{failure}");
    }
}
