//! How jobs look in answers: never marks, tokens or owners' names, which are the platform's own.

use eft_domain::{
    Job, JobState,
    job::{JobEvent, PinnedRoute, TRANSITIONS},
    receipt::{Delivery, FailureNote, Rejected},
};
use eft_store::{RunSummary, clock::rfc3339};
use serde_json::{Map, Value, json};

/// What people may ask of a job.
pub(crate) const ACTS: [&str; 4] = ["cancel", "redeliver", "replay", "resume"];

/// An object without what is null.
fn object(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn route(route: Option<&PinnedRoute>) -> Value {
    route.map_or(Value::Null, |route| json!({ "name": route.id, "revision": route.revision }))
}

/// A job in a list: how its latest run stands.
pub(super) fn head(run: &RunSummary) -> Value {
    object(json!({
        "job": run.run.job(),
        "run": run.run,
        "generation": run.run.generation(),
        "state": run.state,
        "route": route(run.route.as_ref()),
        "bucket": run.arrival.bucket,
        "key": run.arrival.key,
        "versionId": run.arrival.version_id,
        "size": run.size,
        "arrivedAt": rfc3339(run.arrived_at),
        "changedAt": rfc3339(run.changed_at),
        "code": run.code,
        "reason": run.reason,
    }))
}

/// What may be asked of a job as it stands.
pub(super) fn acts(job: &Job) -> Vec<&'static str> {
    ACTS.into_iter().filter(|act| may(job, act)).collect()
}

fn may(job: &Job, act: &str) -> bool {
    let stands = allowed_from(act).contains(&job.state);
    let is_run = act == "cancel" || job.route.is_some();
    stands && is_run && !(act == "cancel" && job.publishing)
}

/// Where a job stands of which this can be asked.
pub(super) fn allowed_from(act: &str) -> &'static [JobState] {
    TRANSITIONS.iter().find(|line| line.command == act).map_or(&[], |line| line.from)
}

fn failure(note: &FailureNote) -> Value {
    json!({ "code": note.code, "message": note.message, "remedy": note.remedy })
}

/// A job as its row says.
pub(super) fn job(job: &Job) -> Value {
    let hold = job.hold.map(|hold| {
        object(json!({ "since": rfc3339(hold.since), "retryAt": hold.retry_at.map(rfc3339), "tries": hold.tries }))
    });
    object(json!({
        "job": job.id,
        "run": job.run(),
        "generation": job.generation,
        "state": job.state,
        "route": route(job.route.as_ref()),
        "bucket": job.arrival.bucket,
        "key": job.arrival.key,
        "versionId": job.arrival.version_id,
        "size": job.size,
        "etag": job.etag,
        "arrivedAt": rfc3339(job.arrived_at),
        "changedAt": rfc3339(job.changed_at),
        "runner": job.runner,
        "turn": job.turn.map(|turn| turn.number),
        "sends": job.sends,
        "sentAt": job.sent_at.map(rfc3339),
        "owned": job.lease.is_some(),
        "leaseUntil": job.lease.as_ref().map(|lease| rfc3339(lease.until)),
        "strikes": job.strikes,
        // Of a run that has nothing to go on from a worker writes an empty one.
        "checkpoint": job.checkpoint.as_deref().is_some_and(|text| text != "{}"),
        "failure": job.failure.as_ref().map(failure),
        "hold": hold,
        "reason": job.reason,
        "receipt": job.receipt.is_some(),
        "acts": acts(job),
    }))
}

/// A change of a job.
pub(super) fn event(event: &JobEvent) -> Value {
    object(json!({
        "sequence": event.sequence,
        "generation": event.generation,
        "at": rfc3339(event.at),
        "actor": event.actor,
        "reason": event.reason,
        "code": event.code,
        "before": event.before,
        "after": event.after,
    }))
}

/// What a destination got.
pub(super) fn delivery(delivery: &Delivery) -> Value {
    object(json!({
        "deliveryId": delivery.delivery_id,
        "uri": delivery.uri,
        "outcome": delivery.outcome,
        "method": delivery.method,
        "attempts": delivery.attempts,
        "parts": delivery.parts,
        "alreadyDelivered": delivery.already_delivered,
        "versionId": delivery.version_id,
        "etag": delivery.etag,
        "size": delivery.size,
        "crc64nvme": delivery.crc64nvme,
        "sha256": delivery.sha256,
        "failure": delivery.failure.as_ref().map(failure),
    }))
}

/// A record that broke a rule.
pub(super) fn reject(reject: &Rejected) -> Value {
    object(json!({
        "stage": reject.stage,
        "record": reject.record,
        "offset": reject.offset,
        "column": reject.column,
        "reason": reject.reason,
    }))
}
