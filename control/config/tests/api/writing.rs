//! Creating and changing routes.

use std::sync::Arc;

use eft_store::{
    Catalog, RouteChange, StoreErrorKind,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::json;

use crate::kit::{Bed, JSON, NEW, ann, bob, eve, route};

const ORDERS: &str = "/v1/routes/orders";

#[tokio::test(start_paused = true)]
async fn a_route_is_created_read_and_changed() {
    let bed = Bed::new().await;
    let created = bed.put(ann(), ORDERS, NEW, &route("orders", 1)).await.is(201);
    assert_eq!(created.header("location"), ORDERS);
    assert_eq!(created.body["changedBy"], "ann");
    assert_eq!(created.body["route"]["id"], "orders");
    assert_eq!(created.body["route"]["tenant"], "acme", "the token says whose it is");
    let found = bed.get(ORDERS).await.is(200);
    assert_eq!((found.etag(), &found.body), (created.etag(), &created.body));
    assert_eq!(json!(found.etag()), found.body["etag"]);
    let tag = found.etag();
    let changed = bed.put(bob(), ORDERS, ("if-match", &tag), &route("orders", 2)).await.is(200);
    assert_ne!(changed.etag(), tag);
    assert_eq!((&changed.body["change"], &changed.body["changedBy"]), (&json!(2), &json!("bob")));
    let known = bed.call(ann(), "GET", ORDERS, &[("if-none-match", &changed.etag())], "").await.is(304);
    assert_eq!(known.etag(), changed.etag());
    bed.call(ann(), "GET", ORDERS, &[("if-none-match", &tag)], "").await.is(200);
    let table = bed.region.routes().await.unwrap();
    let taken = table.select("tenants/acme/orders/a.csv").unwrap();
    assert_eq!(json!(taken.revision()), changed.body["revision"], "the router has it");
}

#[tokio::test(start_paused = true)]
async fn of_two_editors_one_is_told_that_it_was_changed() {
    let bed = Bed::new().await;
    let tag = bed.create("orders").await.etag();
    let (two, three) = (route("orders", 2), route("orders", 3));
    let condition = ("if-match", tag.as_str());
    let (one, other) =
        tokio::join!(bed.put(ann(), ORDERS, condition, &two), bed.put(bob(), ORDERS, condition, &three));
    let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
    let (won, lost) = (won.is(200), lost.is(412));
    assert_eq!(lost.code(), "precondition.failed");
    assert_eq!(lost.etag(), won.etag(), "it is told what it is now");
    assert_eq!(bed.get(ORDERS).await.body["revision"], won.body["revision"]);
    // Whoever reads again may change it.
    let tag = lost.etag();
    bed.put(bob(), ORDERS, ("if-match", &tag), &three).await.is(200);
}

/// The editor that was first to read is second to write: what it has read was true until the very write.
#[tokio::test(start_paused = true)]
async fn the_write_itself_is_conditional() {
    struct Slow;
    impl Fates for Slow {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let before = if call.name == "save_route" {
                std::time::Duration::from_secs(1)
            } else {
                Default::default()
            };
            Fate { before, ..Fate::default() }
        }
    }
    let bed = Bed::faulty(Arc::new(Slow)).await;
    let tag = bed.create("orders").await.etag();
    let meanwhile = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let head = bed.region.head(&"orders".parse().unwrap()).await.unwrap().unwrap();
        let change =
            RouteChange { paused: true, number: head.number + 1, by: "other".into(), ..head.clone() };
        let text = bed.region.route(&head.id, head.revision).await.unwrap().unwrap();
        bed.region.save_route(&text, &change, Some(&head)).await.unwrap();
    };
    let two = route("orders", 2);
    let (lost, ()) = tokio::join!(bed.put(ann(), ORDERS, ("if-match", &tag), &two), meanwhile);
    assert_eq!(lost.is(412).code(), "precondition.failed");
}

