//! Why something was not done.

use std::{path::Path, time::Duration};

use http::StatusCode;
use serde_json::Value;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// What was typed, or what a file holds.
    #[error("{0}")]
    Usage(String),
    /// No answer came.
    #[error("{0}")]
    Unreached(String),
    /// An answer is none of this API.
    #[error("the answer is not one of the API: {0}")]
    Answer(String),
    /// The API did not do it, and says why.
    #[error("{}", told(*.status, .document))]
    Problem {
        /// How it was answered.
        status: StatusCode,
        /// What `Retry-After` says.
        after: Option<Duration>,
        /// The problem (RFC 9457).
        document: Box<Value>,
    },
}

impl Fault {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn answer(text: impl Into<String>) -> Self {
        Self::Answer(text.into())
    }

    pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::Usage(format!("{}: {why}", path.display()))
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 4 }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Unreached(_) => true,
            // What is before the API says so by the status alone.
            Self::Problem { status, document, .. } => match document.get("retryable") {
                Some(said) => said == &Value::Bool(true),
                None => matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE),
            },
            Self::Usage(_) | Self::Answer(_) => false,
        }
    }

    /// The place in the API that says what to do about it.
    pub(crate) fn remedy(&self) -> Option<&str> {
        match self {
            Self::Problem { document, .. } => {
                document.get("type")?.as_str().filter(|path| path.starts_with("/v1/"))
            }
            _ => None,
        }
    }
}

/// A problem in words: code, what happened, and every fault with its place.
fn told(status: StatusCode, problem: &Value) -> String {
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let mut told = match (text("code"), text("detail")) {
        (Some(code), Some(detail)) => format!("{code}: {detail}"),
        // What is before the API has words of its own.
        _ => format!("{status}: {}", text("message").unwrap_or("no problem document came with it")),
    };
    let faults = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    for fault in faults {
        told.push('\n');
        told.push_str(&of_body(fault));
    }
    if let Some(id) = text("requestId") {
        told.push_str(&format!("\n  request {id}"));
    }
    told
}

/// A fault of a body: where, and what.
pub(crate) fn of_body(fault: &Value) -> String {
    let text = |name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default();
    let place = if text("pointer").is_empty() { "/" } else { text("pointer") };
    let line = fault.get("line").map(|line| format!(", line {line}")).unwrap_or_default();
    format!("  {place}{line}: {}", text("detail"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_is_told_with_every_place() {
        let document = json!({
            "code": "route.invalid", "detail": "2 places have to be corrected", "type": "/v1/problems/route.invalid",
            "requestId": "r-1",
            "errors": [{ "pointer": "/match/prefix", "line": 3, "detail": "is empty" }, { "pointer": "", "detail": "`id` is missing" }],
        });
        let fault = Fault::Problem {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            after: None,
            document: Box::new(document),
        };
        assert_eq!(
            fault.to_string(),
            "route.invalid: 2 places have to be corrected\n  /match/prefix, line 3: is empty\n  /: `id` is missing\n  request r-1"
        );
        assert_eq!((fault.code(), fault.remedy()), (4, Some("/v1/problems/route.invalid")));
        let gateway = json!({ "message": "Unauthorized" });
        let fault =
            Fault::Problem { status: StatusCode::UNAUTHORIZED, after: None, document: Box::new(gateway) };
        assert_eq!((fault.to_string().as_str(), fault.remedy()), ("401 Unauthorized: Unauthorized", None));
    }
}
