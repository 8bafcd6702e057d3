//! Copies that S3 makes itself: what arrives, what is asked, and what happens when it goes wrong.
#![allow(clippy::unwrap_used)] // Helpers of tests, which clippy does not take for tests.

use std::sync::Arc;

use bytes::Bytes;
use eft_domain::{Code, route::OnExisting};
use eft_fakes::pattern;
use eft_pipeline::{
    checksum::Crc64,
    concurrency::Concurrency,
    port::{ErrorKind, ObjectSink, Part, PortError, PortResult},
    progress::Progress,
    retry::RetryPolicy,
    transfer::{Outcome, Stopped},
};
use eft_s3::{Action, Config, Fault, Feature, Op, Profile, Server};
use eft_worker::s3::{Attributes, Client, Method, Permit, S3Sink, S3Source, ServerCopy, Target};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;

struct Bed {
    server: Server,
    bytes: Bytes,
    cancel: CancellationToken,
    permit: Option<Arc<dyn Permit>>,
}

/// Nothing may be published any more.
struct Revoked;

impl Permit for Revoked {
    fn publish(&self) -> BoxFuture<'_, PortResult<()>> {
        async { Err(PortError::new(ErrorKind::Permanent, "it is another's now")) }.boxed()
    }
}

impl Bed {
    fn new(profile: Profile) -> Self {
        let config = Config { profile, ..Config::with_buckets(["files", "other"]) };
        let server = Server::start(config).unwrap();
        let bytes = pattern(1, 12 * MIB + 7);
        server.put_object("files", KEY, bytes.clone());
        server.reset_log();
        Self { server, bytes, cancel: CancellationToken::new(), permit: None }
    }

    /// In parts of 5 MiB: three.
    fn parts(&self) -> Method {
        Method::parts([self.bytes.len() as u64], 5 << 20).unwrap()
    }

    async fn run(&self, method: Method) -> Result<Option<Outcome>, Stopped> {
        self.run_of(&[KEY], method).await
    }

    async fn run_of(&self, keys: &[&str], method: Method) -> Result<Option<Outcome>, Stopped> {
        let client = Client::for_endpoint(&self.server.endpoint(), Concurrency::new(2));
        let client = client.asking(self.permit.clone());
        let mut sources = Vec::new();
        for key in keys {
            let uri = format!("s3://files/{key}").parse().unwrap();
            sources.push(Arc::new(S3Source::open(client.clone(), &uri).await.unwrap()));
        }
        let target = Target {
            uri: "s3://other/copy".parse().unwrap(),
            on_existing: OnExisting::Fail,
            delivery_id: "ours".to_owned(),
            attributes: sources[0].attributes().clone(),
        };
        let copy = ServerCopy {
            sources,
            sink: S3Sink::unchecked(client, target).unwrap(),
            method,
            concurrency: Concurrency::new(2),
            retry: RetryPolicy { attempts: 4, ..RetryPolicy::DEFAULT },
            progress: Arc::new(Progress::default()),
            cancel: self.cancel.clone(),
        };
        let ended = copy.run().await;
        assert_eq!(self.server.open_uploads().len(), 0, "an upload was left behind");
        ended
    }

    fn arrived(&self) -> Option<Bytes> {
        self.server.get_object("other", "copy")
    }

    fn moved(&self) -> u64 {
        [Op::GetObject, Op::PutObject, Op::UploadPart].into_iter().map(|op| self.server.count(op)).sum()
    }
}

/// Needs encoding in a header.
const KEY: &str = "dir/a b+c%25é?&=.bin";

fn methods(bed: &Bed) -> Vec<(Method, Op)> {
    vec![(Method::Whole, Op::CopyObject), (bed.parts(), Op::CompleteMultipartUpload)]
}

