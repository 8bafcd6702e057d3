//! What bodies look like.

use eft_api::openapi::schemas::{NAME, REVISION, object, page, reference, text};
use eft_domain::{
    JobState,
    receipt::{DeliveryOutcome, Method, Outcome},
};
use serde_json::{Map, Value, json};

use crate::jobs::{ACTS, MOST_CHARS};

/// Every schema by its name.
pub(super) fn all() -> Map<String, Value> {
    let schemas = [
        ("Reason", object("Why it is done.", json!({ "reason": reason() }), &[])),
        ("Replay", replay()),
        ("Failure", failure()),
        ("PinnedRoute", pinned()),
        ("JobHead", object("A job with its latest run, or a run of it.", head(), HEAD_OPTIONAL)),
        ("JobPage", page("JobHead")),
        ("Job", job()),
        ("Event", event()),
        ("EventPage", page("Event")),
        ("RunList", object("The runs of a job.", json!({ "items": list("JobHead") }), &[])),
        ("Delivery", delivery()),
        ("Deliveries", deliveries()),
        ("Receipt", receipt()),
        ("Reject", reject()),
        ("RejectReport", reject_report()),
        ("Depth", object("How many messages there are, about.", depth(), &[])),
        ("Queue", queue()),
        ("Fleet", object("The queues.", json!({ "queues": list("Queue") }), &[])),
        ("Redrive", object("What is being moved.", json!({ "queue": text(), "task": text() }), &[])),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn list(of: &str) -> Value {
    json!({ "type": "array", "items": reference(of) })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn flag(says: &str) -> Value {
    json!({ "type": "boolean", "description": says })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn state() -> Value {
    json!({ "enum": JobState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>() })
}

/// Something besides space and line ends, and no other control character.
const SAYS_SOMETHING: &str =
    r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x09\x0b-\x1f\x7f-\x9f]*$";

fn reason() -> Value {
    json!({
        "type": "string", "maxLength": MOST_CHARS, "pattern": SAYS_SOMETHING,
        "description": "It stands in the history, and in events.",
    })
}

fn replay() -> Value {
    let properties = json!({
        "reason": reason(),
        "route": {
            "enum": ["same", "current"],
            "description": "With the revision that the last run had, as where it is left out, or with the one of now.",
        },
    });
    object("Why it is run once more, and with what.", properties, &["route"])
}

fn failure() -> Value {
    let properties = json!({
        "code": text(),
        "message": text(),
        "remedy": { "type": "string", "description": "Who does what about it." },
    });
    object("Why it did not succeed.", properties, &[])
}

fn pinned() -> Value {
    let properties = json!({
        "name": { "type": "string", "pattern": NAME },
        "revision": { "type": "string", "pattern": REVISION },
    });
    object("Which text of which route.", properties, &[])
}

const HEAD_OPTIONAL: &[&str] = &["route", "code", "reason"];

/// What is said of a job wherever it stands.
fn common() -> Value {
    json!({
        "job": { "type": "string", "format": "uuid" },
        "run": { "type": "string", "description": "The job and the number of the run, with a full stop between." },
        "generation": { "type": "integer", "minimum": 1, "description": "Which run: 1, and one more with every replay." },
        "state": state(),
        "route": reference("PinnedRoute"),
        "bucket": { "type": "string", "description": "What the bucket is called in both regions." },
        "key": text(),
        "versionId": text(),
        "size": { "type": "integer", "minimum": 0, "description": "Bytes." },
        "arrivedAt": time(),
        "changedAt": time(),
        "reason": { "type": "string", "description": "Why it stands there." },
    })
}

fn head() -> Value {
    let mut properties = common();
    properties["code"] =
        json!({ "type": "string", "description": "Why it failed or waits: a failure code." });
    properties
}

fn job() -> Value {
    let hold = json!({
        "since": time(),
        "retryAt": { "type": "string", "format": "date-time", "description": "When it is tried again by itself." },
        "tries": number(),
    });
    let mut properties = common();
    for (name, schema) in [
        ("etag", json!({ "type": "string", "description": "Of the object." })),
        ("runner", json!({ "enum": ["worker", "steps"] })),
        (
            "turn",
            json!({ "type": "integer", "minimum": 0, "description": "Its turn on a route with an order." }),
        ),
        (
            "sends",
            json!({ "type": "integer", "minimum": 0, "description": "Times it was put into a queue." }),
        ),
        ("sentAt", time()),
        ("owned", flag("Somebody works on it.")),
        (
            "leaseUntil",
            json!({ "type": "string", "format": "date-time", "description": "Until when nobody else may." }),
        ),
        (
            "strikes",
            json!({ "type": "integer", "minimum": 0, "description": "Owners that died without getting further." }),
        ),
        ("checkpoint", flag("Whoever takes it next goes on from where it was.")),
        ("failure", reference("Failure")),
        ("hold", object("Since when it waits.", hold, &["retryAt"])),
        ("receipt", flag("There is a receipt of a run.")),
        (
            "acts",
            json!({ "type": "array", "items": { "enum": ACTS }, "description": "What can be asked of it as it stands." }),
        ),
    ] {
        properties[name] = schema;
    }
    let optional = ["route", "reason", "etag", "turn", "sentAt", "leaseUntil", "failure", "hold"];
    object("A job as it stands.", properties, &optional)
}

fn event() -> Value {
    let properties = json!({
        "sequence": { "type": "integer", "minimum": 1 },
        "generation": { "type": "integer", "minimum": 1 },
        "at": time(),
        "actor": { "type": "string", "description": "A part of the platform, or `principal:` and the subject of a token." },
        "reason": text(),
        "code": text(),
        "before": state(),
        "after": state(),
    });
    object("A change of a job.", properties, &["reason", "code"])
}

fn delivery() -> Value {
    let words = |all: Vec<&str>| json!({ "enum": all });
    let properties = json!({
        "deliveryId": text(),
        "uri": text(),
        "outcome": words(DeliveryOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect()),
        "method": words(Method::ALL.iter().map(|method| method.as_str()).collect()),
        "attempts": number(),
        "parts": number(),
        "alreadyDelivered": flag("An earlier attempt had delivered it."),
        "versionId": text(),
        "etag": text(),
        "size": number(),
        "crc64nvme": { "type": "string", "description": "Base64, as S3 writes it." },
        "sha256": { "type": "string", "description": "Lower-case hexadecimal." },
        "failure": reference("Failure"),
    });
    let optional = ["versionId", "etag", "size", "crc64nvme", "sha256", "failure"];
    object("What a destination got.", properties, &optional)
}

fn deliveries() -> Value {
    let properties = json!({
        "job": text(),
        "run": text(),
        "outcome": { "enum": Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect::<Vec<_>>() },
        "items": list("Delivery"),
    });
    object("The deliveries of a run.", properties, &[])
}

fn receipt() -> Value {
    let properties = json!({
        "receipt": { "type": "object", "description": "What was read, done and written: `eft.receipt/1`." },
        "signature": { "type": ["object", "null"], "description": "Ed25519 over the canonical JSON of `receipt`." },
    });
    object("A receipt with its signature.", properties, &[])
}

fn reject() -> Value {
    let properties = json!({
        "stage": text(),
        "record": { "type": "integer", "minimum": 0, "description": "From 1, without the header, which is 0." },
        "offset": { "type": "integer", "minimum": 0, "description": "Of its first byte in the stage's input." },
        "column": text(),
        "reason": text(),
    });
    object("A record that broke a rule.", properties, &["column"])
}

fn reject_report() -> Value {
    let properties = json!({
        "job": text(),
        "run": text(),
        "errors": { "type": "integer", "minimum": 0, "description": "Records that broke a rule." },
        "truncated": flag("There may be more than are listed."),
        "items": list("Reject"),
    });
    object("The first records that broke a rule.", properties, &[])
}

fn depth() -> Value {
    json!({ "visible": number(), "inFlight": number(), "delayed": number() })
}

fn queue() -> Value {
    let mut properties = depth();
    properties["name"] = json!({ "enum": ["ingest", "work", "undelivered"] });
    properties["dead"] = reference("Depth");
    object("A queue, and what was set aside of it.", properties, &["dead"])
}
