//! Whose jobs are whose.

use eft_api::{Code, Problem};
use serde_json::json;

use crate::kit::{Bed, ann, eve, reason, ron, root, token};

const READS: [&str; 6] = ["", "/events", "/runs", "/receipt", "/deliveries", "/reject-report"];
const ACTS: [&str; 4] = ["replay", "redeliver", "resume", "cancel"];

#[tokio::test(start_paused = true)]
async fn what_is_another_tenants_is_not_there() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    let unrouted = bed.unrouted("tenants/acme/x").await;
    let id = job.id.to_string();
    let none = "00000000-0000-5000-8000-000000000000";
    for read in READS {
        let path = format!("/v1/jobs/{id}{read}");
        for caller in [eve, root] {
            let theirs = bed.call(caller(), "GET", &path, &[], "").await.is(404);
            let nobodys = bed.call(caller(), "GET", &path.replace(&id, none), &[], "").await.is(404);
            assert_eq!(theirs.code(), "job.not_found", "{path}");
            let said = theirs.body.to_string().replace(&id, none);
            assert_eq!(said, nobodys.body.to_string(), "it cannot be told from what is not there");
        }
        bed.call(eve(), "GET", &format!("/v1/jobs/{}{read}", unrouted.id), &[], "").await.is(404);
    }
    for act in ACTS {
        let path = format!("/v1/jobs/{id}:{act}");
        assert_eq!(bed.act_as(eve(), &path, "k", &reason()).await.is(404).code(), "job.not_found");
    }
    assert_eq!(
        bed.get(&format!("/v1/jobs/{id}")).await.is(200).body["state"],
        "FAILED",
        "nothing has changed"
    );
    for path in ["/v1/jobs", "/v1/jobs?state=FAILED", "/v1/jobs?route=orders", "/v1/arrivals?state=UNROUTED"]
    {
        assert_eq!(
            bed.call(eve(), "GET", path, &[], "").await.is(200).body,
            json!({ "items": [] }),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_that_of_its_tenant() {
    let bed = Bed::new().await;
    for name in ["a", "b"] {
        bed.failed(name).await;
    }
    let cursor = bed.get("/v1/jobs?limit=1").await.is(200).body["nextCursor"].as_str().unwrap().to_owned();
    let path = format!("/v1/jobs?cursor={cursor}");
    assert_eq!(bed.call(eve(), "GET", &path, &[], "").await.is(400).code(), "cursor.invalid");
    bed.call(ron(), "GET", &path, &[], "").await.is(200);
}

#[tokio::test(start_paused = true)]
async fn what_is_nobodys_is_shown_to_those_who_run_the_platform() {
    let bed = Bed::new().await;
    let job = bed.unrouted("nowhere/x").await;
    let path = format!("/v1/jobs/{}", job.id);
    bed.call(ann(), "GET", &path, &[], "").await.is(404);
    bed.call(root(), "GET", &path, &[], "").await.is(200);
    let cancelled = bed.act_as(root(), &format!("{path}:cancel"), "k", &reason()).await.is(200);
    assert_eq!(cancelled.body["state"], "CANCELLED");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_is_told_so() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    let path = format!("/v1/jobs/{}", job.id);
    let none = || Err(Problem::new(Code::AuthMissing, "the request has no token"));
    bed.call(none(), "GET", &path, &[], "").await.is(401);
    // Who may change routes may not look at files.
    let editor = || token("ed", "acme", "config:write");
    let refused = bed.call(editor(), "GET", &path, &[], "").await.is(403);
    assert!(refused.header("www-authenticate").contains("scope=\"jobs:read\""));
    bed.call(ron(), "GET", &path, &[], "").await.is(200);
    let refused = bed.act_as(ron(), &format!("{path}:replay"), "k", &reason()).await.is(403);
    assert!(refused.header("www-authenticate").contains("scope=\"jobs:write\""));
    bed.call(none(), "GET", "/v1/status/openapi.json", &[], "").await.is(200);
}
