//! The audit trail: who did what when, of this API. That of the status API stands in the same trail.

use std::{sync::Arc, time::Duration};

use eft_api::{Cause, Principal, Problem, RequestId, handle};
use eft_domain::AuditId;
use eft_store::{
    Audit, Catalog, StoreErrorKind,
    clock::rfc3339,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::{Value, json};

use crate::{
    contract::request,
    kit::{Bed, JSON, NEW, ann, bob, eve, route, token},
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAy7gI6eXKyBxtH/sjYHvshtYT4HRGh3tZyD9ia85m2A ann@example.com";

fn ron() -> Result<Principal, Problem> {
    token("ron", "acme", "config:read")
}

fn root() -> Result<Principal, Problem> {
    token("root", "platform", "admin")
}

/// Times of entries differ, so that their order is certain.
async fn later() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// What the trail of acme says, the first first: who, what, on what, and how it ended.
async fn trail(bed: &Bed) -> Vec<[String; 4]> {
    let items = bed.call(ron(), "GET", "/v1/audit", &[], "").await.is(200).body["items"].take();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let entries = items.as_array().unwrap().iter().rev();
    entries.map(|entry| ["who", "what", "on", "outcome"].map(|name| text(entry, name))).collect()
}

#[tokio::test(start_paused = true)]
async fn each_write_has_an_entry_and_no_read_has() {
    let bed = Bed::new().await;
    let began = rfc3339(bed.now());
    let created = bed.create("orders").await;
    later().await;
    bed.act("/v1/routes/orders:pause", "k").await.is(200);
    later().await;
    bed.call(bob(), "POST", "/v1/routes/orders:activate", &[("idempotency-key", "k")], "").await.is(200);
    later().await;
    bed.put(bob(), "/v1/partners/shop", NEW, &json!({})).await.is(201);
    later().await;
    bed.put(ann(), "/v1/sftp-users/ann@acme", NEW, &json!({ "keys": [KEY] })).await.is(201);
    later().await;
    bed.remove("/v1/sftp-users/ann@acme", "*").await.is(204);
    later().await;
    bed.remove("/v1/partners/shop", "*").await.is(204);
    later().await;
    for path in
        ["/v1/routes", "/v1/routes/orders", "/v1/partners", "/v1/sftp-users", "/v1/audit", "/v1/tenant"]
    {
        bed.get(path).await.is(200);
    }
    bed.post("/v1/routes:validate", &route("b", 1)).await.is(200);
    bed.post("/v1/routes:simulate", &json!({ "name": "a.csv", "size": 1 })).await.is(200);
    let expected = [
        ["ann", "putRoute", "/v1/routes/orders", "done"],
        ["ann", "pauseRoute", "/v1/routes/orders", "done"],
        ["bob", "activateRoute", "/v1/routes/orders", "done"],
        ["bob", "putPartner", "/v1/partners/shop", "done"],
        ["ann", "putSftpUser", "/v1/sftp-users/ann@acme", "done"],
        ["ann", "deleteSftpUser", "/v1/sftp-users/ann@acme", "done"],
        ["ann", "deletePartner", "/v1/partners/shop", "done"],
    ];
    assert_eq!(trail(&bed).await, expected);
    let all = bed.get("/v1/audit").await.body["items"].take();
    let first = all.as_array().unwrap().last().unwrap();
    assert_eq!((&first["status"], &first["etag"]), (&json!(201), &json!(created.etag())));
    assert_eq!(first["at"], began);
    assert_eq!((&all[0]["status"], all[0].get("etag")), (&json!(204), None));
    assert_eq!(bed.call(eve(), "GET", "/v1/audit", &[], "").await.is(200).body, json!({ "items": [] }));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_has_an_entry_with_its_code_and_nothing_of_its_body() {
    const SECRET: &str = "correct horse";
    let bed = Bed::new().await;
    let user = "/v1/sftp-users/acme-erp";
    let cases = [
        bed.put(ann(), user, NEW, &json!({ "password": SECRET, "reason": SECRET })).await,
        bed.put(ron(), user, NEW, &json!({})).await,
        bed.call(ann(), "PUT", user, &[JSON], "{}").await,
        bed.call(ann(), "PUT", &format!("{user}?x=1"), &[JSON, NEW], "{}").await,
        bed.put(ann(), "/v1/routes/x%2Fy%C3%A4", NEW, &route("x", 1)).await,
        bed.act("/v1/routes/none:pause", "k").await,
        bed.call(ann(), "POST", "/v1/routes/none:pause", &[], "").await,
    ];
    let all = bed.get("/v1/audit").await.is(200).body["items"].take();
    assert!(!all.to_string().contains(SECRET), "{all}");
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), cases.len());
    for reply in &cases {
        let is_its =
            |entry: &&Value| entry["code"] == reply.code() && entry["status"] == reply.status.as_u16();
        let entry = all.iter().find(is_its).unwrap_or_else(|| panic!("no entry of {reply:?}: {all:?}"));
        assert_eq!((&entry["outcome"], entry.get("etag")), (&json!("refused"), None));
    }
    assert!(all.iter().any(|entry| entry["who"] == "ron" && entry["code"] == "auth.scope"), "{all:?}");
    assert!(all.iter().any(|entry| entry["on"] == "/v1/routes/x%2Fy%C3%A4"), "{all:?}");
    // Whoever cannot be known, and what there is not, has none.
    bed.call(Err(Problem::new(eft_api::Code::AuthMissing, "")), "PUT", user, &[], "").await.is(401);
    bed.call(ann(), "PUT", "/v1/nothing", &[], "").await.is(404);
    bed.call(ann(), "DELETE", "/v1/routes/a", &[], "").await.is(405);
    assert_eq!(trail(&bed).await.len(), cases.len());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_again_is_no_second_act() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    later().await;
    for _ in 0..3 {
        bed.act("/v1/routes/orders:pause", "k").await.is(200);
        later().await;
    }
    bed.call(ann(), "POST", "/v1/routes/orders:pause", &[("idempotency-key", "k")], "x").await.is(422);
    let outcomes: Vec<_> =
        trail(&bed).await.into_iter().map(|[_, what, _, outcome]| (what, outcome)).collect();
    let expected = [("putRoute", "done"), ("pauseRoute", "done"), ("pauseRoute", "refused")];
    assert_eq!(outcomes, expected.map(|(what, outcome)| (what.to_owned(), outcome.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn what_is_done_to_a_tenant_stands_in_its_own_trail() {
    let bed = Bed::new().await;
    bed.put(root(), "/v1/tenants/acme", ("if-match", "*"), &json!({ "weight": 2 })).await.is(200);
    later().await;
    // Nobody writes into another's trail but those who may change it.
    bed.put(eve(), "/v1/tenants/acme", ("if-match", "*"), &json!({})).await.is(403);
    later().await;
    bed.put(root(), "/v1/tenants/A", NEW, &json!({})).await.is(422);
    assert_eq!(trail(&bed).await, [["root", "putTenant", "/v1/tenants/acme", "done"]]);
    for (caller, subject) in [(eve(), "eve"), (root(), "root")] {
        let own = bed.call(caller, "GET", "/v1/audit", &[], "").await.is(200).body["items"].take();
        assert_eq!((own.as_array().unwrap().len(), &own[0]["who"]), (1, &json!(subject)));
        assert_eq!(own[0]["outcome"], "refused");
    }
}

#[tokio::test(start_paused = true)]
async fn the_trail_is_read_in_pages_and_between_times() {
    let bed = Bed::new().await;
    let mut times = Vec::new();
    for name in ["a", "b", "c", "d"] {
        times.push(rfc3339(bed.now()));
        bed.put(ann(), &format!("/v1/partners/{name}"), NEW, &json!({})).await.is(201);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let names = |body: &Value| -> String {
        let items = body["items"].as_array().unwrap().iter();
        items.map(|entry| entry["on"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
    };
    for (query, expected) in [
        (String::new(), "dcba"),
        (format!("since={}", times[1]), "dcb"),
        (format!("until={}", times[1]), "a"),
        (format!("since={}&until={}", times[1], times[3]), "cb"),
        (format!("since={}&until={}", times[3], times[1]), ""),
        ("since=1960-01-01T00:00:00Z&until=9999-12-30T00:00:00.999Z".to_owned(), "dcba"),
    ] {
        assert_eq!(names(&bed.get(&format!("/v1/audit?{query}")).await.is(200).body), expected, "{query}");
        let (mut seen, mut cursor) = (String::new(), String::new());
        loop {
            let page = bed.get(&format!("/v1/audit?limit=1&{query}{cursor}")).await.is(200).body;
            seen += &names(&page);
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, expected, "{query}");
    }
    let next = bed.get("/v1/audit?limit=1").await.body["nextCursor"].as_str().unwrap().to_owned();
    for path in [format!("/v1/audit?cursor={next}&since={}", times[0]), "/v1/audit?cursor=x".to_owned()] {
        assert_eq!(bed.get(&path).await.is(400).code(), "cursor.invalid", "{path}");
    }
    for query in ["since=", "since=yesterday", "until=2026-11-27", "until=2026-13-01T00:00:00Z", "who=ann"] {
        assert_eq!(
            bed.get(&format!("/v1/audit?{query}")).await.is(400).code(),
            "request.parameter",
            "{query}"
        );
    }
    let writer_of_jobs = token("jon", "acme", "jobs:write");
    assert_eq!(bed.call(writer_of_jobs, "GET", "/v1/audit", &[], "").await.is(403).code(), "auth.scope");
}

/// One method of the stores has this fate.
struct Meets(&'static str, Fate);

impl Fates for Meets {
    fn draw(&self, call: &Call<'_>) -> Fate {
        if call.name == self.0 { self.1 } else { Fate::default() }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_of_which_the_trail_cannot_tell() {
    for kind in [StoreErrorKind::Throttled, StoreErrorKind::Unavailable, StoreErrorKind::Indeterminate] {
        let bed = Bed::faulty(Arc::new(Meets("begin_entry", Fate::of(Event::Fails(kind))))).await;
        let refused = bed.put(ann(), "/v1/routes/orders", NEW, &route("orders", 1)).await.is(503);
        assert_eq!(refused.code(), "store.unavailable");
        assert_eq!(bed.region.head(&"orders".parse().unwrap()).await, Ok(None), "{kind:?}");
    }
    let denied = Fate::of(Event::Fails(StoreErrorKind::Denied));
    let bed = Bed::faulty(Arc::new(Meets("begin_entry", denied))).await;
    bed.put(ann(), "/v1/sftp-users/acme-erp", NEW, &json!({})).await.is(500);
    assert_eq!(bed.region.sftp_user(&"acme-erp".parse().unwrap()).await, Ok(None));
    // An act may be tried again at once, under the same key.
    bed.region
        .put_route(
            &eft_domain::Route::parse_json(&whole(), eft_domain::route::Profile::Platform).unwrap(),
            None,
        )
        .await
        .unwrap();
    for _ in 0..2 {
        bed.act("/v1/routes/orders:pause", "k").await.is(500);
    }
}

/// A route as it is stored.
fn whole() -> String {
    let mut text = route("orders", 1);
    (text["id"], text["tenant"]) = ("orders".into(), "acme".into());
    text.to_string()
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_answered_though_its_entry_cannot_be_completed() {
    let never = Fate { before: Duration::from_secs(3_600), ..Fate::default() };
    for fate in [Fate::of(Event::Fails(StoreErrorKind::Unavailable)), never] {
        let bed = Bed::faulty(Arc::new(Meets("end_entry", fate))).await;
        let mut put = request("PUT", "/v1/routes/orders", &[JSON, NEW], route("orders", 1).to_string());
        put.extensions_mut().insert(RequestId("r-1".to_owned()));
        let response = handle(&bed.api, put, ann(), bed.now()).await;
        assert_eq!(response.status(), 201);
        let Cause(cause) = response.extensions().get().unwrap();
        assert!(cause.starts_with("audit entry "), "the log says so: {cause}");
        let entry = bed.get("/v1/audit").await.is(200).body["items"][0].take();
        assert_eq!((&entry["outcome"], entry.get("status")), (&json!("begun"), None));
        assert_eq!((&entry["what"], &entry["requestId"]), (&json!("putRoute"), &json!("r-1")));
    }
}

#[tokio::test(start_paused = true)]
async fn who_dies_while_it_writes_has_begun() {
    let slow = Fate { before: Duration::from_secs(60), ..Fate::default() };
    let bed = Bed::faulty(Arc::new(Meets("save_route", slow))).await;
    let write = route("orders", 1);
    let write = bed.put(ann(), "/v1/routes/orders", NEW, &write);
    assert!(tokio::time::timeout(Duration::from_secs(1), write).await.is_err());
    assert_eq!(trail(&bed).await, [["ann", "putRoute", "/v1/routes/orders", "begun"]]);
    let acme = "acme".parse().unwrap();
    let kept = bed.region.entries(&acme, AuditId::FIRST, AuditId::LAST, 10).await.unwrap().items;
    assert_eq!(kept[0].outcome, None);
}
