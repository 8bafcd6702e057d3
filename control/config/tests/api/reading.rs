//! Lists, pages and revisions.

use serde_json::{Value, json};

use crate::kit::{Bed, ann, bob, route};

fn names(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn routes_are_listed_in_pages() {
    let bed = Bed::new().await;
    assert_eq!(bed.get("/v1/routes").await.is(200).body, json!({ "items": [] }));
    for name in ["c", "a", "b", "d", "e"] {
        bed.create(name).await;
    }
    let all = bed.get("/v1/routes").await.is(200);
    assert_eq!(names(&all.body), ["a", "b", "c", "d", "e"]);
    assert!(all.body.get("nextCursor").is_none());
    assert_eq!(all.body["items"][0]["etag"], bed.get("/v1/routes/a").await.body["etag"]);
    let (mut seen, mut path, mut pages) = (Vec::new(), "/v1/routes?limit=2".to_owned(), 0);
    loop {
        let page = bed.get(&path).await.is(200);
        seen.extend(names(&page.body));
        pages += 1;
        let Some(next) = page.body["nextCursor"].as_str() else { break };
        assert!(next.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{next}");
        path = format!("/v1/routes?limit=2&cursor={next}");
    }
    assert_eq!((seen, pages), (names(&all.body), 3));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_of_its_list_and_lasts_for_a_day() {
    let bed = Bed::new().await;
    for name in ["a", "b"] {
        let tag = bed.create(name).await.etag();
        bed.put(ann(), &format!("/v1/routes/{name}"), ("if-match", &tag), &route(name, 2)).await.is(200);
    }
    let cursor = |page: Value| page["nextCursor"].as_str().unwrap().to_owned();
    let of_routes = cursor(bed.get("/v1/routes?limit=1").await.body);
    let of_a = cursor(bed.get("/v1/routes/a/revisions?limit=1").await.body);
    for path in [
        format!("/v1/routes?cursor={of_a}"),
        format!("/v1/routes/a/revisions?cursor={of_routes}"),
        format!("/v1/routes/b/revisions?cursor={of_a}"),
        format!("/v1/routes?cursor={of_routes}x"),
        "/v1/routes?cursor=".to_owned(),
    ] {
        assert_eq!(bed.get(&path).await.is(400).code(), "cursor.invalid", "{path}");
    }
    bed.get(&format!("/v1/routes?cursor={of_routes}")).await.is(200);
    tokio::time::sleep(std::time::Duration::from_secs(24 * 60 * 60)).await;
    bed.get(&format!("/v1/routes?cursor={of_routes}")).await.is(400);
}

#[tokio::test(start_paused = true)]
async fn revisions_are_kept_and_never_change() {
    let bed = Bed::new().await;
    let first = bed.create("orders").await;
    let second =
        bed.put(bob(), "/v1/routes/orders", ("if-match", &first.etag()), &route("orders", 2)).await.is(200);
    bed.act("/v1/routes/orders:pause", "k").await.is(200);
    let list = bed.get("/v1/routes/orders/revisions").await.is(200).body;
    let items: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (
                item["change"].clone(),
                item["changedBy"].clone(),
                item["state"].clone(),
                item["revision"].clone(),
            )
        })
        .collect();
    let (one, two) = (first.body["revision"].clone(), second.body["revision"].clone());
    assert_eq!(
        items,
        [
            (json!(3), json!("ann"), json!("paused"), two.clone()),
            (json!(2), json!("bob"), json!("active"), two),
            (json!(1), json!("ann"), json!("active"), one.clone()),
        ]
    );
    let old = bed.get("/v1/routes/orders/revisions/1").await.is(200);
    assert_eq!((&old.body["route"], &old.body["revision"]), (&first.body["route"], &one));
    assert!(old.header("cache-control").contains("immutable"));
    let known = [("if-none-match", old.header("etag"))];
    bed.call(ann(), "GET", "/v1/routes/orders/revisions/1", &known, "").await.is(304);
    let by_digits = format!("/v1/routes/orders/revisions/{}", one.as_str().unwrap());
    let same = bed.get(&by_digits).await.is(200);
    assert_eq!(same.body["route"], first.body["route"]);
    assert!(same.body.get("change").is_none());
    for missing in ["0", "4", "01", "+1", "99999999999", "0000000000000000", "x", "1%20"] {
        let path = format!("/v1/routes/orders/revisions/{missing}");
        assert_eq!(bed.get(&path).await.is(404).code(), "revision.not_found", "{missing}");
    }
    bed.get("/v1/routes/none/revisions").await.is(404);
    bed.get("/v1/routes/none/revisions/1").await.is(404);
    let pages = bed.get("/v1/routes/orders/revisions?limit=2").await.body;
    let next = pages["nextCursor"].as_str().unwrap();
    let rest = bed.get(&format!("/v1/routes/orders/revisions?limit=2&cursor={next}")).await.body;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["items"][0]["change"]), (1, &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn what_a_route_says_is_accepted_again() {
    let bed = Bed::new().await;
    let created = bed.create("orders").await;
    let again = bed
        .put(ann(), "/v1/routes/orders", ("if-match", &created.etag()), &created.body["route"])
        .await
        .is(200);
    assert_eq!(again.etag(), created.etag());
}
