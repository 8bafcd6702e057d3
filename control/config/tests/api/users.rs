//! Users of the SFTP server.

use std::sync::Arc;

use eft_store::{
    Catalog, StoreErrorKind,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::json;

use crate::kit::{Bed, NEW, ann, bob, eve};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAy7gI6eXKyBxtH/sjYHvshtYT4HRGh3tZyD9ia85m2A ann@example.com";

/// What `ssh-keygen -l` says of it.
const FINGERPRINT: &str = "SHA256:P4Wakyc+gJfPQzCgdOCYVq9YIy4wSO0YvQT2nNuIb+E";

const ERP: &str = "/v1/sftp-users/acme-erp";

/// One method of the stores takes a second, and then this happens.
struct Slowly(&'static str, Event);

impl Fates for Slowly {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let is_it = call.name == self.0;
        let before = std::time::Duration::from_secs(u64::from(is_it));
        Fate { before, event: if is_it { self.1 } else { Event::None }, ..Fate::default() }
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_is_set_up_with_its_keys() {
    let bed = Bed::new().await;
    let text = json!({ "keys": [KEY], "home": "in/orders/", "sources": ["192.0.2.0/24"] });
    let created = bed.put(ann(), ERP, NEW, &text).await.is(201);
    assert_eq!(created.header("location"), ERP);
    assert_eq!(created.body["fingerprints"], json!([FINGERPRINT]));
    assert_eq!(created.body["prefix"], "tenants/acme/in/orders/", "it sends where its tenant's files arrive");
    let found = bed.get(ERP).await.is(200);
    assert_eq!((found.etag(), &found.body), (created.etag(), &created.body));
    bed.call(ann(), "GET", ERP, &[("if-none-match", &found.etag())], "").await.is(304);
    let again = bed.put(bob(), ERP, ("if-match", &found.etag()), &found.body["user"]).await.is(200);
    assert_eq!(again.etag(), found.etag(), "what it says is accepted again");
    let paused = json!({ "keys": [KEY], "paused": true });
    let changed = bed.put(bob(), ERP, ("if-match", &found.etag()), &paused).await.is(200);
    assert_ne!(changed.etag(), found.etag());
    assert_eq!(bed.put(ann(), ERP, ("if-match", &found.etag()), &text).await.is(412).etag(), changed.etag());
    assert_eq!(bed.put(ann(), ERP, NEW, &text).await.is(412).etag(), changed.etag());
    let stored = bed.region.sftp_user(&"acme-erp".parse().unwrap()).await.unwrap().unwrap();
    assert!(stored.paused && stored.keys[0].to_string() == KEY);
}

#[tokio::test(start_paused = true)]
async fn a_password_is_kept_as_a_hash_and_shown_to_nobody() {
    const SECRET: &str = "correct horse battery";
    let bed = Bed::new().await;
    let name = "acme-erp".parse().unwrap();
    let stored = async || bed.region.sftp_user(&name).await.unwrap().unwrap().password;
    let new = json!({ "keys": [KEY], "password": SECRET });
    let created = bed.put(ann(), ERP, NEW, &new).await.is(201);
    assert_eq!(created.body["hasPassword"], true);
    let first = stored().await.unwrap();
    assert!(first.fits(SECRET) && !first.to_string().contains(SECRET));
    let (got, listed) = (bed.get(ERP).await.is(200), bed.get("/v1/sftp-users").await.is(200));
    for reply in [&created, &got, &listed] {
        let text = reply.body.to_string();
        assert!(!text.contains(SECRET) && !text.contains("argon2"), "{reply:?}");
    }
    let again = bed.put(ann(), ERP, ("if-match", &got.etag()), &got.body["user"]).await.is(200);
    assert_eq!(
        (again.etag(), stored().await),
        (got.etag(), Some(first.clone())),
        "who does not know it keeps it"
    );
    let same = bed.put(ann(), ERP, ("if-match", &got.etag()), &new).await.is(200);
    let second = stored().await.unwrap();
    assert!(second.fits(SECRET) && second != first, "the same password has another salt");
    let gone = bed.put(ann(), ERP, ("if-match", &same.etag()), &json!({ "password": null })).await.is(200);
    assert_eq!((&gone.body["hasPassword"], stored().await), (&json!(false), None));
    for weak in
        [json!("fourteen chars"), json!(15), json!("x".repeat(129)), json!("fünfzehn Zeichen!"), json!("")]
    {
        let refused = bed.put(ann(), ERP, ("if-match", "*"), &json!({ "password": weak })).await.is(422);
        assert_eq!(refused.pointers(), ["/password"]);
        assert!(weak.as_str().is_none_or(|weak| weak.is_empty() || !refused.body.to_string().contains(weak)));
    }
}

#[tokio::test(start_paused = true)]
async fn users_are_their_tenants() {
    let bed = Bed::new().await;
    let tag = bed.put(ann(), ERP, NEW, &json!({ "keys": [KEY] })).await.is(201).etag();
    bed.put(ann(), "/v1/sftp-users/acme-crm", NEW, &json!({})).await.is(201);
    let theirs = bed.call(eve(), "GET", ERP, &[], "").await.is(404);
    assert_eq!(theirs.code(), "user.not_found");
    bed.put(eve(), ERP, ("if-match", &tag), &json!({})).await.is(404);
    bed.put(eve(), ERP, ("if-match", "*"), &json!({})).await.is(404);
    assert_eq!(bed.put(eve(), ERP, NEW, &json!({})).await.is(409).code(), "user.name_taken");
    assert_eq!(bed.call(eve(), "GET", "/v1/sftp-users", &[], "").await.is(200).body, json!({ "items": [] }));
    let first = bed.get("/v1/sftp-users?limit=1").await.is(200).body;
    assert_eq!(first["items"][0]["name"], "acme-crm");
    let path = format!("/v1/sftp-users?cursor={}", first["nextCursor"].as_str().unwrap());
    let second = bed.get(&path).await.is(200).body;
    assert_eq!((&second["items"][0]["name"], second.get("nextCursor")), (&json!("acme-erp"), None));
    assert_eq!(bed.call(eve(), "GET", &path, &[], "").await.is(400).code(), "cursor.invalid");
    assert_eq!(bed.get(ERP).await.etag(), tag);
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_user_is_told_at_once() {
    let bed = Bed::new().await;
    let wrong = json!({
        "keys": ["x", 3, "ssh-dss AAAAB3NzaC1kc3M="], "home": "../", "sources": ["192.0.2.1/24"], "paused": 1, "password": "x",
    });
    let refused = bed.put(ann(), ERP, NEW, &wrong).await.is(422);
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/home", "/keys/0", "/keys/1", "/keys/2", "/password", "/paused", "/sources/0"]);
    let twice = KEY.replace("ann@", "bob@");
    let refused = bed.put(ann(), ERP, NEW, &json!({ "keys": [KEY, twice] })).await.is(422);
    assert_eq!(refused.pointers(), ["/keys/1"]);
    let many = vec![KEY; 11];
    assert_eq!(bed.put(ann(), ERP, NEW, &json!({ "keys": many })).await.is(422).pointers(), ["/keys"]);
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----";
    let refused = bed.put(ann(), ERP, NEW, &json!({ "keys": [private] })).await.is(422);
    assert!(!refused.body.to_string().contains("secret"), "{refused:?}");
    assert_eq!(bed.put(ann(), "/v1/sftp-users/ab", NEW, &json!({})).await.is(422).code(), "user.name");
    bed.get("/v1/sftp-users/ab").await.is(404);
}

#[tokio::test(start_paused = true)]
async fn the_write_of_a_user_is_conditional_and_looked_up() {
    let bed = Bed::faulty(Arc::new(Slowly("save_sftp_user", Event::None))).await;
    let (one, two) = (json!({ "home": "a/" }), json!({ "home": "b/" }));
    let (one, two) = tokio::join!(bed.put(ann(), ERP, NEW, &one), bed.put(bob(), ERP, NEW, &two));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412]);
    let bed = Bed::faulty(Arc::new(Slowly("save_sftp_user", Event::DoneAndLost))).await;
    bed.put(ann(), ERP, NEW, &json!({})).await.is(201);
}

#[tokio::test(start_paused = true)]
async fn a_user_is_removed_by_whoever_has_read_it_and_its_name_is_free() {
    let bed = Bed::new().await;
    let first = bed.put(ann(), ERP, NEW, &json!({ "keys": [KEY] })).await.is(201).etag();
    assert_eq!(bed.call(ann(), "DELETE", ERP, &[], "").await.is(428).code(), "precondition.required");
    assert_eq!(bed.call(ann(), "DELETE", ERP, &[NEW], "").await.is(400).code(), "request.header");
    let changed = bed.put(bob(), ERP, ("if-match", &first), &json!({ "paused": true })).await.is(200).etag();
    let stale = bed.remove(ERP, &first).await.is(412);
    assert_eq!((stale.code(), stale.etag()), ("precondition.failed", changed.clone()));
    let theirs = bed.call(eve(), "DELETE", ERP, &[("if-match", "*")], "").await.is(404);
    assert_eq!(theirs.code(), "user.not_found");
    bed.remove("/v1/sftp-users/none", "*").await.is(404);
    bed.remove("/v1/sftp-users/x", "*").await.is(404);
    assert_eq!(bed.get(ERP).await.is(200).etag(), changed, "it is still there");
    bed.remove(ERP, &changed).await.is(204);
    bed.get(ERP).await.is(404);
    bed.remove(ERP, &changed).await.is(404);
    assert_eq!(bed.get("/v1/sftp-users").await.body, json!({ "items": [] }));
    bed.put(eve(), ERP, NEW, &json!({})).await.is(201);
    assert_eq!(bed.remove(ERP, "*").await.is(404).code(), "user.not_found", "it is another's now");
}

#[tokio::test(start_paused = true)]
async fn the_removal_of_a_user_is_conditional_and_looked_up() {
    let bed = Bed::faulty(Arc::new(Slowly("remove_sftp_user", Event::None))).await;
    let tag = bed.put(ann(), ERP, NEW, &json!({})).await.is(201).etag();
    let meanwhile = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        bed.put(bob(), ERP, ("if-match", &tag), &json!({ "paused": true })).await.is(200)
    };
    let (lost, newer) = tokio::join!(bed.remove(ERP, &tag), meanwhile);
    assert_eq!(lost.is(412).etag(), newer.etag());
    let (one, other) = tokio::join!(bed.remove(ERP, "*"), bed.remove(ERP, "*"));
    assert_eq!((one.status.as_u16() + other.status.as_u16()), 204 + 404, "{one:?} {other:?}");
    let bed = Bed::faulty(Arc::new(Slowly("remove_sftp_user", Event::DoneAndLost))).await;
    bed.put(ann(), ERP, NEW, &json!({})).await.is(201);
    bed.remove(ERP, "*").await.is(204);
    let bed =
        Bed::faulty(Arc::new(Slowly("remove_sftp_user", Event::Fails(StoreErrorKind::Indeterminate)))).await;
    bed.put(ann(), ERP, NEW, &json!({})).await.is(201);
    bed.remove(ERP, "*").await.is(503);
    bed.get(ERP).await.is(200);
}
