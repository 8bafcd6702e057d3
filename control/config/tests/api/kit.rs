//! An API, callers, and routes to save.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use eft_api::{CursorKey, Principal, Problem, handle};
use eft_config::{Api, openapi::document};
use eft_domain::{Millis, Tenant, tenant::Output};
use eft_store::{
    Catalog, Clock, Keys,
    faulty::{Fates, Faulty},
    memory::Region,
};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};

/// A test's API.
pub(crate) struct Bed {
    pub(crate) api: Api,
    pub(crate) region: Region,
    clock: Clock,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no `{name}`: {self:?}")).to_str().unwrap()
    }

    pub(crate) fn etag(&self) -> String {
        self.header("etag").to_owned()
    }

    /// The code of a problem, or of none.
    pub(crate) fn code(&self) -> &str {
        self.body["code"]
            .as_str()
            .filter(|_| self.status.is_client_error() || self.status.is_server_error())
            .unwrap_or("")
    }

    /// Where its errors are.
    pub(crate) fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().unwrap_or_else(|| panic!("no errors: {self:?}"));
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

/// Somebody's token.
pub(crate) fn token(subject: &str, tenant: &str, scope: &str) -> Result<Principal, Problem> {
    let claims = [("sub", subject), ("tenant", tenant), ("scope", scope)];
    let claims: HashMap<_, _> =
        claims.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Principal::from_claims(&claims, "tenant")
}

pub(crate) fn ann() -> Result<Principal, Problem> {
    token("ann", "acme", "config:write")
}

pub(crate) fn bob() -> Result<Principal, Problem> {
    token("bob", "acme", "config:write")
}

/// Of another tenant.
pub(crate) fn eve() -> Result<Principal, Problem> {
    token("eve", "globex", "config:write")
}

/// A route of acme with its own prefix.
pub(crate) fn route(name: &str, level: u32) -> Value {
    json!({
        "match": { "prefix": format!("tenants/acme/{name}/"), "glob": "*.csv" },
        "stages": [{ "compress": { "codec": "zstd", "level": level } }],
        "destinations": [{ "s3": { "bucket": "acme-out", "key": "{date}/{stem}.zst", "on_existing": "fail" } }],
    })
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const NEW: (&str, &str) = ("if-none-match", "*");

impl Bed {
    /// With tenants acme and globex, each with an output bucket.
    pub(crate) async fn new() -> Self {
        let clock = Clock::simulated();
        let region = Region::new(clock);
        let ports = Arc::new(region.clone());
        Self::with(region, clock, ports.clone(), ports).await
    }

    /// Over stores whose calls meet these fates.
    pub(crate) async fn faulty(fates: Arc<dyn Fates>) -> Self {
        let clock = Clock::simulated();
        let region = Region::new(clock);
        let ports = Arc::new(Faulty::new(region.clone(), fates));
        Self::with(region, clock, ports.clone(), ports).await
    }

    async fn with(region: Region, clock: Clock, catalog: Arc<dyn Catalog>, keys: Arc<dyn Keys>) -> Self {
        for name in ["acme", "globex"] {
            let mut tenant = Tenant::new(name.parse().unwrap());
            tenant
                .outputs
                .push(Output { bucket: format!("{name}-out").parse().unwrap(), prefix: String::new() });
            region.put_tenant(&tenant).await.unwrap();
        }
        let cursors = CursorKey::new(&[7; 32]).unwrap();
        Self { api: Api { catalog, keys, cursors }, region, clock }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Ask, and hold the answer against the document.
    pub(crate) async fn call(
        &self,
        caller: Result<Principal, Problem>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = handle(&self.api, request, caller, self.now()).await;
        let (parts, body) = response.into_parts();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let reply = Reply { status: parts.status, headers: parts.headers, body };
        documented(method, path, &reply);
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(ann(), "GET", path, &[], "").await
    }

    pub(crate) async fn put(
        &self,
        caller: Result<Principal, Problem>,
        path: &str,
        condition: (&str, &str),
        route: &Value,
    ) -> Reply {
        self.call(caller, "PUT", path, &[JSON, condition], route.to_string()).await
    }

    /// Ann creates a route.
    pub(crate) async fn create(&self, name: &str) -> Reply {
        self.put(ann(), &format!("/v1/routes/{name}"), NEW, &route(name, 1)).await.is(201)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(ann(), "POST", path, &[JSON], body.to_string()).await
    }

    /// Ann acts under a key.
    pub(crate) async fn act(&self, path: &str, key: &str) -> Reply {
        self.call(ann(), "POST", path, &[("idempotency-key", key)], "").await
    }
}

fn parsed() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(document)
}

/// The operation of a request, as whoever reads the document finds it.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap();
    let fits = |pattern: &str| {
        let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
        loop {
            match (patterns.next(), segments.next()) {
                (None, None) => return true,
                (Some(pattern), Some(segment)) => {
                    let (before, after) = match (pattern.find('{'), pattern.find('}')) {
                        (Some(start), Some(end)) => (&pattern[..start], &pattern[end + 1..]),
                        _ if pattern == segment => continue,
                        _ => return false,
                    };
                    let value = segment.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                    if value.is_none_or(|value| value.is_empty() || value.contains(':')) {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    };
    let (_, item) = parsed()["paths"].as_object().unwrap().iter().find(|(pattern, _)| fits(pattern))?;
    item.get(method.to_ascii_lowercase())
}

/// The status is one that the document names for the operation, and the body is what it says.
#[track_caller]
fn documented(method: &str, path: &str, reply: &Reply) {
    let kind = reply.headers.get("content-type").map(|kind| kind.to_str().unwrap());
    let Some(operation) = operation(method, path) else {
        assert!(matches!(reply.code(), "request.path" | "request.method"), "{method} {path}: {reply:?}");
        return valid(&json!({ "$ref": "#/components/schemas/Problem" }), reply);
    };
    let response = &operation["responses"][reply.status.as_str()];
    assert!(response.is_object(), "{method} {path} may not answer so: {reply:?}");
    match response.get("content") {
        None => assert!(kind.is_none() && reply.body.is_null(), "{reply:?}"),
        Some(content) => {
            let content = &content[kind.unwrap()];
            assert!(content.is_object(), "{method} {path} may not answer {kind:?}");
            valid(&content["schema"], reply);
        }
    }
}

#[track_caller]
fn valid(schema: &Value, reply: &Reply) {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": parsed()["components"],
    });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let faults: Vec<_> = validator
        .iter_errors(&reply.body)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:?} of {reply:?}");
}
