//! A batch of `ingest.fifo`: what became of each message, and which of them are given again.
//!
//! # Ordering
//! Messages of one group are done one after the other. After one that fails, the later ones of its group are given back
//! untried, or they would overtake it; other groups go on.
//!
//! # Failure handling
//! A message that cannot be read is given back like any other: after five receives the queue sets it aside for a person
//! (its group is its object version, so it blocks only itself).

use std::{sync::Arc, time::SystemTime};

use eft_domain::message::{Ingest, MessageError};
use eft_telemetry::{Context, Kind, log::print};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::route::{Outcome, RouteError, Router};

/// Groups that are worked on at once. A batch has at most ten messages (SQS to Lambda, FIFO); ledger and topics take
/// their time, the processor has none to lose.
pub const CONCURRENT_GROUPS: usize = 8;

/// What Lambda hands over.
#[derive(Clone, Debug, Deserialize)]
pub struct Batch {
    /// The messages, in the order of their groups.
    #[serde(rename = "Records")]
    pub records: Vec<Message>,
}

/// A message.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What Lambda calls it by.
    pub message_id: String,
    /// The event.
    pub body: String,
    /// What SQS says of it.
    #[serde(default)]
    pub attributes: Attributes,
    /// What its sender says of it.
    #[serde(default)]
    pub message_attributes: MessageAttributes,
}

/// What SQS says of a message.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Attributes {
    /// Its group; none in a queue without order, where each message is its own.
    #[serde(rename = "MessageGroupId")]
    pub group: Option<String>,
    /// How often it was given out.
    #[serde(rename = "ApproximateReceiveCount")]
    pub receives: Option<String>,
}

/// What the sender of a message says of it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct MessageAttributes {
    /// W3C trace context.
    pub traceparent: Option<TextAttribute>,
}

/// An attribute.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextAttribute {
    /// Its text.
    pub string_value: Option<String>,
}

/// What Lambda wants to know: the messages that SQS is to give again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// These.
    pub batch_item_failures: Vec<Failed>,
}

/// A message that SQS is to give again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// Its id.
    pub item_identifier: String,
}

/// Where lines of the log go.
pub type Log = Arc<dyn Fn(Value) + Send + Sync>;

/// The log of a Lambda function: a line of JSON on its standard output.
pub fn stdout() -> Log {
    Arc::new(print)
}

/// Why a message is given again.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    Route(#[from] RouteError),
}

impl Fault {
    const fn code(&self) -> &'static str {
        match self {
            Self::Message(error) => error.code(),
            Self::Route(error) => error.code(),
        }
    }

    /// Whether the message may be done the next time; else a person has to look.
    fn is_transient(&self) -> bool {
        matches!(self, Self::Route(error) if error.code() == "ingest.unavailable")
    }
}

/// Do what a batch asks for.
///
/// # Cancellation
/// What was done stands; every message may be given again.
pub async fn handle(router: &Router, batch: Batch, log: &Log) -> BatchResponse {
    let began = Instant::now();
    let groups = by_group(batch.records);
    let done = stream::iter(groups)
        .map(|group| handle_group(router, group, log))
        .buffer_unordered(CONCURRENT_GROUPS);
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    let mut done = std::pin::pin!(done);
    while let Some((some, others)) = done.next().await {
        outcomes.extend(some);
        failed.extend(others);
    }
    // The jobs are rows; what cannot be sent now the sweep sends.
    if let Err(error) = router.release(&outcomes).await {
        log(json!({ "level": "WARN", "event": "release", "error": error.to_string() }));
    }
    router.metrics.returned.add(failed.len() as u64);
    router.metrics.batch_seconds.took(began.elapsed());
    let batch_item_failures = failed.into_iter().map(|item_identifier| Failed { item_identifier }).collect();
    BatchResponse { batch_item_failures }
}

/// Messages by their group, groups and messages in their order.
fn by_group(messages: Vec<Message>) -> Vec<Vec<Message>> {
    let mut groups: Vec<Vec<Message>> = Vec::new();
    for message in messages {
        let group = message.attributes.group.as_ref();
        let same = group.and_then(|group| {
            groups.iter_mut().find(|others| others[0].attributes.group.as_ref() == Some(group))
        });
        match same {
            Some(others) => others.push(message),
            None => groups.push(vec![message]),
        }
    }
    groups
}

/// What became of the messages of a group, and which of them are given again.
async fn handle_group(router: &Router, group: Vec<Message>, log: &Log) -> (Vec<Outcome>, Vec<String>) {
    let mut outcomes = Vec::new();
    let mut left = group.into_iter();
    while let Some(message) = left.next() {
        match handle_message(router, &message).await {
            Ok(outcome) => {
                router.metrics.events.count([outcome.what.as_str()]);
                log(line(&message, &outcome));
                outcomes.push(outcome);
            }
            Err(fault) => {
                router.metrics.events.count(["failed"]);
                log(json!({
                    "level": if fault.is_transient() { "WARN" } else { "ERROR" },
                    "event": "ingest",
                    "outcome": "failed",
                    "code": fault.code(),
                    "error": fault.to_string(),
                    "message_id": message.message_id,
                    "group": message.attributes.group,
                    "receives": message.attributes.receives,
                }));
                let failed = std::iter::once(message).chain(left).map(|message| message.message_id);
                return (outcomes, failed.collect());
            }
        }
    }
    (outcomes, Vec::new())
}

async fn handle_message(router: &Router, message: &Message) -> Result<Outcome, Fault> {
    let carried = message.message_attributes.traceparent.as_ref();
    let carried = carried.and_then(|trace| trace.string_value.as_deref()).and_then(Context::parse);
    let span = router.tracer.span("router.route", Kind::Consumer, carried, SystemTime::now());
    let done = async {
        let event = Ingest::parse(&message.body)?;
        Ok(router.ingest(&event, Some(&span.context().to_string())).await?)
    };
    let done: Result<Outcome, Fault> = done.await;
    match &done {
        Ok(outcome) => {
            span.set("outcome", outcome.what.as_str());
            if let Some(job) = &outcome.job {
                span.set("job", job.id);
            }
        }
        Err(fault) => span.fail(fault.code()),
    }
    done
}

fn line(message: &Message, outcome: &Outcome) -> Value {
    let job = outcome.job.as_ref();
    json!({
        "level": "INFO",
        "event": "ingest",
        "outcome": outcome.what.as_str(),
        "reason": outcome.reason,
        "message_id": message.message_id,
        "job": job.map(|job| job.id),
        "state": job.map(|job| job.state),
        "tenant": job.and_then(|job| job.tenant.as_ref()),
        "route": job.and_then(|job| job.route.as_ref()).map(|route| &route.id),
        "bucket": job.map(|job| &job.arrival.bucket),
        "key": job.map(|job| &job.arrival.key),
        "version_id": job.map(|job| &job.arrival.version_id),
        "size": job.map(|job| job.size),
        "trace_id": job.and_then(|job| Context::parse(job.trace.as_ref()?)).map(Context::trace_id),
    })
}
