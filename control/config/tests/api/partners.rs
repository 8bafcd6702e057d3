//! Partners, and the users that belong to them.

use std::{sync::Arc, time::Duration};

use eft_store::{
    Catalog,
    faulty::{Call, Event, Fate, Fates},
};
use serde_json::json;

use crate::kit::{Bed, NEW, ann, bob, eve};

const SHOP: &str = "/v1/partners/shop";
const ERP: &str = "/v1/sftp-users/shop-erp";

#[tokio::test(start_paused = true)]
async fn a_partner_is_set_up_and_changed_by_one_at_a_time() {
    let bed = Bed::new().await;
    let text = json!({
        "displayName": "The Shop Ltd.", "folder": "shop/",
        "contacts": [{ "name": "Zoë", "email": "zoe@shop.example" }, { "email": "edi@shop.example" }],
    });
    let created = bed.put(ann(), SHOP, NEW, &text).await.is(201);
    assert_eq!((created.header("location"), &created.body["name"]), (SHOP, &json!("shop")));
    let found = bed.get(SHOP).await.is(200);
    assert_eq!((found.etag(), &found.body), (created.etag(), &created.body));
    bed.call(ann(), "GET", SHOP, &[("if-none-match", &found.etag())], "").await.is(304);
    let mut whole = text.clone();
    whole["paused"] = false.into();
    assert_eq!(found.body["partner"], whole);
    let again = bed.put(bob(), SHOP, ("if-match", &found.etag()), &found.body["partner"]).await.is(200);
    assert_eq!(again.etag(), found.etag(), "what it says is accepted again");
    whole["paused"] = true.into();
    let changed = bed.put(bob(), SHOP, ("if-match", &found.etag()), &whole).await.is(200);
    for condition in [("if-match", found.etag().as_str()), NEW] {
        assert_eq!(bed.put(ann(), SHOP, condition, &text).await.is(412).etag(), changed.etag());
    }
    let missing = bed.put(ann(), "/v1/partners/none", ("if-match", "*"), &text).await.is(404);
    assert_eq!(missing.code(), "partner.not_found");
}

