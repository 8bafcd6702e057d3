//! What bodies look like.

use eft_api::openapi::schemas::{NAME, REVISION, faults, kind, object, page, reference, text};
use eft_domain::{
    partner::{MOST_CHARS, MOST_CONTACTS, MOST_EMAIL_BYTES},
    route::SCHEMA,
    sftp::{LONGEST, MOST_KEYS, MOST_SOURCES, SHORTEST},
};
use serde_json::{Map, Value, json};

use crate::audit::OUTCOMES;

/// Every schema by its name.
pub(super) fn all() -> Map<String, Value> {
    let schemas = [
        ("RouteText", route_text()),
        ("RouteDraft", route_draft()),
        ("RouteHead", object("How a route stands.", head(), &[])),
        ("Route", object("A route as it stands.", with_text(head()), &[])),
        ("RoutePage", page("RouteHead")),
        ("RevisionHead", object("A change of a route.", change(), &[])),
        ("Revision", revision()),
        ("RevisionPage", page("RevisionHead")),
        ("Validation", validation()),
        ("SimulationRequest", simulation_request()),
        ("Simulation", simulation()),
        ("TenantText", tenant_text()),
        ("Tenant", tenant()),
        ("TenantRow", tenant_row()),
        ("TenantPage", page("TenantRow")),
        ("SftpUserText", user_text()),
        ("SftpUser", user()),
        ("SftpUserPage", page("SftpUser")),
        ("PartnerText", partner_text()),
        ("Partner", partner()),
        ("PartnerPage", page("Partner")),
        ("AuditEntry", audit_entry()),
        ("AuditPage", page("AuditEntry")),
        ("ProblemKind", object("What a code means.", kind(), &[])),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The schema of the domain, whose own references lead to where it stands here.
fn route_text() -> Value {
    let here = SCHEMA.replace("\"#/$defs/", "\"#/components/schemas/RouteText/$defs/");
    let mut schema: Value = serde_json::from_str(&here).unwrap_or_default();
    if let Value::Object(map) = &mut schema {
        map.remove("$schema");
        map.remove("$id");
    }
    schema
}

/// Whatever it is, the answer says what is wrong with it.
fn route_draft() -> Value {
    json!({ "description": "What is to become a route. How a right one looks says `RouteText`; what is wrong with this one, the answer." })
}

fn state() -> Value {
    json!({ "enum": ["active", "paused"] })
}

fn change() -> Value {
    json!({
        "change": { "type": "integer", "minimum": 1, "description": "Which change of the route this is." },
        "state": state(),
        "revision": { "type": "string", "pattern": REVISION, "description": "What it says: equal texts have equal revisions." },
        "changedAt": { "type": "string", "format": "date-time" },
        "changedBy": { "type": "string", "description": "The subject of the token." },
    })
}

fn head() -> Value {
    let mut properties = change();
    properties["name"] = json!({ "type": "string", "pattern": NAME });
    properties["etag"] = json!({ "type": "string", "description": "What to send in `If-Match`." });
    properties
}

fn with_text(mut properties: Value) -> Value {
    properties["route"] = reference("RouteText");
    properties
}

fn revision() -> Value {
    let mut properties = with_text(change());
    properties["name"] = json!({ "type": "string", "pattern": NAME });
    object(
        "What a route said. Asked for by its 16 digits, it is of no one change.",
        properties,
        &["change", "state", "changedAt", "changedBy"],
    )
}

fn validation() -> Value {
    let properties = json!({
        "valid": { "type": "boolean" },
        "errors": faults(),
        "revision": { "type": "string", "pattern": REVISION },
        "route": reference("RouteText"),
    });
    object(
        "What is wrong with a route; where nothing is, what it says with every default.",
        properties,
        &["revision", "route"],
    )
}

fn simulation_request() -> Value {
    let properties = json!({
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": MOST_BYTES,
            "description": "As its sender gives it, such as `in/orders/a.csv`, or the whole key.",
        },
        "size": { "type": "integer", "minimum": 0, "maximum": u64::MAX, "description": "Bytes." },
        "route": { "$ref": "#/components/schemas/RouteText", "description": "A route as if it were saved." },
    });
    object("A file that has not arrived.", properties, &["route"])
}

fn simulation() -> Value {
    let route = json!({
        "name": { "type": "string" },
        "revision": { "type": "string", "pattern": REVISION },
        "state": state(),
    });
    let destination = json!({ "bucket": text(), "key": text(), "problem": text(), "onExisting": text() });
    let archive = json!({ "storageClass": text(), "original": { "type": "boolean" } });
    let plan = json!({
        "runner": { "enum": ["steps", "worker"] },
        "runnerReason": { "type": "string", "description": "Why Step Functions do not run it." },
        "completeWhen": text(),
        "copy": { "type": "boolean", "description": "S3 copies it: no byte is looked at." },
        "ordered": { "type": "boolean" },
        "stages": { "type": "array", "items": text() },
        "destinations": {
            "type": "array",
            "items": object("Where it would go.", destination, &["key", "problem"]),
        },
        "archive": object("How the original would be kept.", archive, &[]),
    });
    let properties = json!({
        "key": text(),
        "size": { "type": "integer", "minimum": 0 },
        "outcome": { "enum": ["accepted", "refused", "heartbeat", "unrouted", "ignored"] },
        "reason": text(),
        "code": { "type": "string", "description": "The failure code that the job would end with." },
        "remedy": text(),
        "route": object("The route that takes it.", route, &[]),
        "plan": object("How it would be run.", plan, &["runnerReason", "archive"]),
    });
    object("What would become of it.", properties, &["reason", "code", "remedy", "route", "plan"])
}

/// What S3 takes of a key.
const MOST_BYTES: usize = 1_024;

fn tenant_text() -> Value {
    let output = json!({
        "bucket": { "type": "string", "pattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$" },
        "prefix": { "type": "string", "maxLength": MOST_BYTES, "description": "What its keys start with; empty: all of the bucket." },
    });
    let properties = json!({
        "id": { "type": "string", "pattern": NAME },
        "weight": {
            "type": "integer", "minimum": 1, "maximum": 1_000,
            "description": "Its share of what is in flight, against the other tenants'.",
        },
        "max_jobs": { "type": "integer", "minimum": 1, "maximum": 100_000, "description": "Most jobs at once." },
        "max_bytes": { "type": "integer", "minimum": 1, "maximum": u64::MAX, "description": "Most bytes at once." },
        "outputs": {
            "type": "array", "maxItems": 100, "items": object("A place that it may deliver to.", output, &["prefix"]),
        },
        "paused": { "type": "boolean", "description": "Nothing of it is started." },
    });
    let all = ["id", "weight", "max_jobs", "max_bytes", "outputs", "paused"];
    object("What a tenant may do.", properties, &all)
}

fn tenant() -> Value {
    let properties = json!({
        "name": { "type": "string", "pattern": NAME },
        "etag": { "type": "string", "description": "What to send in `If-Match`." },
        "tenant": reference("TenantText"),
    });
    object("A tenant as it stands.", properties, &[])
}

fn tenant_row() -> Value {
    let properties = json!({
        "name": { "type": "string", "pattern": NAME },
        "etag": { "type": "string", "description": "What to send in `If-Match`." },
        "tenant": reference("TenantText"),
        "unreadable": { "type": "string", "description": "Why the rest is not shown: its row cannot be read." },
    });
    object("A tenant of a list.", properties, &["etag", "tenant", "unreadable"])
}

fn folder(says: &str) -> Value {
    json!({ "type": "string", "maxLength": 512, "pattern": r"^([^/\\\x00-\x1f\x7f-\x9f]+/)*$", "description": says })
}

fn user_text() -> Value {
    let list = |most: usize, says: &str, item: &str| {
        json!({
            "type": "array", "maxItems": most, "description": says, "items": { "type": "string", "pattern": item },
        })
    };
    let properties = json!({
        "keys": list(
            MOST_KEYS,
            "Public keys as OpenSSH writes them: `ssh-ed25519 AAAA… comment`.",
            "^\\s*[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( .*)?\\s*$",
        ),
        "password": {
            "type": ["string", "null"], "minLength": SHORTEST, "maxLength": LONGEST, "pattern": "^[ -~]*$", "writeOnly": true,
            "description": "A password, of ASCII, beside the keys or instead of them. It is hashed (Argon2id) and never shown; \
                            left out, the one before stays; `null` takes it away.",
        },
        "partner": {
            "type": "string", "pattern": NAME,
            "description": "The partner that it belongs to: it logs in while that is there and not paused, and has its home in its folder.",
        },
        "home": folder("Where its files arrive, below the tenant's prefix, such as `in/orders/`."),
        "sources": list(
            MOST_SOURCES,
            "From where it logs in, such as `192.0.2.0/24`; from anywhere where there are none.",
            "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$",
        ),
        "paused": { "type": "boolean", "description": "It cannot log in for now." },
    });
    object(
        "With what a user logs in, and where its files arrive.",
        properties,
        &["keys", "password", "partner", "home", "sources", "paused"],
    )
}

fn user() -> Value {
    let properties = json!({
        "name": text(),
        "etag": { "type": "string", "description": "What to send in `If-Match`." },
        "prefix": { "type": "string", "description": "What the keys of its files start with." },
        "fingerprints": {
            "type": "array", "items": text(), "description": "Of its keys, in their order, as `ssh-keygen -l` shows them.",
        },
        "hasPassword": { "type": "boolean", "description": "It may log in with a password as well." },
        "user": reference("SftpUserText"),
    });
    object("A user of the SFTP server as it stands.", properties, &[])
}

fn partner_text() -> Value {
    let words = |says: &str| json!({ "type": "string", "maxLength": MOST_CHARS, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$", "description": says });
    let contact = json!({
        "name": words("What it is called."),
        "email": { "type": "string", "maxLength": MOST_EMAIL_BYTES, "pattern": "^[!-?A-~]+@[!-?A-~]+$" },
    });
    let properties = json!({
        "displayName": words("What people call it."),
        "contacts": {
            "type": "array", "maxItems": MOST_CONTACTS, "items": object("Somebody of it.", contact, &["name"]),
            "description": "Whom to ask about its files.",
        },
        "folder": folder("Where the homes of its users lie, below the tenant's prefix, such as `shop/`; anywhere where it is empty."),
        "paused": { "type": "boolean", "description": "None of its users can log in for now." },
    });
    object("Who sends files, and where to.", properties, &["displayName", "contacts", "folder", "paused"])
}

fn partner() -> Value {
    let properties = json!({
        "name": { "type": "string", "pattern": NAME },
        "etag": { "type": "string", "description": "What to send in `If-Match`." },
        "partner": reference("PartnerText"),
    });
    object("A partner as it stands.", properties, &[])
}

fn audit_entry() -> Value {
    let properties = json!({
        "id": { "type": "string", "format": "uuid", "description": "Ids sort as times do." },
        "at": { "type": "string", "format": "date-time" },
        "who": { "type": "string", "description": "The subject of the token." },
        "what": { "type": "string", "description": "The operation, as its document calls it, such as `putRoute` or `replayJob`." },
        "on": { "type": "string", "description": "The path of the thing, such as `/v1/routes/orders`." },
        "reason": { "type": "string", "description": "Why, as whoever acted has said." },
        "outcome": {
            "enum": OUTCOMES,
            "description": "`failed` is a fault of the platform. What failed, and what stays `begun`, may have been done or not.",
        },
        "status": { "type": "integer", "minimum": 100, "maximum": 599, "description": "Of the answer." },
        "code": { "type": "string", "description": "Of the problem, where it is one." },
        "etag": { "type": "string", "description": "Of the thing as it was made to be." },
        "requestId": { "type": "string", "description": "What the logs have it under." },
    });
    object(
        "What somebody did, or tried to do.",
        properties,
        &["reason", "status", "code", "etag", "requestId"],
    )
}
