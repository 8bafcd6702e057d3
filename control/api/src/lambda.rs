//! From an event of API Gateway to a request, and who sends it.

use std::process::ExitCode;

use bytes::Bytes;
use eft_store::Clock;
use eft_telemetry::log::print;
use http::{Request, Response, Uri, header};
use lambda_http::{Body, RequestExt, request::RequestContext, service_fn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{Cause, Code, Principal, Problem, RequestId, Service, handle};

/// Who sends a request: what the JWT authorizer of the API has found in its token. A header says nothing about it.
///
/// # Errors
/// There is no token, or it does not say whose it is.
pub fn caller(request: &lambda_http::Request, tenant_claim: &str) -> Result<Principal, Problem> {
    let missing = || Problem::new(Code::AuthMissing, "the request has no token");
    let Some(RequestContext::ApiGatewayV2(context)) = request.request_context_ref() else {
        return Err(missing());
    };
    let jwt = context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
    Principal::from_claims(&jwt.ok_or_else(missing)?.claims, tenant_claim)
}

/// What cannot stand in a path as it is (RFC 3986, 3.3).
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What was asked for. API Gateway hands the path over decoded, all of it but `%25`; what was encoded in a name so that it
/// did not end the path, or lead out of it, does neither here.
fn uri_of(request: &lambda_http::Request) -> Option<Uri> {
    let raw = request.raw_http_path();
    let path = utf8_percent_encode(raw, NOT_IN_PATH);
    let query = if raw.contains(['?', '#']) {
        request.query_string_parameters().to_query_string()
    } else {
        request.uri().query().unwrap_or_default().to_owned()
    };
    if query.is_empty() { path.to_string() } else { format!("{path}?{query}") }.parse().ok()
}

fn plain(request: lambda_http::Request) -> Request<Bytes> {
    let uri = uri_of(&request).unwrap_or_else(|| request.uri().clone());
    let id = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    };
    let mut request = request.map(|body| match body {
        Body::Text(text) => Bytes::from(text),
        Body::Binary(bytes) => Bytes::from(bytes),
        _ => Bytes::new(),
    });
    *request.uri_mut() = uri;
    if let Some(id) = id {
        request.extensions_mut().insert(RequestId(id));
    }
    request
}

/// Answer an event, and say in a line of the log what became of it.
pub async fn answer<S: Service>(
    service: &S,
    tenant_claim: &str,
    request: lambda_http::Request,
    log: impl Fn(Value),
) -> Response<Body> {
    let caller = caller(&request, tenant_claim);
    let began = tokio::time::Instant::now();
    let request = plain(request);
    let mut line = json!({
        "event": "request",
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "request": request.extensions().get::<RequestId>().map(|id| id.0.as_str()),
    });
    if let Ok(principal) = &caller {
        line["tenant"] = json!(principal.tenant);
        line["subject"] = json!(principal.subject);
    }
    let response = handle(service, request, caller, Clock::System.now()).await;
    let status = response.status();
    line["level"] = if status.as_u16() == 500 {
        "ERROR"
    } else if status.is_server_error() {
        "WARN"
    } else {
        "INFO"
    }
    .into();
    line["status"] = status.as_u16().into();
    line["millis"] = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).into();
    if let Some(Cause(cause)) = response.extensions().get() {
        line["cause"] = cause.as_str().into();
    }
    log(line);
    let is_empty = !response.headers().contains_key(header::CONTENT_TYPE);
    response.map(|bytes| {
        if is_empty { Body::Empty } else { Body::Text(String::from_utf8_lossy(&bytes).into_owned()) }
    })
}

/// Answer events until the process is ended.
pub async fn serve<S: Service>(service: &S, tenant_claim: &str) -> ExitCode {
    let served = lambda_http::run(service_fn(move |request: lambda_http::Request| async move {
        Ok::<_, lambda_http::Error>(answer(service, tenant_claim, request, print).await)
    }));
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