#[tokio::test(start_paused = true)]
async fn partners_are_their_tenants() {
    let bed = Bed::new().await;
    let tag = bed.put(ann(), SHOP, NEW, &json!({})).await.is(201).etag();
    bed.put(ann(), "/v1/partners/toys", NEW, &json!({})).await.is(201);
    assert_eq!(bed.call(eve(), "GET", SHOP, &[], "").await.is(404).code(), "partner.not_found");
    bed.put(eve(), SHOP, ("if-match", "*"), &json!({})).await.is(404);
    bed.call(eve(), "DELETE", SHOP, &[("if-match", "*")], "").await.is(404);
    bed.put(eve(), "/v1/sftp-users/eve-erp", NEW, &json!({ "partner": "shop" })).await.is(422);
    // Each tenant has names of its own.
    bed.put(eve(), SHOP, NEW, &json!({ "paused": true })).await.is(201);
    assert_eq!(bed.get(SHOP).await.is(200).etag(), tag);
    let first = bed.get("/v1/partners?limit=1").await.is(200).body;
    assert_eq!(first["items"][0]["name"], "shop");
    let path = format!("/v1/partners?cursor={}", first["nextCursor"].as_str().unwrap());
    let second = bed.get(&path).await.is(200).body;
    assert_eq!((&second["items"][0]["name"], second.get("nextCursor")), (&json!("toys"), None));
    assert_eq!(bed.call(eve(), "GET", &path, &[], "").await.is(400).code(), "cursor.invalid");
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_partner_is_told_at_once() {
    let bed = Bed::new().await;
    let wrong = json!({
        "displayName": "a\nb", "folder": "shop", "paused": "no", "x/y": 1,
        "contacts": [{ "email": "nobody" }, 3, { "name": 4, "email": "a@b", "phone": "1" }, {}],
    });
    let refused = bed.put(ann(), SHOP, NEW, &wrong).await.is(422);
    assert_eq!(refused.code(), "request.body");
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    let expected = [
        "/contacts/0/email",
        "/contacts/1",
        "/contacts/2/name",
        "/contacts/2/phone",
        "/contacts/3/email",
        "/displayName",
        "/folder",
        "/paused",
        "/x~1y",
    ];
    assert_eq!(pointers, expected);
    let many = json!({ "contacts": vec![json!({ "email": "a@b" }); 21] });
    assert_eq!(bed.put(ann(), SHOP, NEW, &many).await.is(422).pointers(), ["/contacts"]);
    let long = json!({ "displayName": "é".repeat(201) });
    assert_eq!(bed.put(ann(), SHOP, NEW, &long).await.is(422).pointers(), ["/displayName"]);
    bed.put(ann(), SHOP, NEW, &json!({ "displayName": "é".repeat(200) })).await.is(201);
    assert_eq!(bed.put(ann(), SHOP, ("if-match", "*"), &json!([])).await.is(422).pointers(), [""]);
    assert_eq!(bed.put(ann(), "/v1/partners/A", NEW, &json!({})).await.is(422).code(), "partner.name");
    bed.get("/v1/partners/A").await.is(404);
}

#[tokio::test(start_paused = true)]
async fn the_home_of_a_user_lies_in_the_folder_of_its_partner() {
    let bed = Bed::new().await;
    bed.put(ann(), SHOP, NEW, &json!({ "folder": "shop/" })).await.is(201);
    for (text, pointers) in [
        (json!({ "partner": "shop", "home": "shop2/" }), vec!["/home"]),
        (json!({ "partner": "shop" }), vec!["/home"]),
        (json!({ "partner": "none", "home": "shop/" }), vec!["/partner"]),
        (json!({ "partner": "N", "home": "../", "paused": 1 }), vec!["/home", "/partner", "/paused"]),
        (json!({ "partner": null }), vec!["/partner"]),
        (json!({ "partner": "shop", "home": 1 }), vec!["/home"]),
    ] {
        let refused = bed.put(ann(), ERP, NEW, &text).await.is(422);
        assert_eq!(refused.code(), "request.body");
        assert_eq!(refused.pointers(), pointers, "{text}");
    }
    let text = json!({ "partner": "shop", "home": "shop/in/" });
    let created = bed.put(ann(), ERP, NEW, &text).await.is(201);
    assert_eq!(created.body["user"]["partner"], "shop");
    let again = bed.put(ann(), ERP, ("if-match", &created.etag()), &created.body["user"]).await.is(200);
    assert_eq!(again.etag(), created.etag(), "what it says is accepted again");
    let left = bed.put(ann(), ERP, ("if-match", "*"), &json!({ "home": "in/" })).await.is(200);
    assert_eq!(left.body["user"].get("partner"), None);
}

#[tokio::test(start_paused = true)]
async fn a_partner_is_not_taken_from_its_users() {
    let bed = Bed::new().await;
    let tag = bed.put(ann(), SHOP, NEW, &json!({ "folder": "shop/" })).await.is(201).etag();
    bed.put(ann(), ERP, NEW, &json!({ "partner": "shop", "home": "shop/in/" })).await.is(201);
    bed.put(ann(), "/v1/sftp-users/a-other", NEW, &json!({ "home": "elsewhere/" })).await.is(201);
    let wider = bed.put(ann(), SHOP, ("if-match", &tag), &json!({ "folder": "" })).await.is(200);
    let narrow = bed.put(ann(), SHOP, ("if-match", "*"), &json!({ "folder": "shop/in/" })).await.is(200);
    assert_ne!(wider.etag(), narrow.etag());
    for refused in [
        bed.put(ann(), SHOP, ("if-match", "*"), &json!({ "folder": "shop/out/" })).await,
        bed.remove(SHOP, &narrow.etag()).await,
    ] {
        let refused = refused.is(409);
        assert_eq!(refused.code(), "partner.in_use");
        assert!(refused.body["detail"].as_str().unwrap().contains("shop-erp"), "{refused:?}");
    }
    assert_eq!(bed.call(ann(), "DELETE", SHOP, &[], "").await.is(428).code(), "precondition.required");
    assert_eq!(bed.remove(SHOP, &tag).await.is(412).etag(), narrow.etag());
    bed.put(ann(), SHOP, ("if-match", "*"), &json!({ "folder": "shop/in/", "paused": true })).await.is(200);
    bed.remove(ERP, "*").await.is(204);
    bed.remove(SHOP, "*").await.is(204);
    assert_eq!(bed.remove(SHOP, "*").await.is(404).code(), "partner.not_found");
    bed.put(ann(), SHOP, NEW, &json!({})).await.is(201);
}

/// All of a tenant's users are looked at, however many there are.
#[tokio::test(start_paused = true)]
async fn the_last_of_many_users_is_found() {
    let bed = Bed::new().await;
    bed.put(ann(), SHOP, NEW, &json!({})).await.is(201);
    bed.put(ann(), "/v1/sftp-users/zzz", NEW, &json!({ "partner": "shop" })).await.is(201);
    let last = bed.region.sftp_user(&"zzz".parse().unwrap()).await.unwrap().unwrap();
    for number in 0..450 {
        let name = format!("user-{number}").parse().unwrap();
        let user = eft_domain::sftp::SftpUser { name, partner: None, ..last.clone() };
        bed.region.save_sftp_user(&user, None).await.unwrap();
    }
    let refused = bed.remove(SHOP, "*").await.is(409);
    assert!(refused.body["detail"].as_str().unwrap().contains("zzz"), "{refused:?}");
}

/// A user is given to a partner that is removed at the same time: it is left without one, which logs in no more.
#[tokio::test(start_paused = true)]
async fn the_writes_of_a_partner_are_conditional_and_looked_up() {
    struct Slowly(Event);
    impl Fates for Slowly {
        fn draw(&self, call: &Call<'_>) -> Fate {
            let is_it = matches!(call.name, "save_partner" | "remove_partner" | "save_sftp_user");
            let before = Duration::from_secs(u64::from(is_it));
            Fate { before, event: if is_it { self.0 } else { Event::None }, ..Fate::default() }
        }
    }
    let bed = Bed::faulty(Arc::new(Slowly(Event::None))).await;
    let (one, two) = (json!({ "paused": true }), json!({ "folder": "a/" }));
    let (one, two) = tokio::join!(bed.put(ann(), SHOP, NEW, &one), bed.put(bob(), SHOP, NEW, &two));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412]);
    let user = json!({ "partner": "shop", "home": "a/" });
    let (given, gone) = tokio::join!(bed.put(ann(), ERP, NEW, &user), bed.remove(SHOP, "*"));
    assert_eq!(
        (given.is(201).body["user"]["partner"].as_str(), gone.is(204).status.as_u16()),
        (Some("shop"), 204)
    );
    bed.get(SHOP).await.is(404);
    // Whoever changes it next is told.
    let refused = bed.put(ann(), ERP, ("if-match", "*"), &user).await.is(422);
    assert_eq!(refused.pointers(), ["/partner"]);
    let bed = Bed::faulty(Arc::new(Slowly(Event::DoneAndLost))).await;
    bed.put(ann(), SHOP, NEW, &json!({})).await.is(201);
    bed.remove(SHOP, "*").await.is(204);
}
