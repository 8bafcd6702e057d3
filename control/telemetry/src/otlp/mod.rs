//! Spans to a collector, by OTLP over HTTP with JSON (OTLP 1.x, "JSON Protobuf Encoding").
//!
//! # Backpressure
//! None: what the bounded queue does not hold is dropped and counted, and so is a batch that the collector does not take.
//!
//! # Cancellation
//! [`Exporter::flush`] waits for what has ended so far, at most for the time it is given.

mod settings;

pub use settings::{Endpoint, Settings};

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{FutureExt, future::BoxFuture};
use http::{Request, StatusCode, header};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::span::{Ended, Outlet, Tracer};

/// Spans that wait, those of one request, and the time between two requests: the defaults of OpenTelemetry's batch
/// processor.
const QUEUE: usize = 2_048;
const BATCH: usize = 512;
const EVERY: Duration = Duration::from_secs(5);

/// Times a batch is sent that the collector may take later, and the wait between them.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);

type Post = Arc<dyn Fn(Request<String>) -> BoxFuture<'static, Result<StatusCode, String>> + Send + Sync>;

/// The background task that sends spans.
#[derive(Debug)]
pub struct Exporter {
    flushes: mpsc::Sender<oneshot::Sender<()>>,
}

struct Sender {
    post: Post,
    endpoint: Endpoint,
    resource: Value,
    dropped: Arc<AtomicU64>,
}

/// Make spans, and send them if there is a collector to send them to.
///
/// # Errors
/// The system's certificates cannot be read, which a collector behind TLS needs.
pub fn start(settings: &Settings) -> Result<(Tracer, Option<Exporter>), String> {
    let Some(endpoint) = settings.endpoint.clone() else {
        return Ok((Tracer { sampler: settings.sampler, outlet: None }, None));
    };
    let (queue, mut spans) = mpsc::channel(QUEUE);
    let (flushes, mut asked) = mpsc::channel::<oneshot::Sender<()>>(4);
    let dropped = Arc::<AtomicU64>::default();
    let sender = Sender {
        post: client(&endpoint)?,
        endpoint,
        resource: settings.resource(),
        dropped: Arc::clone(&dropped),
    };
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let flush = tokio::select! {
                biased;
                flush = asked.recv() => flush,
                () = gather(&mut spans, &mut batch) => None,
            };
            while let Ok(span) = spans.try_recv() {
                batch.push(span);
                if batch.len() >= BATCH {
                    sender.send(std::mem::take(&mut batch)).await;
                }
            }
            sender.send(std::mem::take(&mut batch)).await;
            match flush {
                // Whoever asked may have gone meanwhile.
                Some(done) => drop(done.send(())),
                None if spans.is_closed() => return,
                None => {}
            }
        }
    });
    let outlet = Arc::new(Outlet { queue, dropped });
    Ok((Tracer { sampler: settings.sampler, outlet: Some(outlet) }, Some(Exporter { flushes })))
}

/// Wait for a span, and then for as many as come until it is time to send them.
async fn gather(spans: &mut mpsc::Receiver<Ended>, batch: &mut Vec<Ended>) {
    let Some(first) = spans.recv().await else { return };
    batch.push(first);
    let more = async {
        while batch.len() < BATCH {
            let Some(span) = spans.recv().await else { return };
            batch.push(span);
        }
    };
    // What was gathered is in the batch either way.
    drop(timeout(EVERY, more).await);
}

impl Exporter {
    /// Send what has ended, and wait for it at most so long; whether all of it was sent or given up in time.
    pub async fn flush(&self, within: Duration) -> bool {
        let (done, sent) = oneshot::channel();
        let flush = async { self.flushes.send(done).await.is_ok() && sent.await.is_ok() };
        timeout(within, flush).await.unwrap_or(false)
    }
}

impl Sender {
    async fn send(&self, batch: Vec<Ended>) {
        if batch.is_empty() {
            return;
        }
        let body = self.body(&batch).to_string();
        for turn in 1..=TRIES {
            match self.once(body.clone()).await {
                Ok(()) => return,
                Err(is_final) if is_final || turn == TRIES => break,
                Err(_) => tokio::time::sleep(AGAIN * turn).await,
            }
        }
        self.dropped.fetch_add(batch.len() as u64, Relaxed);
    }

    /// One request; the error is whether another one makes no sense.
    async fn once(&self, body: String) -> Result<(), bool> {
        let mut request = Request::post(&self.endpoint.url).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in &self.endpoint.headers {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|_| true)?;
        match timeout(self.endpoint.timeout, (self.post)(request)).await {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            // OTLP, "Retryable Response Codes".
            Ok(Ok(status)) => Err(!matches!(status.as_u16(), 429 | 502 | 503 | 504)),
            Ok(Err(_)) | Err(_) => Err(false),
        }
    }

