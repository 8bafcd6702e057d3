//! Lists, their filters and their cursors.

use eft_domain::{Command, job::Ending};
use serde_json::json;

use crate::kit::{Bed, arrived, names, root};

#[tokio::test(start_paused = true)]
async fn jobs_are_listed_newest_change_first_by_state_or_by_route() {
    let bed = Bed::new().await;
    bed.failed("a").await;
    bed.running("b").await;
    let mut other = arrived("c");
    other.route.as_mut().unwrap().id = "returns".parse().unwrap();
    bed.arrive(&other, &Command::Accept).await;
    bed.failed("d").await;
    assert_eq!(names(&bed.get("/v1/jobs").await.is(200)), ["d", "c", "b", "a"]);
    assert_eq!(names(&bed.get("/v1/jobs?state=FAILED").await.is(200)), ["d", "a"]);
    assert_eq!(names(&bed.get("/v1/jobs?state=RUNNING").await), ["b"]);
    assert_eq!(names(&bed.get("/v1/jobs?route=orders").await), ["d", "b", "a"]);
    assert_eq!(names(&bed.get("/v1/jobs?route=returns").await), ["c"]);
    assert_eq!(bed.get("/v1/jobs?state=HELD").await.body, json!({ "items": [] }));
    let failed = &bed.get("/v1/jobs?state=FAILED&limit=1").await.body["items"][0];
    assert_eq!((&failed["code"], &failed["state"]), (&json!("source.gone"), &json!("FAILED")));
    assert_eq!(failed["route"]["name"], "orders");
    assert_eq!(failed["run"], format!("{}.1", failed["job"].as_str().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn what_no_index_has_is_refused() {
    let bed = Bed::new().await;
    bed.failed("a").await;
    for (query, code) in [
        ("state=FAILED&route=orders", "job.filter"),
        ("state=ARRIVED", "request.parameter"),
        ("state=failed", "request.parameter"),
        ("state=", "request.parameter"),
        ("route=X", "request.parameter"),
        ("size=7", "request.parameter"),
        ("key=a", "request.parameter"),
        ("limit=201", "request.parameter"),
    ] {
        assert_eq!(bed.get(&format!("/v1/jobs?{query}")).await.is(400).code(), code, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_and_a_cursor_is_of_one_list() {
    let bed = Bed::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        bed.failed(name).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/jobs?state=FAILED&limit=2".to_owned();
    loop {
        let page = bed.get(&path).await.is(200);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page.body["nextCursor"].as_str() else { break };
        path = format!("/v1/jobs?state=FAILED&limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
    let cursor = path.rsplit('=').next().unwrap();
    for other in
        ["/v1/jobs?", "/v1/jobs?state=HELD&", "/v1/jobs?route=orders&", "/v1/arrivals?state=UNROUTED&"]
    {
        let refused = bed.get(&format!("{other}cursor={cursor}")).await.is(400);
        assert_eq!(refused.code(), "cursor.invalid", "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_replayed_is_listed_once() {
    let bed = Bed::new().await;
    let job = bed.ended("a", Ending::Succeeded(None)).await;
    bed.change(&job, Command::Replay { reason: "again".into(), route: None }).await;
    let all = bed.get("/v1/jobs").await.is(200);
    assert_eq!((names(&all), &all.body["items"][0]["generation"]), (vec!["a"], &json!(2)));
    let runs = bed.get(&format!("/v1/jobs/{}/runs", job.id)).await.is(200);
    let states: Vec<_> =
        runs.body["items"].as_array().unwrap().iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["SUCCEEDED", "ACCEPTED"]);
}

#[tokio::test(start_paused = true)]
async fn arrivals_are_those_of_the_prefix_and_of_nobody() {
    let bed = Bed::new().await;
    bed.unrouted("tenants/acme/elsewhere/a").await;
    bed.unrouted("tenants/globex/b").await;
    bed.unrouted("nowhere/c").await;
    let wait = Command::Wait { reason: "quiet".into(), until: std::time::Duration::from_secs(60) };
    bed.arrive(&arrived("d"), &wait).await;
    let unrouted = bed.get("/v1/arrivals?state=UNROUTED").await.is(200);
    assert_eq!(
        (names(&unrouted), &unrouted.body["items"][0]["reason"]),
        (vec!["a"], &json!("no route takes it"))
    );
    assert_eq!(names(&bed.get("/v1/arrivals?state=INCOMPLETE").await), ["d"]);
    let nobodys = "/v1/arrivals?state=UNROUTED&of=nobody";
    assert_eq!(bed.get(nobodys).await.is(403).code(), "auth.scope");
    assert_eq!(names(&bed.call(root(), "GET", nobodys, &[], "").await.is(200)), ["c"]);
    for query in ["", "?state=FAILED", "?state=UNROUTED&of=acme"] {
        assert_eq!(bed.get(&format!("/v1/arrivals{query}")).await.is(400).code(), "request.parameter");
    }
}
