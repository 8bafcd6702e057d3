//! Each problem code of this API has a request that is answered with it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use eft_api::{Code, MAX_BODY_BYTES, Problem};
use eft_domain::Command;
use eft_status::table::TABLE;
use eft_store::{
    StoreErrorKind,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::json;

use crate::kit::{Bed, JSON, Reply, ann, arrived, reason, ron, root, token};

/// One method of the stores fails.
struct Fails(&'static str, StoreErrorKind);

impl Fates for Fails {
    fn draw(&self, call: &Call<'_>) -> Fate {
        Fate::of(if call.name == self.0 { Event::Fails(self.1) } else { Event::None })
    }
}

async fn of_faults() -> Vec<Reply> {
    let mut replies = Vec::new();
    for (method, kind, status) in [
        ("jobs", StoreErrorKind::Throttled, 503),
        ("jobs", StoreErrorKind::Denied, 500),
        ("jobs", StoreErrorKind::Permanent, 500),
    ] {
        let bed = Bed::faulty(Arc::new(Fails(method, kind))).await;
        let reply = bed.get("/v1/jobs").await.is(status);
        assert!(
            !reply.body.to_string().contains("a fault of the test"),
            "a client is not told why: {reply:?}"
        );
        replies.push(reply);
    }
    let bed = Bed::faulty(Arc::new(Fails("replace", StoreErrorKind::Unavailable))).await;
    let job = bed.failed("a").await;
    replies.push(bed.act(&format!("/v1/jobs/{}:replay", job.id), "k", &reason()).await.is(503));
    replies
}

#[tokio::test(start_paused = true)]
async fn each_problem_has_its_request() {
    let bed = Bed::new().await;
    let job = bed.failed("a").await;
    let path = format!("/v1/jobs/{}", job.id);
    let replay = format!("{path}:replay");
    let mut replies = of_faults().await;
    let none = Err(Problem::new(Code::AuthMissing, "the request has no token"));
    replies.push(bed.call(none, "GET", &path, &[], "").await);
    replies.push(bed.call(token("", "acme", "admin"), "GET", &path, &[], "").await);
    replies.push(bed.act_as(ron(), &replay, "k", &reason()).await);
    replies.push(bed.get("/v1/nothing").await);
    replies.push(bed.call(ann(), "DELETE", &path, &[], "").await);
    replies.push(bed.get("/v1/jobs?page=1").await);
    replies.push(bed.get("/v1/jobs?state=FAILED&route=orders").await);
    replies.push(bed.get("/v1/jobs?cursor=x").await);
    replies.push(bed.call(ann(), "GET", &path, &[("if-none-match", "x")], "").await);
    replies.push(bed.call(ann(), "POST", &replay, &[("idempotency-key", "k")], "{}").await);
    replies.push(
        bed.call(ann(), "POST", &replay, &[JSON, ("idempotency-key", "k")], vec![0; MAX_BODY_BYTES + 1])
            .await,
    );
    replies.push(bed.act(&replay, "b", &json!({})).await);
    replies.push(bed.call(ann(), "POST", &replay, &[JSON], "{}").await);
    replies.push(bed.act(&replay, "b", &reason()).await);
    let stale = [JSON, ("idempotency-key", "d"), ("if-match", "\"0\"")];
    replies.push(bed.call(ann(), "POST", &replay, &stale, reason().to_string()).await);
    replies.push(bed.get("/v1/jobs/none").await);
    replies.push(bed.get(&format!("{path}/receipt")).await);
    replies.push(bed.act(&format!("{path}:resume"), "c", &reason()).await);
    replies.push(publishing(&bed).await);
    replies.push(no_report(&bed).await);
    let mut elsewhere = arrived("e");
    elsewhere.route.as_mut().unwrap().id = "gone".parse().unwrap();
    let gone = bed.arrive(&elsewhere, &Command::Accept).await;
    let gone = bed.change(&gone, Command::Cancel { reason: "x".into() }).await;
    let current = json!({ "reason": "x", "route": "current" });
    replies.push(bed.act(&format!("/v1/jobs/{}:replay", gone.id), "k", &current).await);
    replies.push(bed.act_as(root(), "/v1/dead-letters/none:redrive", "k", &reason()).await);
    bed.act_as(root(), "/v1/dead-letters/work:redrive", "k", &reason()).await.is(202);
    replies.push(bed.act_as(root(), "/v1/dead-letters/work:redrive", "l", &reason()).await);
    replies.push(running().await);
    let seen: BTreeSet<_> = replies.iter().map(|reply| reply.code().to_owned()).collect();
    let own = TABLE.iter().flat_map(|endpoint| endpoint.problems());
    let all: BTreeSet<_> =
        own.chain([Code::PathUnknown, Code::MethodUnknown]).map(|code| code.as_str().to_owned()).collect();
    assert_eq!(seen, all);
    for reply in &replies {
        let code = Code::ALL.iter().find(|code| code.as_str() == reply.code()).unwrap();
        assert_eq!((reply.status, &reply.body["title"]), (code.status(), &json!(code.title())));
        assert_eq!(reply.headers.contains_key("retry-after"), code.retryable(), "{reply:?}");
    }
}

async fn publishing(bed: &Bed) -> Reply {
    let job = bed.running("p").await;
    let save = Command::Save { fence: job.fence, checkpoint: "{}".into(), advanced: true, publishing: true };
    bed.change(&job, save).await;
    bed.change(&job, Command::HandBack { fence: job.fence, reason: "stops".into() }).await;
    bed.act(&format!("/v1/jobs/{}:cancel", job.id), "k", &reason()).await
}

async fn no_report(bed: &Bed) -> Reply {
    let job = bed.running("r").await;
    let ending = eft_domain::job::Ending::Succeeded(Some(crate::receipts::receipt(&job, "SUCCEEDED", 0)));
    bed.change(&job, Command::End { fence: job.fence, ending }).await;
    bed.get(&format!("/v1/jobs/{}/reject-report", job.id)).await
}

async fn running() -> Reply {
    struct Slow;
    impl Fates for Slow {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let before = if call.name == "replace" { Duration::from_secs(5) } else { Duration::ZERO };
            Fate { before, ..Fate::default() }
        }
    }
    let bed = Bed::faulty(Arc::new(Slow)).await;
    let path = format!("/v1/jobs/{}:replay", bed.failed("a").await.id);
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.act(&path, "k", &reason()).await
    };
    let body = reason();
    let (first, second) = tokio::join!(bed.act(&path, "k", &body), second);
    first.is(200);
    second
}
