//! What both APIs are made of: requests on their way to a handler, and answers on their way back.
//!
//! # Overview
//! An API is a [`Service`]: one [`table`] of endpoints over its stores. The dispatcher here ([`handle`]) and the OpenAPI
//! document ([`openapi`]) are both made of that table. A request is taken apart ([`Call`]), its caller checked
//! ([`principal`]), where it acts it is done once ([`idempotency`]), what it changes depends on what the client has read
//! ([`precondition`]), and the trail has an entry of it before it is changed ([`audit`]). Everything that is refused is a
//! [`Problem`] with a [`Code`] of one catalogue.
//!
//! # Tenants
//! The tenant is that of the token. Handlers are given it with the call, and look for nothing elsewhere.

pub mod answer;
pub mod audit;
pub mod call;
pub mod code;
pub mod cursor;
pub mod idempotency;
pub mod lambda;
pub mod openapi;
pub mod precondition;
pub mod principal;
pub mod problem;
pub mod settings;
pub mod table;

pub use answer::Answer;
use audit::Trail;
use bytes::Bytes;
pub use call::{Call, MAX_BODY_BYTES};
pub use cursor::CursorKey;
use eft_domain::Millis;
use eft_store::{Audit, Keys};
use http::{Request, Response};
pub use principal::{Principal, Scope};
pub use problem::{Code, Fault, Problem};
pub use table::Endpoint;

/// What the API is told of a request besides itself: the id under which the logs have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// What a client is not told of what failed: for the log, in the extensions of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause(pub String);

/// An API over its stores.
pub trait Service: Send + Sync + Sized + 'static {
    /// Its endpoints.
    const TABLE: &'static [Endpoint<Self>];

    /// Where idempotency keys are kept.
    fn keys(&self) -> &dyn Keys;

    /// Where the audit trail is kept.
    fn audit(&self) -> &dyn Audit;
}

/// Answer a request of whoever its token says, or says wrongly.
///
/// # Cancellation
/// What was asked for may have been done; the same request with the same idempotency key or condition tells.
pub async fn handle<S: Service>(
    service: &S,
    request: Request<Bytes>,
    caller: Result<Principal, Problem>,
    now: Millis,
) -> Response<Bytes> {
    let path = request.uri().path().to_owned();
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    match answer(service, request, caller, now).await {
        Ok(answer) => answer.into_response(),
        Err(mut problem) => {
            let cause = problem.cause.take();
            Answer { cause, ..problem.into_answer(&path, id.as_deref()) }.into_response()
        }
    }
}

async fn answer<S: Service>(
    service: &S,
    request: Request<Bytes>,
    caller: Result<Principal, Problem>,
    now: Millis,
) -> Result<Answer, Problem> {
    let (endpoint, values) = table::find(S::TABLE, request.method(), request.uri().path())?;
    let Some(scope) = endpoint.scope else {
        let call = Call::new(request, endpoint.query, values, None, now)?;
        return (endpoint.handler)(service, &call).await;
    };
    let principal = caller?;
    let trail = Trail::of(service.audit(), endpoint, &values, &principal, &request, now)?;
    let done = async {
        principal.may(scope)?;
        let call = Call::new(request, endpoint.query, values, Some(principal), now)?;
        let done = async {
            if let Some(trail) = &trail {
                trail.begin().await?;
            }
            (endpoint.handler)(service, &call).await
        };
        if endpoint.acts { idempotency::once(service.keys(), &call, done).await } else { done.await }
    };
    let answer = done.await;
    match &trail {
        Some(trail) => trail.end(answer).await,
        None => answer,
    }
}
