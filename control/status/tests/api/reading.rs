//! A job and its history.

use eft_domain::{Command, job::Ending};
use serde_json::{Value, json};

use crate::kit::{Bed, reason};

#[tokio::test(start_paused = true)]
async fn a_job_is_shown_as_its_row_says_and_without_what_is_the_platforms_own() {
    let bed = Bed::new().await;
    let job = bed.running("a").await;
    let save = Command::Save {
        fence: job.fence,
        checkpoint: "secret-upload-id".into(),
        advanced: true,
        publishing: false,
    };
    bed.change(&job, save).await;
    let shown = bed.get(&format!("/v1/jobs/{}", job.id)).await.is(200);
    let body = &shown.body;
    assert_eq!(
        (&body["state"], &body["owned"], &body["checkpoint"]),
        (&json!("RUNNING"), &json!(true), &json!(true))
    );
    assert_eq!((&body["key"], &body["size"]), (&json!("tenants/acme/orders/a"), &json!(1_000)));
    assert_eq!((&body["acts"], &body["receipt"]), (&json!(["cancel"]), &json!(false)));
    let text = body.to_string();
    for own in ["task-7", "secret-upload-id", "marks", "fence"] {
        assert!(!text.contains(own), "{own} is told: {text}");
    }
    let tag = shown.etag();
    let known = [("if-none-match", tag.as_str())];
    bed.call(crate::kit::ron(), "GET", &format!("/v1/jobs/{}", job.id), &known, "").await.is(304);
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_what_to_do_and_a_hold_since_when() {
    let bed = Bed::new().await;
    let failed = bed.failed("a").await;
    let body = bed.get(&format!("/v1/jobs/{}", failed.id)).await.is(200).body;
    assert_eq!((&body["state"], &body["failure"]["code"]), (&json!("FAILED"), &json!("source.gone")));
    assert!(body["failure"]["remedy"].as_str().unwrap().contains("uploads the file again"));
    assert_eq!(body["acts"], json!(["redeliver", "replay"]));
    let held = bed.held("b").await;
    let body = bed.get(&format!("/v1/jobs/{}", held.id)).await.is(200).body;
    assert_eq!((&body["hold"]["tries"], &body["acts"]), (&json!(0), &json!(["cancel", "resume"])));
    assert!(body["hold"]["since"].as_str().unwrap().starts_with("2026-11-27T"));
    let unrouted = bed.unrouted("tenants/acme/x").await;
    let body = bed.get(&format!("/v1/jobs/{}", unrouted.id)).await.is(200).body;
    assert_eq!((&body["acts"], body.get("route")), (&json!(["cancel"]), None));
}

#[tokio::test(start_paused = true)]
async fn the_history_says_who_when_and_why() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    bed.act(&format!("/v1/jobs/{}:replay", job.id), "k", &reason()).await.is(200);
    let path = format!("/v1/jobs/{}/events", job.id);
    let events = bed.get(&path).await.is(200).body["items"].as_array().unwrap().clone();
    let said: Vec<_> = events.iter().map(|event| (event["actor"].clone(), event["after"].clone())).collect();
    assert_eq!(said[..3], [("worker", "ACCEPTED"), ("worker", "RUNNING"), ("worker", "FAILED")].map(both));
    assert_eq!(said[3], both(("principal:ann", "ACCEPTED")));
    assert_eq!(events[3]["reason"], "the partner has asked for it");
    assert_eq!((&events[2]["code"], &events[3]["generation"]), (&json!("source.gone"), &json!(2)));
    let page = bed.get(&format!("{path}?limit=3")).await.is(200);
    let cursor = page.body["nextCursor"].as_str().unwrap();
    let rest = bed.get(&format!("{path}?limit=3&cursor={cursor}")).await.is(200);
    assert_eq!(rest.body, json!({ "items": events[3..] }));
}

fn both((actor, after): (&str, &str)) -> (Value, Value) {
    (actor.into(), after.into())
}

/// Whoever was to tell it has died, and the sweep has not come by.
#[tokio::test(start_paused = true)]
async fn what_was_not_told_yet_is_in_the_history() {
    let bed = Bed::new().await;
    let job = bed.running("a").await;
    bed.desk
        .change(job.id, &Command::End { fence: job.fence, ending: Ending::Succeeded(None) })
        .await
        .unwrap();
    let events = bed.get(&format!("/v1/jobs/{}/events", job.id)).await.is(200);
    assert_eq!(events.body["items"].as_array().unwrap().last().unwrap()["after"], "SUCCEEDED");
}
