//! What every API's bodies are made of.

use serde_json::{Map, Value, json};

use crate::code::Code;

/// What tenants, partners and routes may be called.
pub const NAME: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";

/// A revision of a route.
pub const REVISION: &str = "^[0-9a-f]{16}$";

/// An ETag as it is given.
pub(super) const ETAG: &str = "^\"[!#-~]+\"$";

/// One, as an example.
pub(super) const AN_ETAG: &str = "\"1b2c3d4e5f607182-3\"";

/// What conditions name: `*`, or ETags (RFC 9110, 13.1), at most as many as are read.
pub(super) const ETAGS: &str = "^([*]|(W/)?\"[ !#-~]*\"([ \\t]*,[ \\t]*(W/)?\"[ !#-~]*\"){0,15})$";

/// A time as far as a pattern can say it (RFC 3339, 5.6).
pub(super) const TIME: &str =
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$";

/// An idempotency key, in quotes or without.
pub(super) const KEY: &str = "^(\"[!#-~]{1,255}\"|[!#-~]{1,255})$";

/// What the value of a name in a path looks like.
pub(super) fn in_path(name: &str) -> Value {
    let pattern = match name {
        "code" => return json!({ "enum": Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>() }),
        "job" => return json!({ "type": "string", "format": "uuid" }),
        "revision" => "^([1-9][0-9]{0,9}|[0-9a-f]{16})$",
        "user" => "^[A-Za-z0-9_][A-Za-z0-9_@.-]{2,99}$",
        "queue" => "^[a-z]+$",
        _ => NAME,
    };
    json!({ "type": "string", "pattern": pattern })
}

/// What API Gateway answers by itself, before a function or instead of one: it knows no problems (API Gateway developer guide,
/// "Quotas for configuring and running an HTTP API": 10 MB of a body, 30 s for an answer).
pub(super) fn gateway(needs_token: bool, responses: &mut Map<String, Value>) {
    let unauthorized = needs_token.then_some(("401", "No token, or none of the issuer."));
    let always = [
        ("413", "More than API Gateway takes."),
        ("429", "More requests at once than API Gateway lets through: send it again, later and later."),
        ("500", "The function could not be run."),
        ("503", "The function did not answer in time; what was asked for may have been done."),
    ];
    for (status, says) in unauthorized.into_iter().chain(always) {
        let response = responses.entry(status).or_insert_with(|| json!({}));
        let before = response["description"].as_str().map(|text| format!("{text} ")).unwrap_or_default();
        response["description"] = format!("{before}By API Gateway: {says}").into();
        response["content"]["application/json"] = json!({ "schema": reference("GatewayMessage") });
    }
}

/// The schemas that every API has.
pub(super) fn shared() -> Map<String, Value> {
    let document =
        json!({ "type": "object", "description": "An OpenAPI document.", "required": ["openapi", "paths"] });
    let message = object("What API Gateway says by itself.", json!({ "message": text() }), &[]);
    [("Fault", fault()), ("Problem", problem()), ("Document", document), ("GatewayMessage", message)]
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

/// An object in which everything stands but what is optional, and nothing else.
pub fn object(says: &str, properties: Value, optional: &[&str]) -> Value {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<_> = names.filter(|name| !optional.contains(&name.as_str())).collect();
    json!({
        "type": "object",
        "description": says,
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// Any text.
pub fn text() -> Value {
    json!({ "type": "string" })
}

/// A schema by its name.
pub fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// Some of a list of these.
pub fn page(item: &str) -> Value {
    let properties = json!({
        "items": { "type": "array", "maxItems": 200, "items": reference(item) },
        "nextCursor": { "type": "string", "description": "There is more where it stands; it lasts for a day." },
    });
    object(
        "Some of a list. A page may have fewer items than were asked for though more follow.",
        properties,
        &["nextCursor"],
    )
}

/// Faults of a body.
pub fn faults() -> Value {
    json!({ "type": "array", "items": reference("Fault") })
}

fn fault() -> Value {
    let properties = json!({
        "pointer": { "type": "string", "description": "A JSON Pointer into the body; empty for all of it." },
        "line": { "type": "integer", "minimum": 1, "description": "Of a body in YAML." },
        "detail": text(),
    });
    object("A fault of a body.", properties, &["line"])
}

/// What is the same of a code wherever it stands.
pub fn kind() -> Value {
    json!({
        "type": { "type": "string", "format": "uri-reference" },
        "code": { "enum": Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>() },
        "title": text(),
        "status": { "type": "integer", "minimum": 400, "maximum": 599 },
        "retryable": { "type": "boolean" },
        "remedy": { "type": "string", "description": "Who does what about it." },
    })
}

fn problem() -> Value {
    let mut properties = kind();
    if let Value::Object(map) = &mut properties {
        map.remove("remedy");
    }
    properties["detail"] = json!({ "type": "string", "description": "What happened here; for people." });
    properties["instance"] = json!({ "type": "string", "format": "uri-reference" });
    properties["requestId"] = json!({ "type": "string", "description": "What the logs have it under." });
    properties["errors"] = faults();
    // RFC 9457 lets a problem have members that a client does not know.
    let mut schema = object("Why a request was not done (RFC 9457).", properties, &["requestId", "errors"]);
    schema["additionalProperties"] = true.into();
    schema
}
