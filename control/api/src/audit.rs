//! The audit trail: an entry for every request that is to change something, written here and nowhere else.
//!
//! # Overview
//! Before a handler changes anything an entry stands that says who is about to do what, and with the answer it is completed.
//! What is refused before its handler has an entry as well, of one write; whoever has no token has none. Of a body only the
//! reason of an act is kept. The trail is that of the caller's tenant; what is done to a tenant by those who run the
//! platform stands in that tenant's own. A request that is sent again under its idempotency key gets the answer of then and
//! does nothing: it has no entry of its own.
//!
//! # Failure handling
//! Where the entry cannot be kept, nothing is done, and the request may be sent again. Where it cannot be completed, the
//! answer is given all the same and the log says why.
//!
//! # Crash consistency
//! Whoever dies in between leaves an entry without an outcome: what it tells of may have been done or not.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{AuditId, Millis, TenantId};
use eft_store::{Audit, AuditEntry, AuditOutcome};
use http::{Request, header};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

use crate::{
    MAX_BODY_BYTES, RequestId,
    answer::{Answer, Content},
    idempotency::REPLAYED,
    principal::{Principal, Scope},
    problem::Problem,
    table::Endpoint,
};

/// How long an answer waits for its entry to be completed. Reasonable default: a write takes some 10 ms.
const WITHIN: Duration = Duration::from_secs(3);

/// The longest path and reason that are kept. What is longer names nothing, and is no reason (`eft-status`).
const MOST_CHARS: usize = 500;

/// The entry of a request on its way.
pub(crate) struct Trail<'a> {
    audit: &'a dyn Audit,
    entry: AuditEntry,
    is_begun: AtomicBool,
}

impl<'a> Trail<'a> {
    /// The entry of a request; none where it changes nothing.
    ///
    /// # Errors
    /// No id could be drawn.
    pub(crate) fn of<S>(
        audit: &'a dyn Audit,
        endpoint: &Endpoint<S>,
        values: &[String],
        principal: &Principal,
        request: &Request<Bytes>,
        now: Millis,
    ) -> Result<Option<Self>, Problem> {
        if !endpoint.writes() {
            return Ok(None);
        }
        let mut draw = [0; 10];
        SystemRandom::new()
            .fill(&mut draw)
            .map_err(|_| Problem::internal("no id of an entry could be drawn"))?;
        let entry = AuditEntry {
            id: AuditId::new(now, &draw),
            tenant: changed_tenant(endpoint, values, principal).unwrap_or_else(|| principal.tenant.clone()),
            at: now,
            who: principal.subject.clone(),
            what: endpoint.name.to_owned(),
            on: endpoint.thing(values).chars().take(MOST_CHARS).collect(),
            reason: if endpoint.acts { reason(request.body()) } else { None },
            request: request.extensions().get::<RequestId>().map(|id| id.0.clone()),
            outcome: None,
        };
        Ok(Some(Self { audit, entry, is_begun: AtomicBool::new(false) }))
    }

    /// Before anything is changed.
    ///
    /// # Errors
    /// The entry may not have been kept: nothing may be changed.
    pub(crate) async fn begin(&self) -> Result<(), Problem> {
        self.audit.begin_entry(&self.entry).await?;
        self.is_begun.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// With what is answered.
    pub(crate) async fn end(&self, answer: Result<Answer, Problem>) -> Result<Answer, Problem> {
        let is_replay = |answer: &Answer| answer.headers.iter().any(|(name, _)| *name == REPLAYED);
        if !self.is_begun.load(Ordering::Relaxed) && answer.as_ref().is_ok_and(is_replay) {
            return answer;
        }
        let entry = AuditEntry { outcome: Some(outcome(&answer)), ..self.entry.clone() };
        let why = match tokio::time::timeout(WITHIN, self.audit.end_entry(&entry)).await {
            Ok(Ok(())) => return answer,
            Ok(Err(error)) => error.message,
            Err(_) => format!("not within {} s", WITHIN.as_secs()),
        };
        let cause = |own: Option<String>| own.or_else(|| Some(format!("audit entry {}: {why}", entry.id)));
        match answer {
            Ok(answer) => Ok(Answer { cause: cause(answer.cause), ..answer }),
            Err(problem) => Err(Problem { cause: cause(problem.cause), ..problem }),
        }
    }
}

/// The tenant that is changed itself, if it is one and whoever asks may do so: nobody else writes into another's trail.
fn changed_tenant<S>(endpoint: &Endpoint<S>, values: &[String], principal: &Principal) -> Option<TenantId> {
    let (_, value) = endpoint.names().zip(values).find(|(name, _)| *name == "tenant")?;
    value.parse().ok().filter(|_| principal.has(Scope::Admin))
}

/// Why, if the body says so. Whether it is a reason its handler says.
fn reason(body: &Bytes) -> Option<String> {
    let body: Value = serde_json::from_slice(body.get(..body.len().min(MAX_BODY_BYTES))?).ok()?;
    let reason = body.get("reason")?.as_str()?.trim();
    (!reason.is_empty()).then(|| reason.chars().take(MOST_CHARS).collect())
}

fn outcome(answer: &Result<Answer, Problem>) -> AuditOutcome {
    match answer {
        Ok(Answer { status, headers, .. }) if status.is_success() => AuditOutcome {
            status: status.as_u16(),
            code: None,
            etag: headers.iter().find(|(name, _)| *name == header::ETAG).map(|(_, tag)| tag.clone()),
        },
        // What is refused under an idempotency key is an answer already.
        Ok(Answer { status, content, .. }) => {
            let code = if let Content::Json(body) = content { body["code"].as_str() } else { None };
            AuditOutcome { status: status.as_u16(), code: code.map(ToOwned::to_owned), etag: None }
        }
        Err(problem) => AuditOutcome {
            status: problem.code.status().as_u16(),
            code: Some(problem.code.as_str().to_owned()),
            etag: None,
        },
    }
}