#[tokio::test(start_paused = true)]
async fn a_write_needs_its_condition() {
    let bed = Bed::new().await;
    let text = route("orders", 1).to_string();
    let missing = bed.call(ann(), "PUT", ORDERS, &[JSON], text.clone()).await.is(428);
    assert_eq!(missing.code(), "precondition.required");
    let absent = bed.put(ann(), ORDERS, ("if-match", "\"x\""), &route("orders", 1)).await.is(404);
    assert_eq!(absent.code(), "route.not_found");
    let tag = bed.create("orders").await.etag();
    let exists = bed.put(ann(), ORDERS, NEW, &route("orders", 1)).await.is(412);
    assert_eq!(exists.etag(), tag);
    let weak = format!("W/{tag}");
    bed.put(ann(), ORDERS, ("if-match", &weak), &route("orders", 2)).await.is(412);
    let both = bed.call(ann(), "PUT", ORDERS, &[JSON, NEW, ("if-match", &tag)], text).await.is(400);
    assert_eq!(both.code(), "request.header");
    bed.put(ann(), ORDERS, ("if-match", "*"), &route("orders", 2)).await.is(200);
}

#[tokio::test(start_paused = true)]
async fn the_same_text_again_changes_nothing() {
    let bed = Bed::new().await;
    let created = bed.create("orders").await;
    let again = bed.put(bob(), ORDERS, ("if-match", &created.etag()), &route("orders", 1)).await.is(200);
    assert_eq!((again.etag(), again.body), (created.etag(), created.body));
}

#[tokio::test(start_paused = true)]
async fn every_fault_is_told_at_once_with_its_place() {
    let bed = Bed::new().await;
    let wrong = json!({
        "match": { "prefix": "", "glob": 3 },
        "stages": [{ "compres": {} }],
        "executor": "lambda",
        "a/b": 1,
    });
    let refused = bed.put(ann(), ORDERS, NEW, &wrong).await.is(422);
    assert_eq!(refused.code(), "route.invalid");
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        ["", "/a~1b", "/executor", "/match/glob", "/match/prefix", "/stages/0/compres"],
        "{refused:?}"
    );
    let yaml = "match:\n  prefix: tenants/acme/x/\ndestinations: []\nlimits:\n  max_ratio: 0\n";
    let headers = [NEW, ("content-type", "application/yaml; charset=utf-8")];
    let refused = bed.call(ann(), "PUT", ORDERS, &headers, yaml).await.is(422);
    let lines: Vec<_> =
        refused.body["errors"].as_array().unwrap().iter().map(|error| &error["line"]).collect();
    assert_eq!(lines, [&json!(3), &json!(5)], "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn yaml_and_json_say_the_same() {
    let bed = Bed::new().await;
    let yaml = "id: orders\ntenant: acme\nmatch: {prefix: tenants/acme/orders/, glob: \"*.csv\"}\nstages:\n  - compress: {codec: zstd, level: 1}\n\
                destinations:\n  - s3: {bucket: acme-out, key: \"{date}/{stem}.zst\", on_existing: fail}\n";
    let headers = [NEW, ("content-type", "application/yaml")];
    let created = bed.call(ann(), "PUT", ORDERS, &headers, yaml).await.is(201);
    let same = bed.put(ann(), ORDERS, ("if-match", &created.etag()), &route("orders", 1)).await.is(200);
    assert_eq!(same.etag(), created.etag());
}

#[tokio::test(start_paused = true)]
async fn a_route_that_ties_with_another_is_refused() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    let mut other = route("orders", 1);
    other["match"]["glob"] = "2026*".into();
    let refused = bed.put(ann(), "/v1/routes/other", NEW, &other).await.is(409);
    assert_eq!((refused.code(), refused.pointers()), ("route.ambiguous", vec!["/match"]));
    assert!(refused.body["detail"].as_str().unwrap().contains("orders"));
    other["match"]["glob"] = "2026*.txt".into();
    bed.put(ann(), "/v1/routes/other", NEW, &other).await.is(201);
}

