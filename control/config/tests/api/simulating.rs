//! What would become of a file.

use eft_store::Catalog;
use serde_json::{Value, json};

use crate::kit::{Bed, NEW, ann, route};

async fn ask(bed: &Bed, name: &str, size: u64) -> Value {
    bed.post("/v1/routes:simulate", &json!({ "name": name, "size": size })).await.is(200).body
}

#[tokio::test(start_paused = true)]
async fn a_file_is_told_its_route_and_plan() {
    let bed = Bed::new().await;
    let created = bed.create("orders").await;
    let small = ask(&bed, "orders/a.csv", 1_000).await;
    assert_eq!(small["outcome"], "accepted");
    assert_eq!(
        (&small["route"]["name"], &small["route"]["revision"]),
        (&json!("orders"), &created.body["revision"])
    );
    assert_eq!(small["plan"]["runner"], "steps");
    assert_eq!(small["plan"]["stages"], json!(["compress"]));
    assert_eq!(small["plan"]["destinations"][0]["key"], "2026-11-27/a.zst");
    assert_eq!(small, ask(&bed, "tenants/acme/orders/a.csv", 1_000).await, "a whole key is one as well");
    let large = ask(&bed, "orders/a.csv", 1 << 30).await;
    assert_eq!((&large["outcome"], &large["plan"]["runner"]), (&json!("accepted"), &json!("worker")));
    assert!(large["plan"]["runnerReason"].as_str().unwrap().contains("more than"));
    let other = ask(&bed, "orders/a.txt", 1).await;
    assert_eq!(other["outcome"], "unrouted");
    assert!(other.get("plan").is_none());
    let temporary = ask(&bed, "orders/a.csv.tmp", 1).await;
    assert_eq!(temporary["outcome"], "ignored");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_its_code() {
    let bed = Bed::new().await;
    let mut text = route("orders", 1);
    text["limits"] = json!({ "max_input_bytes": 10 });
    text["on_empty"] = "reject".into();
    text["digests"] = json!(["sha256"]);
    bed.put(ann(), "/v1/routes/orders", NEW, &text).await.is(201);
    let refused = ask(&bed, "orders/a.csv", 11).await;
    assert_eq!((&refused["outcome"], &refused["code"]), (&json!("refused"), &json!("limit.max_input_bytes")));
    assert!(refused["remedy"].is_string());
    assert_eq!(refused["plan"]["stages"], json!(["compress", "digest.sha256"]));
    assert_eq!(ask(&bed, "orders/a.csv", 0).await["code"], "source.empty");
    let steps = json!({
        "match": { "prefix": "tenants/acme/steps/" }, "executor": "steps", "on_empty": "heartbeat",
        "stages": [{ "validate": { "utf8": {} } }],
        "destinations": [{ "s3": { "bucket": "acme-out", "key": "{job_id}/{name}" } }],
    });
    bed.put(ann(), "/v1/routes/steps", NEW, &steps).await.is(201);
    let refused = ask(&bed, "steps/a", 1 << 40).await;
    assert_eq!(
        (&refused["code"], &refused["plan"]["stages"]),
        (&json!("plan.refused"), &json!(["validate.utf8"]))
    );
    assert_eq!(ask(&bed, "steps/a", 0).await["outcome"], "heartbeat");
    let place = &ask(&bed, "steps/a", 1).await["plan"]["destinations"][0]["key"];
    assert_eq!(place, "{job_id}/a", "which job is not known yet");
}

#[tokio::test(start_paused = true)]
async fn a_paused_route_holds_its_files() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    bed.act("/v1/routes/orders:pause", "k").await.is(200);
    let held = ask(&bed, "orders/a.csv", 1).await;
    assert_eq!((&held["outcome"], &held["route"]["state"]), (&json!("unrouted"), &json!("paused")));
    assert!(held["reason"].as_str().unwrap().contains("paused"));
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_tried_as_if_it_were_saved() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    let question = |draft: Value| json!({ "name": "orders/a.csv", "size": 1, "route": draft });
    let mut draft = route("orders", 9);
    draft["id"] = "orders".into();
    let tried = bed.post("/v1/routes:simulate", &question(draft.clone())).await.is(200).body;
    let saved = bed.get("/v1/routes/orders").await.body;
    assert_eq!(tried["route"]["name"], "orders");
    assert_ne!(tried["route"]["revision"], saved["revision"]);
    let checked = bed.post("/v1/routes:validate", &draft).await.is(200).body;
    assert_eq!((&checked["valid"], &checked["revision"]), (&json!(true), &tried["route"]["revision"]));
    draft["stages"] = json!([{ "compres": {} }]);
    let refused = bed.post("/v1/routes:simulate", &question(draft.clone())).await.is(422);
    assert_eq!((refused.code(), refused.pointers()), ("route.invalid", vec!["/route/stages/0/compres"]));
    let checked = bed.post("/v1/routes:validate", &draft).await.is(200).body;
    assert_eq!(checked["errors"][0]["pointer"], "/stages/0/compres");
    // Another route, which ties with the one that is there.
    let refused = bed.post("/v1/routes:simulate", &question(route("orders", 1))).await.is(422);
    assert_eq!(refused.pointers(), ["/route/match"]);
    assert_eq!(bed.region.routes().await.unwrap().routes().count(), 1, "nothing was saved");
}

#[tokio::test(start_paused = true)]
async fn a_question_is_checked_as_a_whole() {
    let bed = Bed::new().await;
    for (question, pointers) in [
        (json!([]), vec![""]),
        (json!({}), vec!["/name", "/size"]),
        (json!({ "name": "", "size": 1.0 }), vec!["/name"]),
        (json!({ "name": "a", "size": 1, "x": 1 }), vec!["/x"]),
        (json!({ "name": 3, "size": -1, "a/b": 1 }), vec!["/a~1b", "/name", "/size"]),
        (json!({ "name": "x".repeat(1_100), "size": 1.5 }), vec!["/name", "/size"]),
        (json!({ "name": "tenants/globex/a.csv", "size": 1 }), vec!["/name"]),
    ] {
        let refused = bed.post("/v1/routes:simulate", &question).await.is(422);
        assert_eq!((refused.code(), refused.pointers()), ("request.body", pointers), "{question}");
    }
    let broken = bed.call(ann(), "POST", "/v1/routes:simulate", &[crate::kit::JSON], "{").await.is(422);
    assert_eq!(broken.code(), "request.body");
}
