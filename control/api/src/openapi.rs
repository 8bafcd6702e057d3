//! The OpenAPI 3.1 document of an API, made of its [`table`](crate::table).

pub mod schemas;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::schemas::{AN_ETAG, ETAG, ETAGS, KEY, TIME, gateway, in_path, reference};
use crate::{
    answer::Answer,
    principal::Scope,
    problem::{Code, Problem},
    table::{Body, Condition, Endpoint, Good, Kind, Parameter},
};

/// What a document says of its API.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What it is called.
    pub title: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// What holds of all of it.
    pub description: &'static str,
}

/// The document of these endpoints; `schemas` are those of their bodies, besides the ones that every API has.
pub fn document<S>(about: &About, table: &[Endpoint<S>], schemas: Map<String, Value>) -> Value {
    let mut paths = Map::new();
    for endpoint in table {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(endpoint);
    }
    let needs = |scope: &Scope| table.iter().any(|endpoint| endpoint.scope == Some(*scope));
    let scopes: Vec<_> =
        Scope::ALL.iter().filter(|scope| needs(scope)).map(|scope| format!("`{}`", scope.as_str())).collect();
    let mut all = schemas::shared();
    all.extend(schemas);
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": about.title,
            "version": "1",
            "summary": about.summary,
            "description": about.description,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": all,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": format!(
                        "A JWT with `sub`, the tenant's claim, and in `scope` some of {}. Who may write may read, and `admin` allows everything.",
                        scopes.join(", ")
                    ),
                },
            },
        },
    })
}

/// What `GET /v1/problems/{code}` answers.
pub fn problem(code: &str) -> Result<Answer, Problem> {
    let known = Code::ALL.iter().find(|known| known.as_str() == code);
    let known = known.ok_or_else(|| Problem::new(Code::ProblemNotFound, "there is no such code"))?;
    Ok(Answer::ok(known.to_value()))
}

fn operation<S>(endpoint: &Endpoint<S>) -> Value {
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.says,
        "parameters": parameters(endpoint),
        "responses": responses(endpoint),
        "security": endpoint.scope.map_or_else(|| json!([]), |scope| json!([{ "token": [scope.as_str()] }])),
    });
    let content = match endpoint.body {
        Body::None => return operation,
        Body::Yaml(schema) => {
            let text = json!({ "schema": reference(schema) });
            json!({ "application/json": text, "application/yaml": text })
        }
        Body::Json(schema) => json!({ "application/json": { "schema": reference(schema) } }),
    };
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

fn header(name: &str, required: bool, says: &str, pattern: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": required, "description": says,
        "schema": { "type": "string", "pattern": pattern }, "example": example,
    })
}

fn value_of(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Number(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        Kind::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        Kind::Time => json!({ "type": "string", "format": "date-time", "pattern": TIME }),
        Kind::Words(words) => json!({ "type": "string", "enum": words() }),
    }
}

fn parameters<S>(endpoint: &Endpoint<S>) -> Vec<Value> {
    let mut parameters: Vec<_> = endpoint
        .names()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": in_path(name) }))
        .collect();
    for Parameter { name, says, kind, required } in endpoint.query {
        parameters.push(json!({
            "name": name, "in": "query", "required": required, "description": says, "schema": value_of(*kind),
        }));
    }
    match endpoint.condition {
        Condition::None => {}
        Condition::Read => {
            parameters.push(header("If-None-Match", false, "The ETag that the client knows.", ETAGS, AN_ETAG))
        }
        Condition::Act => parameters.push(header(
            "If-Match",
            false,
            "The ETag that was read, to act on that only.",
            ETAGS,
            AN_ETAG,
        )),
        Condition::Remove => {
            parameters.push(header(
                "If-Match",
                true,
                "The ETag that was read, to remove that only.",
                ETAGS,
                AN_ETAG,
            ));
        }
        Condition::Write => {
            parameters.push(header(
                "If-None-Match",
                false,
                "`*`, to create what is not there.",
                "^[*]$",
                "*",
            ));
            parameters.push(header(
                "If-Match",
                false,
                "The ETag that was read, to change it.",
                ETAGS,
                AN_ETAG,
            ));
        }
    }
    if endpoint.acts {
        let says = "1 to 255 visible characters, such as a UUID: the same for a request that is sent again, another for another.";
        parameters.push(header("Idempotency-Key", true, says, KEY, "7f0a3c52-6f7b-4d53-9a55-0d6d1c2b3e4f"));
    }
    parameters
}

fn responses<S>(endpoint: &Endpoint<S>) -> Map<String, Value> {
    let mut responses = Map::new();
    for Good { status, schema, says } in endpoint.good {
        let mut response = json!({ "description": says });
        if let Some(schema) = schema {
            response["content"] = json!({ "application/json": { "schema": reference(schema) } });
        }
        let mut headers = Map::new();
        let mut add = |name: &str, always: bool, says: &str, pattern: &str| {
            let schema = json!({ "type": "string", "pattern": pattern });
            headers.insert(
                name.to_owned(),
                json!({ "description": says, "required": always, "schema": schema }),
            );
        };
        if !matches!(endpoint.condition, Condition::None | Condition::Remove) {
            add("ETag", true, "What to send in `If-Match`, or in `If-None-Match` of a read.", ETAG);
        }
        if *status == 201 {
            add("Location", true, "Where it is.", "^/v1/");
        }
        if endpoint.acts {
            let says = "`true` where it was done before, and this is the answer of then.";
            add("Idempotency-Replayed", false, says, "^true$");
        }
        if !headers.is_empty() {
            response["headers"] = headers.into();
        }
        responses.insert(status.to_string(), response);
    }
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in endpoint.problems() {
        by_status.entry(code.status().as_u16()).or_default().push(code);
    }
    for (status, codes) in by_status {
        let says: Vec<_> =
            codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
        let codes: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
        let schema = json!({
            "allOf": [reference("Problem"), { "properties": { "code": { "enum": codes } } }],
        });
        let response = json!({
            "description": says.join(" "),
            "content": { "application/problem+json": { "schema": schema } },
        });
        responses.insert(status.to_string(), response);
    }
    gateway(endpoint.scope.is_some(), &mut responses);
    responses
}

/// The places in a document to which it refers itself.
pub fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get("$ref") {
                found.push(to.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// What is wrong with a document that is to be one of this table: references that lead nowhere, schemas that nobody uses,
/// operations that share a name or are missing.
pub fn complaints<S>(document: &Value, table: &[Endpoint<S>]) -> Vec<String> {
    let (mut complaints, mut found) = (Vec::new(), Vec::new());
    references(document, &mut found);
    let leads = |to: &str| to.strip_prefix('#').is_some_and(|to| document.pointer(to).is_some());
    complaints.extend(found.iter().filter(|to| !leads(to)).map(|to| format!("{to} leads nowhere")));
    let schemas = document["components"]["schemas"].as_object();
    for name in schemas.into_iter().flat_map(Map::keys) {
        if !found.contains(&format!("#/components/schemas/{name}")) {
            complaints.push(format!("nobody uses {name}"));
        }
    }
    let paths = document["paths"].as_object().into_iter().flat_map(Map::values);
    let operations = paths.filter_map(Value::as_object).flat_map(Map::values);
    let mut names: Vec<_> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() != table.len() {
        complaints.push(format!("{} names for {} endpoints", names.len(), table.len()));
    }
    let silent = table.iter().filter(|endpoint| endpoint.says.is_empty() || endpoint.good.is_empty());
    complaints.extend(silent.map(|endpoint| format!("{} says nothing of itself", endpoint.name)));
    complaints
}
