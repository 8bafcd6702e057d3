//! What is seen of a worker from outside, on the memory adapters: the trace of a file from its event to the end of its run
//! at a collector, the metrics, and a health that follows progress.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{future::pending, sync::Arc, time::Duration};

use eft_domain::{
    Actor, BucketName, Code, Failure, ObjectKey, Route, Tenant, VersionId, job::Retention, message::Created,
    route::Profile, tenant::Output,
};
use eft_pipeline::progress::Progress;
use eft_router::{
    Buckets, Found, Objects, Router,
    handler::{Batch, Log, handle},
};
use eft_store::{Catalog as _, Clock, Desk, StoreResult, memory::Region};
use eft_telemetry::{Context, otlp, prometheus};
use eft_worker::serve::{
    Finished, Task, Times, Transfers, Worker,
    health::Pulse,
    protect::Unprotected,
    queue::{Received, WorkQueue},
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00f067aa0ba902b7";

struct Nothing;

impl Objects for Nothing {
    fn head<'a>(
        &'a self,
        _: &'a BucketName,
        _: &'a ObjectKey,
        _: Option<&'a VersionId>,
    ) -> BoxFuture<'a, StoreResult<Option<Found>>> {
        async { Ok(None) }.boxed()
    }
}

/// What the desk has sent, each message once.
struct Sent {
    region: Region,
    /// Nothing is ever answered.
    silent: bool,
    /// Renewing a message is never answered.
    hides: bool,
}

impl WorkQueue for Sent {
    fn receive(&self, wait: Duration) -> BoxFuture<'_, StoreResult<Option<Received>>> {
        async move {
            if self.silent {
                return pending().await;
            }
            if let Some((message, _)) = self.region.take_work() {
                let receipt = message.run.to_string();
                return Ok(Some(Received { body: message.to_message(), receipt, receives: 1 }));
            }
            tokio::time::sleep(wait).await;
            Ok(None)
        }
        .boxed()
    }

    fn hide<'a>(&'a self, _: &'a str, _: Duration) -> BoxFuture<'a, StoreResult<()>> {
        async { if self.hides { Ok(()) } else { pending().await } }.boxed()
    }

    fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async { Ok(()) }.boxed()
    }
}

/// Runs that move bytes as these counters say, and end as this failure says, or never.
#[derive(Clone)]
struct Runs {
    progress: Arc<Progress>,
    ends: Option<Option<Code>>,
}

impl Transfers for Runs {
    fn run<'a>(&'a self, task: Task, _: CancellationToken) -> BoxFuture<'a, Finished> {
        async move {
            task.owned.watched.moves(Arc::clone(&self.progress));
            let Some(code) = self.ends else { return pending().await };
            self.progress.wrote_part(1_000);
            let failure = code.map(|code| Failure::new(code, "as the test says"));
            Finished {
                delivered: usize::from(failure.is_none()),
                failure,
                receipt: None,
                nothing_left: false,
            }
        }
        .boxed()
    }
}

struct Rig {
    region: Region,
    router: Router,
    pulse: Arc<Pulse>,
    worker: Worker,
}

