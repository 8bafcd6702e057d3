//! Every endpoint of the status API.

use eft_api::{
    Answer, Code, Endpoint, Scope,
    openapi::schemas::NAME,
    table::{Body, CURSOR, Condition, Kind, LIMIT, PAGE, Parameter, UNCHANGED, Verb, good, optional},
};
use futures::FutureExt;

use crate::{Api, fleet, jobs, openapi};

const READ: Endpoint<Api> = Endpoint { own: &[Code::JobNotFound], ..Endpoint::read(Scope::JobsRead) };

const ACT: Endpoint<Api> = Endpoint {
    body: Body::Json("Reason"),
    condition: Condition::Act,
    good: &[good(200, "Job", "The job as it stands with it.")],
    own: &[Code::JobNotFound, Code::JobState],
    ..Endpoint::act(Scope::JobsWrite)
};

const RUN: &[Parameter] = &[optional(
    "run",
    "The number of a run, from 1; the one that ended last where it is not said.",
    Kind::Number(u32::MAX),
)];

const FILTERS: &[Parameter] = &[
    optional("state", "Those that stand there; without `route`.", Kind::Words(jobs::states)),
    optional("route", "Those of this route; without `state`.", Kind::Pattern(NAME)),
    LIMIT,
    CURSOR,
];

const ARRIVALS: &[Parameter] = &[
    Parameter {
        name: "state",
        says: "Why it is not run.",
        kind: Kind::Words(|| vec!["UNROUTED", "INCOMPLETE"]),
        required: true,
    },
    optional(
        "of",
        "`nobody`: what is under no tenant's prefix, for `admin`; the caller's own where it is not said.",
        Kind::Words(|| vec!["nobody"]),
    ),
    LIMIT,
    CURSOR,
];