    fn body(&self, spans: &[Ended]) -> Value {
        let spans: Vec<_> = spans.iter().map(span).collect();
        json!({ "resourceSpans": [{
            "resource": self.resource,
            "scopeSpans": [{
                "scope": { "name": "eft", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        }] })
    }
}

fn span(span: &Ended) -> Value {
    let attributes = span.attributes.iter().map(|(name, value)| (*name, value.as_str()));
    let mut json = json!({
        "traceId": span.context.trace_id(),
        "spanId": span.context.span_id(),
        "name": span.name,
        "kind": span.kind as u8,
        "flags": u8::from(span.context.is_sampled()),
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended.max(span.began)),
        "attributes": settings::attributes(attributes),
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = parent.span_id().into();
    }
    if let Some(error) = &span.error {
        // STATUS_CODE_ERROR.
        json["status"] = json!({ "code": 2, "message": error });
    }
    json
}

/// 64-bit numbers are texts in the JSON of Protobuf.
fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

/// Sends requests; of a collector in the clear no certificates are read.
fn client(endpoint: &Endpoint) -> Result<Post, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let builder = Client::builder(TokioExecutor::new());
    if endpoint.url.scheme_str() != Some("https") {
        let client = builder.build::<_, String>(tcp);
        return Ok(Arc::new(move |request| answered(client.request(request)).boxed()));
    }
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(|error| format!("the collector's TLS: the system's certificates cannot be read: {error}"))?;
    let client = builder.build::<_, String>(tls.https_only().enable_http1().wrap_connector(tcp));
    Ok(Arc::new(move |request| answered(client.request(request)).boxed()))
}

async fn answered(asked: hyper_util::client::legacy::ResponseFuture) -> Result<StatusCode, String> {
    asked.await.map(|answer| answer.status()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::span::Kind;

    fn settings(url: &str) -> Settings {
        let read = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url.to_owned()),
            "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-token=a%20b".to_owned()),
            _ => None,
        };
        Settings::parse("eft-test", &read).unwrap()
    }

    /// A collector that answers so many requests with these heads; what it was sent.
    async fn collect(listener: TcpListener, answers: &[&str]) -> Vec<String> {
        let mut seen = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}]}]}]}") {
                let read = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            stream.write_all(head.as_bytes()).await.unwrap();
            seen.push(String::from_utf8(request).unwrap());
        }
        seen
    }

    #[tokio::test]
    async fn a_collector_is_sent_what_has_ended_and_again_where_it_is_busy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tracer, exporter) = start(&settings(&url)).unwrap();
        let job = tracer.span("job", Kind::Consumer, None, SystemTime::now());
        let context = job.context();
        let part = job.child("part");
        part.fail("broke");
        drop((part, job));
        let collector = tokio::spawn(collect(listener, &["503 Busy", "200 OK"]));
        assert!(exporter.unwrap().flush(Duration::from_secs(30)).await);
        let requests = collector.await.unwrap();
        assert!(requests[1].starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", requests[1]);
        assert!(requests[1].contains("x-token: a b\r\n") && requests[1].contains("application/json"));
        let body = requests[1].split("\r\n\r\n").nth(1).unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let resource = &body["resourceSpans"][0];
        assert_eq!(
            resource["resource"]["attributes"][0],
            json!({ "key": "service.name", "value": { "stringValue": "eft-test" } })
        );
        let spans = &resource["scopeSpans"][0]["spans"];
        assert_eq!((&spans[0]["name"], &spans[1]["name"]), (&json!("part"), &json!("job")));
        assert_eq!(spans[0]["parentSpanId"], context.span_id());
        assert_eq!((&spans[0]["traceId"], &spans[1]["kind"]), (&json!(context.trace_id()), &json!(5)));
        assert_eq!(spans[0]["status"], json!({ "code": 2, "message": "broke" }));
        assert_eq!(spans[1].get("parentSpanId"), None);
        assert_eq!(tracer.dropped(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_not_there_costs_spans_and_no_more() {
        let (tracer, exporter) = start(&settings("http://127.0.0.1:1")).unwrap();
        for _ in 0..QUEUE + 10 {
            drop(tracer.span("x", Kind::Internal, None, SystemTime::now()));
        }
        assert_eq!(tracer.dropped(), 10, "the queue is bounded");
        assert!(exporter.unwrap().flush(Duration::from_secs(600)).await);
        assert_eq!(tracer.dropped(), QUEUE as u64 + 10);
    }

    #[tokio::test]
    async fn without_a_collector_nothing_is_kept() {
        let (tracer, exporter) = start(&Settings::parse("x", &|_| None).unwrap()).unwrap();
        assert!(exporter.is_none() && tracer.outlet.is_none());
    }
}
