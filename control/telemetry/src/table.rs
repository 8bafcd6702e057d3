//! Every metric of worker and router; the sweep's are its report (`control/sweep/src/report.rs`). Its page is
//! `control/telemetry/METRICS.md`.

use eft_domain::{Code, JobState};

use crate::metric::{Label, SECONDS, metrics};

/// The code of what did not fail.
pub const NO_CODE: &str = "none";

const STATE: Label =
    Label { name: "state", values: || JobState::ALL.iter().map(|state| state.as_str()).collect() };
const CODE: Label = Label {
    name: "code",
    values: || std::iter::once(NO_CODE).chain(Code::ALL.iter().map(|code| code.as_str())).collect(),
};
const PHASE: Label = Label { name: "phase", values: || vec!["claim", "transfer", "commit", "report"] };
const END: Label = Label { name: "end", values: || vec!["deleted", "again", "left"] };
const RENEWED: Label = Label { name: "of", values: || vec!["lease", "message", "protection"] };
const STOP: Label = Label { name: "why", values: || vec!["drain", "unrenewed", "held", "lost"] };
const OUTCOME: Label = Label {
    name: "outcome",
    values: || {
        vec!["ignored", "gone", "noted", "known", "unrouted", "incomplete", "accepted", "dismissed", "failed"]
    },
};

metrics! {
    /// The worker service.
    Worker {
        /// Runs that came to an end or to a wait here, by the state of the job and the code of what went wrong.
        runs: Counter<2> = "eft_worker_runs_total", Count, [STATE, CODE];
        /// From claiming a job to having told how it ended.
        run_seconds: Histogram = "eft_worker_run_seconds", Seconds, [], SECONDS;
        /// Time of a run in each of its phases.
        phase_seconds: Histogram<1> = "eft_worker_phase_seconds", Seconds, [PHASE], SECONDS;
        /// From putting a job into the queue to claiming it.
        queue_seconds: Histogram = "eft_worker_queue_seconds", Seconds, [], SECONDS;
        /// Bytes read from sources, those read again among them.
        bytes_read: Counter = "eft_worker_read_bytes_total", Bytes, [];
        /// Bytes read again: damaged on their way, or lost before they were acknowledged.
        bytes_reread: Counter = "eft_worker_reread_bytes_total", Bytes, [];
        /// Bytes that destinations have acknowledged.
        bytes_written: Counter = "eft_worker_written_bytes_total", Bytes, [];
        /// Requests of the data path that were issued again.
        retries: Counter = "eft_worker_retries_total", Count, [];
        /// Answers of S3 that asked to slow down, of runs that have a receipt.
        throttles: Counter = "eft_worker_throttles_total", Count, [];
        /// Messages received, by what became of them: deleted, given again after a time, left to the queue.
        messages: Counter<1> = "eft_worker_messages_total", Count, [END];
        /// Messages that cannot be read or name no job: after five receives the queue sets them aside.
        unknown_messages: Counter = "eft_worker_unknown_messages_total", Count, [];
        /// Times the queue could not be asked for a message.
        receive_errors: Counter = "eft_worker_receive_errors_total", Count, [];
        /// Runs that were stopped from outside, by the reason; lost: the job has another owner or was cancelled.
        stops: Counter<1> = "eft_worker_stops_total", Count, [STOP];
        /// Writes that the ledger refused because the job is not this owner's any more: a zombie was held off.
        fenced: Counter = "eft_worker_fenced_writes_total", Count, [];
        /// Renewals that failed, of the lease, the message's visibility, or the task's protection.
        renewals_failed: Counter<1> = "eft_worker_failed_renewals_total", Count, [RENEWED];
        /// Checkpoints written to the ledger.
        checkpoints: Counter = "eft_worker_checkpoints_total", Count, [];
        /// Runs that went on from a checkpoint of an earlier owner.
        resumes: Counter = "eft_worker_resumes_total", Count, [];
        /// Spans that were not exported: the queue was full, or the collector did not take them.
        spans_dropped: Counter = "eft_worker_dropped_spans_total", Count, [];
        /// Slots that take work.
        slots: Gauge = "eft_worker_slots", Count, [];
        /// Slots that have a message.
        slots_busy: Gauge = "eft_worker_busy_slots", Count, [];
        /// Memory that runs share for bytes in flight.
        budget: Gauge = "eft_worker_budget_bytes", Bytes, [];
        /// What runs have taken of it.
        budget_used: Gauge = "eft_worker_budget_used_bytes", Bytes, [];
        /// Age of the last sign of progress of the slot that has given none for the longest.
        progress_age: Gauge = "eft_worker_progress_age_seconds", Seconds, [];
        /// 1 while the task is protected from being scaled in.
        protected: Gauge = "eft_worker_protected", Count, [];
    }
}

metrics! {
    /// The router function.
    Router {
        /// Events of the ingest queue, by what became of them: accepted and dismissed made a job, known is a duplicate.
        events: Counter<1> = "eft_router_events_total", Count, [OUTCOME];
        /// Messages given back to the queue, those behind a failed one of their group among them.
        returned: Counter = "eft_router_returned_messages_total", Count, [];
        /// Time of a batch.
        batch_seconds: Histogram = "eft_router_batch_seconds", Seconds, [], SECONDS;
        /// Spans that were not exported: the queue was full, or the collector did not take them.
        spans_dropped: Counter = "eft_router_dropped_spans_total", Count, [];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metric::{Kind, Metrics, Unit};

    fn all() -> [(&'static str, Box<dyn Metrics>); 2] {
        [("eft_worker_", Box::new(Worker::default())), ("eft_router_", Box::new(Router::default()))]
    }

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = BTreeSet::new();
        for (start, table) in all() {
            for family in table.families() {
                let name = family.name;
                assert!(names.insert(name), "{name} is there twice");
                assert!(name.starts_with(start), "{name}");
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
                assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
                let base = name.trim_end_matches("_total");
                assert_eq!(base.ends_with("_seconds"), family.unit == Unit::Seconds, "{name}");
                assert_eq!(base.ends_with("_bytes"), family.unit == Unit::Bytes, "{name}");
                assert!(family.doc.trim().ends_with('.') && !family.doc.contains('\n'), "{name}");
            }
        }
    }

    /// Labels are words of this program: whoever sends files cannot make series.
    #[test]
    fn labels_are_few_and_none_is_a_tenants() {
        for (_, table) in all() {
            for family in table.families() {
                let series: usize = family.labels.iter().map(|(_, values)| values.len()).product();
                assert!(series <= 2_000, "{} has {series} series", family.name);
                for (name, values) in &family.labels {
                    assert!(!["tenant", "key", "job", "route", "bucket", "service", "region"].contains(name));
                    assert!(
                        values.iter().all(|value| !value.is_empty() && !value.contains(['"', '\\', '\n']))
                    );
                }
            }
        }
    }
}
