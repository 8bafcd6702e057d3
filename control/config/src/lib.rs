//! The config API: tenants' routes over HTTP, as data with revisions.
//!
//! # Overview
//! One [`table`] says which endpoints there are: method, path, scope, handler, and what is documented of each. The
//! dispatcher here and the OpenAPI document ([`openapi`]) are both made of it. A request is taken apart ([`call`]), its
//! caller checked ([`principal`]), where it acts it is done once ([`idempotency`]), and what it changes depends on what
//! the client has read ([`precondition`]). Everything that is refused is a [`problem`].
//!
//! # Tenants
//! The tenant is that of the token. What is another's is not there: the answer is the same as for what nobody has.
//!
//! # Crash consistency
//! A save is one conditional write, made after everything it names is stored. Whoever dies before it has changed nothing;
//! after it, the answer is lost and the same request again finds what it has written.

mod answer;
mod call;
pub mod cursor;
mod idempotency;
pub mod lambda;
pub mod openapi;
mod precondition;
pub mod principal;
pub mod problem;
mod routes;
pub mod settings;
pub mod table;
mod tenants;
mod users;

use std::{fmt, sync::Arc};

use bytes::Bytes;
pub use call::MAX_BODY_BYTES;
pub use cursor::CursorKey;
use eft_domain::Millis;
use eft_store::{Catalog, Keys};
use http::{Request, Response};
pub use principal::{Principal, Scope};
pub use problem::{Code, Problem};
pub use settings::Settings;

use crate::{answer::Answer, call::Call};

/// What the API is told of a request besides itself: the id under which the logs have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// What a client is not told of why its request was not done: for the log, in the extensions of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause(pub String);

/// The API over its stores.
#[derive(Clone)]
pub struct Api {
    /// Tenants and routes.
    pub catalog: Arc<dyn Catalog>,
    /// Idempotency keys, and who saves at the moment.
    pub keys: Arc<dyn Keys>,
    /// What signs cursors.
    pub cursors: CursorKey,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}

impl Api {
    /// Answer a request of whoever its token says, or says wrongly.
    ///
    /// # Cancellation
    /// What was asked for may have been done; the same request with the same idempotency key or condition tells.
    pub async fn handle(
        &self,
        request: Request<Bytes>,
        caller: Result<Principal, Problem>,
        now: Millis,
    ) -> Response<Bytes> {
        let path = request.uri().path().to_owned();
        let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
        match self.answer(request, caller, now).await {
            Ok(answer) => answer.into_response(),
            Err(mut problem) => {
                let cause = problem.cause.take();
                let mut response = problem.into_answer(&path, id.as_deref()).into_response();
                if let Some(cause) = cause {
                    response.extensions_mut().insert(Cause(cause));
                }
                response
            }
        }
    }

    async fn answer(
        &self,
        request: Request<Bytes>,
        caller: Result<Principal, Problem>,
        now: Millis,
    ) -> Result<Answer, Problem> {
        let (endpoint, values) = table::find(request.method(), request.uri().path())?;
        let principal = match endpoint.scope {
            Some(scope) => {
                let principal = caller?;
                principal.may(scope)?;
                Some(principal)
            }
            None => None,
        };
        let call = Call::new(request, endpoint, values, principal, now)?;
        if endpoint.acts {
            idempotency::once(self, &call, (endpoint.handler)(self, &call)).await
        } else {
            (endpoint.handler)(self, &call).await
        }
    }
}