#[tokio::test]
async fn the_copy_is_whole_and_no_byte_passes_here() {
    for at in 0..2 {
        let bed = Bed::new(Profile::default());
        let (method, _) = methods(&bed).swap_remove(at);
        let outcome = bed.run(method).await.unwrap().unwrap();
        assert_eq!(bed.arrived(), Some(bed.bytes.clone()));
        assert_eq!((outcome.source, outcome.output), (Crc64::of(&bed.bytes), Crc64::of(&bed.bytes)));
        assert!(outcome.compared.is_some() && outcome.deliveries[0].is_verified());
        assert_eq!(bed.moved(), 0);
        assert_eq!(bed.server.count(Op::UploadPartCopy), if at == 0 { 0 } else { 3 });
    }
}

#[tokio::test]
async fn an_endpoint_that_proves_nothing_is_not_asked_to_copy() {
    let without = |crc64, conditional| Profile { crc64, conditional, ..Profile::default() };
    let cases = [
        (without(Feature::Ignored, Feature::Supported), 1),
        (without(Feature::Refused, Feature::Supported), 1),
        // It might replace another writer's object.
        (without(Feature::Supported, Feature::Refused), 0),
    ];
    for (profile, at) in cases {
        let bed = Bed::new(profile);
        let (method, _) = methods(&bed).swap_remove(at);
        assert!(bed.run(method).await.unwrap().is_none(), "{profile:?}");
        assert_eq!(bed.arrived(), None);
    }
    let bed = Bed::new(Profile::default());
    let action = Action::Error { code: eft_s3::Code::NotImplemented };
    bed.server.set_faults([Fault::on(Op::CopyObject, action.clone()), Fault::on(Op::UploadPartCopy, action)]);
    for (method, _) in methods(&bed) {
        assert!(bed.run(method).await.unwrap().is_none());
    }
}

/// Whatever became of the request that publishes, the object is there once.
#[tokio::test]
async fn an_unclear_answer_is_settled_by_looking() {
    let code = eft_s3::Code::InternalError;
    let actions = [
        Action::Error { code },
        Action::DoneThenError { code },
        Action::DoneThenClose,
        Action::ErrorIn200 { code, done: false },
        Action::ErrorIn200 { code, done: true },
        Action::Error { code: eft_s3::Code::SlowDown },
    ];
    for action in actions {
        for at in 0..2 {
            let bed = Bed::new(Profile::default());
            let (method, op) = methods(&bed).swap_remove(at);
            bed.server.set_faults([Fault::on(op, action.clone()).times(1)]);
            bed.run(method).await.unwrap().unwrap();
            assert_eq!(bed.arrived(), Some(bed.bytes.clone()), "{action:?}");
            assert_eq!(bed.server.versions("other", "copy").len(), 1, "{action:?}");
        }
    }
}

#[tokio::test]
async fn parts_that_fail_are_copied_again() {
    let bed = Bed::new(Profile::default());
    let fault = |action| Fault::on(Op::UploadPartCopy, action).every(2).times(4);
    let code = eft_s3::Code::SlowDown;
    bed.server.set_faults([fault(Action::Error { code }), fault(Action::DoneThenClose)]);
    bed.run(bed.parts()).await.unwrap().unwrap();
    assert_eq!(bed.arrived(), Some(bed.bytes.clone()));
}

#[tokio::test]
async fn a_replaced_source_and_a_taken_name_are_told_apart() {
    for at in 0..2 {
        let bed = Bed::new(Profile { without_versions: true, ..Profile::default() });
        let (method, _) = methods(&bed).swap_remove(at);
        bed.server.set_faults([Fault::on(Op::HeadObject, Action::ReplaceObject).bucket("files").times(1)]);
        assert_eq!(bed.run(method.clone()).await.unwrap_err().failure.code, Code::SourceChanged);
        assert_eq!(bed.arrived(), None);

        let bed = Bed::new(Profile::default());
        bed.server.put_object("other", "copy", "another writer's");
        assert_eq!(bed.run(method).await.unwrap_err().failure.code, Code::DestinationExists);
        assert_eq!(bed.arrived().unwrap(), "another writer's");
    }
}

