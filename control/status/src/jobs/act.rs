//! What people do to jobs.

use std::time::Duration;

use eft_api::{
    Answer, Call, Code, Fault, Problem,
    precondition::{Tags, if_match},
    problem::unknown,
};
use eft_domain::{
    Actor, Command, Job,
    job::{PinnedRoute, Refused},
};
use eft_store::{ChangeError, Desk};
use http::header;
use serde_json::{Map, Value};

use super::{read::etag, show};
use crate::Api;

/// The longest reason: a few sentences, which stand in the history and in events.
pub(crate) const MOST_CHARS: usize = 500;

/// How long an answer waits for the change to be told and the job to be sent: others of its tenant may be sent before it.
/// Reasonable default: each takes some 10 ms, and API Gateway gives a request up after 30 s.
const WITHIN: Duration = Duration::from_secs(3);

/// With which revision a job is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revision {
    Same,
    Current,
}

fn fields(call: &Call, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let Value::Object(fields) = call.json()? else {
        return Err(Problem::faulty(Code::BodyInvalid, vec![Fault::new("", "must be an object")]));
    };
    let mut faults = Vec::new();
    unknown(&fields, "", known, &mut faults);
    if faults.is_empty() { Ok(fields) } else { Err(Problem::faulty(Code::BodyInvalid, faults)) }
}

fn reason_in(fields: &Map<String, Value>) -> Result<String, Problem> {
    let reason = fields.get("reason").and_then(Value::as_str);
    let is_right = |reason: &&str| {
        !reason.trim().is_empty()
            && reason.chars().count() <= MOST_CHARS
            && !reason.contains(|c: char| c.is_control() && c != '\n')
    };
    reason.filter(is_right).map(|reason| reason.trim().to_owned()).ok_or_else(|| {
        let detail = format!("must say why, in 1 to {MOST_CHARS} characters");
        Problem::faulty(Code::BodyInvalid, vec![Fault::new("/reason", detail)])
    })
}

/// Why somebody acts.
pub(crate) fn reason_of(call: &Call) -> Result<String, Problem> {
    reason_in(&fields(call, &["reason"])?)
}

pub(crate) async fn resume(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let reason = reason_of(call)?;
    let job = api.job_of(call).await?;
    act(api, call, job, Command::Resume { reason }).await
}

pub(crate) async fn redeliver(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let reason = reason_of(call)?;
    let job = api.job_of(call).await?;
    act(api, call, job, Command::Redeliver { reason }).await
}

pub(crate) async fn cancel(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let reason = reason_of(call)?;
    let job = api.job_of(call).await?;
    act(api, call, job, Command::Cancel { reason }).await
}

pub(crate) async fn replay(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let fields = fields(call, &["reason", "route"])?;
    let reason = reason_in(&fields)?;
    let revision = match fields.get("route").map(Value::as_str) {
        None | Some(Some("same")) => Revision::Same,
        Some(Some("current")) => Revision::Current,
        Some(_) => {
            let fault = Fault::new("/route", "must be `same` or `current`");
            return Err(Problem::faulty(Code::BodyInvalid, vec![fault]));
        }
    };
    let job = api.job_of(call).await?;
    let route = match revision {
        Revision::Same => None,
        Revision::Current => current(api, &job).await?,
    };
    act(api, call, job, Command::Replay { reason, route }).await
}

/// What the route of a job says now. A name that was given up is nobody else's: names are never given again.
async fn current(api: &Api, job: &Job) -> Result<Option<PinnedRoute>, Problem> {
    let Some(pinned) = &job.route else { return Ok(None) };
    let head =
        api.desk.catalog.head(&pinned.id).await?.filter(|head| Some(&head.tenant) == job.tenant.as_ref());
    let missing = || Problem::new(Code::RouteNotFound, format!("there is no route `{}` any more", pinned.id));
    let head = head.ok_or_else(missing)?;
    Ok(Some(PinnedRoute { id: head.id, revision: head.revision }))
}

async fn act(api: &Api, call: &Call, job: Job, command: Command) -> Result<Answer, Problem> {
    // As its sender: the history says who.
    let desk = Desk { actor: Actor::principal(&call.principal()?.subject), ..api.desk.clone() };
    let tags = if_match(&call.headers)?;
    if tags.as_ref().is_some_and(|tags| !tags.has(&etag(job.rev))) {
        return Err(stale(job.rev));
    }
    let begins = !matches!(command, Command::Cancel { .. });
    if begins && job.route.is_none() {
        return Err(Problem::new(Code::JobState, "no route has taken it, so that nothing can be run"));
    }
    let changed = match tags {
        // What was read is what is changed.
        Some(Tags::These(_)) => desk.change_only(job, &command).await,
        Some(Tags::Any) | None => desk.change_from(job, &command).await,
    };
    let mut job = changed.map_err(|error| refused(&command, error))?;
    // It stands. Where it cannot be told or sent now, the sweep does so.
    let rest = async {
        if let Ok(told) = desk.tell(&job).await {
            job = told;
        }
        if begins
            && desk.release_fresh(std::slice::from_ref(&job)).await.is_ok()
            && let Ok(Some(sent)) = desk.ledger.get(job.id).await
        {
            job = sent;
        }
    };
    drop(tokio::time::timeout(WITHIN, rest).await);
    Ok(Answer::ok(show::job(&job)).with_header(header::ETAG, etag(job.rev)))
}

/// It is not as it was read.
fn stale(rev: u64) -> Problem {
    let tag = etag(rev);
    let detail = format!("the job was changed since; its ETag is {tag}");
    Problem::new(Code::PreconditionFailed, detail).with_header(header::ETAG, tag)
}

fn refused(command: &Command, error: ChangeError) -> Problem {
    match error {
        ChangeError::Unknown(id) => Problem::new(Code::JobNotFound, format!("there is no job `{id}`")),
        ChangeError::Changed { rev, .. } => stale(rev),
        ChangeError::Store(error) => error.into(),
        ChangeError::Refused(Refused::Publishing) => {
            Problem::new(Code::JobPublishing, Refused::Publishing.to_string())
        }
        ChangeError::Refused(refused) => {
            let from: Vec<_> =
                show::allowed_from(command.name()).iter().map(|state| state.as_str()).collect();
            let detail = format!("{refused}; it is for jobs that are {}", from.join(", "));
            Problem::new(Code::JobState, detail)
        }
    }
}
