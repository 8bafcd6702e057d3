//! The audit trail of a tenant, which the dispatcher keeps (`eft_api::audit`).

use eft_api::{Answer, Call, Code, Problem};
use eft_domain::{AuditId, Millis};
use eft_store::{
    AuditEntry, AuditOutcome, Page,
    clock::{of_rfc3339, rfc3339},
};
use serde_json::{Value, json};

use crate::Api;

/// What an entry can say of what was asked for.
pub(crate) const OUTCOMES: [&str; 4] = ["begun", "done", "refused", "failed"];

fn word(outcome: Option<&AuditOutcome>) -> &'static str {
    match outcome.map(|outcome| outcome.status) {
        None => "begun",
        Some(..=399) => "done",
        Some(400..=499) => "refused",
        // A fault of ours, which may have come after it was done.
        Some(500..) => "failed",
    }
}

fn shown(entry: &AuditEntry) -> Value {
    let mut shown = json!({
        "id": entry.id,
        "at": rfc3339(entry.at),
        "who": entry.who,
        "what": entry.what,
        "on": entry.on,
        "outcome": word(entry.outcome.as_ref()),
    });
    let outcome = entry.outcome.as_ref();
    let optional = [
        ("reason", entry.reason.as_deref().map(Value::from)),
        ("requestId", entry.request.as_deref().map(Value::from)),
        ("status", outcome.map(|outcome| outcome.status.into())),
        ("code", outcome.and_then(|outcome| outcome.code.as_deref()).map(Value::from)),
        ("etag", outcome.and_then(|outcome| outcome.etag.as_deref()).map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            shown[name] = value;
        }
    }
    shown
}

fn time(call: &Call, name: &str) -> Result<Option<Millis>, Problem> {
    let Some(text) = call.parameter(name) else { return Ok(None) };
    let wrong = || {
        let detail = format!("`{name}` is a time such as 2026-11-27T09:00:00Z");
        Problem::new(Code::ParameterInvalid, detail)
    };
    of_rfc3339(text).map(Some).ok_or_else(wrong)
}

pub(crate) async fn list(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (since, until) = (time(call, "since")?, time(call, "until")?);
    let list = format!("audit?since={since:?}&until={until:?}");
    let from = since.map_or(AuditId::FIRST, AuditId::first_at);
    let before = match api.cursors.place(call, &list)? {
        Some(place) => place,
        None => until.map_or(AuditId::LAST, AuditId::first_at),
    };
    let Page { items, next } = api.audit.entries(call.tenant()?, from, before, call.limit()?).await?;
    api.cursors.page(call, &list, items.iter().map(shown).collect(), next)
}
