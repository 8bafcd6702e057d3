//! Events of API Gateway as they come.

use std::cell::RefCell;

use eft_api::lambda;
use lambda_http::{Body, request::from_str};
use serde_json::{Value, json};

use crate::kit::{Bed, NEW, ann, route};

/// An event of an HTTP API, payload format 2.0.
fn event(method: &str, path: &str, query: &str, claims: Option<Value>) -> Value {
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": { "accept": "*/*", "host": "api.example.com", "x-tenant": "globex" },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.example.com",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "27/Nov/2026:09:00:00 +0000",
            "timeEpoch": 1_795_770_000_000_u64,
        },
        "isBase64Encoded": false,
    });
    if let Some(claims) = claims {
        event["requestContext"]["authorizer"] = json!({ "jwt": { "claims": claims, "scopes": null } });
    }
    event
}

async fn answer(bed: &Bed, event: &Value) -> (u16, Value, Value) {
    let request = from_str(&event.to_string()).unwrap();
    let line = RefCell::new(Value::Null);
    let response = lambda::answer(&bed.api, "tenant", request, |said| *line.borrow_mut() = said).await;
    let body = match response.body() {
        Body::Text(text) => serde_json::from_str(text).unwrap(),
        Body::Empty => Value::Null,
        other => panic!("{other:?}"),
    };
    (response.status().as_u16(), body, line.into_inner())
}

fn claims(tenant: &str) -> Option<Value> {
    Some(json!({ "sub": "ann", "tenant": tenant, "scope": "config:write", "iss": "https://idp.example.com" }))
}

#[tokio::test]
async fn an_event_is_answered_for_the_tenant_of_its_token() {
    let bed = Bed::new().await;
    bed.put(ann(), "/v1/routes/orders", NEW, &route("orders", 1)).await.is(201);
    let (status, body, line) = answer(&bed, &event("GET", "/v1/routes/orders", "", claims("acme"))).await;
    assert_eq!((status, &body["name"]), (200, &json!("orders")));
    assert_eq!(
        (&line["tenant"], &line["status"], &line["level"]),
        (&json!("acme"), &json!(200), &json!("INFO"))
    );
    let (status, body, _) = answer(&bed, &event("GET", "/v1/routes", "limit=1", claims("globex"))).await;
    assert_eq!((status, body), (200, json!({ "items": [] })), "a header says nothing of the tenant");
    let (status, body, line) = answer(&bed, &event("GET", "/v1/routes/orders", "", claims("globex"))).await;
    assert_eq!(
        (status, &body["requestId"], &body["instance"]),
        (404, &json!("JKJaXmPLvHcESHA="), &json!("/v1/routes/orders"))
    );
    assert_eq!(line["request"], "JKJaXmPLvHcESHA=");
}

#[tokio::test]
async fn an_event_without_an_authorizer_is_nobodys() {
    let bed = Bed::new().await;
    for claims in [None, Some(json!({})), Some(json!({ "tenant": "acme" }))] {
        let (status, body, _) = answer(&bed, &event("GET", "/v1/routes", "", claims.clone())).await;
        assert_eq!(status, 401, "{claims:?}");
        let code = if claims.is_none() { "auth.missing" } else { "auth.invalid" };
        assert_eq!(body["code"], code);
    }
    let mut forged = event("GET", "/v1/routes", "", None);
    forged["headers"]["authorization"] =
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwidGVuYW50IjoiYWNtZSJ9.".into();
    assert_eq!(answer(&bed, &forged).await.0, 401);
}

#[tokio::test]
async fn what_was_encoded_in_a_name_does_not_end_the_path() {
    let bed = Bed::new().await;
    bed.put(ann(), "/v1/routes/orders", NEW, &route("orders", 1)).await.is(201);
    // As API Gateway hands them over: decoded, but for `%25`.
    for (path, at) in [
        ("/v1/routes/orders?:pause", "/v1/routes/orders%3F:pause"),
        ("/v1/routes/orders#:pause", "/v1/routes/orders%23:pause"),
        ("/v1/routes/..:pause", "/v1/routes/..:pause"),
        ("/v1/routes/a%25b:pause", "/v1/routes/a%25b:pause"),
        ("/v1/routes/a\\é:pause", "/v1/routes/a%5C%C3%A9:pause"),
    ] {
        let mut pause = event("POST", path, "", claims("acme"));
        pause["headers"]["idempotency-key"] = "k".into();
        let (status, body, _) = answer(&bed, &pause).await;
        let found = (status, body["code"].as_str(), body["instance"].as_str());
        assert_eq!(found, (404, Some("route.not_found"), Some(at)), "{path}");
    }
    let listed = answer(&bed, &event("GET", "/v1/routes/x/../../routes", "", claims("acme"))).await;
    assert_eq!((listed.0, &listed.1["code"]), (404, &json!("request.path")));
    let asked = event("GET", "/v1/routes/orders?", "limit=1", claims("acme"));
    assert_eq!(answer(&bed, &asked).await.1["code"], "request.parameter", "the query is not lost");
}

#[tokio::test]
async fn a_body_comes_as_text_or_base64() {
    let bed = Bed::new().await;
    let text = route("orders", 1).to_string();
    let mut put = event("PUT", "/v1/routes/orders", "", claims("acme"));
    put["headers"]["content-type"] = "application/json".into();
    put["headers"]["if-none-match"] = "*".into();
    put["body"] = text.into();
    assert_eq!(answer(&bed, &put).await.0, 201);
    let mut yaml = event("POST", "/v1/routes:validate", "", claims("acme"));
    yaml["headers"]["content-type"] = "application/yaml".into();
    yaml["body"] = "bWF0Y2g6IHtwcmVmaXg6IHh9Cg==".into();
    yaml["isBase64Encoded"] = true.into();
    let (status, body, _) = answer(&bed, &yaml).await;
    assert_eq!((status, &body["valid"]), (200, &json!(false)));
    assert!(body["errors"][0]["detail"].as_str().unwrap().contains("destinations"), "{body}");
}