async fn rig(pulse: Pulse, runs: Runs, silent: bool, hides: bool) -> Rig {
    let clock = Clock::simulated();
    let region = Region::new(clock);
    let mut tenant = Tenant::new("acme".parse().unwrap());
    tenant.outputs = vec![Output { bucket: "acme-out".parse().unwrap(), prefix: String::new() }];
    region.put_tenant(&tenant).await.unwrap();
    let route = "{id: orders, tenant: acme, match: {prefix: tenants/acme/in/}, executor: worker, stages: [], \
                 destinations: [{s3: {bucket: acme-out, key: \"{name}\", on_existing: fail}}]}";
    region.put_route(&Route::parse_yaml(route, Profile::Platform).unwrap(), None).await.unwrap();
    let all = Arc::new(region.clone());
    let desk = Desk {
        ledger: all.clone(),
        runs: all.clone(),
        catalog: all.clone(),
        keys: all.clone(),
        dispatch: all.clone(),
        notify: all,
        clock,
        retention: Retention::default(),
        actor: Actor::part("test"),
        source: "eft/test".to_owned(),
    };
    let router = Router::new(desk.clone(), Arc::new(Nothing), Buckets::parse("ingest=ingest-files").unwrap());
    let pulse = Arc::new(pulse);
    let worker = Worker {
        desk,
        queue: Arc::new(Sent { region: region.clone(), silent, hides }),
        transfers: Arc::new(runs),
        circuits: Arc::default(),
        releases: Arc::default(),
        protection: Arc::new(Unprotected),
        times: Times { poll: Duration::from_millis(20), ..Times::DEFAULT },
        name: "worker".to_owned(),
        pulse: Arc::clone(&pulse),
        drain: CancellationToken::new(),
    };
    Rig { region, router: router.with_tracer(pulse.tracer.clone()), pulse, worker }
}

impl Rig {
    /// An event with this trace is given to the router, as SQS hands it over.
    async fn arrives(&self) {
        let event = Created {
            bucket: "ingest-files".parse().unwrap(),
            key: "tenants/acme/in/secret-name".parse().unwrap(),
            version_id: Some("v1".parse().unwrap()),
            etag: None,
            size: Some(1_000),
            sequencer: None,
            reason: None,
        };
        let record = json!({
            "messageId": "m", "body": event.to_message(),
            "messageAttributes": { "traceparent": { "stringValue": format!("00-{TRACE}-{SENDER}-01") } },
        });
        let batch: Batch = serde_json::from_value(json!({ "Records": [record] })).unwrap();
        let log: Log = Arc::new(|_| ());
        assert!(handle(&self.router, batch, &log).await.batch_item_failures.is_empty());
    }

    /// Work until the job has ended.
    async fn works(&self) {
        let worker = self.worker.clone();
        let serving = tokio::spawn(async move { worker.serve(1).await });
        while !self.region.jobs().iter().all(|job| job.state.is_terminal() && job.outbox.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.worker.drain.cancel();
        serving.await.unwrap();
    }
}

fn done(code: Option<Code>) -> Runs {
    Runs { progress: Arc::default(), ends: Some(code) }
}

fn exporting(to: &TcpListener) -> otlp::Settings {
    let url = format!("http://{}", to.local_addr().unwrap());
    let read = move |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| url.clone());
    otlp::Settings::parse("eft-worker", &read).unwrap()
}

/// Takes spans as a collector does.
async fn collect(listener: TcpListener, spans: mpsc::Sender<Value>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 65_536]);
        while !request.ends_with(b"}]}]}]}") {
            let read = stream.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..read]);
        }
        let text = String::from_utf8(request).unwrap();
        let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap() {
            spans.send(span.clone()).await.unwrap();
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_event_over_the_row_to_the_end_of_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (tracer, exporter) = otlp::start(&exporting(&listener)).unwrap();
    let (sender, mut received) = mpsc::channel(100);
    let collector = tokio::spawn(collect(listener, sender));
    let pulse = Pulse::of(&Times::DEFAULT).with_tracer(tracer);
    let rig = rig(pulse, done(Some(Code::SourceGone)), false, true).await;
    rig.arrives().await;
    rig.works().await;
    assert!(exporter.unwrap().flush(Duration::from_secs(30)).await);
    collector.abort();
    let mut spans = Vec::new();
    while let Ok(span) = received.try_recv() {
        assert_eq!(span["traceId"], TRACE);
        assert!(!span.to_string().contains("secret-name"), "{span}");
        spans.push(span);
    }
    let of = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name}: {spans:#?}");
        found[0]
    };
    let (route, job) = (of("router.route"), of("worker.job"));
    assert_eq!(route["parentSpanId"], SENDER);
    assert_eq!(job["parentSpanId"], route["spanId"]);
    let row = rig.region.jobs()[0].trace.clone().unwrap();
    assert_eq!(Context::parse(&row).unwrap().span_id(), route["spanId"].as_str().unwrap());
    for phase in ["claim", "transfer", "commit", "report"] {
        assert_eq!(of(phase)["parentSpanId"], job["spanId"], "{phase}");
    }
    assert_eq!(spans.len(), 6);
    assert_eq!(job["status"], json!({ "code": 2, "message": "source.gone" }));
    rig.pulse.observe();
    let text = prometheus::text(&rig.pulse.metrics);
    for line in [
        "eft_worker_runs_total{state=\"FAILED\",code=\"source.gone\"} 1",
        "eft_worker_messages_total{end=\"deleted\"} 1",
        "eft_worker_written_bytes_total 1000",
        "eft_worker_queue_seconds_count 1",
        "eft_worker_run_seconds_count 1",
        "eft_worker_phase_seconds_count{phase=\"transfer\"} 1",
        "eft_worker_dropped_spans_total 0",
        "eft_worker_slots 1",
        "eft_worker_busy_slots 0",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
    }
    assert!(!text.contains("acme") && !text.contains("secret-name"));
    assert!(
        prometheus::text(&rig.router.metrics).contains("eft_router_events_total{outcome=\"accepted\"} 1\n")
    );
}

