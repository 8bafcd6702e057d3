//! Where indexes show a job: derived from its row, the same in memory and in DynamoDB.

use eft_domain::{Job, JobId, JobState, Millis, RouteId, TenantId, job::Retention, route::RouteTable};

use crate::port::DUE_SHARDS;

/// The shard of a job.
pub fn shard_of(id: JobId) -> u16 {
    (id.uuid().as_u128() % u128::from(DUE_SHARDS)) as u16
}

/// Keys of each line of a tenant: an index of DynamoDB takes 1,000 writes a second a key, and a job enters or leaves a line
/// about four times. Every one more is one more query for whoever looks at the line.
pub const LINE_SHARDS: u8 = 4;

/// The shard of a job in its line: of other bits than [`shard_of`].
pub fn line_shard_of(id: JobId) -> u8 {
    ((id.uuid().as_u128() >> 64) % u128::from(LINE_SHARDS)) as u8
}

/// In which of its tenant's lines a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Accepted, and in no queue.
    Waiting,
    /// In a queue or in a worker.
    InFlight,
}

impl Line {
    /// The key of a shard of a tenant's line. No tenant id holds a `#`.
    pub fn key(self, tenant: &TenantId, shard: u8) -> String {
        match self {
            Self::Waiting => format!("{tenant}#W{shard}"),
            Self::InFlight => format!("{tenant}#F{shard}"),
        }
    }
}

/// The line of a job; none where it takes nobody's share.
pub fn line_of(job: &Job) -> Option<(&TenantId, Line)> {
    let line = match job.state {
        JobState::Accepted if job.sent_at.is_none() => Line::Waiting,
        JobState::Accepted => Line::InFlight,
        state if state.is_owned() => Line::InFlight,
        _ => return None,
    };
    Some((job.tenant.as_ref()?, line))
}

/// The turn of a job on its route; none where it holds nobody up.
pub fn turn_of(job: &Job) -> Option<(&RouteId, u64)> {
    Some((&job.route.as_ref()?.id, job.holds_up()?))
}

/// The tenant of a job that may have a checkpoint: it is accepted, owned or held.
pub fn live_of(job: &Job) -> Option<&TenantId> {
    let is_live = matches!(job.state, JobState::Accepted | JobState::Held) || job.state.is_owned();
    job.tenant.as_ref().filter(|_| is_live)
}

/// Whose a job is: its tenant, or, where no route took it, the one whose prefix its key has.
pub fn owner_of(job: &Job) -> Option<TenantId> {
    job.tenant.clone().or_else(|| RouteTable::tenant_of(job.arrival.key.as_str()))
}

/// A place in an order of times: sorts as the time and the job do. The digits last for 300,000 years.
pub fn place(at: Millis, id: JobId) -> String {
    format!("{:016}#{id}", at.0)
}

/// The place of a job among those that somebody has to look at.
pub fn due_place(job: &Job, retention: Retention) -> String {
    place(job.due(retention), job.id)
}
