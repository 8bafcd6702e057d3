//! The adapters pass the suite that the memory fake passes, and settle commits whose answer was lost.
#![allow(clippy::unwrap_used)] // Helpers of tests, which clippy does not take for tests.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use eft_fakes::{conformance, pattern};
use eft_pipeline::{
    checksum::Crc64,
    concurrency::Concurrency,
    port::{ErrorKind, ObjectSink, ObjectSource, Part},
};
use eft_s3::{Action, Config, Fault, Op, Server};
use eft_worker::{
    local::{LocalSink, LocalSource},
    place::Sink,
    s3::{Client, S3Source},
};
use futures::{FutureExt, future::BoxFuture};

struct S3 {
    server: Server,
    client: Client,
}

impl S3 {
    fn new() -> Self {
        let server = Server::start(Config::with_buckets(["bucket"])).unwrap();
        let client = Client::for_endpoint(&server.endpoint(), Concurrency::new(8));
        Self { server, client }
    }

    async fn open(&self, name: &str, delivery: &str) -> Sink {
        // What a sink finds out when it opens is not under test here: the suite opens taken names too.
        let uri = format!("s3://bucket/{name}").parse().unwrap();
        let target = eft_worker::s3::Target {
            uri,
            on_existing: eft_domain::route::OnExisting::Fail,
            delivery_id: delivery.to_owned(),
            attributes: eft_worker::s3::Attributes::default(),
        };
        Sink::S3(eft_worker::s3::S3Sink::unchecked(self.client.clone(), target).unwrap())
    }
}

impl conformance::Place for S3 {
    fn sink(&self, name: &str) -> BoxFuture<'_, Arc<dyn ObjectSink>> {
        let name = name.to_owned();
        async move { self.open(&name, &uuid::Uuid::new_v4().to_string()).await.port() }.boxed()
    }

    fn source(&self, name: &str) -> BoxFuture<'_, Arc<dyn ObjectSource>> {
        let uri = format!("s3://bucket/{name}").parse().unwrap();
        async move {
            let source = S3Source::open(self.client.clone(), &uri).await.unwrap();
            Arc::new(source) as Arc<dyn ObjectSource>
        }
        .boxed()
    }

    fn visible(&self, name: &str) -> BoxFuture<'_, Option<Bytes>> {
        let object = self.server.get_object("bucket", name);
        async move { object }.boxed()
    }

    fn leftovers(&self) -> BoxFuture<'_, usize> {
        async move { self.server.open_uploads().len() }.boxed()
    }
}

#[tokio::test]
async fn s3_conforms() {
    conformance::run(&S3::new()).await;
}

struct Local(tempfile::TempDir);

impl Local {
    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A local sink that says a taken name when it is used, not when it is opened.
impl conformance::Place for Local {
    fn sink(&self, name: &str) -> BoxFuture<'_, Arc<dyn ObjectSink>> {
        let path = self.at(name);
        async move {
            let id = uuid::Uuid::new_v4().to_string();
            Arc::new(LocalSink::unchecked(&path, &id).unwrap()) as Arc<dyn ObjectSink>
        }
        .boxed()
    }

    fn source(&self, name: &str) -> BoxFuture<'_, Arc<dyn ObjectSource>> {
        let path = self.at(name);
        async move { Arc::new(LocalSource::open(&path).await.unwrap()) as Arc<dyn ObjectSource> }.boxed()
    }

    fn visible(&self, name: &str) -> BoxFuture<'_, Option<Bytes>> {
        let bytes = std::fs::read(self.at(name)).ok().map(Bytes::from);
        async move { bytes }.boxed()
    }

    fn leftovers(&self) -> BoxFuture<'_, usize> {
        let names = std::fs::read_dir(self.0.path()).unwrap();
        let hidden =
            names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
        let hidden = hidden.count();
        async move { hidden }.boxed()
    }
}

#[tokio::test]
async fn local_files_conform() {
    conformance::run(&Local(tempfile::tempdir().unwrap())).await;
}

fn part(number: u32, offset: usize, bytes: Bytes) -> Part {
    let crc = Crc64::of(&bytes);
    Part { number, offset: offset as u64, segments: [bytes].into(), crc, leases: Arc::new([]) }
}

/// The four cases of a commit whose answer is an error: it did or did not happen, alone or with another writer.
#[tokio::test]
async fn an_unclear_commit_is_settled_by_looking() {
    let lost = || {
        Fault::on(Op::CompleteMultipartUpload, Action::DoneThenError { code: eft_s3::Code::InternalError })
    };
    let refused =
        || Fault::on(Op::CompleteMultipartUpload, Action::Error { code: eft_s3::Code::InternalError });
    for (happened, other) in [(true, false), (false, false), (false, true)] {
        let s3 = S3::new();
        let whole = pattern(1, (5 << 20) + 9);
        let sink = s3.open("key", "ours").await.port();
        let upload = sink.begin().await.unwrap();
        let first = upload.write(part(1, 0, whole.slice(..5 << 20))).await.unwrap();
        let second = upload.write(part(2, 5 << 20, whole.slice(5 << 20..))).await.unwrap();
        if other {
            s3.server.put_object("bucket", "key", "another writer's");
        }
        let mut fault = if happened { lost() } else { refused() };
        fault.times = Some(1);
        s3.server.set_faults([fault]);
        let acks = [first, second];
        let ended = upload.commit(&acks, Crc64::of(&whole)).await;
        match (happened, other) {
            (true, _) => assert!(ended.unwrap().resolved),
            (false, false) => {
                assert_eq!(ended.unwrap_err().kind, ErrorKind::Transient);
                upload.commit(&acks, Crc64::of(&whole)).await.unwrap();
            }
            (false, true) => {
                assert!(ended.is_err());
                let again = upload.commit(&acks, Crc64::of(&whole)).await.unwrap_err();
                assert_eq!(again.kind, ErrorKind::Exists);
                upload.abort().await.unwrap();
                assert_eq!(s3.server.get_object("bucket", "key").unwrap(), "another writer's");
            }
        }
        assert_eq!(s3.server.open_uploads().len(), 0);
    }
}
