//! What the tests of every API do with requests and answers: included by them, and no crate of its own.

use std::collections::HashMap;

use bytes::Bytes;
use eft_api::{Principal, Problem};
use http::{HeaderMap, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn of(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Self { status: parts.status, headers: parts.headers, body }
    }

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

pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// The operation of a request, as whoever reads the document finds it.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next().unwrap();
    let fits = |pattern: &str| {
        let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
        loop {
            match (patterns.next(), segments.next()) {
                (None, None) => return true,
                (Some(pattern), Some(segment)) => {
                    // A `%3A` begins an action as `:` does: the service decodes before it looks.
                    let segment = percent_decode_str(segment).decode_utf8_lossy();
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
    let (_, item) = document["paths"].as_object().unwrap().iter().find(|(pattern, _)| fits(pattern))?;
    item.get(method.to_ascii_lowercase())
}

/// The status is one that the document names for the operation, and the body is what it says.
#[track_caller]
pub(crate) fn documented(document: &Value, method: &str, path: &str, reply: &Reply) {
    let kind = reply.headers.get("content-type").map(|kind| kind.to_str().unwrap());
    let Some(operation) = operation(document, method, path) else {
        assert!(matches!(reply.code(), "request.path" | "request.method"), "{method} {path}: {reply:?}");
        return valid(document, &json!({ "$ref": "#/components/schemas/Problem" }), reply);
    };
    let response = &operation["responses"][reply.status.as_str()];
    assert!(response.is_object(), "{method} {path} may not answer so: {reply:?}");
    match response.get("content") {
        None => assert!(kind.is_none() && reply.body.is_null(), "{reply:?}"),
        Some(content) => {
            let content = &content[kind.unwrap()];
            assert!(content.is_object(), "{method} {path} may not answer {kind:?}");
            valid(document, &content["schema"], reply);
        }
    }
}

#[track_caller]
fn valid(document: &Value, schema: &Value, reply: &Reply) {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": document["components"],
    });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let faults: Vec<_> = validator
        .iter_errors(&reply.body)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:?} of {reply:?}");
}
