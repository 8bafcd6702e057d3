//! Acts, what is refused, and what is done once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use eft_api::{Cause, handle};
use eft_domain::{Command, Job, JobState};
use eft_store::{
    JobLedger, StoreErrorKind,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::json;

use crate::{
    contract::request,
    kit::{Bed, JSON, ann, reason, ron, route},
};

fn path(job: &Job, act: &str) -> String {
    format!("/v1/jobs/{}:{act}", job.id)
}

#[tokio::test(start_paused = true)]
async fn an_act_is_done_as_its_sender_and_sends_the_job_at_once() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    let reply = bed.act(&path(&job, "replay"), "k", &reason()).await.is(200);
    assert_eq!((&reply.body["state"], &reply.body["generation"]), (&json!("ACCEPTED"), &json!(2)));
    assert_eq!(reply.body["acts"], json!(["cancel"]));
    assert!(reply.body["sentAt"].is_string(), "it is in the queue");
    assert_eq!(bed.region.take_work().unwrap().0.run, job.run().next().unwrap());
    let last = bed.region.published().pop().unwrap().1;
    assert_eq!(
        (&last["data"]["actor"], &last["data"]["reason"]),
        (&json!("principal:ann"), &reason()["reason"])
    );
    let held = bed.held("b").await;
    assert_eq!(bed.act(&path(&held, "resume"), "k", &reason()).await.is(200).body["state"], "ACCEPTED");
    let failed = bed.failed("c").await;
    let again = bed.act(&path(&failed, "redeliver"), "k", &reason()).await.is(200);
    assert_eq!((&again.body["state"], &again.body["generation"]), (&json!("ACCEPTED"), &json!(1)));
    let running = bed.running("d").await;
    assert_eq!(bed.act(&path(&running, "cancel"), "k", &reason()).await.is(200).body["state"], "CANCELLED");
}

