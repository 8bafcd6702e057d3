//! What is lost is found, what is late is done.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../../router/tests/kit/mod.rs"]
mod kit;
mod s3_lists;
mod unreadable;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use eft_domain::{
    Code, Command, Failure, Job, JobState, Millis, Tenant,
    job::{LONG_WAIT, RESEND_AFTER},
    tenant::Output,
};
use eft_router::{What, handler::handle};
use eft_store::{Catalog, JobLedger, faulty::Faulty};
use eft_sweep::{Report, Settings, Sweep};
use kit::{World, batch, route, shuffle, uploaded, when};
use s3_lists::{FakeUploads, Lists};
use tokio::time::advance;

const HOUR: Duration = Duration::from_secs(3600);
const LEASE: Duration = Duration::from_secs(90);

struct Swept {
    world: World,
    sweep: Sweep,
    uploads: FakeUploads,
    pages: Arc<Mutex<u32>>,
}

async fn swept() -> Swept {
    let world = World::new();
    world.tenant("acme").await;
    let uploads = FakeUploads::default();
    let pages = Arc::<Mutex<u32>>::default();
    // The sweep's router is another process than the one that events go to.
    let router = eft_router::Router::new(
        world.router.desk.clone(),
        Arc::new(world.s3.clone()),
        world.router.buckets.clone(),
    );
    let sweep = Sweep {
        router,
        listing: Arc::new(Lists { s3: world.s3.clone(), page: 1_000, pages: Arc::clone(&pages) }),
        uploads: Arc::new(uploads.clone()),
        settings: Settings::default(),
        log: world.log(),
    };
    Swept { world, sweep, uploads, pages }
}

impl Swept {
    async fn job_of(&self, outcome: eft_router::Outcome) -> Job {
        self.world.region.get(outcome.job.unwrap().id).await.unwrap().unwrap()
    }

    fn drained(&self) -> usize {
        std::iter::from_fn(|| self.world.region.take_work()).count()
    }
}

