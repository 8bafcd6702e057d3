//! Acts and their idempotency keys.

use std::{sync::Arc, time::Duration};

use eft_store::{
    Catalog, StoreErrorKind,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::json;

use crate::kit::{Bed, ann, bob, eve, route};

const PAUSE: &str = "/v1/routes/orders:pause";
const ACTIVATE: &str = "/v1/routes/orders:activate";
const KEY: &str = "5f0c1a52-3c0e-4e53-9c3f-0d8a1f2b7c11";

#[tokio::test(start_paused = true)]
async fn a_paused_route_takes_no_files_until_it_is_active() {
    let bed = Bed::new().await;
    let created = bed.create("orders").await;
    let takes = || async { bed.region.routes().await.unwrap().select("tenants/acme/orders/a.csv").is_some() };
    assert!(takes().await);
    let paused = bed.act(PAUSE, "1").await.is(200);
    assert_eq!((&paused.body["state"], &paused.body["change"]), (&json!("paused"), &json!(2)));
    assert_ne!(paused.etag(), created.etag());
    assert!(!takes().await);
    assert_eq!(bed.act(PAUSE, "2").await.is(200).etag(), paused.etag(), "it is paused already");
    // It may be changed meanwhile, and stays paused.
    let changed =
        bed.put(bob(), "/v1/routes/orders", ("if-match", &paused.etag()), &route("orders", 2)).await.is(200);
    assert_eq!(changed.body["state"], "paused");
    let active = bed.act(ACTIVATE, "3").await.is(200);
    assert_eq!(
        (&active.body["state"], &active.body["revision"]),
        (&json!("active"), &changed.body["revision"])
    );
    assert!(takes().await);
}

#[tokio::test(start_paused = true)]
async fn an_act_that_is_sent_again_is_done_once_and_answered_the_same() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    let first = bed.act(PAUSE, KEY).await.is(200);
    assert!(first.headers.get("idempotency-replayed").is_none());
    bed.act(ACTIVATE, KEY).await.is(200);
    // It is active again, and stays so: the answer is the one of then.
    let again = bed.act(PAUSE, KEY).await.is(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!((again.etag(), again.body), (first.etag(), first.body));
    assert_eq!(bed.get("/v1/routes/orders").await.body["state"], "active");
    let quoted = bed.act(PAUSE, &format!("\"{KEY}\"")).await.is(200);
    assert_eq!(quoted.header("idempotency-replayed"), "true", "as the draft writes it");
    tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
    let later = bed.act(PAUSE, KEY).await.is(200);
    assert_eq!(later.body["change"], 4, "after a day it is a new one");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_that_of_one_caller_and_path() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    bed.create("returns").await;
    bed.act(PAUSE, KEY).await.is(200);
    let by_bob = bed.call(bob(), "POST", PAUSE, &[("idempotency-key", KEY)], "").await.is(200);
    assert!(by_bob.headers.get("idempotency-replayed").is_none());
    let of_returns = bed.act("/v1/routes/returns:pause", KEY).await.is(200);
    assert_eq!(of_returns.body["name"], "returns");
    bed.call(eve(), "POST", PAUSE, &[("idempotency-key", KEY)], "").await.is(404);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_request_is_refused() {
    let bed = Bed::new().await;
    let tag = bed.create("orders").await.etag();
    bed.act(PAUSE, KEY).await.is(200);
    for (headers, body) in [
        (vec![("idempotency-key", KEY)], "{}"),
        (vec![("idempotency-key", KEY), ("if-match", tag.as_str())], ""),
    ] {
        let refused = bed.call(ann(), "POST", PAUSE, &headers, body).await.is(422);
        assert_eq!(refused.code(), "idempotency.mismatch");
    }
}

#[tokio::test(start_paused = true)]
async fn an_act_needs_a_key_that_is_one() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    let missing = bed.call(ann(), "POST", PAUSE, &[], "").await.is(400);
    assert_eq!(missing.code(), "idempotency.missing");
    let long = "x".repeat(256);
    for key in ["", "\"\"", "a b", "a\"b", &long] {
        assert_eq!(bed.act(PAUSE, key).await.is(400).code(), "request.header", "{key}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    bed.call(ann(), "POST", PAUSE, &twice, "").await.is(400);
    assert_eq!(bed.get("/v1/routes/orders").await.body["state"], "active");
}

/// Writing takes its time.
struct Slow;

impl Fates for Slow {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let before = if call.name == "save_route" { Duration::from_secs(5) } else { Duration::ZERO };
        Fate { before, ..Fate::default() }
    }
}

#[tokio::test(start_paused = true)]
async fn an_act_that_is_still_being_done_is_waited_for() {
    let bed = Bed::faulty(Arc::new(Slow)).await;
    bed.create("orders").await;
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.act(PAUSE, KEY).await
    };
    let (first, second) = tokio::join!(bed.act(PAUSE, KEY), second);
    let (first, second) = (first.is(200), second.is(409));
    assert_eq!((second.code(), second.header("retry-after")), ("idempotency.running", "2"));
    assert_eq!(bed.act(PAUSE, KEY).await.is(200).body, first.body);
}

#[tokio::test(start_paused = true)]
async fn who_dies_while_it_acts_leaves_the_key_to_the_next() {
    let bed = Bed::faulty(Arc::new(Slow)).await;
    bed.create("orders").await;
    // Dropped while it writes.
    assert!(tokio::time::timeout(Duration::from_secs(1), bed.act(PAUSE, KEY)).await.is_err());
    bed.act(PAUSE, KEY).await.is(409);
    tokio::time::sleep(Duration::from_secs(60)).await;
    bed.act(PAUSE, KEY).await.is(200);
}

#[tokio::test(start_paused = true)]
async fn what_a_fault_of_ours_has_prevented_may_be_tried_again_at_once() {
    struct Once(std::sync::atomic::AtomicBool);
    impl Fates for Once {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let fails = call.name == "head" && !self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
            Fate::of(if fails { Event::Fails(StoreErrorKind::Unavailable) } else { Event::None })
        }
    }
    let done = Arc::new(Once(true.into()));
    let bed = Bed::faulty(done.clone()).await;
    bed.create("orders").await;
    done.0.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(bed.act(PAUSE, KEY).await.is(503).code(), "store.unavailable");
    bed.act(PAUSE, KEY).await.is(200);
}

#[tokio::test(start_paused = true)]
async fn an_act_may_depend_on_what_was_read() {
    let bed = Bed::new().await;
    let first = bed.create("orders").await.etag();
    bed.act(PAUSE, "1").await.is(200);
    let headers = [("idempotency-key", "2"), ("if-match", first.as_str())];
    let stale = bed.call(ann(), "POST", ACTIVATE, &headers, "").await.is(412);
    assert_eq!(stale.code(), "precondition.failed");
    let again = bed.call(ann(), "POST", ACTIVATE, &headers, "").await.is(412);
    assert_eq!((again.header("idempotency-replayed"), again.etag()), ("true", stale.etag()));
    let headers = [("idempotency-key", "3"), ("if-match", stale.header("etag"))];
    bed.call(ann(), "POST", ACTIVATE, &headers, "").await.is(200);
}
