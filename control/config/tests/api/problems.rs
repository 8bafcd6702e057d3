//! Each problem code has a request that is answered with it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use eft_api::{Code, MAX_BODY_BYTES, Problem};
use eft_config::table::TABLE;
use eft_store::{
    StoreErrorKind,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::json;

use crate::kit::{Bed, JSON, NEW, Reply, ann, eve, route, token};

/// One method of the stores fails.
struct Fails(&'static str, StoreErrorKind);

impl Fates for Fails {
    fn draw(&self, call: &Call<'_>) -> Fate {
        Fate::of(if call.name == self.0 { Event::Fails(self.1) } else { Event::None })
    }
}

async fn of_faults() -> Vec<Reply> {
    let mut replies = Vec::new();
    for kind in [
        StoreErrorKind::Throttled,
        StoreErrorKind::Unavailable,
        StoreErrorKind::Denied,
        StoreErrorKind::Permanent,
    ] {
        let bed = Bed::faulty(Arc::new(Fails("heads", kind))).await;
        let reply = bed.get("/v1/routes").await;
        assert!(
            !reply.body.to_string().contains("a fault of the test"),
            "a client is not told why: {reply:?}"
        );
        replies.push(reply);
    }
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, [503, 503, 500, 500]);
    replies
}

#[tokio::test(start_paused = true)]
async fn each_problem_has_its_request() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    let (orders, text) = ("/v1/routes/orders", route("orders", 1).to_string());
    let acts = |key: &'static str| [("idempotency-key", key)];
    let pause = "/v1/routes/orders:pause";
    let mut replies = of_faults().await;
    let none = Err(Problem::new(Code::AuthMissing, "the request has no token"));
    replies.push(bed.call(none, "GET", orders, &[], "").await);
    replies.push(bed.call(token("", "acme", "admin"), "GET", orders, &[], "").await);
    replies.push(bed.call(token("x", "acme", "none"), "GET", orders, &[], "").await);
    replies.push(
        bed.call(token("x", "umbrella", "admin"), "PUT", "/v1/routes/x", &[JSON, NEW], text.clone()).await,
    );
    replies.push(bed.get("/v1/nothing").await);
    replies.push(bed.call(ann(), "DELETE", orders, &[], "").await);
    replies.push(bed.get("/v1/routes?page=1").await);
    replies.push(bed.call(ann(), "PUT", orders, &[JSON, ("if-match", "x")], text.clone()).await);
    replies.push(bed.call(ann(), "PUT", orders, &[NEW], text.clone()).await);
    replies.push(bed.call(ann(), "PUT", orders, &[JSON, NEW], vec![0; MAX_BODY_BYTES + 1]).await);
    replies.push(bed.post("/v1/routes:simulate", &json!({})).await);
    replies.push(bed.get("/v1/routes?cursor=x").await);
    replies.push(bed.call(ann(), "PUT", orders, &[JSON], text.clone()).await);
    replies.push(bed.call(ann(), "PUT", orders, &[JSON, NEW], text.clone()).await);
    replies.push(bed.call(ann(), "POST", pause, &[], "").await);
    bed.call(ann(), "POST", pause, &acts("a"), "").await.is(200);
    replies.push(bed.call(ann(), "POST", pause, &acts("a"), "x").await);
    replies.push(bed.get("/v1/routes/none").await);
    replies.push(bed.call(ann(), "PUT", "/v1/routes/X", &[JSON, NEW], text.clone()).await);
    replies.push(bed.call(eve(), "PUT", orders, &[JSON, NEW], text.clone()).await);
    replies.push(bed.call(ann(), "PUT", "/v1/routes/x", &[JSON, NEW], "{}").await);
    replies.push(bed.call(ann(), "PUT", "/v1/routes/x", &[JSON, NEW], text.clone()).await);
    replies.push(bed.get("/v1/routes/orders/revisions/99").await);
    replies.push(bed.get("/v1/problems/none").await);
    bed.api.keys.put("saving#acme", "", bed.now().plus(Duration::from_secs(20))).await.unwrap();
    let free = json!({
        "match": { "prefix": "tenants/acme/free/" }, "destinations": [{ "s3": { "bucket": "acme-out", "key": "{name}" } }],
    });
    replies.push(bed.put(ann(), "/v1/routes/free", NEW, &free).await);
    let root = || token("root", "platform", "admin");
    replies.push(bed.call(root(), "GET", "/v1/tenants/none", &[], "").await);
    replies.push(bed.put(root(), "/v1/tenants/X", NEW, &json!({})).await);
    replies.push(bed.get("/v1/sftp-users/none").await);
    replies.push(bed.put(ann(), "/v1/sftp-users/x", NEW, &json!({})).await);
    bed.put(ann(), "/v1/sftp-users/acme-erp", NEW, &json!({})).await.is(201);
    replies.push(bed.put(eve(), "/v1/sftp-users/acme-erp", NEW, &json!({})).await);
    replies.push(bed.get("/v1/partners/none").await);
    replies.push(bed.put(ann(), "/v1/partners/X", NEW, &json!({})).await);
    bed.put(ann(), "/v1/partners/shop", NEW, &json!({})).await.is(201);
    bed.put(ann(), "/v1/sftp-users/shop-erp", NEW, &json!({ "partner": "shop" })).await.is(201);
    replies.push(bed.remove("/v1/partners/shop", "*").await);
    replies.push(running().await);
    let seen: BTreeSet<_> = replies.iter().map(|reply| reply.code().to_owned()).collect();
    let own = TABLE.iter().flat_map(|endpoint| endpoint.problems());
    let all: BTreeSet<_> =
        own.chain([Code::PathUnknown, Code::MethodUnknown]).map(|code| code.as_str().to_owned()).collect();
    assert_eq!(seen, all);
    for reply in &replies {
        let code = Code::ALL.iter().find(|code| code.as_str() == reply.code()).unwrap();
        assert_eq!(reply.status, code.status());
        assert_eq!(reply.body["type"], format!("/v1/problems/{}", code.as_str()));
        assert_eq!(
            (&reply.body["title"], &reply.body["retryable"]),
            (&json!(code.title()), &json!(code.retryable()))
        );
        assert_eq!(reply.headers.contains_key("retry-after"), code.retryable(), "{reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
}

async fn running() -> Reply {
    struct Slow;
    impl Fates for Slow {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let before = if call.name == "head" { Duration::from_secs(5) } else { Duration::ZERO };
            Fate { before, ..Fate::default() }
        }
    }
    let bed = Bed::faulty(Arc::new(Slow)).await;
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.act("/v1/routes/orders:pause", "k").await
    };
    let (first, second) = tokio::join!(bed.act("/v1/routes/orders:pause", "k"), second);
    first.is(404);
    second
}
