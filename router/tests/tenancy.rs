//! Tenants do not reach each other (G8): every attempt fails.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod kit;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use eft_domain::{
    Command, JobState, Millis, Route, Tenant, TenantId,
    job::Ending,
    message::{Ingest, RunRequest, WorkMessage},
    route::{Executor, Match, Profile, RouteTable},
    tenant::Output,
};
use eft_router::What;
use eft_store::{
    Catalog, Dispatch, Keys, StoreError, StoreErrorKind, StoreResult,
    admission::admit_route,
    faulty::{Call, Event, Fate, Fates, Faulty},
    memory::Region,
};
use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};
use kit::{World, route};
use tokio::time::{advance, timeout};

async fn two() -> World {
    let world = World::new();
    world.tenant("acme").await;
    world.tenant("globex").await;
    world
}

fn matching(id: &str, tenant: &str, prefix: &str, glob: Option<&str>) -> Route {
    Route {
        matches: Some(Match { prefix: prefix.to_owned(), glob: glob.map(ToOwned::to_owned) }),
        ..route(id, tenant, "")
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_outside_its_tenants_prefix_takes_nothing_even_if_it_is_stored() {
    let world = two().await;
    for (at, prefix) in
        ["tenants/globex/", "tenants/", "tenants/g", "", "tenants/acme", "tenants/acme2/"].iter().enumerate()
    {
        world.route(matching(&format!("thief-{at}"), "acme", prefix, None)).await;
    }
    let event = world.s3.put("tenants/globex/in/secret", "v1", 5);
    assert_eq!(world.ingest(event).await.what, What::Unrouted);
    let job = world.job();
    assert_eq!((job.tenant, job.route, job.state), (None, None, JobState::Unrouted));
}

#[tokio::test(start_paused = true)]
async fn no_glob_reaches_out_of_its_prefix() {
    let world = two().await;
    for (at, glob) in ["**", "../globex/**", "*/../../globex/*", "**/globex/**", "?*"].iter().enumerate() {
        let one = matching(&format!("trick-{at}"), "acme", &format!("tenants/acme/{at}/"), Some(glob));
        world.route(one).await;
    }
    world.route(route("own", "globex", "")).await;
    for (at, key) in
        ["tenants/globex/a", "tenants/globex/acme/a", "tenants/acme/../globex/a"].iter().enumerate()
    {
        let event = world.s3.put(key, &format!("v{at}"), 5);
        let job = world.ingest(event).await.job.unwrap();
        let owner = job.tenant.as_ref().map(eft_domain::TenantId::as_str);
        // In a key `..` is a name like any other: the last one is a key of acme's, which none of its routes takes.
        assert_eq!(owner, key.starts_with("tenants/globex/").then_some("globex"), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_with_anothers_name_or_prefix_is_refused_when_it_is_saved() {
    let world = two().await;
    let acme = world.region.tenant(&"acme".parse().unwrap()).await.unwrap().unwrap();
    let table = RouteTable::default();
    for (bad, says) in [
        (matching("r", "acme", "tenants/globex/", None), "must start with `tenants/acme/`"),
        (matching("r", "globex", "tenants/acme/", None), "not of tenant acme"),
        (matching("r", "acme", "tenants/acme", None), "must start with"),
    ] {
        let faults = admit_route(&bad, &acme, &table).unwrap_err();
        assert!(faults.iter().any(|fault| fault.contains(says)), "{faults:?}");
    }
    let saved = RouteTable::new([Arc::new(matching("r", "acme", "tenants/acme/in/", Some("*.csv")))]);
    let tie = admit_route(&matching("s", "acme", "tenants/acme/in/", Some("a*")), &acme, &saved).unwrap_err();
    assert!(tie[0].contains("ties with route r"), "{tie:?}");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_delivers_into_anothers_place_takes_nothing_even_if_it_is_stored() {
    let world = two().await;
    let mut acme = world.tenant("acme").await;
    acme.outputs = vec![Output { bucket: "acme-out".parse().unwrap(), prefix: "acme/".to_owned() }];
    world.region.put_tenant(&acme).await.unwrap();
    let to = |id: &str, folder: &str, bucket: &str, key: &str| {
        let text = format!(
            "{{id: {id}, tenant: acme, match: {{prefix: \"tenants/acme/{folder}\"}}, stages: [], \
             destinations: [{{s3: {{bucket: {bucket}, key: \"{key}\", on_existing: fail}}}}]}}"
        );
        Route::parse_yaml(&text, Profile::Platform).unwrap()
    };
    world.route(to("good", "good/", "acme-out", "acme/{name}")).await;
    world.route(to("bucket", "bucket/", "globex-out", "acme/{name}")).await;
    world.route(to("prefix", "prefix/", "acme-out", "{name}")).await;
    for (folder, what) in [("good", What::Accepted), ("bucket", What::Unrouted), ("prefix", What::Unrouted)] {
        let event = world.s3.put(&format!("tenants/acme/{folder}/a"), folder, 5);
        assert_eq!(world.ingest(event).await.what, what, "{folder}");
    }
    let (_, told) = world.region.published().pop().unwrap();
    assert!(told["data"]["reason"].as_str().unwrap().contains("may not deliver"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn where_a_route_cannot_be_read_its_tenants_files_wait_and_nobody_elses() {
    let world = two().await;
    world.route(route("all", "acme", "")).await;
    let narrow = world.route(route("narrow", "acme", "in/")).await;
    world.route(route("own", "globex", "")).await;
    world.region.unreadable(&narrow.effective_id(), Some("no such stage"));
    let event = world.s3.put("tenants/acme/in/a", "v1", 5);
    let refused = world.router.ingest(&Ingest::Created(event.clone()), None).await.unwrap_err();
    assert!(refused.to_string().contains("route narrow of tenant acme might take this key"), "{refused}");
    assert_eq!(world.region.jobs(), [], "the wide route does not take it");
    let other = world.s3.put("tenants/globex/a", "v2", 5);
    assert_eq!(world.ingest(other).await.what, What::Accepted);
    world.region.unreadable(&narrow.effective_id(), None);
    let job = world.ingest(event).await.job.unwrap();
    assert_eq!(job.route.unwrap().id, narrow.effective_id());
}

#[tokio::test(start_paused = true)]
async fn where_a_tenant_cannot_be_read_its_files_wait_and_nobody_elses() {
    let world = two().await;
    for tenant in ["acme", "globex"] {
        world.route(route(&format!("of-{tenant}"), tenant, "")).await;
    }
    let waits = world.s3.put("tenants/acme/b", "v0", 5);
    world.router.ingest(&Ingest::Created(waits), None).await.unwrap();
    let acme = "acme".parse().unwrap();
    world.region.unreadable_tenant(&acme, Some("no such weight"));
    let event = world.s3.put("tenants/acme/a", "v1", 5);
    let refused = world.router.ingest(&Ingest::Created(event.clone()), None).await.unwrap_err();
    assert!(refused.to_string().contains("tenant acme cannot be read: no such weight"), "{refused}");
    let other = world.s3.put("tenants/globex/a", "v2", 5);
    world.router.ingest(&Ingest::Created(other), None).await.unwrap();
    let both = [acme, "globex".parse().unwrap()];
    let said = world.router.desk.release(&both).await.unwrap_err();
    assert!(said.to_string().contains("tenant acme cannot be read"), "{said}");
    let sent = |tenant: &str| {
        let jobs =
            world.region.jobs().into_iter().filter(|job| job.tenant.as_ref().unwrap().as_str() == tenant);
        jobs.filter(|job| job.sent_at.is_some()).count()
    };
    assert_eq!((sent("acme"), sent("globex")), (0, 1));
    world.region.unreadable_tenant(&both[0], None);
    assert_eq!(world.ingest(event).await.what, What::Accepted);
    assert_eq!(sent("acme"), 2, "what waited goes with it");
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_a_key_names_no_other_tenant() {
    let world = two().await;
    world.route(route("secret-route", "globex", "")).await;
    let event = world.s3.put("tenants/acme/a", "v1", 5);
    world.ingest(event).await;
    let (_, told) = world.region.published().pop().unwrap();
    assert!(!told.to_string().contains("globex") && !told.to_string().contains("secret-route"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_control_file_or_report_of_one_tenant_completes_nothing_of_another() {
    let world = two().await;
    world.route(kit::when("control_file(\".done\")", route("a", "acme", ""))).await;
    world.route(kit::when("transfer_event", route("g", "globex", ""))).await;
    let (one, other) = (world.s3.put("tenants/acme/x", "v1", 5), world.s3.put("tenants/globex/x", "v2", 5));
    world.ingest(one).await;
    world.ingest(other).await;
    let control = world.s3.put("tenants/globex/x.done", "c", 0);
    world.ingest(control).await;
    world.message(&kit::uploaded("tenants/acme/x", 5, Some("etag-v2"), true)).await;
    let waiting = world.region.jobs().into_iter().filter(|job| job.arrival.key.ends_with("/x"));
    assert!(waiting.into_iter().all(|job| job.state == JobState::Incomplete));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_jobs_of_one_tenant_do_not_delay_ten_of_another() {
    let world = two().await;
    world.route(route("a", "acme", "")).await;
    world.route(route("g", "globex", "")).await;
    for at in 0..10_000 {
        let event = world.s3.put(&format!("tenants/acme/{at}"), "v1", 1 << 20);
        world.router.ingest(&Ingest::Created(event), None).await.unwrap();
    }
    let tenants: Vec<_> =
        world.region.tenants().await.unwrap().readable().map(|tenant| tenant.id.clone()).collect();
    assert_eq!(world.router.desk.release(&tenants).await, Ok(50), "acme's quota");
    for at in 0..10 {
        let event = world.s3.put(&format!("tenants/globex/{at}"), "v1", 1 << 20);
        world.ingest(event).await;
    }
    let waiting = world.region.jobs().into_iter().filter(|job| job.sent_at.is_none());
    let of_globex = waiting.filter(|job| job.tenant.as_ref().unwrap().as_str() == "globex").count();
    assert_eq!(of_globex, 0, "all ten are in the queue");
    let mut groups = 0;
    while world.region.take_work().is_some() {
        groups += 1;
    }
    assert_eq!(groups, 60);
}

/// Queues in which the state machine is not there.
struct NoMachine(Region);

impl Dispatch for NoMachine {
    fn send<'a>(&'a self, message: &'a WorkMessage, group: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.0.send(message, group)
    }

    fn start<'a>(&'a self, _: &'a RunRequest) -> BoxFuture<'a, StoreResult<()>> {
        ready(Err(StoreError::new(StoreErrorKind::Permanent, "there is no such state machine"))).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_sent_is_in_nobodys_way() {
    let mut world = two().await;
    world.router.desk.dispatch = Arc::new(NoMachine(world.region.clone()));
    world.route(Route { executor: Executor::Steps, ..route("small", "acme", "small/") }).await;
    world.route(route("large", "acme", "large/")).await;
    world.route(route("other", "globex", "")).await;
    for key in ["tenants/acme/small/a", "tenants/acme/large/a", "tenants/globex/a"] {
        let event = Ingest::Created(world.s3.put(key, "v1", 5));
        world.router.ingest(&event, None).await.unwrap();
    }
    let tenants = ["acme", "globex"].map(|tenant| tenant.parse().unwrap());
    let error = world.router.desk.release(&tenants).await.unwrap_err();
    assert!(error.to_string().contains("no such state machine"), "{error}");
    let sent = std::iter::from_fn(|| world.region.take_work()).count();
    assert_eq!(sent, 2, "the job after it, and the other tenant's, are in their queue");
}

/// Loses the answer of whoever enters what it admits.
struct LosesEntries;

impl Fates for LosesEntries {
    fn draw(&self, call: &Call<'_>) -> Fate {
        Fate::of(if call.name == "swap" { Event::DoneAndLost } else { Event::None })
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_entered_and_its_answer_lost_is_sent() {
    let mut world = two().await;
    world.router.desk.keys = Arc::new(Faulty::new(world.region.clone(), Arc::new(LosesEntries)));
    world.route(route("a", "acme", "")).await;
    let event = world.s3.put("tenants/acme/a", "v1", 5);
    world.ingest(event).await;
    assert!(world.job().sent_at.is_some());
}

/// A queue that never answers.
struct Deaf;

impl Fates for Deaf {
    fn draw(&self, call: &Call<'_>) -> Fate {
        Fate::of(if call.name == "send" { Event::DiesBefore } else { Event::None })
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_admitted_by_one_that_died_is_admitted_again_after_a_while() {
    let mut world = two().await;
    let all_there = Arc::clone(&world.router.desk.dispatch);
    world.router.desk.dispatch = Arc::new(Faulty::new(world.region.clone(), Arc::new(Deaf)));
    world.route(route("a", "acme", "")).await;
    let event = Ingest::Created(world.s3.put("tenants/acme/a", "v1", 5));
    world.router.ingest(&event, None).await.unwrap();
    let acme = ["acme".parse().unwrap()];
    timeout(Duration::from_secs(1), world.router.desk.release(&acme)).await.unwrap_err();
    world.router.desk.dispatch = all_there;
    assert_eq!(world.router.desk.release(&acme).await, Ok(0), "somebody may be about to send it");
    advance(Duration::from_secs(9)).await;
    assert_eq!(world.router.desk.release(&acme).await, Ok(1));
    assert!(world.region.take_work().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_leaves_its_place_at_once() {
    let mut world = two().await;
    let all_there = Arc::clone(&world.router.desk.dispatch);
    world.router.desk.dispatch = Arc::new(NoMachine(world.region.clone()));
    world.route(Route { executor: Executor::Steps, ..route("small", "acme", "") }).await;
    let event = Ingest::Created(world.s3.put("tenants/acme/a", "v1", 5));
    world.router.ingest(&event, None).await.unwrap();
    let acme = ["acme".parse().unwrap()];
    world.router.desk.release(&acme).await.unwrap_err();
    world.router.desk.dispatch = all_there;
    assert_eq!(world.router.desk.release(&acme).await, Ok(1));
}

/// So many files of one tenant that none was released for.
async fn accepted(world: &World, files: usize) -> [TenantId; 1] {
    let acme = Tenant { max_jobs: 1000, ..world.tenant("acme").await };
    world.region.put_tenant(&acme).await.unwrap();
    world.route(route("a", "acme", "")).await;
    for at in 0..files {
        let event = Ingest::Created(world.s3.put(&format!("tenants/acme/{at}"), "v1", 5));
        world.router.ingest(&event, None).await.unwrap();
    }
    [acme.id]
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_takes_a_portion_with_it_and_no_more() {
    let mut world = two().await;
    let acme = accepted(&world, 60).await;
    let all_there = Arc::clone(&world.router.desk.dispatch);
    world.router.desk.dispatch = Arc::new(Faulty::new(world.region.clone(), Arc::new(Deaf)));
    timeout(Duration::from_secs(1), world.router.desk.release(&acme)).await.unwrap_err();
    world.router.desk.dispatch = all_there;
    assert_eq!(world.router.desk.release(&acme).await, Ok(60 - 25));
    advance(Duration::from_secs(10)).await;
    assert_eq!(world.router.desk.release(&acme).await, Ok(25));
}

#[tokio::test(start_paused = true)]
async fn what_was_admitted_and_is_not_seen_has_an_end() {
    let lag = Duration::from_secs(3600);
    let world = World::with_lag(lag);
    let acme = accepted(&world, 0).await;
    for at in 0..200 {
        let event = world.s3.put(&format!("tenants/acme/{at}"), "v1", 5);
        world.ingest(event).await;
    }
    let sent = || std::iter::from_fn(|| world.region.take_work()).count();
    assert_eq!(sent(), 150);
    advance(lag).await;
    assert_eq!(world.router.desk.release(&acme).await, Ok(50));
    assert_eq!(sent(), 50);
}

/// Somebody else, who enters something just before whoever asks does.
struct Quicker {
    region: Region,
    times: AtomicU64,
}

impl Fates for Quicker {
    fn draw(&self, call: &Call<'_>) -> Fate {
        if call.name == "swap" {
            let book = format!(r#"{{"number":{},"admitted":[]}}"#, self.times.fetch_add(1, Relaxed));
            let put = self.region.put("admitted#acme", &book, Millis(u64::MAX)).now_or_never();
            put.expect("memory answers at once").unwrap();
        }
        Fate::of(Event::None)
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_never_the_first_leaves_it_to_others() {
    let mut world = two().await;
    let acme = accepted(&world, 3).await;
    let quicker = Arc::new(Quicker { region: world.region.clone(), times: AtomicU64::new(0) });
    let fates: Arc<dyn Fates> = quicker.clone();
    let keys = Arc::new(Faulty::new(world.region.clone(), fates));
    let all_there = std::mem::replace(&mut world.router.desk.keys, keys);
    assert_eq!(world.router.desk.release(&acme).await, Ok(0));
    assert_eq!((quicker.times.load(Relaxed), world.region.take_work().is_none()), (8, true));
    world.router.desk.keys = all_there;
    assert_eq!(world.router.desk.release(&acme).await, Ok(3));
}

/// A ledger with a row that nobody can read: the one that is read first.
struct OneIsUnreadable(AtomicBool);

impl Fates for OneIsUnreadable {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let is_first = call.name == "get" && !self.0.swap(true, Relaxed);
        Fate::of(if is_first { Event::Fails(StoreErrorKind::Permanent) } else { Event::None })
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_read_is_in_nobodys_way() {
    let mut world = two().await;
    world.route(route("a", "acme", "")).await;
    for key in ["tenants/acme/a", "tenants/acme/b"] {
        let event = Ingest::Created(world.s3.put(key, "v1", 5));
        world.router.ingest(&event, None).await.unwrap();
    }
    let unreadable = Arc::new(OneIsUnreadable(AtomicBool::new(false)));
    world.router.desk.ledger = Arc::new(Faulty::new(world.region.clone(), unreadable));
    world.router.desk.release(&["acme".parse().unwrap()]).await.unwrap_err();
    let sent = std::iter::from_fn(|| world.region.take_work()).count();
    assert_eq!(sent, 1);
}

#[tokio::test(start_paused = true)]
async fn a_share_in_bytes_is_kept_whatever_the_index_shows() {
    let world = World::with_lag(Duration::from_secs(3600));
    let acme = Tenant { max_bytes: 25, ..world.tenant("acme").await };
    world.region.put_tenant(&acme).await.unwrap();
    world.route(route("a", "acme", "")).await;
    for at in 0..5 {
        let event = world.s3.put(&format!("tenants/acme/{at}"), "v1", 10);
        world.ingest(event).await;
    }
    let sent = std::iter::from_fn(|| world.region.take_work()).count();
    assert_eq!(sent, 2, "of ten bytes each");
}

#[tokio::test(start_paused = true)]
async fn what_is_run_once_more_at_once_does_not_wait() {
    let world = two().await;
    world.route(route("a", "acme", "")).await;
    let event = world.s3.put("tenants/acme/a", "v1", 5);
    world.ingest(event).await;
    let desk = &world.router.desk;
    let claim = Command::Claim { owner: "w".into(), lease: Duration::from_secs(60) };
    let job = desk.change(world.job().id, &claim).await.unwrap();
    desk.change(job.id, &Command::End { fence: job.fence, ending: Ending::Succeeded(None) }).await.unwrap();
    let again = Command::Replay { reason: "test".into(), route: None };
    let job = desk.change(job.id, &again).await.unwrap();
    assert_eq!(desk.release_fresh(&[job]).await, Ok(1));
}
