//! What went wrong, as RFC 9457 has it.

use eft_domain::route::{RouteError, RouteErrors};
use eft_store::{StoreError, StoreErrorKind};
use http::{HeaderName, header};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
pub use crate::code::Code;

/// Seconds after which the same request may do better. Reasonable default: throttled tables recover within one or two.
const RETRY_SECONDS: &str = "2";

/// A fault of a body, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON Pointer (RFC 6901); empty for the whole body.
    pub pointer: String,
    /// The line, from 1, where the body was YAML.
    pub line: Option<u64>,
    /// What is wrong and what to do.
    pub detail: String,
}

impl Fault {
    /// A fault of a body in JSON.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), line: None, detail: detail.into() }
    }

    /// As it stands in a problem.
    pub fn to_value(&self) -> Value {
        let mut value = json!({ "pointer": self.pointer, "detail": self.detail });
        if let Some(line) = self.line {
            value["line"] = line.into();
        }
        value
    }
}

/// Faults of an object that has other fields than are known.
pub fn unknown(fields: &Map<String, Value>, path: &str, known: &[&str], faults: &mut Vec<Fault>) {
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
        let step = name.replace('~', "~0").replace('/', "~1");
        let detail = format!("is unknown here; known are {}", known.join(", "));
        faults.push(Fault::new(format!("{path}/{step}"), detail));
    }
}

impl From<RouteError> for Fault {
    fn from(RouteError { path, line, problem }: RouteError) -> Self {
        Self { pointer: path, line, detail: problem }
    }
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which kind.
    pub code: Code,
    /// What happened here; for people.
    pub detail: String,
    /// Every fault of the body.
    pub errors: Vec<Fault>,
    /// Headers of the answer.
    pub headers: Vec<(HeaderName, String)>,
    /// What the log says and the client is not told.
    pub cause: Option<String>,
}

impl Problem {
    /// A problem.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let headers = match code {
            Code::AuthMissing => vec![(header::WWW_AUTHENTICATE, "Bearer".to_owned())],
            Code::AuthInvalid => {
                vec![(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"".to_owned())]
            }
            _ if code.retryable() => vec![(header::RETRY_AFTER, RETRY_SECONDS.to_owned())],
            _ => Vec::new(),
        };
        Self { code, detail: detail.into(), errors: Vec::new(), headers, cause: None }
    }

    /// With a header more.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A body with these faults.
    pub fn faulty(code: Code, errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.detail.clone(),
            several => format!("{} places have to be corrected", several.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }

    /// A fault of the platform: the client is told that, the log why.
    pub fn internal(cause: impl Into<String>) -> Self {
        let problem = Self::new(Code::Internal, "the request could not be done, and it is not at fault");
        Self { cause: Some(cause.into()), ..problem }
    }

    /// The answer to a request of this path.
    pub fn into_answer(self, path: &str, request_id: Option<&str>) -> Answer {
        let code = self.code;
        let mut body = json!({
            "type": code.type_uri(),
            "title": code.title(),
            "status": code.status().as_u16(),
            "detail": self.detail,
            "instance": path,
            "code": code.as_str(),
            "retryable": code.retryable(),
        });
        if let Some(id) = request_id {
            body["requestId"] = id.into();
        }
        if !self.errors.is_empty() {
            body["errors"] = self.errors.iter().map(Fault::to_value).collect();
        }
        Answer { headers: self.headers, ..Answer::new(code.status(), body) }
    }
}

impl From<RouteErrors> for Problem {
    fn from(RouteErrors(errors): RouteErrors) -> Self {
        Self::faulty(Code::RouteInvalid, errors.into_iter().map(Fault::from).collect())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Throttled | StoreErrorKind::Unavailable | StoreErrorKind::Indeterminate => {
                let problem = Self::new(Code::Unavailable, "what is stored could not be reached in time");
                Self { cause: Some(error.message), ..problem }
            }
            StoreErrorKind::Denied | StoreErrorKind::Permanent => Self::internal(error.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Content;

    #[test]
    fn a_client_is_told_no_cause() {
        let error = StoreError::new(StoreErrorKind::Denied, "table eft-config: access denied");
        let problem = Problem::from(error);
        assert_eq!(problem.cause.as_deref(), Some("table eft-config: access denied"));
        let answer = problem.into_answer("/v1/routes", Some("r-1"));
        let Content::Json(body) = answer.content else { panic!("no JSON") };
        assert!(!body.to_string().contains("eft-config"), "{body}");
        assert_eq!((&body["status"], &body["requestId"]), (&json!(500), &json!("r-1")));
    }
}