#[tokio::test(start_paused = true)]
async fn a_replay_has_the_revision_of_then_or_that_of_now() {
    let bed = Bed::new().await;
    for (name, wish, level) in [("a", None, 1), ("b", Some("same"), 1), ("c", Some("current"), 2)] {
        let job = bed.failed(name).await;
        let mut body = reason();
        if let Some(wish) = wish {
            body["route"] = wish.into();
        }
        let reply = bed.act(&path(&job, "replay"), "k", &body).await.is(200);
        assert_eq!(reply.body["route"]["revision"], json!(route(level).revision()), "{wish:?}");
    }
    let job = bed.failed("d").await;
    let body = json!({ "reason": "x", "route": "latest" });
    assert_eq!(bed.act(&path(&job, "replay"), "k", &body).await.is(422).pointers(), ["/route"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_state_does_not_allow_is_refused_and_changes_nothing() {
    let bed = Bed::new().await;
    let jobs = [bed.accepted("a").await, bed.running("b").await, bed.held("c").await, bed.failed("d").await];
    let refused = [
        (0, &["replay", "redeliver", "resume"][..]),
        (1, &["replay", "redeliver", "resume"]),
        (2, &["replay", "redeliver"]),
        (3, &["resume", "cancel"]),
    ];
    for (nth, acts) in refused {
        let job = &jobs[nth];
        for act in acts {
            let reply = bed.act(&path(job, act), act, &reason()).await.is(409);
            assert_eq!(reply.code(), "job.state");
            let detail = reply.body["detail"].as_str().unwrap();
            assert!(
                detail.contains(job.state.as_str()) && detail.contains("it is for jobs that are"),
                "{detail}"
            );
            assert_eq!(bed.region.get(job.id).await.unwrap().unwrap(), *job);
        }
    }
    let job = &jobs[1];
    let save = Command::Save { fence: job.fence, checkpoint: "{}".into(), advanced: true, publishing: true };
    let publishing = bed.change(job, save).await;
    let lapsed =
        bed.change(&publishing, Command::HandBack { fence: job.fence, reason: "stops".into() }).await;
    assert_eq!(lapsed.state, JobState::Accepted);
    assert_eq!(bed.act(&path(job, "cancel"), "p", &reason()).await.is(409).code(), "job.publishing");
    let body = bed.get(&format!("/v1/jobs/{}", job.id)).await.body;
    assert_eq!((&body["acts"], &body["checkpoint"]), (&json!([]), &json!(false)));
    let nobodys = bed.unrouted("tenants/acme/x").await;
    let cancelled = bed.act(&path(&nobodys, "cancel"), "k", &reason()).await.is(200);
    assert_eq!(cancelled.body["acts"], json!([]), "there is nothing to run");
    let reply = bed.act(&path(&nobodys, "replay"), "k", &reason()).await.is(409);
    assert_eq!(reply.code(), "job.state");
}

#[tokio::test(start_paused = true)]
async fn an_act_that_is_sent_again_is_done_once() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    let first = bed.act(&path(&job, "replay"), "k", &reason()).await.is(200);
    let again = bed.act(&path(&job, "replay"), "k", &reason()).await.is(200);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
    assert_eq!(bed.region.get(job.id).await.unwrap().unwrap().generation, 2);
    let other = bed.act(&path(&job, "replay"), "k", &json!({ "reason": "another" })).await.is(422);
    assert_eq!(other.code(), "idempotency.mismatch");
    // A refusal is an answer as well, and is kept.
    let refused = bed.act(&path(&job, "replay"), "l", &reason()).await.is(409);
    assert_eq!(refused.code(), "job.state");
    assert_eq!(
        bed.act(&path(&job, "replay"), "l", &reason()).await.is(409).header("idempotency-replayed"),
        "true"
    );
}

#[tokio::test(start_paused = true)]
async fn an_act_says_why() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    let long = "x".repeat(501);
    for body in [
        json!({}),
        json!({ "reason": "" }),
        json!({ "reason": "  " }),
        json!({ "reason": 7 }),
        json!({ "reason": long }),
        json!({ "reason": "a\u{7}b" }),
        // Nor where they would be cut off.
        json!({ "reason": "\ta" }),
        json!({ "reason": format!("{} ", "é".repeat(500)) }),
    ] {
        let reply = bed.act(&path(&job, "replay"), "k", &body).await.is(422);
        assert_eq!((reply.code(), reply.pointers()), ("request.body", vec!["/reason"]), "{body}");
        tokio::time::sleep(Duration::from_secs(25 * 60 * 60)).await;
    }
    let more = json!({ "reason": "x", "force": true });
    assert_eq!(bed.act(&path(&job, "cancel"), "m", &more).await.is(422).pointers(), ["/force"]);
    assert_eq!(bed.act(&path(&job, "cancel"), "n", &json!([])).await.is(422).pointers(), [""]);
    let unkeyed = bed.call(ann(), "POST", &path(&job, "cancel"), &[JSON], reason().to_string()).await.is(400);
    assert_eq!(unkeyed.code(), "idempotency.missing");
    let reader = bed.act_as(ron(), &path(&job, "replay"), "k", &reason()).await.is(403);
    assert_eq!(reader.code(), "auth.scope");
    let longest = json!({ "reason": "é".repeat(500) });
    bed.act(&path(&job, "replay"), "z", &longest).await.is(200);
}

/// The change stands; telling it is the sweep's, and the answer does not wait for that.
#[tokio::test(start_paused = true)]
async fn an_act_that_cannot_be_told_stands() {
    struct Mute;
    impl Fates for Mute {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let fails = matches!(call.name, "record" | "publish" | "send");
            Fate::of(if fails { Event::Fails(StoreErrorKind::Unavailable) } else { Event::None })
        }
    }
    let bed = Bed::faulty(Arc::new(Mute)).await;
    let job = bed.failed("a").await;
    let reply = bed.act(&path(&job, "replay"), "k", &reason()).await.is(200);
    assert_eq!((&reply.body["state"], reply.body.get("sentAt")), (&json!("ACCEPTED"), None));
    let row = bed.region.get(job.id).await.unwrap().unwrap();
    assert_eq!(row.outbox.len(), 1, "the duty to tell it stands in the row");
}

/// The answer of the write is lost: it is looked up, and not done twice.
#[tokio::test(start_paused = true)]
async fn an_act_whose_answer_is_lost_is_looked_up() {
    struct Lost;
    impl Fates for Lost {
        fn draw(&self, call: &Call<'_>) -> Fate {
            Fate::of(if call.name == "replace" { Event::DoneAndLost } else { Event::None })
        }
    }
    let bed = Bed::faulty(Arc::new(Lost)).await;
    let job = bed.failed("a").await;
    let reply = bed.act(&path(&job, "replay"), "k", &reason()).await.is(200);
    assert_eq!(reply.body["generation"], 2);
}

