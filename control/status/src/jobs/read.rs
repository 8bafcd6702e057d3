//! A job, its history and its runs.

use eft_api::{Answer, Call, Code, Problem, Scope, call::shown, precondition::is_known};
use eft_domain::{Job, JobId};
use eft_store::index::owner_of;
use http::header;
use serde_json::json;

use super::show;
use crate::Api;

fn missing(name: &str) -> Problem {
    Problem::new(Code::JobNotFound, format!("there is no job `{}`", shown(name)))
}

impl Api {
    /// The job that the path names, as it is now, if it is the caller's.
    pub(super) async fn job_of(&self, call: &Call) -> Result<Job, Problem> {
        let name = call.value(0);
        let id: JobId = name.parse().map_err(|_| missing(name))?;
        let job = self.desk.ledger.get(id).await?.ok_or_else(|| missing(name))?;
        let principal = call.principal()?;
        let is_own = match owner_of(&job) {
            Some(owner) => owner == principal.tenant,
            None => principal.has(Scope::Admin),
        };
        if is_own { Ok(job) } else { Err(missing(name)) }
    }
}

/// The strong ETag of a job: every write of the row has another number.
pub(super) fn etag(rev: u64) -> String {
    format!("\"{rev}\"")
}

pub(crate) async fn get(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let job = api.job_of(call).await?;
    let tag = etag(job.rev);
    let known = is_known(&call.headers, &tag)?;
    let answer = if known { Answer::not_modified() } else { Answer::ok(show::job(&job)) };
    Ok(answer.with_header(header::ETAG, tag).with_header(header::CACHE_CONTROL, "private, no-cache"))
}

pub(crate) async fn events(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let job = api.job_of(call).await?;
    let list = format!("jobs/{}/events", job.id);
    let (limit, after) = (call.limit()?, api.cursors.place::<u64>(call, &list)?);
    let mut events = api.desk.runs.history(job.id).await?;
    // What was not told yet stands in the row.
    let told = events.last().map_or(0, |event| event.sequence);
    events.extend(job.outbox.into_iter().filter(|event| event.sequence > told));
    events.retain(|event| after.is_none_or(|after| event.sequence > after));
    let more = events.len() > usize::from(limit);
    events.truncate(limit.into());
    let next = events.last().filter(|_| more).map(|event| event.sequence.to_string());
    api.cursors.page(call, &list, events.iter().map(show::event).collect(), next)
}

pub(crate) async fn runs(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let job = api.job_of(call).await?;
    let runs = api.desk.runs.runs(job.id).await?;
    Ok(Answer::ok(json!({ "items": runs.iter().map(show::head).collect::<Vec<_>>() })))
}
