//! Whose things are whose, and who may do what.

use std::collections::HashMap;

use eft_api::{Code, Principal, Problem};
use eft_domain::{Route, route::Profile};
use eft_store::{Catalog, Put, RouteChange};
use serde_json::json;

use crate::kit::{Bed, JSON, NEW, ann, eve, route, token};

#[tokio::test(start_paused = true)]
async fn what_is_another_tenants_is_not_there() {
    let bed = Bed::new().await;
    let tag = bed.create("orders").await.etag();
    let revision = bed.get("/v1/routes/orders").await.body["revision"].as_str().unwrap().to_owned();
    let reads = [
        "/v1/routes/orders".to_owned(),
        "/v1/routes/orders/revisions".to_owned(),
        "/v1/routes/orders/revisions/1".to_owned(),
        format!("/v1/routes/orders/revisions/{revision}"),
    ];
    for path in &reads {
        let theirs = bed.call(eve(), "GET", path, &[], "").await.is(404);
        let nobodys = bed.call(eve(), "GET", &path.replace("orders", "none"), &[], "").await.is(404);
        assert_eq!(theirs.code(), "route.not_found");
        let say = |body: &serde_json::Value| body.to_string().replace("orders", "none");
        assert_eq!(say(&theirs.body), say(&nobodys.body), "it cannot be told from what is not there");
    }
    for act in ["pause", "activate"] {
        let path = format!("/v1/routes/orders:{act}");
        bed.call(eve(), "POST", &path, &[("idempotency-key", act)], "").await.is(404);
    }
    assert_eq!(bed.call(eve(), "GET", "/v1/routes", &[], "").await.is(200).body, json!({ "items": [] }));
    let theirs = json!({
        "match": { "prefix": "tenants/globex/" },
        "destinations": [{ "s3": { "bucket": "globex-out", "key": "{name}" } }],
    });
    for condition in [("if-match", tag.as_str()), ("if-match", "*")] {
        bed.put(eve(), "/v1/routes/orders", condition, &theirs).await.is(404);
    }
    let taken = bed.put(eve(), "/v1/routes/orders", NEW, &theirs).await.is(409);
    assert_eq!(taken.code(), "route.name_taken");
    assert_eq!(bed.get("/v1/routes/orders").await.is(200).etag(), tag, "nothing has changed");
}

/// Of two tenants that create a route of one name at once, the one that comes second has stored its text already.
#[tokio::test(start_paused = true)]
async fn a_text_that_came_to_nothing_is_shown_to_nobody_else() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    let text = r#"{"id": "orders", "tenant": "globex", "match": {"prefix": "tenants/globex/"},
        "destinations": [{"s3": {"bucket": "globex-out", "key": "secret"}}]}"#;
    let theirs = Route::parse_json(text, Profile::Platform).unwrap();
    assert_eq!(bed.region.put_route(&theirs, None).await, Ok(Put::Stale));
    let change = RouteChange {
        id: "orders".parse().unwrap(),
        tenant: "globex".parse().unwrap(),
        revision: theirs.revision(),
        paused: false,
        number: 1,
        at: bed.now(),
        by: "eve".to_owned(),
    };
    assert_eq!(bed.region.save_route(&theirs, &change, None).await, Ok(Put::Stale));
    assert!(bed.region.route(&change.id, change.revision).await.unwrap().is_some());
    let path = format!("/v1/routes/orders/revisions/{}", change.revision);
    assert_eq!(bed.get(&path).await.is(404).code(), "revision.not_found");
    bed.call(eve(), "GET", &path, &[], "").await.is(404);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_that_of_its_tenant() {
    let bed = Bed::new().await;
    bed.create("a").await;
    bed.create("b").await;
    let cursor = bed.get("/v1/routes?limit=1").await.body["nextCursor"].as_str().unwrap().to_owned();
    let path = format!("/v1/routes?cursor={cursor}");
    assert_eq!(bed.call(eve(), "GET", &path, &[], "").await.is(400).code(), "cursor.invalid");
    bed.call(ann(), "GET", &path, &[], "").await.is(200);
}

