//! Lists, their filters and their cursors.

use std::sync::{Arc, Mutex};

use eft_api::table::{Kind, Parameter};
use eft_domain::{Command, job::Ending};
use eft_status::table::TABLE;
use eft_store::faulty::{Call, Fate, Fates};
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

/// Which methods of the stores are called.
#[derive(Default)]
struct Calls(Mutex<Vec<&'static str>>);

impl Fates for Calls {
    fn draw(&self, call: &Call<'_>) -> Fate {
        self.0.lock().unwrap().push(call.name);
        Fate::default()
    }
}

/// Every query that can be made of these parameters, with each of their values.
fn combinations(filters: &[&Parameter]) -> Vec<String> {
    let mut queries = vec![String::new()];
    for Parameter { name, kind, .. } in filters {
        let values = match kind {
            Kind::Words(words) => words(),
            Kind::Pattern(_) | Kind::Text => vec!["orders"],
            Kind::Number(_) => vec!["1"],
            Kind::Time => vec!["2026-11-27T09:00:00Z"],
        };
        let with = |query: &String| values.iter().map(|value| format!("{query}&{name}={value}")).collect();
        let more: Vec<Vec<_>> = queries.iter().map(with).collect();
        queries.extend(more.concat());
    }
    queries
}

/// `jobs` of the store is a query of one index (`every_filter_is_the_key_of_an_index_that_there_is`, beside it).
#[tokio::test(start_paused = true)]
async fn every_combination_of_filters_is_one_query_or_refused() {
    let calls = Arc::new(Calls::default());
    let bed = Bed::faulty(calls.clone()).await;
    let (mut asked, mut refused) = (0, Vec::new());
    for endpoint in TABLE.iter().filter(|endpoint| ["/v1/jobs", "/v1/arrivals"].contains(&endpoint.path)) {
        let is_filter = |parameter: &&Parameter| !["limit", "cursor"].contains(&parameter.name);
        let filters: Vec<_> = endpoint.query.iter().filter(is_filter).collect();
        for query in combinations(&filters) {
            calls.0.lock().unwrap().clear();
            let reply = bed.call(root(), "GET", &format!("{}?{query}", endpoint.path), &[], "").await;
            asked += 1;
            let made = calls.0.lock().unwrap().clone();
            if reply.status == 400 {
                assert_eq!(made, [""; 0], "{query}");
                refused.push((endpoint.name, reply.code().to_owned(), query.matches('=').count()));
            } else {
                reply.is(200);
                assert_eq!(made, ["jobs"], "{query}");
            }
        }
    }
    // 11 states and a route, each, both and neither; 2 states and `of`.
    assert_eq!(asked, 12 * 2 + 3 * 2);
    let both = refused.iter().filter(|refused| **refused == ("listJobs", "job.filter".to_owned(), 2)).count();
    let stateless = refused
        .iter()
        .filter(|(name, code, _)| (*name, code.as_str()) == ("listArrivals", "request.parameter"));
    assert_eq!((both, stateless.count(), refused.len()), (11, 2, 13), "{refused:?}");
}

/// What other lists there are has no filters: their pages are parts of one key.
#[test]
fn no_other_list_has_a_filter() {
    for endpoint in TABLE.iter().filter(|endpoint| !["/v1/jobs", "/v1/arrivals"].contains(&endpoint.path)) {
        let names: Vec<_> = endpoint.query.iter().map(|parameter| parameter.name).collect();
        assert!(names.iter().all(|name| ["limit", "cursor", "run"].contains(name)), "{names:?}");
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
