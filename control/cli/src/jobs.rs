//! Jobs, and what did not become one.

use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    args::{Act, Arrival, Jobs, Page},
    client::{Client, encoded},
    fault::Fault,
    show::{Column, Shown, pretty, print, text},
};

/// How often a watched job is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const LIST: &[Column] = &[
    ("job", "/job"),
    ("state", "/state"),
    ("code", "/code"),
    ("route", "/route/name"),
    ("size", "/size"),
    ("changed", "/changedAt"),
    ("key", "/key"),
];
const JOB: &[Column] = &[
    ("job", "/job"),
    ("run", "/run"),
    ("state", "/state"),
    ("reason", "/reason"),
    ("code", "/failure/code"),
    ("failure", "/failure/message"),
    ("remedy", "/failure/remedy"),
    ("route", "/route/name"),
    ("revision", "/route/revision"),
    ("bucket", "/bucket"),
    ("key", "/key"),
    ("version", "/versionId"),
    ("size", "/size"),
    ("arrived", "/arrivedAt"),
    ("changed", "/changedAt"),
    ("runner", "/runner"),
    ("turn", "/turn"),
    ("sent", "/sentAt"),
    ("owned until", "/leaseUntil"),
    ("held since", "/hold/since"),
    ("tried again", "/hold/retryAt"),
    ("may be", "/acts"),
];
const EVENTS: &[Column] = &[
    ("#", "/sequence"),
    ("run", "/generation"),
    ("at", "/at"),
    ("by", "/actor"),
    ("before", "/before"),
    ("after", "/after"),
    ("code", "/code"),
    ("reason", "/reason"),
];
const REJECTS: &[Column] = &[
    ("stage", "/stage"),
    ("record", "/record"),
    ("offset", "/offset"),
    ("column", "/column"),
    ("reason", "/reason"),
];

/// Does what was typed.
pub(crate) async fn run(client: &Client, shown: Shown, command: &Jobs) -> Result<u8, Fault> {
    match command {
        Jobs::List { state, route, page } => {
            let filters = [("state", state), ("route", route)];
            let query: Vec<_> =
                filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            shown.list(&client.list("/v1/jobs", &query, page.limit).await?, LIST)?;
        }
        Jobs::Show { job } => shown.document(&client.get(&place(job)).await?.body, JOB)?,
        Jobs::Events { job } => shown.list(&events(client, job).await?, EVENTS)?,
        Jobs::Watch { job, within } => {
            return watch(client, shown, job, within.map(Duration::from_secs)).await;
        }
        Jobs::Receipt { job } => {
            let receipt = client.get(&format!("{}/receipt", place(job))).await?.body;
            print(&pretty(&receipt))?;
        }
        Jobs::Rejects { job } => {
            let report = client.get(&format!("{}/reject-report", place(job))).await?.body;
            shown.list(&report, REJECTS)?;
            if report.get("truncated") == Some(&Value::Bool(true)) {
                eprintln!("eft: the report has no more than these");
            }
        }
        Jobs::Replay { act, current } => {
            let route = if *current { "current" } else { "same" };
            done(client, shown, "replay", act, json!({ "reason": act.reason, "route": route })).await?;
        }
        Jobs::Redeliver(act) => {
            done(client, shown, "redeliver", act, json!({ "reason": act.reason })).await?
        }
        Jobs::Resume(act) => done(client, shown, "resume", act, json!({ "reason": act.reason })).await?,
        Jobs::Cancel(act) => done(client, shown, "cancel", act, json!({ "reason": act.reason })).await?,
    }
    Ok(0)
}

/// What no route takes, or what is not whole.
pub(crate) async fn arrivals(client: &Client, shown: Shown, state: Arrival, page: Page) -> Result<u8, Fault> {
    let state = if state == Arrival::Unrouted { "UNROUTED" } else { "INCOMPLETE" };
    let list = client.list("/v1/arrivals", &[("state", state)], page.limit).await?;
    shown.list(&list, LIST).map(|()| 0)
}

fn place(job: &str) -> String {
    format!("/v1/jobs/{}", encoded(job))
}

async fn events(client: &Client, job: &str) -> Result<Value, Fault> {
    client.list(&format!("{}/events", place(job)), &[], u32::MAX).await
}

async fn done(client: &Client, shown: Shown, verb: &str, act: &Act, document: Value) -> Result<(), Fault> {
    let answer = client.act(&format!("{}:{verb}", place(&act.job)), Some(&document)).await?;
    shown.document(&answer.body, JOB)
}

/// The exit code of a state that is an end.
fn ended(state: &str) -> Option<u8> {
    match state {
        "SUCCEEDED" => Some(0),
        "REJECTED" => Some(3),
        "FAILED" | "PARTIALLY_DELIVERED" | "CANCELLED" => Some(4),
        _ => None,
    }
}

/// Follows a job until it has ended: a line a change, and on a terminal how it stands now.
async fn watch(client: &Client, shown: Shown, job: &str, within: Option<Duration>) -> Result<u8, Fault> {
    // It draws on standard error, and only where that is a terminal.
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    let deadline = within.map(|within| Instant::now() + within);
    let (mut told, mut changed) = (0, Value::Null);
    loop {
        let now = client.get(&place(job)).await?.body;
        let state = now.get("state").map(text).unwrap_or_default();
        let mark = json!([state, now.get("changedAt"), now.get("generation")]);
        if mark != changed {
            told = tell(client, shown, job, told, &bar).await?;
            changed = mark;
        }
        if let Some(code) = ended(&state) {
            // A change is in the history a moment after it is in the row.
            tell(client, shown, job, told, &bar).await?;
            bar.finish_and_clear();
            shown.document(&now, JOB)?;
            return Ok(code);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            bar.finish_and_clear();
            return Err(Fault::Unreached(format!("job {job} is {state} and has not ended in that time")));
        }
        bar.set_message(format!("{state} {}", now.get("reason").map(text).unwrap_or_default()));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says what has become of a job since; gives the last change that was said.
async fn tell(client: &Client, shown: Shown, job: &str, after: u64, bar: &ProgressBar) -> Result<u64, Fault> {
    let list = events(client, job).await?;
    let mut last = after;
    for event in list.get("items").and_then(Value::as_array).into_iter().flatten() {
        let sequence = event.get("sequence").and_then(Value::as_u64).unwrap_or(0);
        if sequence <= after {
            continue;
        }
        last = last.max(sequence);
        if !shown.json {
            let part = |pointer: &str| event.pointer(pointer).map(text).unwrap_or_default();
            let line =
                format!("{}  {:<20} {} {}", part("/at"), part("/after"), part("/code"), part("/reason"));
            bar.suspend(|| print(line.trim_end()))?;
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ends_have_an_exit_code() {
        assert_eq!((ended("SUCCEEDED"), ended("REJECTED"), ended("CANCELLED")), (Some(0), Some(3), Some(4)));
        for going_on in ["UNROUTED", "INCOMPLETE", "ACCEPTED", "RUNNING", "DELIVERING", "HELD"] {
            assert_eq!(ended(going_on), None);
        }
    }
}
