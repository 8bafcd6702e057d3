//! Two regions: one ledger, and a catalog that reaches the other region late.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod kit;

use eft_domain::{Job, JobState};
use eft_router::What;
use kit::{World, route};

const KEY: &str = "tenants/acme/in/a";

/// With a tenant that both know.
async fn regions() -> (World, World) {
    let first = World::new();
    first.tenant("acme").await;
    let second = first.peer();
    first.region.replicate(&second.region);
    (first, second)
}

fn jobs(world: &World) -> Vec<Job> {
    world.region.jobs().into_iter().filter(|job| job.state != JobState::Cancelled).collect()
}

#[tokio::test(start_paused = true)]
async fn a_version_that_both_regions_hear_of_is_one_job() {
    let (first, second) = regions().await;
    first.route(route("in", "acme", "in/")).await;
    first.region.replicate(&second.region);
    let news = [&first, &second].map(|world| world.s3.put(KEY, "v1", 5));
    let [here, there] = news;
    assert_eq!(first.ingest(here).await.what, What::Accepted);
    assert_eq!(second.ingest(there).await.what, What::Known);
    assert_eq!(jobs(&first), jobs(&second));
    let works = [&first, &second].map(|world| std::iter::from_fn(|| world.region.take_work()).count());
    assert_eq!(works.iter().sum::<usize>(), 1, "it is in one region's queue");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_has_not_come_over_yet_leaves_a_record_that_its_coming_ends() {
    let (first, second) = regions().await;
    first.route(route("in", "acme", "in/")).await;
    let [here, there] = [&first, &second].map(|world| world.s3.put(KEY, "v1", 5));
    assert_eq!(second.ingest(there).await.what, What::Unrouted);
    let [record] = <[Job; 1]>::try_from(jobs(&first)).unwrap();
    first.region.replicate(&second.region);
    let outcome = second.router.reroute(record).await.unwrap();
    assert_eq!(outcome.what, What::Accepted);
    assert_eq!(first.ingest(here).await.what, What::Known);
    let [job] = <[Job; 1]>::try_from(jobs(&first)).unwrap();
    assert_eq!((job.state, job.route.unwrap().id.as_str()), (JobState::Accepted, "in"));
}
