//! Bodies, names, parameters and methods that are not taken.

use eft_api::MAX_BODY_BYTES;
use proptest::prelude::*;
use serde_json::json;

use crate::kit::{Bed, JSON, NEW, ann, route};

#[tokio::test(start_paused = true)]
async fn a_body_has_a_length_and_a_type() {
    let bed = Bed::new().await;
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    for (method, path) in [
        ("PUT", "/v1/routes/a"),
        ("POST", "/v1/routes:validate"),
        ("POST", "/v1/routes:simulate"),
        ("GET", "/v1/routes"),
    ] {
        let refused = bed.call(ann(), method, path, &[JSON, NEW], large.clone()).await.is(413);
        assert_eq!(refused.code(), "request.too_large");
    }
    // Within what a request may have, beyond what a route may.
    let long = format!("{{\"id\": \"{}\"}}", "x".repeat(300_000));
    let refused = bed.call(ann(), "PUT", "/v1/routes/a", &[JSON, NEW], long).await.is(422);
    assert_eq!((refused.code(), refused.pointers()), ("route.invalid", vec![""]));
    let text = route("a", 1).to_string();
    for kind in ["text/plain", "application/jsonx", "application/xml", ""] {
        let headers = [NEW, ("content-type", kind)];
        assert_eq!(
            bed.call(ann(), "PUT", "/v1/routes/a", &headers, text.clone()).await.is(415).code(),
            "request.media_type"
        );
    }
    bed.call(ann(), "PUT", "/v1/routes/a", &[NEW], text.clone()).await.is(415);
    bed.call(ann(), "POST", "/v1/routes:simulate", &[("content-type", "application/yaml")], text)
        .await
        .is(415);
    let refused =
        bed.call(ann(), "PUT", "/v1/routes/a", &[JSON, NEW], &b"{\"id\": \"\xff\"}"[..]).await.is(422);
    assert_eq!(refused.code(), "request.body");
    bed.call(ann(), "PUT", "/v1/routes/a", &[JSON, NEW], "{").await.is(422);
    bed.call(ann(), "PUT", "/v1/routes/a", &[JSON, NEW], "").await.is(422);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_one_that_a_route_can_have() {
    let bed = Bed::new().await;
    let longest = "a".repeat(64);
    bed.create(&longest).await;
    let long = "a".repeat(65);
    for name in [
        "A",
        "-a",
        "..",
        "%2e%2e",
        "a%2Fb",
        "a%00",
        "%ff",
        "%C3%A4",
        "a%20b",
        "a+b",
        "a%0d%0aX-Y:z",
        "__proto__",
        &long,
    ] {
        let path = format!("/v1/routes/{name}");
        let refused = bed.put(ann(), &path, NEW, &route("a", 1)).await;
        if name.contains(':') {
            assert_eq!(refused.is(404).code(), "request.path", "{name}");
            continue;
        }
        assert_eq!(refused.is(422).code(), "route.name", "{name}");
        assert_eq!(bed.get(&path).await.is(404).code(), "route.not_found", "{name}");
        let act = format!("{path}:pause");
        assert_eq!(bed.act(&act, "k").await.is(404).code(), "route.not_found", "{name}");
    }
    let other = bed.call(ann(), "PUT", "/v1/routes/a", &[JSON, NEW], json!({
        "id": "b", "match": { "prefix": "tenants/acme/" }, "destinations": [{ "s3": { "bucket": "acme-out", "key": "x" } }],
    }).to_string()).await.is(422);
    assert_eq!(other.pointers(), ["/id"]);
}

#[tokio::test(start_paused = true)]
async fn parameters_are_known_and_right() {
    let bed = Bed::new().await;
    bed.create("a").await;
    for query in [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1&limit=2",
        "offset=3",
        "tenant=globex",
        "limit=%ff",
    ] {
        let refused = bed.get(&format!("/v1/routes?{query}")).await.is(400);
        assert_eq!(refused.code(), "request.parameter", "{query}");
    }
    bed.get("/v1/routes?limit=200&").await.is(200);
    bed.get("/v1/routes?").await.is(200);
    bed.get("/v1/routes/a?x=1").await.is(400);
}

#[tokio::test(start_paused = true)]
async fn a_path_takes_its_methods_and_no_other() {
    let bed = Bed::new().await;
    for (method, path, allow) in [
        ("DELETE", "/v1/routes/a", "GET, PUT"),
        ("PATCH", "/v1/routes/a", "GET, PUT"),
        ("PUT", "/v1/routes", "GET"),
        ("GET", "/v1/routes:simulate", "POST"),
        ("GET", "/v1/routes/a:pause", "POST"),
        ("GET", "/v1/routes/a%3Apause", "POST"),
        ("BREW", "/v1/openapi.json", "GET"),
        ("PUT", "/v1/routes/a/revisions/1", "GET"),
    ] {
        let refused = bed.call(ann(), method, path, &[], "").await.is(405);
        assert_eq!((refused.code(), refused.header("allow")), ("request.method", allow), "{method} {path}");
    }
    for path in [
        "/",
        "/v1",
        "/v2/routes",
        "/v1/routes/",
        "/v1/routes/a/",
        "/v1//routes",
        "/v1/routes/a:delete",
        "/v1/problems/x%3a",
    ] {
        assert_eq!(bed.get(path).await.is(404).code(), "request.path", "{path}");
    }
    bed.get("/v1/problems/none").await.is(404);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is sent, the answer is one that the document names, and none is a fault of ours.
    #[test]
    fn nothing_that_is_sent_is_a_fault_of_ours(
        method in prop::sample::select(vec!["GET", "PUT", "POST", "DELETE"]),
        path in prop::sample::select(vec![
            "/v1/routes", "/v1/routes/a", "/v1/routes/a/revisions", "/v1/routes/a/revisions/1", "/v1/routes:validate",
            "/v1/routes:simulate", "/v1/routes/a:pause", "/v1/problems/x", "/v1/routes/b", "/v1/partners/a", "/v1/sftp-users/abc",
            "/v1/audit",
        ]),
        tail in "([?&][a-z]{0,6}=[a-zA-Z0-9%_-]{0,8}|%[0-9a-f]{2}|/[a-z]{0,3})?",
        kind in prop::sample::select(vec!["application/json", "application/yaml", "text/plain"]),
        condition in prop::sample::select(vec![("if-match", "*"), ("if-none-match", "*"), ("if-match", "\"x\""), ("x", "y")]),
        body in prop_oneof![
            "[ -~\n]{0,80}",
            r#"\{"(name|size|route|match|id)": ("[a-z/.]{0,12}"|[0-9]{1,22}|null|\[\]|\{\})\}"#,
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bed = Bed::new().await;
            bed.create("a").await;
            let headers = [("content-type", kind), condition, ("idempotency-key", "k")];
            let reply = bed.call(ann(), method, &format!("{path}{tail}"), &headers, body).await;
            assert!(!reply.status.is_server_error(), "{reply:?}");
        });
    }
}
