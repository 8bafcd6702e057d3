//! Every wait of the adapter, by a clock that stands still but for who waits: a network that never answers takes no time.

use std::{
    fmt,
    future::{pending, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_s3::config::{
    RuntimeComponents, SharedHttpClient,
    http::{HttpRequest, HttpResponse},
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use eft_domain::{ObjectUri, route::OnExisting};
use eft_pipeline::{
    checksum::Crc64,
    concurrency::Concurrency,
    port::{ErrorKind, ObjectSink, ObjectSource, Part, PortError, Upload},
    progress::Progress,
    retry::RetryPolicy,
};
use http_body::Body;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Timeouts;
use crate::s3::{
    Attributes, Client, Method, S3Sink, S3Source, ServerCopy, Target, http::sdk_response, sink::S3Upload,
};

const MINUTE: Duration = Duration::from_secs(60);

type Answer = http::Response<&'static str>;
type Script = Arc<dyn Fn(&http::Request<SdkBody>) -> Option<Answer> + Send + Sync>;

/// A network that answers what it is told, at once, or never.
#[derive(Clone)]
struct Network {
    script: Script,
    asked: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl HttpClient for Network {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Network {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let network = self.clone();
        HttpConnectorFuture::new(async move {
            let mut request = request.try_into_http1x().unwrap();
            let name = format!("{} {}", request.method(), request.uri().query().unwrap_or_default());
            network.asked.lock().unwrap().push(name);
            while poll_fn(|cx| Pin::new(request.body_mut()).poll_frame(cx)).await.is_some() {}
            match (network.script)(&request) {
                Some(answer) => sdk_response(answer.map(SdkBody::from)),
                None => pending::<Result<HttpResponse, _>>().await,
            }
        })
    }
}

impl Network {
    fn answering(script: impl Fn(&http::Request<SdkBody>) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), asked: Arc::default() }
    }

    fn dead() -> Self {
        Self::answering(|_| None)
    }

    fn client(&self) -> Client {
        let http = SharedHttpClient::new(self.clone());
        Client::of_endpoint("http://store.test", Concurrency::new(1), Timeouts::DEFAULT, http)
    }

    fn sink(&self) -> S3Sink {
        let target = Target {
            uri: uri(),
            on_existing: OnExisting::Fail,
            delivery_id: "ours".to_owned(),
            attributes: Attributes::default(),
        };
        S3Sink::unchecked(self.client(), target).unwrap()
    }

    fn upload(&self) -> S3Upload {
        S3Upload { sink: self.sink(), id: "upload".to_owned() }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn asked_to(&self, what: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.starts_with(what)).count()
    }
}

fn uri() -> ObjectUri {
    "s3://bucket/key".parse().unwrap()
}

/// 1 MiB: four seconds at the slowest.
fn part() -> Part {
    let bytes = Bytes::from(vec![7; 1 << 20]);
    let crc = Crc64::of(&bytes);
    Part { number: 1, offset: 0, segments: [bytes].into(), crc, leases: Arc::new([]) }
}

const PART: Duration = Duration::from_secs(64);

fn head(extra: &'static [(&'static str, &'static str)]) -> Answer {
    let mut answer = http::Response::builder().header("content-length", "5").header("etag", "\"tag\"");
    for (name, value) in extra {
        answer = answer.header(*name, *value);
    }
    answer.body("").unwrap()
}

fn status(status: u16) -> Answer {
    http::Response::builder().status(status).body("").unwrap()
}

/// How a call ends, and after how long.
async fn timed<T>(call: impl Future<Output = Result<T, PortError>>) -> (ErrorKind, String, Duration) {
    let start = Instant::now();
    let error = call.await.err().unwrap();
    (error.kind, error.message, start.elapsed())
}

#[test]
fn the_default_gives_up_no_live_peer() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    assert_eq!((Timeouts::DEFAULT.answer, Timeouts::DEFAULT.complete), (minutes(1), minutes(10)));
    assert_eq!(Timeouts::DEFAULT.part(0), minutes(1));
    // The largest part at 256 KiB/s.
    assert_eq!(Timeouts::DEFAULT.part(5 << 30), minutes(1) + Duration::from_secs(20_480));
}

#[tokio::test(start_paused = true)]
async fn requests_without_a_body_wait_a_minute() {
    let network = Network::dead();
    let (kind, message, took) = timed(S3Source::open(network.client(), &uri())).await;
    assert_eq!((kind, took), (ErrorKind::Transient, MINUTE));
    assert_eq!(message, "HEAD s3://bucket/key: no answer in 60s");

    let upload = network.upload();
    for (kind, message, took) in [
        timed(upload.list_parts(1)).await,
        timed(upload.abort()).await,
        timed(upload.sink.uploads()).await,
        timed(upload.sink.reopen("upload")).await,
    ] {
        assert_eq!((kind, took), (ErrorKind::Transient, MINUTE), "{message}");
    }

    let heads = |request: &http::Request<SdkBody>| (request.method() == "HEAD").then(|| head(&[]));
    let source = S3Source::open(Network::answering(heads).client(), &uri()).await.unwrap();
    let (kind, _, took) = timed(source.read(0..5)).await;
    assert_eq!((kind, took), (ErrorKind::Transient, MINUTE));

    let tagged = |request: &http::Request<SdkBody>| {
        (request.method() == "HEAD").then(|| head(&[("x-amz-tagging-count", "1")]))
    };
    let (_, message, took) = timed(S3Source::open(Network::answering(tagged).client(), &uri())).await;
    assert_eq!((message.as_str(), took), ("GetObjectTagging s3://bucket/key: no answer in 60s", MINUTE));
}

/// The create waits, and so does the look at what it did.
#[tokio::test(start_paused = true)]
async fn a_create_without_an_answer_is_sent_once_and_said_to_have_left_something() {
    let network = Network::dead();
    let (kind, message, took) = timed(network.sink().begin()).await;
    assert_eq!((kind, took), (ErrorKind::Transient, MINUTE * 2));
    assert!(message.contains("an upload may be left behind: ListMultipartUploads"), "{message}");
    assert_eq!(network.asked(), 2);
}

/// Without the store's clock nothing is taken for ours.
#[tokio::test(start_paused = true)]
async fn an_upload_without_a_time_to_tell_it_by_is_left_alone() {
    let answers = |request: &http::Request<SdkBody>| match request.method().as_str() {
        "POST" => Some(status(500)),
        _ => Some(http::Response::new(UPLOADS)),
    };
    let network = Network::answering(answers);
    let (kind, message, _) = timed(network.sink().begin()).await;
    assert_eq!(kind, ErrorKind::Transient);
    assert!(message.ends_with("does not date its answers, so what is ours cannot be told"), "{message}");
    assert_eq!(network.asked_to("DELETE"), 0);
}

const UPLOADS: &str = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>key</Key>\
    <UploadId>theirs</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>";

#[tokio::test(start_paused = true)]
async fn a_part_has_the_time_that_its_size_takes() {
    let network = Network::dead();
    let (kind, _, took) = timed(network.upload().write(part())).await;
    assert_eq!((kind, took), (ErrorKind::Transient, PART));

    // What stands there now is looked for, and that cannot be found out either.
    let (kind, _, took) = timed(network.sink().put(part())).await;
    assert_eq!((kind, took), (ErrorKind::Indeterminate, PART + MINUTE));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_does_itself_may_take_ten_minutes() {
    let network = Network::dead();
    let acks = [eft_pipeline::port::PartAck { number: 1, tag: "\"tag\"".to_owned(), crc: part().crc }];
    let (kind, _, took) = timed(network.upload().commit(&acks, part().crc)).await;
    assert_eq!((kind, took), (ErrorKind::Indeterminate, MINUTE * 11));
    assert_eq!(network.asked_to("POST"), 1);
}

fn copy(network: &Network, source: S3Source, method: Method) -> ServerCopy {
    ServerCopy {
        sources: vec![Arc::new(source)],
        sink: network.sink(),
        method,
        concurrency: Concurrency::new(1),
        retry: RetryPolicy { attempts: 1, ..RetryPolicy::DEFAULT },
        progress: Arc::new(Progress::default()),
        cancel: CancellationToken::new(),
    }
}

const CREATED: &str =
    "<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>";

#[tokio::test(start_paused = true)]
async fn copies_may_take_ten_minutes() {
    let crc = &[("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")];
    let heads = move |request: &http::Request<SdkBody>| (request.method() == "HEAD").then(|| head(crc));
    let source = S3Source::open(Network::answering(heads).client(), &uri()).await.unwrap();
    let network = Network::dead();
    let start = Instant::now();
    copy(&network, source, Method::Whole).run().await.unwrap_err();
    assert_eq!(start.elapsed(), MINUTE * 11);

    // Begun and, after the part was given up, removed.
    let answers = |request: &http::Request<SdkBody>| match request.method().as_str() {
        "HEAD" => Some(head(&[])),
        "POST" => Some(http::Response::new(CREATED)),
        "DELETE" => Some(status(204)),
        "GET" => Some(status(404)),
        _ => None,
    };
    let network = Network::answering(answers);
    let source = S3Source::open(network.client(), &uri()).await.unwrap();
    let start = Instant::now();
    copy(&network, source, Method::parts([5], 5 << 20).unwrap()).run().await.unwrap_err();
    assert_eq!(start.elapsed(), MINUTE * 10);
}

const LISTED: &str =
    "<ListPartsResult><UploadId>upload</UploadId><IsTruncated>false</IsTruncated></ListPartsResult>";

#[tokio::test(start_paused = true)]
async fn an_abort_is_repeated_while_the_upload_comes_back() {
    let answers = |request: &http::Request<SdkBody>| match request.method().as_str() {
        "DELETE" => Some(status(204)),
        _ => Some(http::Response::new(LISTED)),
    };
    let network = Network::answering(answers);
    let (kind, message, took) = timed(network.upload().abort()).await;
    assert_eq!((kind, took), (ErrorKind::Transient, Duration::from_millis(800)));
    assert!(message.ends_with("parts keep arriving"), "{message}");
    assert_eq!((network.asked_to("DELETE"), network.asked_to("GET")), (4, 4));
}

/// Pauses of the SDK: drawn below 1, 2 and 4 s. What publishes or begins is sent once: we look before it is sent again.
#[tokio::test(start_paused = true)]
async fn the_sdk_sends_again_what_does_no_harm() {
    let network = Network::answering(|_| Some(status(503)));
    let (mut longest, mut shortest) = (Duration::ZERO, Duration::MAX);
    for _ in 0..16 {
        let before = network.asked();
        let (kind, _, took) = timed(S3Source::open(network.client(), &uri())).await;
        assert_eq!((kind, network.asked() - before), (ErrorKind::Throttled, 4));
        (longest, shortest) = (longest.max(took), shortest.min(took));
    }
    assert!(longest <= Duration::from_secs(7) + Duration::from_millis(3), "{longest:?}");
    assert!(longest > Duration::from_secs(1) && shortest < longest, "{shortest:?} to {longest:?}");

    let network = Network::answering(|request| (request.method() != "HEAD").then(|| status(503)));
    let start = Instant::now();
    network.sink().begin().await.err().unwrap();
    assert_eq!((network.asked(), start.elapsed()), (1, Duration::ZERO));
    timed(network.sink().put(part())).await;
    assert_eq!(network.asked_to("PUT"), 1);
}
