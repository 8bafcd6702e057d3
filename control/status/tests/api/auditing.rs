//! The audit trail of this API, which the config API shows.

use std::{sync::Arc, time::Duration};

use eft_domain::AuditId;
use eft_store::{
    Audit, AuditEntry, JobLedger, StoreErrorKind,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::json;

use crate::kit::{Bed, ann, reason, ron, root};

/// The trail of a tenant, the first first.
async fn trail(bed: &Bed, tenant: &str) -> Vec<AuditEntry> {
    let page =
        bed.region.entries(&tenant.parse().unwrap(), AuditId::FIRST, AuditId::LAST, 200).await.unwrap();
    page.items.into_iter().rev().collect()
}

#[tokio::test(start_paused = true)]
async fn each_act_has_an_entry_with_its_reason() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    let path = format!("/v1/jobs/{}", job.id);
    let why = reason()["reason"].as_str().unwrap().to_owned();
    let replayed = bed.act(&format!("{path}:replay"), "k", &reason()).await.is(200);
    tokio::time::sleep(Duration::from_millis(1)).await;
    bed.act(&format!("{path}:replay"), "k", &reason()).await.is(200);
    bed.act(&format!("{path}:resume"), "k", &reason()).await.is(409);
    tokio::time::sleep(Duration::from_millis(1)).await;
    // What was refused and kept under its key was refused once.
    bed.act(&format!("{path}:resume"), "k", &reason()).await.is(409);
    bed.act_as(ron(), &format!("{path}:cancel"), "k", &json!({ "reason": 7 })).await.is(403);
    bed.get(&path).await.is(200);
    let entries = trail(&bed, "acme").await;
    let said: Vec<_> = entries.iter().map(|entry| (entry.who.as_str(), entry.what.as_str())).collect();
    assert_eq!(said, [("ann", "replayJob"), ("ann", "resumeJob"), ("ron", "cancelJob")]);
    let reasons: Vec<_> = entries.iter().map(|entry| entry.reason.as_deref()).collect();
    assert_eq!(reasons, [Some(why.as_str()), Some(why.as_str()), None]);
    assert!(entries.iter().all(|entry| entry.on == path), "{entries:?}");
    let outcomes: Vec<_> = entries.iter().map(|entry| entry.outcome.clone().unwrap()).collect();
    assert_eq!(outcomes.iter().map(|outcome| outcome.status).collect::<Vec<_>>(), [200, 409, 403]);
    assert_eq!(outcomes[0].etag.as_deref(), Some(replayed.etag().as_str()));
    assert_eq!(outcomes[1].code.as_deref(), Some("job.state"));
    assert_eq!(outcomes[2].code.as_deref(), Some("auth.scope"));
}

#[tokio::test(start_paused = true)]
async fn what_those_do_who_run_the_platform_stands_in_their_own_trail() {
    let bed = Bed::new().await;
    bed.act_as(root(), "/v1/dead-letters/work:redrive", "k", &reason()).await.is(202);
    assert_eq!(trail(&bed, "acme").await, []);
    let entries = trail(&bed, "platform").await;
    assert_eq!(
        (entries[0].what.as_str(), entries[0].on.as_str()),
        ("redriveDeadLetters", "/v1/dead-letters/work")
    );
}

#[tokio::test(start_paused = true)]
async fn no_job_is_changed_of_which_the_trail_cannot_tell() {
    struct Mute;
    impl Fates for Mute {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let fails = call.name == "begin_entry";
            Fate::of(if fails { Event::Fails(StoreErrorKind::Unavailable) } else { Event::None })
        }
    }
    let bed = Bed::faulty(Arc::new(Mute)).await;
    let job = bed.failed("a").await;
    let path = format!("/v1/jobs/{}:replay", job.id);
    for _ in 0..2 {
        // The key is free again.
        let refused = bed.call(
            ann(),
            "POST",
            &path,
            &[crate::kit::JSON, ("idempotency-key", "k")],
            reason().to_string(),
        );
        assert_eq!(refused.await.is(503).code(), "store.unavailable");
    }
    assert_eq!(bed.region.get(job.id).await.unwrap().unwrap(), job);
}
