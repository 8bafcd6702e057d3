//! What every store does: one suite over the ports, for memory and for DynamoDB with its neighbours.
//!
//! Indexes are late: whoever reads one asks [`until`] it shows what is wanted.

mod catalog;
mod desk;
mod facts;
mod indexes;
mod lists;
mod rows;
mod tenants;

use std::{sync::Arc, time::Duration};

pub(crate) use catalog::*;
pub(crate) use desk::*;
use eft_domain::{
    Actor, Arrival, Command, Job, JobId, Millis, TenantId,
    job::{Arrived, PinnedRoute, Runner, apply},
    message::WorkMessage,
};
use eft_store::{Audit, Desk, Load};
pub(crate) use facts::*;
use futures::future::BoxFuture;
pub(crate) use indexes::*;
pub(crate) use lists::*;
pub(crate) use rows::*;
use serde_json::Value;
pub(crate) use tenants::*;
use tokio::time::Instant;

/// Gives what has come to a queue since it was last asked, or all that ever came.
pub(crate) type Ask<T> = Box<dyn Fn() -> BoxFuture<'static, Vec<T>> + Send + Sync>;

/// What the suite runs on.
pub(crate) struct Bed {
    /// Desks over the same tables.
    pub(crate) desks: Vec<Desk>,
    /// The audit trail.
    pub(crate) trail: Arc<dyn Audit>,
    /// What subscribers of the topic of all events are told.
    pub(crate) heard: Ask<Value>,
    /// What comes out of `work.fifo`, with its group.
    pub(crate) taken: Ask<(WorkMessage, String)>,
}

impl Bed {
    /// The desk that most is done at.
    pub(crate) fn desk(&self) -> &Desk {
        &self.desks[0]
    }

    /// The desk of one of many.
    pub(crate) fn desk_of(&self, nth: usize) -> Desk {
        self.desks[nth % self.desks.len()].clone()
    }

    /// Now.
    pub(crate) fn now(&self) -> Millis {
        self.desk().clock.now()
    }
}

/// Calls a macro with the name of every test.
macro_rules! each {
    ($tests:ident) => {
        $tests! {
            rows_are_written_on_condition
            a_row_is_read_as_it_was_written
            one_of_many_claims_wins
            what_is_due_comes_in_order_and_in_pages
            a_tenant_has_its_lines
            the_first_turn_is_the_oldest_that_is_open
            a_key_holds_one_value_until_it_expires
            one_of_many_puts_wins
            a_key_is_swapped_for_what_stands_there_and_nothing_else
            no_number_is_given_twice
            tenants_are_as_they_were_put_last
            a_tenant_is_changed_on_condition
            users_of_a_tenant_are_saved_on_condition_and_listed
            a_user_is_removed_as_it_was_read
            partners_of_a_tenant_are_saved_on_condition_and_listed
            entries_of_a_tenant_are_kept_and_listed_by_their_times
            revisions_stay_and_one_is_active
            changes_are_numbered_and_kept
            the_routes_of_a_tenant_are_listed_in_pages
            a_paused_route_takes_nothing
            what_has_expired_is_removed
            history_is_kept_once_and_in_order
            a_receipt_is_kept_whatever_its_length
            jobs_are_listed_by_state_and_by_route_newest_first
            a_job_is_listed_once_with_its_latest_run
            an_earlier_run_has_not_the_route_of_now
            what_no_route_took_is_of_whose_prefix_it_has
            a_job_begins_once
            changes_are_told_at_least_once
            a_receipt_is_kept_with_the_end_of_its_run
            releases_fill_a_share_and_no_more
            a_release_looks_as_far_as_there_is_room
            releases_at_once_fill_a_share_and_no_more
        }
    };
}
pub(crate) use each;

/// Asks until the answer is what is wanted, for twenty seconds.
pub(crate) async fn until<T: std::fmt::Debug, F: Future<Output = T>>(
    what: &str,
    mut ask: impl FnMut() -> F,
    is_right: impl Fn(&T) -> bool,
) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask().await;
        if is_right(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain until {what}; it is {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub(crate) fn actor() -> Actor {
    Actor::part("conformance")
}

/// A version that has arrived for tenant and route `acme`.
pub(crate) fn arrived(name: &str, at: Millis) -> Arrived {
    Arrived {
        arrival: Arrival {
            bucket: "ingest".into(),
            key: format!("tenants/acme/in/{name}"),
            version_id: "v1".into(),
        },
        size: 1_000,
        etag: Some("\"0\"".into()),
        at,
        tenant: Some(tenant("acme")),
        route: Some(PinnedRoute {
            id: "acme-in".parse().unwrap(),
            revision: "0123456789abcdef".parse().unwrap(),
        }),
        runner: Runner::Worker,
        turn: None,
        trace: None,
    }
}

/// The first row of a job that is to be run.
pub(crate) fn accepted(arrived: &Arrived) -> Job {
    arrived.begin(&Command::Accept, &actor()).unwrap()
}

pub(crate) fn next(job: &Job, command: &Command, now: Millis) -> Job {
    apply(job, command, &actor(), now).unwrap()
}

pub(crate) fn claim(owner: &str, lease: Duration) -> Command {
    Command::Claim { owner: owner.to_owned(), lease }
}

/// What is in flight of a tenant, as the index shows it.
pub(crate) async fn load_of(desk: &Desk, tenant: &TenantId) -> Load {
    let jobs = desk.ledger.in_flight(tenant, 10).await.unwrap();
    Load::of(jobs.iter().map(|job| job.size))
}

pub(crate) fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

/// Millis that long before.
pub(crate) fn before(now: Millis, seconds: u64) -> Millis {
    Millis(now.0 - 1_000 * seconds)
}