#[tokio::test(start_paused = true)]
async fn a_route_stays_within_its_tenant() {
    let bed = Bed::new().await;
    bed.call(
        eve(),
        "PUT",
        "/v1/routes/secret",
        &[JSON, NEW],
        json!({
            "match": { "prefix": "tenants/globex/secret/" },
            "destinations": [{ "s3": { "bucket": "globex-out", "key": "{name}" } }],
        })
        .to_string(),
    )
    .await
    .is(201);
    let foreign = json!({
        "tenant": "globex",
        "match": { "prefix": "tenants/globex/secret/" },
        "destinations": [{ "s3": { "bucket": "acme-out", "key": "{name}" } }, { "s3": { "bucket": "globex-out", "key": "x/{name}" } }],
    });
    let refused = bed.put(ann(), "/v1/routes/spy", NEW, &foreign).await.is(422);
    assert_eq!(
        (refused.code(), refused.pointers()),
        ("route.invalid", vec!["/tenant", "/match/prefix", "/destinations/1"])
    );
    assert!(
        !refused.body.to_string().contains("route secret"),
        "it is not told what it would tie with: {refused:?}"
    );
    let checked = bed.post("/v1/routes:validate", &foreign).await.is(200);
    assert_eq!(checked.body["valid"], false);
    assert!(!checked.body.to_string().contains("route secret"));
    assert!(bed.region.head(&"spy".parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn who_has_no_token_or_not_the_scope_is_told_so() {
    let bed = Bed::new().await;
    bed.create("orders").await;
    let none = || Err(Problem::new(Code::AuthMissing, "the request has no token"));
    let missing = bed.call(none(), "GET", "/v1/routes", &[], "").await.is(401);
    assert_eq!((missing.code(), missing.header("www-authenticate")), ("auth.missing", "Bearer"));
    let reader = || token("ron", "acme", "config:read openid");
    bed.call(reader(), "GET", "/v1/routes/orders", &[], "").await.is(200);
    bed.call(reader(), "POST", "/v1/routes:validate", &[JSON], "{}").await.is(200);
    let text = route("orders", 2).to_string();
    let refused =
        bed.call(reader(), "PUT", "/v1/routes/orders", &[JSON, ("if-match", "*")], text).await.is(403);
    assert_eq!(refused.code(), "auth.scope");
    assert!(refused.header("www-authenticate").contains("scope=\"config:write\""));
    bed.call(reader(), "POST", "/v1/routes/orders:pause", &[("idempotency-key", "k")], "").await.is(403);
    bed.call(token("x", "acme", ""), "GET", "/v1/routes", &[], "").await.is(403);
    bed.call(
        token("root", "acme", "admin"),
        "POST",
        "/v1/routes/orders:pause",
        &[("idempotency-key", "k")],
        "",
    )
    .await
    .is(200);
    let nobody = Principal::from_claims(&HashMap::from([("sub".to_owned(), "x".to_owned())]), "tenant");
    assert_eq!(bed.call(nobody, "GET", "/v1/routes", &[], "").await.is(401).code(), "auth.invalid");
    // The document and the catalogue are for everybody.
    bed.call(none(), "GET", "/v1/openapi.json", &[], "").await.is(200);
    let kind = bed.call(none(), "GET", "/v1/problems/auth.scope", &[], "").await.is(200);
    assert_eq!(kind.body["type"], refused.body["type"]);
    assert_eq!(kind.body["title"], refused.body["title"]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_not_set_up_saves_nothing() {
    let bed = Bed::new().await;
    let caller = || token("una", "umbrella", "admin");
    let text = json!({
        "match": { "prefix": "tenants/umbrella/" },
        "destinations": [{ "s3": { "bucket": "umbrella-out", "key": "{name}" } }],
    });
    let refused = bed.put(caller(), "/v1/routes/x", NEW, &text).await.is(403);
    assert_eq!(refused.code(), "tenant.unknown");
    for path in ["/v1/routes:validate", "/v1/routes:simulate"] {
        bed.call(caller(), "POST", path, &[JSON], text.to_string()).await.is(403);
    }
}
