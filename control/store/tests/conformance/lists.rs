//! Jobs as they are listed.

use std::time::Duration;

use eft_domain::{Command, Job, JobState, TenantId};
use eft_store::{JobFilter, Page, RunSummary};

use super::{Bed, accepted, arrived, before, claim, next, tenant, until};

async fn record(bed: &Bed, jobs: &[&Job]) {
    for job in jobs {
        // Late and in the wrong order: the summary is of the latest.
        for event in job.outbox.iter().rev() {
            bed.desk().runs.record(job, event).await.unwrap();
        }
    }
}

async fn list(bed: &Bed, of: Option<&TenantId>, filter: &JobFilter) -> Vec<RunSummary> {
    bed.desk().runs.jobs(of, filter, None, 100).await.unwrap().items
}

fn summary(job: &Job) -> RunSummary {
    RunSummary::of(job, job.outbox.last().unwrap())
}

pub(crate) async fn jobs_are_listed_by_state_and_by_route_newest_first(bed: &Bed) {
    let now = bed.now();
    let jobs: Vec<Job> =
        [50, 40, 30, 20].map(|ago| accepted(&arrived(&ago.to_string(), before(now, ago)))).into();
    let running = next(&jobs[1], &claim("a", Duration::from_secs(60)), before(now, 10));
    let mut elsewhere = arrived("b", now);
    elsewhere.route.as_mut().unwrap().id = "acme-other".parse().unwrap();
    let elsewhere = accepted(&elsewhere);
    let mut theirs = arrived("c", now);
    theirs.tenant = Some(tenant("acme2"));
    let theirs = accepted(&theirs);
    record(bed, &[&jobs[0], &running, &jobs[2], &jobs[3], &elsewhere, &theirs]).await;
    let acme = tenant("acme");
    let all = [&elsewhere, &running, &jobs[3], &jobs[2], &jobs[0]].map(summary);
    let found =
        until("all are listed", || list(bed, Some(&acme), &JobFilter::All), |found| found.len() == 5).await;
    assert_eq!(found, all);
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page: Page<_> =
            bed.desk().runs.jobs(Some(&acme), &JobFilter::All, after.as_deref(), 2).await.unwrap();
        assert!(page.items.len() <= 2);
        paged.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
    let accepted = [&elsewhere, &jobs[3], &jobs[2], &jobs[0]].map(summary);
    assert_eq!(list(bed, Some(&acme), &JobFilter::State(JobState::Accepted)).await, accepted);
    assert_eq!(list(bed, Some(&acme), &JobFilter::State(JobState::Running)).await, [summary(&running)]);
    assert_eq!(list(bed, Some(&acme), &JobFilter::State(JobState::Failed)).await, []);
    assert_eq!(list(bed, Some(&acme), &JobFilter::Route("acme-in".parse().unwrap())).await, all[1..]);
    assert_eq!(list(bed, Some(&acme), &JobFilter::Route("acme-other".parse().unwrap())).await, all[..1]);
    // Of one name, and another tenant's.
    let theirs = [summary(&theirs)];
    assert_eq!(
        list(bed, Some(&tenant("acme2")), &JobFilter::Route("acme-in".parse().unwrap())).await,
        theirs
    );
    assert_eq!(list(bed, None, &JobFilter::All).await, []);
}

pub(crate) async fn a_job_is_listed_once_with_its_latest_run(bed: &Bed) {
    let at = before(bed.now(), 100);
    let later = |seconds| at.plus(Duration::from_secs(seconds));
    let job = accepted(&arrived("a", at));
    let cancelled = next(&job, &Command::Cancel { reason: "wrong".into() }, later(1));
    record(bed, &[&cancelled]).await;
    let acme = tenant("acme");
    let all = || list(bed, Some(&acme), &JobFilter::All);
    let first = summary(&cancelled);
    until("the first run is listed", all, |found| *found == [first.clone()]).await;
    let told = next(&cancelled, &Command::Told { sequence: cancelled.sequence }, later(2));
    let replayed = next(&told, &Command::Replay { reason: "right".into(), route: None }, later(3));
    record(bed, &[&replayed]).await;
    until("the second is", all, |found| *found == [summary(&replayed)]).await;
    let state = JobFilter::State(JobState::Cancelled);
    until("the first is not", || list(bed, Some(&acme), &state), Vec::is_empty).await;
    let runs = bed.desk().runs.runs(job.id).await.unwrap();
    assert_eq!(runs, [first.clone(), summary(&replayed)]);
    // Whoever was slow tells an old change once more, with the row of then and with that of now.
    record(bed, &[&cancelled]).await;
    let mut both = replayed.clone();
    both.outbox = cancelled.outbox.iter().chain(&replayed.outbox).cloned().collect();
    record(bed, &[&both]).await;
    assert_eq!(bed.desk().runs.runs(job.id).await.unwrap(), [first, summary(&replayed)]);
    assert_eq!(all().await, [summary(&replayed)]);
}

pub(crate) async fn an_earlier_run_has_not_the_route_of_now(bed: &Bed) {
    let at = before(bed.now(), 100);
    let later = |seconds| at.plus(Duration::from_secs(seconds));
    let job = accepted(&arrived("a", at));
    let cancelled = next(&job, &Command::Cancel { reason: "wrong".into() }, later(1));
    let mut route = job.route.clone().unwrap();
    route.revision = "fedcba9876543210".parse().unwrap();
    let command = Command::Replay { reason: "right".into(), route: Some(route.clone()) };
    // Nothing was told before: the row of now tells it all.
    let replayed = next(&cancelled, &command, later(2));
    record(bed, &[&replayed]).await;
    let runs = bed.desk().runs.runs(job.id).await.unwrap();
    let routes: Vec<_> = runs.into_iter().map(|run| (run.state, run.route)).collect();
    assert_eq!(routes, [(JobState::Cancelled, None), (JobState::Accepted, Some(route))]);
}

pub(crate) async fn what_no_route_took_is_of_whose_prefix_it_has(bed: &Bed) {
    let now = bed.now();
    let unrouted = |key: &str| {
        let mut arrived = arrived("x", now);
        arrived.arrival.key = key.into();
        (arrived.tenant, arrived.route) = (None, None);
        let command = Command::Unrouted { reason: "no route takes it".into() };
        arrived.begin(&command, &super::actor()).unwrap()
    };
    let (ours, nobodys) = (unrouted("tenants/acme/in/x"), unrouted("elsewhere/x"));
    record(bed, &[&ours, &nobodys]).await;
    let state = JobFilter::State(JobState::Unrouted);
    let acme = tenant("acme");
    let found = until("ours is listed", || list(bed, Some(&acme), &state), |found| found.len() == 1).await;
    assert_eq!(found, [summary(&ours)]);
    let found = until("nobody's is listed", || list(bed, None, &state), |found| found.len() == 1).await;
    assert_eq!(found, [summary(&nobodys)]);
}
