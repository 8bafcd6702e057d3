//! The OpenAPI 3.1 document, made of the [`table`](crate::table); `openapi.json` is what it says.

mod schemas;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    principal::Scope,
    problem::{Code, Problem},
    table::{Body, Condition, Endpoint, Good, Parameter, TABLE},
};

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in TABLE {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "EFT config API",
            "version": "1",
            "summary": "The routes of a tenant, as data with revisions.",
            "description": "Every write is conditional: `If-None-Match: *` creates, `If-Match` with the ETag that was read changes. \
                Every act has an `Idempotency-Key`. The tenant is that of the token; what is another tenant's is not there. \
                Whatever is refused is `application/problem+json` (RFC 9457) with a stable `code`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": format!(
                        "A JWT with `sub`, the tenant's claim, and in `scope` one of {}. Each allows what the ones before it allow.",
                        Scope::ALL.map(|scope| format!("`{}`", scope.as_str())).join(", ")
                    ),
                },
            },
        },
    })
}

/// What `GET /v1/problems/{code}` answers.
pub(crate) fn problem(code: &str) -> Result<Answer, Problem> {
    let known = Code::ALL.iter().find(|known| known.as_str() == code);
    let known = known.ok_or_else(|| Problem::new(Code::ProblemNotFound, "there is no such code"))?;
    Ok(Answer::ok(known.to_value()))
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.says,
        "parameters": parameters(endpoint),
        "responses": responses(endpoint),
        "security": endpoint.scope.map_or_else(|| json!([]), |scope| json!([{ "token": [scope.as_str()] }])),
    });
    let content = match endpoint.body {
        Body::None => return operation,
        Body::Route => {
            let route = json!({ "schema": reference("RouteText") });
            json!({ "application/json": route, "application/yaml": route })
        }
        Body::Json(schema) => json!({ "application/json": { "schema": reference(schema) } }),
    };
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

fn header(name: &str, required: bool, says: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": required, "description": says, "schema": { "type": "string" },
    })
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let mut parameters: Vec<_> = names(endpoint.path)
        .map(|name| {
            let mut schema = json!({ "type": "string" });
            if matches!(name, "name" | "tenant") {
                schema["pattern"] = "^[a-z0-9][a-z0-9._-]{0,63}$".into();
            }
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    for Parameter { name, says, most } in endpoint.query {
        let schema = match most {
            Some(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
            None => json!({ "type": "string" }),
        };
        parameters.push(json!({
            "name": name, "in": "query", "required": false, "description": says, "schema": schema,
        }));
    }
    match endpoint.condition {
        Condition::None => {}
        Condition::Read => parameters.push(header("If-None-Match", false, "The ETag that the client knows.")),
        Condition::Act => {
            parameters.push(header("If-Match", false, "The ETag that was read, to act on that only."))
        }
        Condition::Write => {
            parameters.push(header("If-None-Match", false, "`*`, to create what is not there."));
            parameters.push(header("If-Match", false, "The ETag that was read, to change it."));
        }
    }
    if endpoint.acts {
        let says = "1 to 255 visible characters, such as a UUID: the same for a request that is sent again, another for another.";
        parameters.push(header("Idempotency-Key", true, says));
    }
    parameters
}

fn responses(endpoint: &Endpoint) -> Map<String, Value> {
    let mut responses = Map::new();
    for Good { status, schema, says } in endpoint.good {
        let mut response = json!({ "description": says });
        if let Some(schema) = schema {
            response["content"] = json!({ "application/json": { "schema": reference(schema) } });
        }
        let mut headers = Map::new();
        let mut add = |name: &str, says: &str| {
            headers.insert(name.to_owned(), json!({ "description": says, "schema": { "type": "string" } }));
        };
        if endpoint.condition != Condition::None {
            add("ETag", "What to send in `If-Match`, or in `If-None-Match` of a read.");
        }
        if *status == 201 {
            add("Location", "Where it is.");
        }
        if endpoint.acts {
            add("Idempotency-Replayed", "`true` where it was done before, and this is the answer of then.");
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
    responses
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `EFT_BLESS=1` writes it anew.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's own switch")]
    fn the_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let made = document();
        if std::env::var("EFT_BLESS").is_ok() {
            let text = serde_json::to_string_pretty(&made).unwrap();
            std::fs::write(path, format!("{text}\n")).unwrap();
        }
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(kept, made, "EFT_BLESS=1 writes it anew");
    }

    fn references(value: &Value, found: &mut Vec<String>) {
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

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        for to in &found {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{to}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            let to = format!("#/components/schemas/{name}");
            assert!(found.contains(&to), "nobody uses {name}");
        }
    }

    #[test]
    fn every_endpoint_is_an_operation_with_a_name_of_its_own() {
        let document = document();
        let operations = document["paths"].as_object().unwrap().values();
        let operations = operations.flat_map(|path| path.as_object().unwrap().values());
        let mut names: Vec<_> =
            operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), TABLE.len());
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        assert!(TABLE.iter().all(|endpoint| !endpoint.says.is_empty() && !endpoint.good.is_empty()));
    }
}