#[tokio::test(start_paused = true)]
async fn beside_a_route_that_cannot_be_read_only_that_one_is_saved() {
    let bed = Bed::new().await;
    let created = bed.create("orders").await;
    bed.create("another").await;
    bed.region.unreadable(&"orders".parse().unwrap(), Some("no such stage"));
    let refused = bed.put(ann(), "/v1/routes/other", NEW, &route("other", 1)).await.is(503);
    assert_eq!(refused.code(), "store.unavailable");
    assert!(refused.body["detail"].as_str().unwrap().contains("route orders cannot be read"), "{refused:?}");
    bed.post("/v1/routes:validate", &route("other", 1)).await.is(503);
    let asked = json!({ "name": "orders/a.csv", "size": 1 });
    bed.post("/v1/routes:simulate", &asked).await.is(503);
    let another = "another".parse().unwrap();
    bed.region.unreadable(&another, Some("nor this"));
    let refused = bed.put(ann(), ORDERS, ("if-match", &created.etag()), &route("orders", 2)).await.is(503);
    assert!(refused.body["detail"].as_str().unwrap().contains("route another cannot be read"), "{refused:?}");
    bed.region.unreadable(&another, None);
    bed.put(ann(), ORDERS, ("if-match", &created.etag()), &route("orders", 2)).await.is(200);
    let globex = json!({
        "match": { "prefix": "tenants/globex/in/" },
        "stages": [],
        "destinations": [{ "s3": { "bucket": "globex-out", "key": "{name}", "on_existing": "fail" } }],
    });
    bed.put(eve(), "/v1/routes/theirs", NEW, &globex).await.is(201);
}

/// Each is fine by itself; whoever is second must see the first.
#[tokio::test(start_paused = true)]
async fn of_two_routes_that_tie_and_are_saved_at_once_one_stands() {
    struct Slow;
    impl Fates for Slow {
        fn draw(&self, _: &Call<'_>) -> Fate {
            Fate { before: std::time::Duration::from_millis(10), ..Fate::default() }
        }
    }
    let bed = Bed::faulty(Arc::new(Slow)).await;
    let (one, two) = (route("same", 1), route("same", 2));
    let (a, b) =
        tokio::join!(bed.put(ann(), "/v1/routes/a", NEW, &one), bed.put(bob(), "/v1/routes/b", NEW, &two));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{a:?} {b:?}");
    assert_eq!(bed.region.routes().await.unwrap().routes().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_holds_the_turn_and_dies_holds_up_others_for_a_time_only() {
    let bed = Bed::new().await;
    let until = bed.now().plus(std::time::Duration::from_secs(20));
    bed.api.keys.put("saving#acme", "", until).await.unwrap();
    let busy = bed.put(ann(), ORDERS, NEW, &route("orders", 1)).await.is(409);
    assert_eq!((busy.code(), busy.header("retry-after")), ("route.busy", "2"));
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    bed.create("orders").await;
    bed.create("returns").await;
}

/// A list that is a few seconds old may lack the very route that ties.
#[tokio::test(start_paused = true)]
async fn ties_are_looked_for_among_the_routes_as_they_are_now() {
    struct NoList;
    impl Fates for NoList {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let lists = call.name == "routes";
            Fate::of(if lists { Event::Fails(StoreErrorKind::Unavailable) } else { Event::None })
        }
    }
    let bed = Bed::faulty(Arc::new(NoList)).await;
    bed.create("orders").await;
    bed.put(ann(), "/v1/routes/b", NEW, &route("orders", 1)).await.is(409);
}

/// The answer of the write is lost.
struct Lost(Event);

impl Fates for Lost {
    fn draw(&self, call: &Call<'_>) -> Fate {
        Fate::of(if call.name == "save_route" { self.0 } else { Event::None })
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_looked_up() {
    let bed = Bed::faulty(Arc::new(Lost(Event::DoneAndLost))).await;
    bed.create("orders").await;
    let bed = Bed::faulty(Arc::new(Lost(Event::Fails(StoreErrorKind::Indeterminate)))).await;
    let unknown = bed.put(ann(), ORDERS, NEW, &route("orders", 1)).await.is(503);
    assert_eq!((unknown.code(), &unknown.body["retryable"]), ("store.unavailable", &json!(true)));
    // Nobody holds the turn after it.
    let again = bed.put(ann(), ORDERS, NEW, &route("orders", 1)).await.is(503);
    assert_eq!(again.code(), "store.unavailable");
}