#[allow(clippy::disallowed_methods, reason = "a test may be made larger")]
fn sized(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Ten thousand versions in daily work, a hundred thousand with `EFT_SWEEP_VERSIONS=100000`.
#[tokio::test(start_paused = true)]
async fn duplicates_and_lost_events_leave_every_version_with_one_job() {
    let versions = sized("EFT_SWEEP_VERSIONS", 10_000);
    let swept = swept().await;
    let world = &swept.world;
    let tenants = ["acme", "globex", "initech", "umbrella"];
    for tenant in tenants {
        world.tenant(tenant).await;
        world.route(route(&format!("{tenant}-in"), tenant, "in/")).await;
    }
    let mut events = Vec::new();
    for at in 0..versions {
        // A key in ten has several versions, and a file in twenty has no route.
        let folder = if at % 20 == 19 { "out" } else { "in" };
        let key = format!("tenants/{}/{folder}/{}", tenants[at % 4], at - at % 10 % 2);
        let event = world.s3.put(&key, &format!("v{at}"), 1_000);
        match at % 10 {
            3 => {}
            0 | 4 | 8 => events.extend([event.clone(), event]),
            _ => events.push(event),
        }
    }
    shuffle(&mut events, 11);
    for some in events.chunks(10) {
        let ids: Vec<_> = (0..some.len()).map(|at| format!("m{at}")).collect();
        let messages = some.iter().zip(&ids).map(|(event, id)| {
            (id.as_str(), event.version_id.as_ref().unwrap().as_str(), event.to_message())
        });
        let messages: Vec<_> = messages.collect();
        let response = handle(&world.router, batch(&messages), &world.log()).await;
        assert!(response.batch_item_failures.is_empty());
        world.work().await;
    }
    let before = world.region.jobs().len();
    advance(Duration::from_secs(120)).await;
    let report = swept.sweep.run().await;
    let mut done = 0;
    loop {
        let some = world.work().await.len();
        if some == 0 {
            break;
        }
        done += some;
        let all = world
            .region
            .tenants()
            .await
            .unwrap()
            .readable()
            .map(|tenant| tenant.id.clone())
            .collect::<Vec<_>>();
        world.router.desk.release(&all).await.unwrap();
    }
    let jobs = world.region.jobs();
    let arrivals: std::collections::BTreeSet<_> = jobs.iter().map(|job| &job.arrival).collect();
    assert_eq!((jobs.len(), arrivals.len()), (versions, versions));
    let ran = jobs.iter().filter(|job| job.state == JobState::Succeeded && job.fence == 1).count();
    let unrouted = jobs.iter().filter(|job| job.state == JobState::Unrouted).count();
    assert_eq!((ran, unrouted), (versions - versions / 20, versions / 20));
    assert_eq!(report.found as usize, versions - before);
    assert_eq!(report.errors, 0);
    println!(
        "{} events of {versions} versions, {before} jobs by events, {} by the sweep, {done} run after it",
        events.len(),
        report.found
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_whose_event_was_lost_is_found_after_its_grace() {
    let swept = swept().await;
    swept.world.route(route("orders", "acme", "")).await;
    swept.world.s3.put("tenants/acme/a", "v1", 7);
    swept.world.s3.put("tenants/acme/a.tmp", "v2", 7);
    assert_eq!(swept.sweep.run().await.found, 0, "its event may be on the way");
    advance(Duration::from_secs(61)).await;
    let report = swept.sweep.run().await;
    assert_eq!((report.found, report.found_bytes, report.released), (1, 7, 1));
    assert_eq!(swept.sweep.run().await.found, 0);
    assert_eq!(swept.world.work().await, [swept.world.job().id]);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_runs_out_of_time_goes_on_where_it_was() {
    let mut swept = swept().await;
    swept.world.route(route("orders", "acme", "")).await;
    for at in 0..20 {
        swept.world.s3.put(&format!("tenants/acme/{at:02}"), "v1", 7);
    }
    let s3 = swept.world.s3.clone();
    swept.sweep.listing = Arc::new(Lists { s3, page: 2, pages: Arc::clone(&swept.pages) });
    // Four fifths of the time are the listing's at most: four pages of a second each.
    swept.sweep.settings.time = Duration::from_secs(5);
    advance(Duration::from_secs(61)).await;
    let mut found = 0;
    let mut sweeps = 0;
    while found < 20 {
        let report: Report = swept.sweep.run().await;
        assert!(report.found <= 8, "{report:?}");
        found += report.found;
        sweeps += 1;
        assert!(sweeps < 10, "it does not get on");
    }
    assert_eq!((sweeps, *swept.pages.lock().unwrap()), (3, 10), "no page twice");
}

#[tokio::test(start_paused = true)]
async fn rows_that_wait_for_ever_do_not_hide_those_behind_them() {
    let mut swept = swept().await;
    let world = &swept.world;
    world.route(route("orders", "acme", "")).await;
    let paused = Tenant { paused: true, ..world.tenant("acme").await };
    world.region.put_tenant(&paused).await.unwrap();
    for at in 0..5_000 {
        let event = world.s3.put(&format!("tenants/acme/{at}"), "v1", 7);
        world.router.created(&event, None).await.unwrap();
    }
    advance(LONG_WAIT).await;
    world.tenant("globex").await;
    world.route(route("theirs", "globex", "")).await;
    let event = world.s3.put("tenants/globex/a", "v1", 7);
    world.ingest(event).await;
    swept.drained();
    advance(RESEND_AFTER).await;
    // Every row that is looked at takes its time: a sweep gets through a part of them.
    swept.sweep.router.desk.ledger = Arc::new(Faulty::new(swept.world.region.clone(), Arc::new(kit::Slow)));
    swept.sweep.settings =
        Settings { time: Duration::from_secs(20), prefixes: Vec::new(), ..Settings::default() };
    let (mut looked_at, mut long_waits) = (Vec::new(), 0);
    while swept.drained() == 0 {
        let report = swept.sweep.run().await;
        long_waits += report.long_waits;
        assert_eq!((report.out_of_time, report.errors), (true, 0), "{report:?}");
        looked_at.push(report.due);
        assert!(looked_at.len() < 10, "it is never reached: {looked_at:?}");
    }
    assert!(looked_at.len() > 1, "the test has to be about several sweeps");
    assert!(long_waits > 1_000, "{long_waits} of a tenant that is paused");
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_is_not_run_once_more() {
    let swept = swept().await;
    swept.world.route(route("orders", "acme", "")).await;
    let event = swept.world.s3.put("tenants/acme/a", "v1", 7);
    swept.world.ingest(event).await;
    swept.world.work().await;
    advance(HOUR * 24 * 401).await;
    let report = swept.sweep.run().await;
    assert_eq!((report.expired, report.found), (1, 0));
    assert!(swept.world.region.jobs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_route_does_not_run_what_an_older_one_has_taken() {
    let swept = swept().await;
    swept.world.route(route("all", "acme", "")).await;
    let event = swept.world.s3.put("tenants/acme/in/a", "v1", 7);
    swept.world.ingest(event).await;
    swept.world.work().await;
    swept.world.route(route("in", "acme", "in/")).await;
    advance(HOUR).await;
    assert_eq!(swept.sweep.run().await.found, 0);
    assert_eq!(swept.world.region.jobs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_sent_and_what_was_lost_is_sent_again() {
    let swept = swept().await;
    swept.world.route(route("orders", "acme", "")).await;
    let event = swept.world.s3.put("tenants/acme/a", "v1", 7);
    swept.world.router.created(&event, None).await.unwrap();
    assert_eq!(swept.drained(), 0);
    advance(Duration::from_secs(61)).await;
    assert_eq!(swept.sweep.run().await.released, 1);
    assert_eq!(swept.drained(), 1);
    assert_eq!(swept.sweep.run().await.resent, 0, "it is given the time to be found in the queue");
    advance(RESEND_AFTER).await;
    assert_eq!(swept.sweep.run().await.resent, 1);
    let (message, _) = swept.world.region.take_work().unwrap();
    assert_eq!(message.send, 1, "another message than the one that was lost");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_owner_died_is_given_to_the_next() {
    let swept = swept().await;
    swept.world.route(route("orders", "acme", "")).await;
    let event = swept.world.s3.put("tenants/acme/a", "v1", 7);
    let id = swept.world.ingest(event).await.job.unwrap().id;
    swept.drained();
    let claim = Command::Claim { owner: "dead".to_owned(), lease: LEASE };
    swept.world.router.desk.change_and_tell(id, &claim).await.unwrap();
    advance(LEASE / 2).await;
    assert_eq!(swept.sweep.run().await.resent, 0);
    advance(LEASE).await;
    assert_eq!(swept.sweep.run().await.resent, 1);
    assert_eq!(swept.world.work().await, [id]);
    assert_eq!(swept.world.job().fence, 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_held_is_tried_again_when_its_time_has_come() {
    let swept = swept().await;
    swept.world.route(route("orders", "acme", "")).await;
    for (key, retry_in) in [("a", Some(HOUR)), ("b", None)] {
        let event = swept.world.s3.put(&format!("tenants/acme/{key}"), "v1", 7);
        let id = swept.world.ingest(event).await.job.unwrap().id;
        let desk = &swept.world.router.desk;
        let claim = Command::Claim { owner: "w".to_owned(), lease: LEASE };
        let fence = desk.change_and_tell(id, &claim).await.unwrap().fence;
        let failure = Failure::new(Code::DestinationUnavailable, "down");
        desk.change_and_tell(id, &Command::Hold { fence, failure, retry_in }).await.unwrap();
    }
    swept.drained();
    assert_eq!(swept.sweep.run().await.resumed, 0);
    advance(HOUR).await;
    let report = swept.sweep.run().await;
    assert_eq!((report.resumed, report.released), (1, 1), "the other waits for a person");
    assert_eq!(swept.world.work().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn files_that_were_not_whole_are_looked_at_again() {
    let swept = swept().await;
    let world = &swept.world;
    world.route(when("quiet(60s)", route("quiet", "acme", "quiet/"))).await;
    world.route(when("control_file(\".done\")", route("control", "acme", "control/"))).await;
    world.route(when("transfer_event", route("sftp", "acme", "sftp/"))).await;
    let mut ids = BTreeMap::new();
    for folder in ["quiet", "control", "sftp"] {
        let event = world.s3.put(&format!("tenants/acme/{folder}/a"), "v1", 7);
        let outcome = world.ingest(event).await;
        assert_eq!(outcome.what, What::Incomplete);
        ids.insert(folder, swept.job_of(outcome).await.id);
    }
    advance(Duration::from_secs(61)).await;
    assert_eq!(swept.sweep.run().await.completed, 1, "quiet");
    advance(HOUR).await;
    assert_eq!(swept.sweep.run().await.incomplete, 2, "neither is there");
    // Both facts arrive, and the event of the control file is lost.
    world.s3.put("tenants/acme/control/a.done", "c", 0);
    world.message(&uploaded("tenants/acme/sftp/a", 7, Some("etag-v1"), true)).await;
    advance(HOUR).await;
    let report = swept.sweep.run().await;
    assert_eq!((report.completed, report.found), (1, 0), "a control file is no file: {report:?}");
    let mut done = world.work().await;
    done.sort();
    let mut all: Vec<_> = ids.into_values().collect();
    all.sort();
    assert_eq!(done, all);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_saved_later_takes_what_none_took() {
    let swept = swept().await;
    let event = swept.world.s3.put("tenants/acme/a", "v1", 7);
    assert_eq!(swept.world.ingest(event).await.what, What::Unrouted);
    advance(HOUR).await;
    let report = swept.sweep.run().await;
    assert_eq!((report.unrouted, report.rerouted), (1, 0));
    swept.world.route(route("orders", "acme", "")).await;
    assert_eq!(swept.sweep.run().await.due, 0, "it was asked a moment ago");
    advance(HOUR).await;
    assert_eq!(swept.sweep.run().await.rerouted, 1);
    let jobs = swept.world.region.jobs();
    let states: Vec<_> = jobs.iter().map(|job| job.state).collect();
    assert!(states.contains(&JobState::Cancelled) && states.contains(&JobState::Accepted), "{states:?}");
    let (_, told) = swept
        .world
        .region
        .published()
        .into_iter()
        .find(|(_, it)| it["data"]["state"] == "CANCELLED")
        .unwrap();
    assert_eq!(told["data"]["reason"], "taken by route orders");
    assert_eq!(swept.world.work().await.len(), 1);
    advance(HOUR).await;
    assert_eq!(swept.sweep.run().await.found, 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_tenants_share_is_not_looked_at_by_every_sweep() {
    let swept = swept().await;
    let world = &swept.world;
    world.route(route("orders", "acme", "")).await;
    let full = Tenant { paused: true, ..world.tenant("acme").await };
    world.region.put_tenant(&full).await.unwrap();
    let event = world.s3.put("tenants/acme/a", "v1", 7);
    world.ingest(event).await;
    advance(HOUR).await;
    assert_eq!(swept.sweep.run().await.due, 0);
    advance(LONG_WAIT).await;
    let report = swept.sweep.run().await;
    assert_eq!((report.due, report.long_waits, report.released), (1, 1, 0));
    world.tenant("acme").await;
    assert_eq!(swept.sweep.run().await.released, 1, "whenever there is room");
}

#[tokio::test(start_paused = true)]
async fn facts_that_have_expired_are_removed() {
    let swept = swept().await;
    let (keys, now) = (&swept.world.router.desk.keys, swept.world.now());
    keys.put("old", "1", now.plus(HOUR)).await.unwrap();
    keys.put("new", "2", now.plus(HOUR * 3)).await.unwrap();
    assert_eq!(swept.sweep.run().await.forgotten, 0);
    advance(HOUR * 2).await;
    assert_eq!(swept.sweep.run().await.forgotten, 1);
    let now = swept.world.now();
    assert_eq!(keys.put_new("new", "3", now.plus(HOUR), now).await, Ok(Some("2".into())));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_told_is_told() {
    let swept = swept().await;
    swept.world.route(route("orders", "acme", "")).await;
    let event = swept.world.s3.put("tenants/acme/a", "v1", 7);
    let id = swept.world.ingest(event).await.job.unwrap().id;
    let claim = Command::Claim { owner: "w".to_owned(), lease: HOUR };
    // Whoever changes it dies before it is told.
    swept.world.router.desk.change(id, &claim).await.unwrap();
    assert_eq!(swept.world.region.published().len(), 1);
    advance(Duration::from_secs(61)).await;
    assert_eq!(swept.sweep.run().await.told, 1);
    assert_eq!(swept.world.region.published().len(), 2);
    assert!(swept.world.job().outbox.is_empty());
    assert_eq!(
        swept.sweep.run().await,
        Report { millis: 1_000, listed: 1, listings_ended: 1, ..Report::default() }
    );
}

#[tokio::test(start_paused = true)]
async fn uploads_that_no_run_goes_on_with_are_aborted_and_no_others() {
    let swept = swept().await;
    let world = &swept.world;
    world.route(route("orders", "acme", "")).await;
    let place =
        |bucket: &str, prefix: &str| Output { bucket: bucket.parse().unwrap(), prefix: prefix.to_owned() };
    let tenant = Tenant { outputs: vec![place("acme-out", "acme/")], ..world.tenant("acme").await };
    world.region.put_tenant(&tenant).await.unwrap();
    let event = world.s3.put("tenants/acme/a", "v1", 7);
    let id = world.ingest(event).await.job.unwrap().id;
    let desk = &world.router.desk;
    let claim = Command::Claim { owner: "w".to_owned(), lease: HOUR * 48 };
    let fence = desk.change_and_tell(id, &claim).await.unwrap().fence;
    let checkpoint = r#"{"upload_id":"live-1"}"#.to_owned();
    desk.change(id, &Command::Save { fence, checkpoint, advanced: true, publishing: false }).await.unwrap();
    for (key, upload) in [("acme/a", "live-1"), ("acme/b", "dead-1"), ("globex/a", "foreign-1")] {
        swept.uploads.begin("acme-out", key, upload, world.now());
    }
    swept.uploads.begin("globex-out", "acme/b", "foreign-2", world.now());
    advance(HOUR * 23).await;
    swept.uploads.begin("acme-out", "acme/c", "young-1", world.now());
    assert_eq!(swept.sweep.run().await.aborted, 0);
    advance(HOUR).await;
    assert_eq!(swept.sweep.run().await.aborted, 1);
    assert_eq!(swept.uploads.left(), ["live-1", "foreign-1", "young-1", "foreign-2"]);
    // Nobody knows which places are acme's: its run's upload stays, in a place of another as well.
    world.region.unreadable_tenant(&tenant.id, Some("no such weight"));
    let globex = Tenant { outputs: vec![place("acme-out", "acme/")], ..world.tenant("globex").await };
    world.region.put_tenant(&globex).await.unwrap();
    swept.uploads.begin("acme-out", "acme/d", "dead-2", Millis(0));
    assert_eq!(swept.sweep.run().await.aborted, 1);
    assert_eq!(swept.uploads.left(), ["live-1", "foreign-1", "young-1", "foreign-2"]);
    world.region.unreadable_tenant(&tenant.id, None);
    // The run ends without them: nobody goes on with what it left.
    let ending = eft_domain::job::Ending::Failed(Failure::new(Code::Internal, "x"), None);
    desk.change_and_tell(id, &Command::End { fence, ending }).await.unwrap();
    advance(HOUR * 24).await;
    assert_eq!(swept.sweep.run().await.aborted, 2);
    assert_eq!(swept.uploads.left(), ["foreign-1", "foreign-2"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_at_stops_nothing_else() {
    let swept = swept().await;
    swept.world.route(route("orders", "acme", "")).await;
    for key in ["a", "bad", "c"] {
        swept.world.s3.put(&format!("tenants/acme/{key}"), "v1", 7);
    }
    advance(Duration::from_secs(61)).await;
    swept.world.refuses.set(Some("bad"));
    let report = swept.sweep.run().await;
    assert_eq!((report.found, report.errors, report.released), (2, 1, 2));
    let line = swept.world.lines.lock().unwrap().pop().unwrap();
    assert_eq!((line["what"].as_str(), line["of"].as_str()), (Some("version"), Some("tenants/acme/bad")));
    swept.world.refuses.set(None);
    assert_eq!(swept.sweep.run().await.found, 1, "the next sweep does it");
}
