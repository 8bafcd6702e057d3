//! The queues, for those who run the platform.

use serde_json::json;

use crate::kit::{Bed, ann, reason, root};

#[tokio::test(start_paused = true)]
async fn the_queues_are_shown_with_what_was_set_aside() {
    let bed = Bed::new().await;
    let fleet = bed.call(root(), "GET", "/v1/fleet", &[], "").await.is(200);
    let dead = json!({ "visible": 7, "inFlight": 0, "delayed": 0 });
    assert_eq!(
        fleet.body,
        json!({ "queues": [
        { "name": "work", "visible": 3, "inFlight": 2, "delayed": 1, "dead": dead },
        { "name": "undelivered", "visible": 0, "inFlight": 0, "delayed": 0 },
    ] })
    );
    assert_eq!(bed.call(ann(), "GET", "/v1/fleet", &[], "").await.is(403).code(), "auth.scope");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_moved_back_once() {
    let bed = Bed::new().await;
    let path = "/v1/dead-letters/work:redrive";
    let moved = bed.act_as(root(), path, "k", &reason()).await.is(202);
    assert_eq!(moved.body, json!({ "queue": "work", "task": "task-1" }));
    let again = bed.act_as(root(), path, "k", &reason()).await.is(202);
    assert_eq!((again.header("idempotency-replayed"), bed.queues.moved.lock().unwrap().len()), ("true", 1));
    let busy = bed.act_as(root(), path, "l", &reason()).await.is(409);
    assert_eq!((busy.code(), busy.header("retry-after")), ("queue.busy", "2"));
    for queue in ["undelivered", "none"] {
        let path = format!("/v1/dead-letters/{queue}:redrive");
        assert_eq!(bed.act_as(root(), &path, "k", &reason()).await.is(404).code(), "queue.not_found");
    }
    bed.act_as(root(), path, "m", &json!({})).await.is(422);
    bed.act(path, "k", &reason()).await.is(403);
}
