//! Tenants, and who sets them up.

use std::sync::Arc;

use eft_api::{Principal, Problem};
use eft_store::{
    Catalog, StoreErrorKind,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::{Value, json};

use crate::kit::{Bed, JSON, NEW, Reply, ann, route, token};

const UMBRELLA: &str = "/v1/tenants/umbrella";

fn root() -> Result<Principal, Problem> {
    token("root", "platform", "admin")
}

async fn put(bed: &Bed, condition: (&str, &str), tenant: &Value) -> Reply {
    bed.put(root(), UMBRELLA, condition, tenant).await
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_set_up_and_then_saves_routes() {
    let bed = Bed::new().await;
    let una = || token("una", "umbrella", "config:write");
    assert_eq!(bed.call(una(), "GET", "/v1/tenant", &[], "").await.is(403).code(), "tenant.unknown");
    let text = json!({ "weight": 3, "outputs": [{ "bucket": "umbrella-out", "prefix": "in/" }] });
    let created = put(&bed, NEW, &text).await.is(201);
    assert_eq!(created.header("location"), UMBRELLA);
    assert_eq!(
        (&created.body["tenant"]["weight"], &created.body["tenant"]["max_jobs"]),
        (&json!(3), &json!(50))
    );
    let own = bed.call(una(), "GET", "/v1/tenant", &[], "").await.is(200);
    assert_eq!((own.etag(), &own.body), (created.etag(), &created.body));
    bed.call(una(), "GET", "/v1/tenant", &[("if-none-match", &own.etag())], "").await.is(304);
    let mut theirs = route("a", 1);
    theirs["match"]["prefix"] = "tenants/umbrella/a/".into();
    theirs["destinations"][0]["s3"]["bucket"] = "umbrella-out".into();
    let refused = bed.put(una(), "/v1/routes/a", NEW, &theirs).await.is(422);
    assert_eq!(refused.pointers(), ["/destinations/0"]);
    theirs["destinations"][0]["s3"]["key"] = "in/{name}".into();
    bed.put(una(), "/v1/routes/a", NEW, &theirs).await.is(201);
    let again = put(&bed, ("if-match", &created.etag()), &created.body["tenant"]).await.is(200);
    assert_eq!(again.etag(), created.etag(), "what it says is accepted again");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_changed_by_one_at_a_time() {
    let bed = Bed::new().await;
    assert_eq!(put(&bed, ("if-match", "*"), &json!({})).await.is(404).code(), "tenant.not_found");
    bed.call(root(), "PUT", UMBRELLA, &[JSON], "{}").await.is(428);
    let tag = put(&bed, NEW, &json!({})).await.is(201).etag();
    assert_eq!(put(&bed, NEW, &json!({})).await.is(412).etag(), tag);
    let (one, two) = (json!({ "weight": 2 }), json!({ "weight": 3 }));
    let (one, two) = tokio::join!(put(&bed, ("if-match", &tag), &one), put(&bed, ("if-match", &tag), &two));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let now = bed.call(root(), "GET", UMBRELLA, &[], "").await.is(200).etag();
    assert!(one.etag() == now && two.etag() == now && now != tag);
}

/// Somebody else writes between the read and the write.
#[tokio::test(start_paused = true)]
async fn the_write_of_a_tenant_is_conditional_and_looked_up() {
    struct Slow(Event);
    impl Fates for Slow {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let is_write = call.name == "save_tenant";
            let before = std::time::Duration::from_secs(u64::from(is_write));
            Fate { before, event: if is_write { self.0 } else { Event::None }, ..Fate::default() }
        }
    }
    let bed = Bed::faulty(Arc::new(Slow(Event::None))).await;
    let tag = put(&bed, NEW, &json!({})).await.is(201).etag();
    let meanwhile = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let mut tenant = bed.region.tenant(&"umbrella".parse().unwrap()).await.unwrap().unwrap();
        tenant.paused = true;
        bed.region.put_tenant(&tenant).await.unwrap();
    };
    let weight = json!({ "weight": 2 });
    let (lost, ()) = tokio::join!(put(&bed, ("if-match", &tag), &weight), meanwhile);
    lost.is(412);
    let bed = Bed::faulty(Arc::new(Slow(Event::DoneAndLost))).await;
    put(&bed, NEW, &json!({})).await.is(201);
    let bed = Bed::faulty(Arc::new(Slow(Event::Fails(StoreErrorKind::Indeterminate)))).await;
    put(&bed, NEW, &json!({})).await.is(503);
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_tenant_is_told_at_once() {
    let bed = Bed::new().await;
    let wrong = json!({
        "id": "other", "weight": 0, "max_jobs": "x", "max_bytes": -1, "paused": 1, "x": 1,
        "outputs": [{ "bucket": "A" }, 3, { "bucket": "good-bucket", "prefix": 7, "y/z": 1 }],
    });
    let refused = put(&bed, NEW, &wrong).await.is(422);
    assert_eq!(refused.code(), "request.body");
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    let expected = [
        "/id",
        "/max_bytes",
        "/max_jobs",
        "/outputs/0/bucket",
        "/outputs/1",
        "/outputs/2/prefix",
        "/outputs/2/y~1z",
        "/paused",
        "/weight",
        "/x",
    ];
    assert_eq!(pointers, expected);
    assert_eq!(put(&bed, NEW, &json!([])).await.is(422).pointers(), [""]);
    let many = json!({ "outputs": vec![json!({ "bucket": "a-bucket" }); 101] });
    assert_eq!(put(&bed, NEW, &many).await.is(422).pointers(), ["/outputs"]);
    assert_eq!(bed.put(root(), "/v1/tenants/A", NEW, &json!({})).await.is(422).code(), "tenant.name");
}

#[tokio::test(start_paused = true)]
async fn tenants_are_the_business_of_those_who_run_the_platform() {
    let bed = Bed::new().await;
    for path in ["/v1/tenants", "/v1/tenants/acme", "/v1/tenants/globex"] {
        assert_eq!(bed.get(path).await.is(403).code(), "auth.scope", "{path}");
    }
    let outputs = json!({ "outputs": [{ "bucket": "globex-out" }] });
    bed.put(ann(), "/v1/tenants/acme", ("if-match", "*"), &outputs).await.is(403);
    let first = bed.call(root(), "GET", "/v1/tenants?limit=1", &[], "").await.is(200).body;
    assert_eq!(first["items"][0]["name"], "acme");
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = bed.call(root(), "GET", &format!("/v1/tenants?cursor={cursor}"), &[], "").await.is(200).body;
    assert_eq!((&second["items"][0]["name"], second.get("nextCursor")), (&json!("globex"), None));
    bed.region.unreadable_tenant(&"acme".parse().unwrap(), Some("no such weight"));
    let all = bed.call(root(), "GET", "/v1/tenants", &[], "").await.is(200).body;
    assert_eq!(all["items"][0], json!({ "name": "acme", "unreadable": "no such weight" }));
    assert_eq!((&all["items"][1], all.get("nextCursor")), (&second["items"][0], None));
    assert_eq!(bed.call(root(), "GET", "/v1/tenants/none", &[], "").await.is(404).code(), "tenant.not_found");
    bed.call(root(), "GET", "/v1/tenants/A", &[], "").await.is(404);
}