#[tokio::test]
async fn a_collector_that_answers_nobody_harms_nothing() {
    // It takes the connection and nothing else.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (tracer, exporter) = otlp::start(&exporting(&listener)).unwrap();
    let rig = rig(Pulse::of(&Times::DEFAULT).with_tracer(tracer), done(None), false, true).await;
    rig.arrives().await;
    let work = tokio::time::timeout(Duration::from_secs(5), rig.works());
    work.await.expect("a job does not wait for a collector");
    assert_eq!(rig.region.jobs()[0].state.as_str(), "SUCCEEDED");
    assert!(
        !exporter.unwrap().flush(Duration::from_millis(50)).await,
        "the drain waits no longer than it says"
    );
}

/// Whether a worker that has had this long is healthy.
async fn healthy_after(rig: &Rig, time: Duration) -> (bool, Value) {
    tokio::time::sleep(time).await;
    rig.pulse.health()
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_polls_do_not_come_round_is_not_healthy() {
    let rig = rig(Pulse::of(&Times::DEFAULT), done(None), true, true).await;
    let worker = rig.worker.clone();
    let serving = tokio::spawn(async move { worker.serve(2).await });
    assert!(healthy_after(&rig, Duration::from_secs(355)).await.0);
    let (goes_on, body) = healthy_after(&rig, Duration::from_secs(10)).await;
    assert!(!goes_on, "{body}");
    assert_eq!(body["why"], "slot 0 has not come round for 365 s");
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_moves_no_byte_and_renews_nothing_is_not_healthy() {
    for (moves, renews, healthy) in [(false, true, true), (true, false, true), (false, false, false)] {
        let runs = Runs { progress: Arc::default(), ends: None };
        let rig = rig(Pulse::of(&Times::DEFAULT), runs.clone(), false, renews).await;
        rig.arrives().await;
        let worker = rig.worker.clone();
        let serving = tokio::spawn(async move { worker.serve(1).await });
        for _ in 0..10 {
            // As somebody who asks now and then sees it.
            assert!(healthy_after(&rig, Duration::from_secs(40)).await.0, "{moves} {renews}");
            if moves {
                runs.progress.wrote_part(1);
            }
        }
        let (goes_on, body) = healthy_after(&rig, Duration::from_secs(80)).await;
        assert_eq!(goes_on, healthy, "{moves} {renews}: {body}");
        if !healthy {
            let why = body["why"].as_str().unwrap();
            assert!(why.starts_with("slot 0 has moved no byte and renewed nothing for "), "{why}");
        }
        serving.abort();
    }
}
