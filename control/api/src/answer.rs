//! What is answered.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Cause;

/// What stands in an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Nothing.
    None,
    /// This.
    Json(Value),
    /// JSON whose very text counts, because somebody has signed it.
    Text(String),
}

/// An answer before it is bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, besides those that every answer has.
    pub headers: Vec<(HeaderName, String)>,
    /// Its body.
    pub content: Content,
    /// What the log says and the client is not told.
    pub cause: Option<String>,
}

impl Answer {
    /// An answer with a body.
    pub fn new(status: StatusCode, body: Value) -> Self {
        Self { content: Content::Json(body), ..Self::empty(status) }
    }

    /// 200 with a text that is JSON already.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: Content::Text(text.into()), ..Self::empty(StatusCode::OK) }
    }

    /// 200.
    pub fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// 304.
    pub fn not_modified() -> Self {
        Self::empty(StatusCode::NOT_MODIFIED)
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), content: Content::None, cause: None }
    }

    /// With a header more.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn content_type(&self) -> &'static str {
        if self.status.is_client_error() || self.status.is_server_error() {
            "application/problem+json"
        } else {
            "application/json"
        }
    }

    /// As bytes.
    pub fn into_response(self) -> Response<Bytes> {
        let kind = self.content_type();
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status;
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Answers are data: a browser must take them for nothing else.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in &self.headers {
            // All are made here, of ETags, names and paths that were checked.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let text = match self.content {
            Content::None => return response,
            Content::Json(body) => body.to_string(),
            Content::Text(text) => text,
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        *response.body_mut() = Bytes::from(text);
        response
    }
}