#[tokio::test]
async fn a_cancelled_copy_leaves_nothing() {
    let bed = Bed::new(Profile::default());
    bed.server.set_faults([Fault::on(Op::UploadPartCopy, Action::Latency { ms: 50 })]);
    let cancel = async {
        while bed.server.count(Op::UploadPartCopy) < 1 {
            tokio::task::yield_now().await;
        }
        bed.cancel.cancel();
    };
    let (ended, ()) = tokio::join!(bed.run(bed.parts()), cancel);
    assert_eq!(ended.unwrap_err().failure.code, Code::Interrupted);
    assert_eq!(bed.arrived(), None);
}

/// Whoever has lost its run, or whose job was cancelled, finds out before anything is visible.
#[tokio::test]
async fn nothing_is_published_without_leave() {
    let mut bed = Bed::new(Profile::default());
    bed.permit = Some(Arc::new(Revoked));
    for method in [Method::Whole, bed.parts()] {
        let stopped = bed.run(method).await.unwrap_err();
        assert!(stopped.failure.message.contains("another's now"), "{}", stopped.failure);
    }
    let client = Client::for_endpoint(&bed.server.endpoint(), Concurrency::new(1));
    let target = Target {
        uri: "s3://other/copy".parse().unwrap(),
        on_existing: OnExisting::Version,
        delivery_id: "ours".to_owned(),
        attributes: Attributes::default(),
    };
    let sink = S3Sink::unchecked(client.asking(bed.permit.clone()), target).unwrap();
    let bytes = Bytes::from_static(b"bytes");
    let crc = Crc64::of(&bytes);
    let part = Part { number: 1, offset: 0, segments: [bytes].into(), crc, leases: [].into() };
    let upload = sink.begin().await.unwrap();
    let ack = upload.write(part.clone()).await.unwrap();
    assert_eq!(upload.commit(&[ack], crc).await.unwrap_err().kind, ErrorKind::Permanent);
    upload.abort().await.unwrap();
    assert_eq!(sink.put(part).await.unwrap_err().kind, ErrorKind::Permanent);
    let writes = [Op::CopyObject, Op::CompleteMultipartUpload, Op::PutObject].map(|op| bed.server.count(op));
    assert_eq!((writes, bed.arrived()), ([0; 3], None));
}

#[tokio::test]
async fn several_sources_are_joined_in_their_order() {
    let bed = Bed::new(Profile::default());
    let pieces = [pattern(2, 5 * MIB), Bytes::new(), pattern(3, 12 * MIB), Bytes::from_static(b"end")];
    let keys = ["1", "2", "3", "4"];
    for (key, piece) in keys.iter().zip(&pieces) {
        bed.server.put_object("files", key, piece.clone());
    }
    let method = || Method::parts(pieces.iter().map(|piece| piece.len() as u64), 6 << 20).unwrap();
    let outcome = bed.run_of(&keys, method()).await.unwrap().unwrap();
    let whole = Bytes::from(pieces.concat());
    assert_eq!(bed.arrived(), Some(whole.clone()));
    assert_eq!((outcome.source, outcome.output), (Crc64::of(&whole), Crc64::of(&whole)));
    assert_eq!((outcome.compared, bed.moved()), (Some("CRC-64/NVME"), 0));
    assert_eq!(bed.server.count(Op::UploadPartCopy), 4);

    // Whose fault it is, and that no other range took the place of what is missing.
    let gone = Bed::new(Profile { without_versions: true, ..Profile::default() });
    for (key, piece) in keys.iter().zip(&pieces) {
        gone.server.put_object("files", key, piece.clone());
    }
    gone.server.set_faults([Fault::on(Op::HeadObject, Action::ReplaceObject).bucket("files").times(1)]);
    let stopped = gone.run_of(&keys, method()).await.unwrap_err();
    assert_eq!((stopped.failure.code, gone.arrived()), (Code::SourceChanged, None));
    assert!(stopped.failure.message.contains("s3://files/1"), "{}", stopped.failure);
}