/// Other jobs of the tenant are sent before it, each as slowly as it likes.
#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_other_jobs_to_be_sent() {
    struct Slow;
    impl Fates for Slow {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let before = Duration::from_secs(if call.name == "send" { 2 } else { 0 });
            Fate { before, ..Fate::default() }
        }
    }
    let bed = Bed::faulty(Arc::new(Slow)).await;
    for nth in 0..10 {
        bed.accepted(&nth.to_string()).await;
    }
    let job = bed.failed("a").await;
    let began = bed.now();
    let reply = bed.act(&path(&job, "replay"), "k", &reason()).await.is(200);
    assert_eq!((&reply.body["state"], reply.body.get("sentAt")), (&json!("ACCEPTED"), None));
    assert!(bed.now() <= began.plus(Duration::from_secs(4)), "the rest is the sweep's");
    let row = bed.region.get(job.id).await.unwrap().unwrap();
    assert_eq!((row.generation, row.outbox.len()), (2, 0), "it stands, and was told");
}

#[tokio::test(start_paused = true)]
async fn an_act_on_what_was_read_is_not_done_to_anything_newer() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    let act = async |key, tag: &str| {
        let headers = [JSON, ("idempotency-key", key), ("if-match", tag)];
        bed.call(ann(), "POST", &path(&job, "replay"), &headers, reason().to_string()).await
    };
    let tag = bed.get(&format!("/v1/jobs/{}", job.id)).await.etag();
    let stale = act("a", "\"0\"").await.is(412);
    assert_eq!((stale.code(), stale.etag()), ("precondition.failed", tag.clone()));
    assert_eq!(act("b", "x").await.is(400).code(), "request.header");
    assert_eq!(bed.region.get(job.id).await.unwrap().unwrap(), job, "nothing was done");
    let done = act("c", &tag).await.is(200);
    assert_eq!(done.etag(), bed.get(&format!("/v1/jobs/{}", job.id)).await.etag());
    assert_eq!(act("d", &tag).await.is(412).etag(), done.etag());
    let cancelled = bed.change(&job, Command::Cancel { reason: "not now".into() }).await;
    assert_eq!(act("e", "*").await.is(200).body["generation"], cancelled.generation + 1);
}

/// Somebody writes the row after it was compared with the tag.
#[tokio::test(start_paused = true)]
async fn an_act_on_what_was_read_loses_to_a_change_meanwhile() {
    struct Late;
    impl Fates for Late {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let before = Duration::from_secs(if call.name == "replace" { 10 } else { 0 });
            Fate { before, ..Fate::default() }
        }
    }
    let bed = Bed::faulty(Arc::new(Late)).await;
    for (name, command) in [
        // Of which the same act could be done,
        ("a", Command::Sent),
        // and of which it could not.
        ("b", Command::Cancel { reason: "another's".into() }),
    ] {
        let job = bed.accepted(name).await;
        let tag = bed.get(&format!("/v1/jobs/{}", job.id)).await.etag();
        let headers = [JSON, ("idempotency-key", name), ("if-match", tag.as_str())];
        let path = path(&job, "cancel");
        let act = bed.call(ann(), "POST", &path, &headers, reason().to_string());
        let (reply, newer) = tokio::join!(act, bed.change(&job, command));
        assert_eq!(reply.is(412).code(), "precondition.failed");
        assert_eq!(bed.region.get(job.id).await.unwrap().unwrap(), newer);
    }
}

/// So many answers cannot be kept.
struct Forgetful(AtomicU32);

impl Fates for Forgetful {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let fails = call.name == "put"
            && self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        Fate::of(if fails { Event::Fails(StoreErrorKind::Unavailable) } else { Event::None })
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_kept_is_given() {
    let bed = Bed::faulty(Arc::new(Forgetful(AtomicU32::new(3)))).await;
    let job = bed.failed("a").await;
    let headers = [JSON, ("idempotency-key", "k")];
    let replay = request("POST", &path(&job, "replay"), &headers, reason().to_string());
    let response = handle(&bed.api, replay, ann(), bed.now()).await;
    assert_eq!(response.status(), 200, "it is done");
    let Cause(cause) = response.extensions().get().unwrap();
    assert!(cause.contains("a fault of the test"), "{cause}");
    assert_eq!(bed.act(&path(&job, "replay"), "k", &reason()).await.is(409).code(), "idempotency.running");
    // Of the next, only the first attempt fails.
    let job = bed.failed("b").await;
    let first = bed.act(&path(&job, "replay"), "k", &reason()).await.is(200);
    let again = bed.act(&path(&job, "replay"), "k", &reason()).await.is(200);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
    assert_eq!(bed.region.get(job.id).await.unwrap().unwrap().generation, 2);
}
