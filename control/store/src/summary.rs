//! How runs stand, as the status API lists them.

use eft_domain::{
    Arrival, Job, JobState, Millis, RouteId, RunId, TenantId,
    job::{JobEvent, PinnedRoute},
};
use serde::{Deserialize, Serialize};

use crate::index::owner_of;

/// How a run stands, as the status API lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// Where it stands.
    pub state: JobState,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// What is done with it; of an earlier run only where that was kept while it was the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<PinnedRoute>,
    /// What arrived.
    pub arrival: Arrival,
    /// Its size in bytes.
    pub size: u64,
    /// When it arrived.
    pub arrived_at: Millis,
    /// When its state last changed.
    pub changed_at: Millis,
    /// The failure code, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it stands where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The change this is about.
    pub sequence: u64,
}

impl RunSummary {
    /// How the run of a change stands with it.
    pub fn of(job: &Job, event: &JobEvent) -> Self {
        // The run of a change may be an earlier one than the job's; both are runs of the same job.
        let mut run = RunId::first(job.id);
        for _ in 1..event.generation {
            run = run.next().unwrap_or(run);
        }
        Self {
            run,
            state: event.after,
            tenant: owner_of(job),
            // The row has the route of its own run: an earlier one may have had another revision.
            route: job.route.clone().filter(|_| event.generation == job.generation),
            arrival: job.arrival.clone(),
            size: job.size,
            arrived_at: job.arrived_at,
            changed_at: event.at,
            code: event.code.clone(),
            reason: event.reason.clone(),
            sequence: event.sequence,
        }
    }
}

/// Which jobs of a tenant are listed: each is the key of an index, and what is none is not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobFilter {
    /// All.
    All,
    /// Those that stand there.
    State(JobState),
    /// Those of this route.
    Route(RouteId),
}

impl JobFilter {
    /// Whether it takes a run.
    pub fn takes(&self, run: &RunSummary) -> bool {
        match self {
            Self::All => true,
            Self::State(state) => run.state == *state,
            Self::Route(route) => run.route.as_ref().is_some_and(|pinned| pinned.id == *route),
        }
    }
}
