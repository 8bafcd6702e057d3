//! What is told of a job.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Job, JobState, Millis};

/// A change of state: what the history keeps and subscribers are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// 1 for the first change of the job.
    pub sequence: u64,
    /// The run.
    pub generation: u32,
    /// When.
    pub at: Millis,
    /// Who.
    pub actor: String,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The failure code, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Where it stood.
    pub before: JobState,
    /// Where it stands.
    pub after: JobState,
    /// The fencing token after it.
    pub fence: u64,
}

/// Who wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A step on the way.
    Progress,
    /// The end that was wished for.
    Success,
    /// An end, or a wait, that somebody has to look at.
    Failure,
}

impl JobEvent {
    /// Which topic it belongs to, besides the one of all events.
    pub fn kind(&self) -> EventKind {
        match self.after {
            JobState::Succeeded => EventKind::Success,
            JobState::PartiallyDelivered
            | JobState::Rejected
            | JobState::Failed
            | JobState::Held
            | JobState::Unrouted => EventKind::Failure,
            _ => EventKind::Progress,
        }
    }

    /// The id by which a consumer knows what it was told before: `job:run:sequence`.
    pub fn id(&self, job: &Job) -> String {
        format!("{}:{}:{}", job.id, self.generation, self.sequence)
    }

    /// A CloudEvents 1.0 event in its JSON form. `time` is the RFC 3339 form of [`JobEvent::at`].
    pub fn to_cloud_event(&self, job: &Job, source: &str, time: &str) -> Value {
        let mut event = json!({
            "specversion": "1.0",
            "id": self.id(job),
            "source": source,
            "type": format!("eft.job.{}", self.after.as_str().to_lowercase()),
            "subject": job.id.to_string(),
            "time": time,
            "datacontenttype": "application/json",
            "data": {
                "job": job.id,
                "run": format!("{}.{}", job.id, self.generation),
                "sequence": self.sequence,
                "tenant": job.tenant,
                "route": job.route.as_ref().map(|route| &route.id),
                "route_revision": job.route.as_ref().map(|route| &route.revision),
                "bucket": job.arrival.bucket,
                "key": job.arrival.key,
                "version_id": job.arrival.version_id,
                "size": job.size,
                "before": self.before,
                "state": self.after,
                "actor": self.actor,
                "reason": self.reason,
                "code": self.code,
            },
        });
        if let (Some(trace), Value::Object(event)) = (&job.trace, &mut event) {
            event.insert("traceparent".to_owned(), trace.as_str().into());
        }
        event
    }
}
