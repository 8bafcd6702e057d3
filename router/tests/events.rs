//! What becomes of events.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod kit;

use std::time::Duration;

use eft_domain::{
    Command, JobState, Millis, Route, Tenant,
    job::Runner,
    route::{Executor, HeadOfLine, OnEmpty, Ordering},
};
use eft_router::{What, handler::handle};
use eft_store::{Catalog, RouteChange};
use kit::{BUCKET, World, batch, route, shuffle, uploaded, when};
use serde_json::json;
use tokio::time::advance;

const HOUR: Duration = Duration::from_secs(3600);

async fn world() -> World {
    let world = World::new();
    world.tenant("acme").await;
    world
}

#[tokio::test(start_paused = true)]
async fn an_event_makes_a_job_that_is_told_and_sent() {
    let world = world().await;
    let saved = world.route(route("orders", "acme", "in/")).await;
    let event = world.s3.put("tenants/acme/in/a.csv", "v1", 5);
    assert_eq!(world.ingest(event).await.what, What::Accepted);
    let job = world.job();
    assert_eq!(job.tenant.as_ref().unwrap().as_str(), "acme");
    assert_eq!(job.route.as_ref().unwrap().revision, saved.revision());
    assert_eq!((job.arrival.bucket.as_str(), job.size, job.etag.as_deref()), ("ingest", 5, Some("etag-v1")));
    assert_eq!((job.runner, job.outbox.len(), job.sends), (Runner::Worker, 0, 1));
    assert!(eft_telemetry::Context::parse(job.trace.as_deref().unwrap()).is_some());
    let (message, group) = world.region.take_work().unwrap();
    assert_eq!((message.run, group), (job.run(), job.id.to_string()));
    assert_eq!(world.region.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_event_a_thousand_times_in_any_order_an_hour_apart_makes_one_job() {
    let world = world().await;
    world.route(route("now", "acme", "in/")).await;
    world.route(when("control_file(\".done\")", route("control", "acme", "control/"))).await;
    world.route(when("transfer_event", route("sftp", "acme", "sftp/"))).await;
    world.route(when("quiet(90m)", route("quiet", "acme", "quiet/"))).await;
    world
        .route(Route { ordering: Ordering::Strict(HeadOfLine::Block), ..route("strict", "acme", "strict/") })
        .await;
    let mut events = Vec::new();
    for key in ["in/a", "control/a", "control/a.done", "sftp/a", "quiet/a", "strict/a", "other/a"] {
        let created = world.s3.put(&format!("tenants/acme/{key}"), &format!("v-{}", key.len()), 5);
        events.push(created.to_message());
    }
    events.push(uploaded("tenants/acme/sftp/a", 5, Some("etag-v-6"), true));
    events.push(uploaded("tenants/acme/sftp/a", 5, Some("etag-v-6"), false));
    let mut all: Vec<_> = (0..1000).flat_map(|_| events.clone()).collect();
    shuffle(&mut all, 7);
    for message in &all {
        world.message(message).await;
        advance(HOUR).await;
    }
    let jobs = world.region.jobs();
    assert_eq!(jobs.len(), 6);
    let accepted = jobs.iter().filter(|job| job.state == JobState::Accepted && job.sends == 1).count();
    let unrouted = jobs.iter().filter(|job| job.state == JobState::Unrouted).count();
    assert_eq!((accepted, unrouted), (5, 1), "{jobs:?}");
    let strict = jobs.iter().find(|job| job.arrival.key.contains("strict")).unwrap();
    assert_eq!(strict.turn.map(|turn| turn.number), Some(1), "no turn for a duplicate");
    assert_eq!(world.work().await.len(), 5);
    println!("{} events, {} jobs", all.len(), jobs.len());
}

#[tokio::test(start_paused = true)]
async fn what_an_event_does_not_say_is_looked_up() {
    let world = world().await;
    world.route(route("orders", "acme", "")).await;
    world.s3.put("tenants/acme/a", "v1", 5);
    let bare = format!(r#"{{"v":1,"bucket":"{BUCKET}","key":"tenants/acme/a"}}"#);
    assert_eq!(world.message(&bare).await.what, What::Accepted);
    let job = world.job();
    assert_eq!((job.arrival.version_id.as_str(), job.size, job.etag.as_deref()), ("v1", 5, Some("etag-v1")));
    let gone = format!(r#"{{"v":1,"bucket":"{BUCKET}","key":"tenants/acme/gone","version_id":"v9"}}"#);
    assert_eq!(world.message(&gone).await.what, What::Gone);
    world.s3.put("tenants/acme/b", "null", 5);
    assert_eq!(
        world.message(&bare.replace("acme/a", "acme/b")).await.job.unwrap().arrival.version_id,
        "null"
    );
    assert_eq!(world.region.jobs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn names_that_are_no_files_make_no_row() {
    let world = world().await;
    world.route(route("orders", "acme", "")).await;
    for key in ["a.tmp", "a.filepart", "a.part", ".a", "in/.a", "folder/"] {
        let event = world.s3.put(&format!("tenants/acme/{key}"), "v1", 0);
        let outcome = world.ingest(event).await;
        assert_eq!((outcome.what, outcome.reason.is_some()), (What::Ignored, true), "{key}");
    }
    let marker = format!(r#"{{"v":1,"bucket":"{BUCKET}","key":"tenants/acme/folder/"}}"#);
    assert_eq!(world.message(&marker).await.what, What::Ignored, "its size is looked up first");
    assert!(world.region.jobs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_no_route_takes_is_recorded_with_the_reason() {
    let world = world().await;
    world.route(route("orders", "acme", "in/")).await;
    for (key, says) in [
        ("tenants/acme/out/a", "no route of tenant acme"),
        ("tenants/globex/a", "there is no tenant globex"),
        ("loose", "under no tenant's prefix"),
    ] {
        let event = world.s3.put(key, "v1", 5);
        let outcome = world.ingest(event).await;
        assert_eq!(outcome.what, What::Unrouted);
        let (_, told) = world.region.published().pop().unwrap();
        assert!(told["data"]["reason"].as_str().unwrap().contains(says), "{told}");
    }
    assert_eq!(world.region.jobs().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_paused_route_would_take_waits_until_it_is_active() {
    let world = world().await;
    let saved = world.route(route("orders", "acme", "in/")).await;
    let first = world.region.head(&saved.effective_id()).await.unwrap().unwrap();
    let paused = RouteChange { paused: true, number: 2, ..first.clone() };
    world.region.save_route(&saved, &paused, Some(&first)).await.unwrap();
    let event = world.s3.put("tenants/acme/in/a", "v1", 5);
    assert_eq!(world.ingest(event).await.what, What::Unrouted);
    let (_, told) = world.region.published().pop().unwrap();
    assert!(
        told["data"]["reason"].as_str().unwrap().contains("orders, which takes this key, is paused"),
        "{told}"
    );
    let active = RouteChange { paused: false, number: 3, ..first };
    world.region.save_route(&saved, &active, Some(&paused)).await.unwrap();
    assert_eq!(world.router.reroute(world.job()).await.unwrap().what, What::Accepted);
}

#[tokio::test(start_paused = true)]
async fn what_a_route_has_taken_is_not_taken_again_when_the_route_is_moved() {
    let world = world().await;
    world.route(route("orders", "acme", "in/")).await;
    let event = world.s3.put("tenants/acme/in/a", "v1", 5);
    world.ingest(event.clone()).await;
    world.route(route("orders", "acme", "elsewhere/")).await;
    assert_eq!(world.ingest(event).await.what, What::Known);
    assert_eq!(world.region.jobs().len(), 1);
}

/// A message out of the dead letters, after a route was put before the one that has delivered its file.
#[tokio::test(start_paused = true)]
async fn what_a_route_has_taken_is_not_taken_again_by_a_newer_one() {
    let world = world().await;
    world.route(route("all", "acme", "")).await;
    let event = world.s3.put("tenants/acme/in/a", "v1", 5);
    world.ingest(event.clone()).await;
    world.work().await;
    world.route(route("in", "acme", "in/")).await;
    assert_eq!(world.ingest(event).await.what, What::Known);
    assert_eq!(world.region.jobs().len(), 1);
    let next = world.s3.put("tenants/acme/in/a", "v2", 5);
    let job = world.ingest(next).await.job.unwrap();
    assert_eq!(job.route.unwrap().id.as_str(), "in", "what comes now is the newer one's");
}

#[tokio::test(start_paused = true)]
async fn limits_and_empty_files_end_the_job_before_it_begins() {
    let world = world().await;
    let mut limited = route("limited", "acme", "limited/");
    limited.limits.max_input_bytes = eft_domain::ByteSize(10);
    world.route(limited).await;
    for on_empty in [OnEmpty::Accept, OnEmpty::Reject, OnEmpty::Heartbeat] {
        let folder = format!("{on_empty}/");
        world.route(Route { on_empty, ..route(on_empty.as_str(), "acme", &folder) }).await;
    }
    let steps = Route {
        executor: Executor::Steps,
        digests: vec![eft_domain::route::Digest::Sha256],
        ..route("steps", "acme", "steps/")
    };
    world.route(steps.clone()).await;
    let auto = |id: &str, folder: &str| Route { executor: Executor::Auto, ..route(id, "acme", folder) };
    world.route(Route { digests: steps.digests, ..auto("auto", "auto/") }).await;
    world.route(auto("copy", "copy/")).await;
    let small = eft_domain::route::SMALL_MAX.0;
    for (at, (key, size, state, code, runner)) in [
        ("limited/a", 10, JobState::Accepted, None, Runner::Worker),
        ("limited/b", 11, JobState::Rejected, Some("limit.max_input_bytes"), Runner::Worker),
        ("accept/a", 0, JobState::Accepted, None, Runner::Worker),
        ("reject/a", 0, JobState::Rejected, Some("source.empty"), Runner::Worker),
        ("heartbeat/a", 0, JobState::Succeeded, None, Runner::Worker),
        ("steps/a", small, JobState::Accepted, None, Runner::Steps),
        ("steps/b", small + 1, JobState::Failed, Some("plan.refused"), Runner::Steps),
        ("auto/a", small, JobState::Accepted, None, Runner::Steps),
        ("auto/b", small + 1, JobState::Accepted, None, Runner::Worker),
        ("copy/a", small + 1, JobState::Accepted, None, Runner::Steps),
    ]
    .into_iter()
    .enumerate()
    {
        let event = world.s3.put(&format!("tenants/acme/{key}"), &format!("v{at}"), size);
        let job = world.ingest(event).await.job.unwrap();
        let found = job.failure.as_ref().map(|failure| failure.code.as_str());
        assert_eq!((job.state, found, job.runner), (state, code, runner), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn quiet_waits_and_takes_the_latest_version_only() {
    let world = world().await;
    world.route(when("quiet(60s)", route("quiet", "acme", ""))).await;
    let first = world.s3.put("tenants/acme/a", "v1", 5);
    let outcome = world.ingest(first.clone()).await;
    assert_eq!(outcome.what, What::Incomplete);
    advance(Duration::from_secs(30)).await;
    let second = world.s3.put("tenants/acme/a", "v2", 6);
    let second = world.ingest(second).await.job.unwrap();
    assert_eq!(world.ingest(first).await.what, What::Known, "a duplicate does not shorten the wait");
    advance(Duration::from_secs(31)).await;
    let late = world.router.recheck(outcome.job.unwrap()).await.unwrap();
    assert_eq!(late.what, What::Incomplete, "superseded");
    let retry = late.job.unwrap().hold.unwrap().retry_at.unwrap();
    assert!(retry.since(world.now()) > HOUR * 24 * 399, "it is not looked at again");
    assert_eq!(world.router.recheck(second.clone()).await.unwrap().what, What::Known, "not yet");
    advance(Duration::from_secs(30)).await;
    assert_eq!(world.router.recheck(second).await.unwrap().what, What::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_control_file_completes_its_file_in_either_order() {
    for control_first in [false, true] {
        let world = world().await;
        world.route(when("control_file(\".done\")", route("control", "acme", ""))).await;
        if control_first {
            let control = world.s3.put("tenants/acme/a.done", "c1", 0);
            assert_eq!(world.ingest(control).await.what, What::Ignored);
            let base = world.s3.put("tenants/acme/a", "v1", 5);
            assert_eq!(world.ingest(base).await.what, What::Accepted);
        } else {
            let base = world.s3.put("tenants/acme/a", "v1", 5);
            assert_eq!(world.ingest(base).await.what, What::Incomplete);
            let control = world.s3.put("tenants/acme/a.done", "c1", 0);
            assert_eq!(world.ingest(control).await.what, What::Accepted);
        }
        assert_eq!((world.job().arrival.version_id.as_str(), world.job().state), ("v1", JobState::Accepted));
        assert_eq!(world.work().await.len(), 1);
    }
}

/// Yesterday's control file lies there, and today's session is cut: neither what it left behind nor what is superseded is
/// routed, however often it is looked at.
#[tokio::test(start_paused = true)]
async fn a_control_file_completes_no_version_but_its_own() {
    let world = world().await;
    world.route(when("control_file(\".done\")", route("control", "acme", ""))).await;
    let first = world.s3.put("tenants/acme/a", "v1", 5);
    let done = world.s3.put("tenants/acme/a.done", "c1", 0);
    world.ingest(first).await;
    world.ingest(done.clone()).await;
    advance(HOUR * 24).await;
    let cut = world.s3.put("tenants/acme/a", "v2", 3);
    let cut = world.ingest(cut).await;
    assert_eq!(cut.what, What::Incomplete);
    let reason = cut.job.as_ref().unwrap().reason.clone().unwrap();
    assert!(reason.contains("is older than it"), "{reason}");
    assert_eq!(world.ingest(done).await.what, What::Known, "its event comes again");
    advance(HOUR).await;
    let whole = world.s3.put("tenants/acme/a", "v3", 5);
    let done = world.s3.put("tenants/acme/a.done", "c2", 0);
    assert_eq!(world.ingest(done).await.what, What::Accepted);
    assert_eq!(world.ingest(whole).await.what, What::Known);
    let cut = world.router.recheck(cut.job.unwrap()).await.unwrap();
    assert_eq!(cut.what, What::Incomplete, "{:?}", cut.job);
    let mut done = world.work().await.len();
    done += world.region.jobs().iter().filter(|job| job.state == JobState::Incomplete).count();
    assert_eq!((done, world.region.jobs().len()), (3, 3), "two are run, one waits");
}

#[tokio::test(start_paused = true)]
async fn a_control_file_whose_files_event_is_late_makes_the_job_itself() {
    let world = world().await;
    world.route(when("control_file(\".done\")", route("control", "acme", ""))).await;
    let base = world.s3.put("tenants/acme/a", "v1", 5);
    let control = world.s3.put("tenants/acme/a.done", "c1", 0);
    assert_eq!(world.ingest(control).await.what, What::Accepted);
    assert_eq!(world.ingest(base).await.what, What::Known);
    assert_eq!(world.work().await, [world.job().id]);
}

#[tokio::test(start_paused = true)]
async fn a_transfers_report_completes_its_file_in_either_order() {
    for (report_first, etag) in
        [(false, Some("etag-v1")), (true, Some("etag-v1")), (false, None), (true, None)]
    {
        let world = world().await;
        world.route(when("transfer_event", route("sftp", "acme", ""))).await;
        let report = uploaded("tenants/acme/a", 5, etag, true);
        if report_first {
            assert_eq!(world.message(&report).await.what, What::Noted, "the object is not seen yet");
            let created = world.s3.put("tenants/acme/a", "v1", 5);
            assert_eq!(world.ingest(created).await.what, What::Accepted);
        } else {
            let created = world.s3.put("tenants/acme/a", "v1", 5);
            assert_eq!(world.ingest(created).await.what, What::Incomplete);
            assert_eq!(world.message(&report).await.what, What::Accepted);
        }
        assert_eq!(world.work().await, [world.job().id]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_of_another_upload_completes_nothing() {
    let world = world().await;
    world.route(when("transfer_event", route("sftp", "acme", ""))).await;
    let created = world.s3.put("tenants/acme/a", "v1", 5);
    for other in [
        uploaded("tenants/acme/a", 5, Some("another"), true),
        uploaded("tenants/acme/a", 6, None, true),
        uploaded("tenants/acme/b", 5, Some("etag-v1"), true),
    ] {
        assert_eq!(world.message(&other).await.what, What::Noted);
    }
    assert_eq!(world.ingest(created).await.what, What::Incomplete);
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_session_leaves_behind_is_never_routed() {
    let world = world().await;
    world.route(when("transfer_event", route("sftp", "acme", ""))).await;
    let cut = world.s3.put("tenants/acme/a", "v1", 3);
    let broken = uploaded("tenants/acme/a", 3, Some("etag-v1"), false);
    assert_eq!(world.message(&broken).await.what, What::Incomplete);
    let (_, told) = world.region.published().pop().unwrap();
    assert!(told["data"]["reason"].as_str().unwrap().contains("session broke"), "{told}");
    assert_eq!(world.ingest(cut).await.what, What::Known);
    let whole = world.s3.put("tenants/acme/a", "v2", 5);
    world.message(&uploaded("tenants/acme/a", 5, Some("etag-v2"), true)).await;
    world.ingest(whole).await;
    advance(HOUR).await;
    let states = world.region.jobs().into_iter().map(|job| (job.arrival.version_id, job.state));
    let mut states: Vec<_> = states.collect();
    states.sort();
    assert_eq!(states, [("v1".to_owned(), JobState::Incomplete), ("v2".to_owned(), JobState::Accepted)]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_tenants_job_is_accepted_and_waits() {
    let world = world().await;
    world.route(route("orders", "acme", "")).await;
    let tenant = Tenant { paused: true, ..world.tenant("acme").await };
    world.region.put_tenant(&tenant).await.unwrap();
    let event = world.s3.put("tenants/acme/a", "v1", 5);
    assert_eq!(world.ingest(event).await.what, What::Accepted);
    assert_eq!((world.job().sent_at, world.region.take_work()), (None, None));
    world.region.put_tenant(&Tenant { paused: false, ..tenant.clone() }).await.unwrap();
    assert_eq!(world.router.desk.release(&[tenant.id]).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_no_index_shows_yet_is_sent_all_the_same() {
    let world = World::with_lag(Duration::from_secs(1));
    world.tenant("acme").await;
    world.route(route("orders", "acme", "")).await;
    let event = world.s3.put("tenants/acme/a", "v1", 5);
    world.ingest(event).await;
    assert!(world.region.take_work().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_bucket_is_refused_and_says_so() {
    let world = world().await;
    let body = r#"{"v":1,"bucket":"acme-out","key":"tenants/acme/a","version_id":"v","size":1}"#.to_owned();
    let response = handle(&world.router, batch(&[("m1", "v", body)]), &world.log()).await;
    assert_eq!(response.batch_item_failures.len(), 1);
    let line = world.lines.lock().unwrap().pop().unwrap();
    assert_eq!((line["code"].as_str(), line["level"].as_str()), (Some("ingest.bucket"), Some("ERROR")));
    assert!(line["error"].as_str().unwrap().contains("acme-out is no ingest bucket"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_rest_of_its_group_is_given_back_and_other_groups_go_on() {
    let world = world().await;
    world.route(route("orders", "acme", "")).await;
    let body = |key: &str| world.s3.put(&format!("tenants/acme/{key}"), key, 5).to_message();
    world.refuses.set(Some("bad"));
    let messages = [
        ("m1", "g1", body("a1")),
        ("m2", "g2", body("b1")),
        ("m3", "g1", body("bad")),
        ("m4", "g1", body("a3")),
        ("m5", "g2", body("b2")),
        ("m6", "g3", "{".to_owned()),
        ("m7", "g3", body("c2")),
    ];
    let response = handle(&world.router, batch(&messages), &world.log()).await;
    let mut failed: Vec<_> = response.batch_item_failures.into_iter().map(|it| it.item_identifier).collect();
    failed.sort();
    assert_eq!(failed, ["m3", "m4", "m6", "m7"]);
    let mut keys: Vec<_> = world.region.jobs().into_iter().map(|job| job.arrival.version_id).collect();
    keys.sort();
    assert_eq!(keys, ["a1", "b1", "b2"]);
    let codes: Vec<_> = world
        .lines
        .lock()
        .unwrap()
        .iter()
        .filter_map(|line| line["code"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(codes.len(), 2, "{codes:?}");
    assert!(
        codes.contains(&"message.malformed".to_owned()) && codes.contains(&"ingest.unavailable".to_owned())
    );
    // Given again, they are done.
    world.refuses.set(None);
    let again: Vec<_> = messages.into_iter().filter(|(id, ..)| ["m3", "m4", "m7"].contains(id)).collect();
    let response = handle(&world.router, batch(&again), &world.log()).await;
    assert_eq!(json!(response), json!({ "batchItemFailures": [] }));
    assert_eq!(world.work().await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_trace_is_carried_from_the_message() {
    let world = world().await;
    world.route(route("orders", "acme", "")).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = world.s3.put("tenants/acme/a", "v1", 5).to_message();
    let event = json!({ "Records": [{ "messageId": "m", "body": body, "receiptHandle": "x",
        "attributes": { "MessageGroupId": "v1", "SenderId": "s" },
        "messageAttributes": { "traceparent": { "stringValue": trace, "dataType": "String" } } }] });
    handle(&world.router, serde_json::from_value(event).unwrap(), &world.log()).await;
    // The row names the router's own span, which is a part of the sender's.
    let row = world.job().trace.unwrap();
    assert_eq!((&row[..36], &row[52..]), (&trace[..36], "-01"));
    assert_ne!(row, trace);
    assert_eq!(world.region.take_work().unwrap().0.trace, Some(row));
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_router_died_is_sent_with_the_next_delivery_of_its_message() {
    let world = world().await;
    world.route(route("orders", "acme", "")).await;
    let event = world.s3.put("tenants/acme/a", "v1", 5);
    world.router.created(&event, None).await.unwrap();
    assert_eq!((world.job().sends, world.region.take_work()), (0, None));
    assert_eq!(world.ingest(event).await.what, What::Known);
    assert!(world.region.take_work().is_some());
    let cancelled =
        world.router.desk.change(world.job().id, &Command::Cancel { reason: "x".to_owned() }).await.unwrap();
    assert!(cancelled.changed_at > Millis(0));
}
