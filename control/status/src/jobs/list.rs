//! Lists of jobs: each is a query of one index, or refused.

use eft_api::{Answer, Call, Code, Problem, Scope};
use eft_domain::{JobState, TenantId};
use eft_store::JobFilter;

use super::show;
use crate::Api;

/// Where jobs can be listed by. What is never stored is nowhere listed.
pub(crate) fn states() -> Vec<&'static str> {
    let stored = JobState::ALL.iter().filter(|state| **state != JobState::Arrived);
    stored.map(|state| state.as_str()).collect()
}

fn state(text: &str) -> Result<JobState, Problem> {
    let state = text.parse().ok().filter(|state| *state != JobState::Arrived);
    state.ok_or_else(|| {
        Problem::new(Code::ParameterInvalid, format!("`state` is one of {}", states().join(", ")))
    })
}

fn filter(call: &Call) -> Result<JobFilter, Problem> {
    match (call.parameter("state"), call.parameter("route")) {
        (None, None) => Ok(JobFilter::All),
        (Some(text), None) => state(text).map(JobFilter::State),
        (None, Some(route)) => match route.parse() {
            Ok(route) => Ok(JobFilter::Route(route)),
            Err(_) => Err(Problem::new(Code::ParameterInvalid, "`route` is none that a route can be called")),
        },
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::JobFilter, "jobs are listed by `state` or by `route`, not by both"))
        }
    }
}

async fn page(
    api: &Api,
    call: &Call,
    list: &str,
    tenant: Option<&TenantId>,
    filter: &JobFilter,
) -> Result<Answer, Problem> {
    // A cursor of one filter is none of another.
    let list = format!("{list}/{}/{filter:?}", tenant.map_or("-", TenantId::as_str));
    let (limit, after) = (call.limit()?, api.cursors.place::<String>(call, &list)?);
    let page = api.desk.runs.jobs(tenant, filter, after.as_deref(), limit).await?;
    api.cursors.page(call, &list, page.items.iter().map(show::head).collect(), page.next)
}

pub(crate) async fn list(api: &Api, call: &Call) -> Result<Answer, Problem> {
    page(api, call, "jobs", Some(call.tenant()?), &filter(call)?).await
}

pub(crate) async fn arrivals(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let wrong = |detail: &str| Problem::new(Code::ParameterInvalid, detail);
    let state = match call.parameter("state") {
        Some("UNROUTED") => JobState::Unrouted,
        Some("INCOMPLETE") => JobState::Incomplete,
        _ => return Err(wrong("`state` is UNROUTED or INCOMPLETE")),
    };
    let tenant = match call.parameter("of") {
        None => Some(call.tenant()?),
        Some("nobody") => {
            call.principal()?.may(Scope::Admin)?;
            None
        }
        Some(_) => return Err(wrong("`of` is `nobody`, or is left out")),
    };
    page(api, call, "arrivals", tenant, &JobFilter::State(state)).await
}