/// The endpoints.
pub const TABLE: &[Endpoint<Api>] = &[
    Endpoint {
        name: "listJobs",
        path: "/v1/jobs",
        says: "The jobs of the tenant with their latest runs, those that changed last first; by state or by route, not by \
               both. A change may be seen a moment later.",
        query: FILTERS,
        good: &[good(200, "JobPage", "Some of them.")],
        own: &[Code::CursorInvalid, Code::JobFilter],
        handler: |api, call| jobs::list(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getJob",
        path: "/v1/jobs/{job}",
        says: "A job as it stands now: what arrived, what was done with it, and what can be asked of it.",
        condition: Condition::Read,
        good: &[good(200, "Job", "The job."), UNCHANGED],
        handler: |api, call| jobs::get(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "listJobEvents",
        path: "/v1/jobs/{job}/events",
        says: "Every change of a job, the first first: who made it, when and why, and how the job stood before and after.",
        query: PAGE,
        good: &[good(200, "EventPage", "Some of them.")],
        own: &[Code::JobNotFound, Code::CursorInvalid],
        handler: |api, call| jobs::events(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "listJobRuns",
        path: "/v1/jobs/{job}/runs",
        says: "How each run of a job stands, the first first.",
        good: &[good(200, "RunList", "All of them.")],
        handler: |api, call| jobs::runs(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "listJobDeliveries",
        path: "/v1/jobs/{job}/deliveries",
        says: "What each destination got in a run that has ended, as its receipt says.",
        query: RUN,
        good: &[good(200, "Deliveries", "The deliveries.")],
        own: &[Code::JobNotFound, Code::ReceiptNotFound],
        handler: |api, call| jobs::deliveries(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getJobReceipt",
        path: "/v1/jobs/{job}/receipt",
        says: "The receipt of a run that has ended, to the letter as it was signed.",
        query: RUN,
        good: &[good(200, "Receipt", "The receipt with its signature.")],
        own: &[Code::JobNotFound, Code::ReceiptNotFound],
        handler: |api, call| jobs::receipt(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getJobRejectReport",
        path: "/v1/jobs/{job}/reject-report",
        says: "The records that broke a rule in a run, the first of them, as its receipt says.",
        query: RUN,
        good: &[good(200, "RejectReport", "The records.")],
        own: &[Code::JobNotFound, Code::ReceiptNotFound, Code::ReportNotFound],
        handler: |api, call| jobs::reject_report(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "replayJob",
        path: "/v1/jobs/{job}:replay",
        says: "Run a job that has ended once more, as a new run, with the revision of its route that it had or with the one of \
               now.",
        body: Body::Json("Replay"),
        own: &[Code::JobNotFound, Code::JobState, Code::RouteNotFound],
        handler: |api, call| jobs::replay(api, call).boxed(),
        ..ACT
    },
    Endpoint {
        name: "redeliverJob",
        path: "/v1/jobs/{job}:redeliver",
        says: "Go on with the run of a job that not every destination got: those that have it keep it.",
        handler: |api, call| jobs::redeliver(api, call).boxed(),
        ..ACT
    },
    Endpoint {
        name: "resumeJob",
        path: "/v1/jobs/{job}:resume",
        says: "Go on with a job that is held, because what it waited for is there.",
        handler: |api, call| jobs::resume(api, call).boxed(),
        ..ACT
    },
    Endpoint {
        name: "cancelJob",
        path: "/v1/jobs/{job}:cancel",
        says: "Do not run a job, or stop it before anything of it is visible.",
        own: &[Code::JobNotFound, Code::JobState, Code::JobPublishing],
        handler: |api, call| jobs::cancel(api, call).boxed(),
        ..ACT
    },
    Endpoint {
        name: "listArrivals",
        path: "/v1/arrivals",
        says: "What has arrived and is not run: no route takes it, or it is not known to be whole.",
        query: ARRIVALS,
        good: &[good(200, "JobPage", "Some of it.")],
        own: &[Code::CursorInvalid],
        handler: |api, call| jobs::arrivals(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getFleet",
        path: "/v1/fleet",
        scope: Some(Scope::Admin),
        says: "How many messages are in the queues, and how many were set aside of each.",
        good: &[good(200, "Fleet", "The queues.")],
        own: &[],
        handler: |api, call| fleet::show(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "redriveDeadLetters",
        path: "/v1/dead-letters/{queue}:redrive",
        scope: Some(Scope::Admin),
        says: "Move what was set aside of a queue back into it.",
        condition: Condition::None,
        good: &[good(202, "Redrive", "It is being moved.")],
        own: &[Code::QueueNotFound, Code::QueueBusy],
        handler: |api, call| fleet::redrive(api, call).boxed(),
        ..ACT
    },
    Endpoint {
        name: "getStatusDocument",
        method: Verb::Get,
        path: "/v1/status/openapi.json",
        scope: None,
        says: "This document.",
        good: &[good(200, "Document", "The document.")],
        own: &[],
        handler: |_, _| async { Ok(Answer::ok(openapi::document())) }.boxed(),
        ..READ
    },
];

#[cfg(test)]
mod tests {
    use eft_api::table::find;
    use http::Method;

    use super::*;

    #[test]
    fn a_path_is_that_of_one_endpoint() {
        let name =
            |method, path| find(TABLE, &method, path).map(|(endpoint, values)| (endpoint.name, values));
        assert_eq!(name(Method::GET, "/v1/jobs"), Ok(("listJobs", vec![])));
        assert_eq!(name(Method::GET, "/v1/jobs/a"), Ok(("getJob", vec!["a".to_owned()])));
        assert_eq!(name(Method::POST, "/v1/jobs/a:replay"), Ok(("replayJob", vec!["a".to_owned()])));
        assert_eq!(name(Method::POST, "/v1/jobs/a%3Acancel"), Ok(("cancelJob", vec!["a".to_owned()])));
        assert!(name(Method::POST, "/v1/jobs/a:delete").is_err());
    }

    /// What changes nothing has no entry in the audit trail, and nothing is posted here that changes nothing.
    #[test]
    fn whatever_is_posted_acts() {
        assert!(TABLE.iter().all(|endpoint| endpoint.writes() == (endpoint.method == Verb::Post)));
    }

    /// The HTTP API sends some paths to this function and all others to that of the config API.
    #[test]
    fn every_path_is_under_one_that_is_sent_here() {
        let ours = ["/v1/jobs", "/v1/arrivals", "/v1/fleet", "/v1/dead-letters", "/v1/status"];
        for endpoint in TABLE {
            let rest = |start: &str| endpoint.path.strip_prefix(start);
            let is_ours =
                |start: &str| rest(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            assert!(ours.into_iter().any(is_ours), "{}", endpoint.path);
        }
    }
}
