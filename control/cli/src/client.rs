//! The API as a client of it: one request at a time, tried again where that changes nothing.
//!
//! # Failure handling
//! A request whose answer is lost, and one of which the API says that it may succeed later, is sent again as often as [`TRIES`]
//! says: reads change nothing, writes are conditional on what was read, and acts carry an idempotency key that is the same with
//! every try.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fault::Fault;

/// Times a request is sent.
const TRIES: u32 = 4;

/// How long an answer is waited for: API Gateway gives up after 30 s.
const WITHIN: Duration = Duration::from_secs(35);

/// The longest wait before a request is sent again, whatever `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The longest answer: Lambda gives 6 MB.
const MOST_BYTES: usize = 8 << 20;

/// What stands in a path as it is (RFC 3986, unreserved); everything else is encoded.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as a segment of a path, or a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, IN_PATH).to_string()
}

/// What is sent besides method and path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// Type and bytes.
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// Headers.
    pub(crate) headers: HeaderMap,
}

impl Sent {
    /// A document.
    pub(crate) fn json(document: &Value) -> Self {
        let body = Some(("application/json", Bytes::from(document.to_string())));
        Self { body, ..Self::default() }
    }

    /// Only if it is still what was read; or only if there is none yet.
    pub(crate) fn if_unchanged(mut self, etag: Option<&str>) -> Result<Self, Fault> {
        let (name, value) = match etag {
            Some(etag) => (header::IF_MATCH, HeaderValue::from_str(etag)),
            None => (header::IF_NONE_MATCH, Ok(HeaderValue::from_static("*"))),
        };
        self.headers.insert(name, value.map_err(|_| Fault::answer("its ETag is no header"))?);
        Ok(self)
    }
}

/// An answer that is no problem.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) etag: Option<String>,
    pub(crate) body: Value,
}

/// The API.
pub(crate) struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    token: HeaderValue,
}

impl Client {
    /// The API at this address, for whoever has this token.
    ///
    /// # Errors
    /// The address is none, or the token would go over a network unencrypted.
    pub(crate) fn new(base: &str, token: &str) -> Result<Self, Fault> {
        let base = base.trim_end_matches('/');
        let wrong = |why: &str| Fault::usage(format!("the API's address `{base}` {why}"));
        let uri: Uri = base.parse().map_err(|_| wrong("is no URL"))?;
        let host = uri.host().ok_or_else(|| wrong("names no host, such as https://api.example.com"))?;
        let is_here = host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_here => {}
            _ => return Err(wrong("is not https: the token would be read on its way")),
        }
        let mut token = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| Fault::usage("the token has characters that no token has"))?;
        token.set_sensitive(true);
        let tls = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| Fault::usage(format!("the system's certificates cannot be read: {error}")))?;
        let connector = tls.https_or_http().enable_http1().build();
        let http = Http::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, base: base.to_owned(), token })
    }

    /// Read something.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Fault> {
        self.ask(Method::GET, path, Sent::default()).await
    }

    /// Read something that may not be there.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Answer>, Fault> {
        match self.get(path).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Fault::Problem { status, .. }) if status == StatusCode::NOT_FOUND => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Do something, once.
    pub(crate) async fn act(&self, path: &str, document: Option<&Value>) -> Result<Answer, Fault> {
        let mut sent = document.map_or_else(Sent::default, Sent::json);
        let key = HeaderValue::from_str(&Uuid::new_v4().to_string())
            .map_err(|_| Fault::answer("no idempotency key could be made"))?;
        sent.headers.insert("idempotency-key", key);
        self.ask(Method::POST, path, sent).await
    }

    /// Some of a list; page after page until there are so many.
    pub(crate) async fn list(&self, path: &str, query: &[(&str, &str)], most: u32) -> Result<Value, Fault> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut text = format!("{path}?limit={}", (most - items.len()).min(200));
            for (name, value) in query {
                text.push_str(&format!("&{name}={}", encoded(value)));
            }
            if let Some(cursor) = &cursor {
                text.push_str(&format!("&cursor={}", encoded(cursor)));
            }
            let mut body = self.get(&text).await?.body;
            let Some(Value::Array(page)) = body.get_mut("items").map(Value::take) else {
                return Err(Fault::answer("a list has no items"));
            };
            items.extend(page);
            cursor = body.get("nextCursor").and_then(Value::as_str).map(ToOwned::to_owned);
            if cursor.is_none() || items.len() >= most {
                items.truncate(most);
                return Ok(json!({ "items": items, "more": cursor.is_some() }));
            }
        }
    }

    /// Send a request until it is answered.
    pub(crate) async fn ask(&self, method: Method, path: &str, sent: Sent) -> Result<Answer, Fault> {
        let mut wait = Duration::from_millis(500);
        let mut lost = false;
        for tried in 1.. {
            let fault = match self.once(&method, path, &sent).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            match &fault {
                Fault::Problem { status, .. } if lost && *status == StatusCode::PRECONDITION_FAILED => {
                    let detail = "the answer to this was lost, and it is not as it was any more: it may be as it was to be";
                    return Err(Fault::Unreached(format!(
                        "{path}: {detail}; look at it before you try again"
                    )));
                }
                _ if tried == TRIES => return Err(fault),
                Fault::Unreached(_) => lost = true,
                Fault::Problem { after, .. } if fault.is_retryable() => wait = after.unwrap_or(wait),
                _ => return Err(fault),
            }
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
            wait *= 2;
        }
        Err(Fault::answer("no try was the last"))
    }

    async fn once(&self, method: &Method, path: &str, sent: &Sent) -> Result<Answer, Fault> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, &self.token)
            .header(header::USER_AGENT, concat!("eft/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &sent.headers {
            request = request.header(name, value);
        }
        let mut bytes = Bytes::new();
        if let Some((kind, body)) = &sent.body {
            request = request.header(header::CONTENT_TYPE, *kind);
            bytes = body.clone();
        }
        let request = request
            .body(Full::new(bytes))
            .map_err(|error| Fault::usage(format!("the request cannot be sent: {error}")))?;
        let unreached = |why: String| Fault::Unreached(format!("{} was not reached: {why}", self.base));
        let answered = tokio::time::timeout(WITHIN, async {
            let response = self.http.request(request).await.map_err(|error| unreached(in_full(&error)))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await;
            body.map(|body| (parts, body.to_bytes())).map_err(|error| unreached(error.to_string()))
        });
        let silent = |_| unreached(format!("no answer within {} s", WITHIN.as_secs()));
        let (parts, body) = answered.await.map_err(silent)??;
        let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let document = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
        if !parts.status.is_success() {
            let after =
                header(header::RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
            return Err(Fault::Problem {
                status: parts.status,
                after,
                document: Box::new(document.unwrap_or_default()),
            });
        }
        let body = document.map_err(|error| Fault::answer(format!("it is no JSON: {error}")))?;
        Ok(Answer { etag: header(header::ETAG).map(ToOwned::to_owned), body })
    }
}

/// An error with what caused it: what hyper says of itself is only that it did not connect.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        for right in
            ["https://api.example.com", "http://127.0.0.1:4566/x/", "http://localhost", "http://[::1]:80"]
        {
            assert!(Client::new(right, "t").is_ok(), "{right}");
        }
        for wrong in ["http://api.example.com", "api.example.com", "/v1", "ftp://127.0.0.1", ""] {
            assert!(Client::new(wrong, "t").is_err(), "{wrong}");
        }
        assert!(Client::new("https://a", "a\nb").is_err());
    }

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(encoded("a/../b?c#d e"), "a%2F..%2Fb%3Fc%23d%20e");
    }
}
