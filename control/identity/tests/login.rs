//! Who is let in, over the memory stores.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::HashSet, sync::Arc, time::Duration};

use eft_domain::{
    Millis, Partner,
    sftp::{PasswordHash, SALT, SftpUser},
};
use eft_identity::{
    Answer, Login, Request,
    failures::{Counter, MOST, TIME},
    handler::answer,
};
use eft_store::{
    Catalog, Clock, Keys, StoreErrorKind,
    faulty::{Call, Event, Fate, Fates, Faulty},
    memory::Region,
};
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAy7gI6eXKyBxtH/sjYHvshtYT4HRGh3tZyD9ia85m2A ann@example.com";
const SECRET: &str = "correct horse battery";
const HERE: &str = "192.0.2.7";

/// Where a test logs in.
struct Bed {
    login: Login,
    region: Region,
    clock: Clock,
    log: std::sync::Mutex<Vec<Value>>,
}

fn hash() -> PasswordHash {
    // A cost of nothing: what the tests ask is counted, not slow.
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".parse().unwrap()
}

/// What that is the hash of.
const CHEAP: &str = "password";

fn user(name: &str) -> SftpUser {
    SftpUser {
        name: name.parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        keys: vec![KEY.parse().unwrap()],
        password: Some(hash()),
        partner: None,
        home: "in/orders/".parse().unwrap(),
        sources: vec!["192.0.2.0/24".parse().unwrap()],
        paused: false,
    }
}

/// A user of this partner of acme.
fn of(partner: &str, name: &str) -> SftpUser {
    SftpUser { partner: Some(partner.parse().unwrap()), ..user(name) }
}

fn partner(id: &str) -> Partner {
    Partner {
        id: id.parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        display_name: String::new(),
        contacts: vec![],
        folder: "in/".parse().unwrap(),
        paused: false,
    }
}

impl Bed {
    async fn new(users: &[SftpUser]) -> Self {
        let clock = Clock::simulated();
        let region = Region::new(clock);
        let ports = Arc::new(region.clone());
        Self::with(region, clock, ports.clone(), ports, users).await
    }

    async fn with(
        region: Region,
        clock: Clock,
        catalog: Arc<dyn Catalog>,
        keys: Arc<dyn Keys>,
        users: &[SftpUser],
    ) -> Self {
        for user in users {
            region.save_sftp_user(user, None).await.unwrap();
        }
        let (bucket, role) =
            ("acme-in".parse().unwrap(), "arn:aws:iam::111122223333:role/eft-sftp".parse().unwrap());
        let login = Login { catalog, keys, bucket, role };
        Self { login, region, clock, log: std::sync::Mutex::default() }
    }

    /// The answer to an event as Transfer Family sends it.
    async fn ask(&self, event: Value) -> Value {
        let request: Request = serde_json::from_value(event).unwrap();
        let answer =
            answer(&self.login, &request, self.clock, |line| self.log.lock().unwrap().push(line)).await;
        serde_json::to_value(answer.unwrap()).unwrap()
    }

    async fn key(&self, name: &str, from: &str) -> Value {
        self.ask(event(name, "", from)).await
    }

    async fn password(&self, name: &str, password: &str, from: &str) -> Value {
        self.ask(event(name, password, from)).await
    }

    /// What the log says of the last call.
    fn last(&self) -> Value {
        self.log.lock().unwrap().last().unwrap().clone()
    }

    fn reason(&self) -> String {
        self.last()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

fn event(name: &str, password: &str, from: &str) -> Value {
    json!({
        "username": name, "password": password, "protocol": "SFTP", "serverId": "s-abcd123456", "sourceIp": from,
    })
}

#[tokio::test(start_paused = true)]
async fn a_user_with_a_key_comes_into_its_folder_and_changes_nothing() {
    let bed = Bed::new(&[user("acme-erp")]).await;
    let welcome = bed.key("acme-erp", HERE).await;
    assert_eq!(welcome["Role"], "arn:aws:iam::111122223333:role/eft-sftp");
    assert_eq!(welcome["HomeDirectoryType"], "LOGICAL");
    let home: Value = serde_json::from_str(welcome["HomeDirectoryDetails"].as_str().unwrap()).unwrap();
    assert_eq!(home, json!([{ "Entry": "/", "Target": "/acme-in/tenants/acme/in/orders" }]));
    assert_eq!(welcome["PublicKeys"], json!([KEY]));
    let policy: Value = serde_json::from_str(welcome["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy["Statement"][1]["Resource"], "arn:aws:s3:::acme-in/tenants/acme/in/orders/*");
    assert_eq!(welcome.as_object().unwrap().len(), 5);
    let without = json!({ "username": "acme-erp", "protocol": "SFTP", "serverId": "s-1", "sourceIp": HERE });
    assert_eq!(bed.ask(without).await, welcome, "no password is as good as an empty one");
    assert_eq!(bed.region.remove_expired(Millis(u64::MAX)).await, Ok(0), "nothing was written");
    assert_eq!((&bed.last()["outcome"], &bed.last()["tenant"]), (&json!("admitted"), &json!("acme")));
}

#[tokio::test(start_paused = true)]
async fn a_user_with_a_password_comes_in_without_keys() {
    let bed = Bed::new(&[user("acme-erp")]).await;
    let welcome = bed.password("acme-erp", CHEAP, HERE).await;
    assert_eq!(welcome["HomeDirectoryType"], "LOGICAL");
    assert!(welcome.get("PublicKeys").is_none(), "an answer to a password must have none");
    assert_eq!(bed.region.remove_expired(Millis(u64::MAX)).await, Ok(0), "nothing was counted");
}

#[tokio::test(start_paused = true)]
async fn a_password_of_today_is_verified() {
    let fresh = PasswordHash::of(&SECRET.parse().unwrap(), [7; SALT]).unwrap();
    let bed = Bed::new(&[SftpUser { password: Some(fresh), ..user("acme-erp") }]).await;
    assert_ne!(bed.password("acme-erp", SECRET, HERE).await, json!({}));
    assert_eq!(bed.password("acme-erp", CHEAP, HERE).await, json!({}));
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_come_in_is_not_told_why_and_the_log_is() {
    let bed = Bed::new(&[
        user("acme-erp"),
        SftpUser { paused: true, ..user("paused") },
        SftpUser { keys: vec![], ..user("keyless") },
        SftpUser { password: None, ..user("wordless") },
        SftpUser { home: format!("{}/", "*".repeat(511)).parse().unwrap(), ..user("too-long") },
    ])
    .await;
    let other = |protocol: &str| {
        let mut event = event("acme-erp", CHEAP, HERE);
        event["protocol"] = protocol.into();
        event
    };
    for (event, reason) in [
        (other("FTP"), "protocol"),
        (other("FTPS"), "protocol"),
        (other("sftp"), "protocol"),
        (event("nobody", "", HERE), "user.unknown"),
        (event("nobody", CHEAP, HERE), "user.unknown"),
        (event("../acme-erp", CHEAP, HERE), "user.unknown"),
        (event("ACME-ERP", CHEAP, HERE), "user.unknown"),
        (event("", "", ""), "user.unknown"),
        (event("paused", "", HERE), "user.paused"),
        (event("paused", CHEAP, HERE), "user.paused"),
        (event("acme-erp", "", "192.0.3.1"), "source"),
        (event("acme-erp", CHEAP, "192.0.3.1"), "source"),
        (event("acme-erp", CHEAP, "here"), "source"),
        (event("acme-erp", CHEAP, ""), "source"),
        (event("keyless", "", HERE), "key.none"),
        (event("wordless", CHEAP, HERE), "password.none"),
        (event("acme-erp", "open-sesame", HERE), "password.wrong"),
        (event("too-long", CHEAP, HERE), "policy.too_long"),
        (json!({}), "protocol"),
    ] {
        assert_eq!(bed.ask(event.clone()).await, json!({}), "{event}");
        assert_eq!(bed.reason(), reason, "{event}");
    }
    for line in bed.log.lock().unwrap().iter() {
        let said = line.as_object().unwrap().iter().filter(|(name, _)| *name != "by");
        assert!(said.clone().all(|(_, value)| value != CHEAP && value != "open-sesame"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_comes_in_while_its_partner_may() {
    let bed = Bed::new(&[of("shop", "shop-erp"), of("gone", "gone-erp"), user("acme-erp")]).await;
    let shop = partner("shop");
    bed.region.save_partner(&shop, None).await.unwrap();
    let theirs = Partner { tenant: "globex".parse().unwrap(), ..partner("gone") };
    bed.region.save_partner(&theirs, None).await.unwrap();
    // What a login without a partner looks for lets nobody in and keeps nobody out.
    let nobody = Partner { tenant: "nobody".parse().unwrap(), paused: true, ..partner("nobody") };
    bed.region.save_partner(&nobody, None).await.unwrap();
    let paused = Partner { paused: true, ..shop.clone() };
    let moved = Partner { folder: "in/shop/".parse().unwrap(), ..shop.clone() };
    for (now, reason) in
        [(&shop, None), (&paused, Some("partner.paused")), (&moved, Some("partner.folder")), (&shop, None)]
    {
        let before = bed.region.partner(&shop.tenant, &shop.id).await.unwrap();
        bed.region.save_partner(now, before.as_ref()).await.unwrap();
        for password in ["", CHEAP] {
            let answer = bed.password("shop-erp", password, HERE).await;
            assert_eq!((answer == json!({})), reason.is_some(), "{now:?}");
            assert_eq!(bed.reason(), reason.unwrap_or_default());
        }
    }
    assert_eq!(bed.key("gone-erp", HERE).await, json!({}), "the partner of that name is another tenant's");
    assert_eq!(bed.reason(), "partner.unknown");
    bed.region.remove_partner(&shop).await.unwrap();
    assert_eq!(bed.key("shop-erp", HERE).await, json!({}));
    assert_eq!(bed.reason(), "partner.unknown");
    assert_ne!(bed.key("acme-erp", HERE).await, json!({}), "who has no partner needs none");
}

#[tokio::test(start_paused = true)]
async fn too_many_wrong_passwords_lock_the_right_one_out_and_no_key() {
    let bed = Bed::new(&[user("acme-erp"), user("acme-crm")]).await;
    for number in 1..=MOST {
        assert_ne!(bed.password("acme-erp", CHEAP, HERE).await, json!({}), "before failure {number}");
        assert_eq!(bed.password("acme-erp", "wrong", "192.0.2.8").await, json!({}));
    }
    assert_eq!((bed.reason().as_str(), &bed.last()["level"]), ("password.locking", &json!("WARN")));
    for from in [HERE, "192.0.2.8"] {
        assert_eq!(bed.password("acme-erp", CHEAP, from).await, json!({}));
        assert_eq!(bed.reason(), "password.locked");
    }
    assert_ne!(bed.key("acme-erp", HERE).await, json!({}), "keys are not guessed");
    assert_ne!(bed.password("acme-crm", CHEAP, HERE).await, json!({}), "others are others");
    tokio::time::advance(TIME - Duration::from_millis(1)).await;
    assert_eq!(bed.password("acme-erp", CHEAP, HERE).await, json!({}));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_ne!(
        bed.password("acme-erp", CHEAP, HERE).await,
        json!({}),
        "and what came while it was locked is not counted"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_of_one_moment_are_all_counted() {
    struct Slow;
    impl Fates for Slow {
        fn draw(&self, _: &Call<'_>) -> Fate {
            Fate { before: Duration::from_millis(10), after: Duration::from_millis(10), ..Fate::default() }
        }
    }
    let clock = Clock::simulated();
    let region = Region::new(clock);
    let ports = Arc::new(Faulty::new(region.clone(), Arc::new(Slow)));
    let bed = Bed::with(region, clock, ports.clone(), ports, &[user("acme-erp")]).await;
    let guesses = (0..MOST).map(|_| bed.password("acme-erp", "wrong", HERE));
    assert!(join_all(guesses).await.iter().all(|answer| *answer == json!({})));
    assert_eq!(bed.password("acme-erp", CHEAP, HERE).await, json!({}), "each has taken a place of its own");
    assert_eq!(bed.reason(), "password.locked");
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_come_in_locks_nobody() {
    let bed = Bed::new(&[user("acme-erp")]).await;
    for number in 0..2 * MOST {
        bed.password("acme-erp", "wrong", "203.0.113.9").await;
        bed.password(&format!("nobody-{number}"), "wrong", HERE).await;
    }
    assert_ne!(bed.password("acme-erp", CHEAP, HERE).await, json!({}));
    let made_up: HashSet<_> =
        (0..10_000).map(|name| format!("{:?}", Counter::shared(&name.to_string()))).collect();
    assert!(made_up.len() <= 64, "names that are made up make no more rows: {}", made_up.len());
}

/// Which calls of the stores a login takes.
#[derive(Default)]
struct Calls(std::sync::Mutex<Vec<&'static str>>);

impl Fates for Calls {
    fn draw(&self, call: &Call<'_>) -> Fate {
        self.0.lock().unwrap().push(call.name);
        Fate::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_no_users_takes_the_same_work() {
    let users = [
        user("acme-erp"),
        SftpUser { paused: true, ..user("paused") },
        SftpUser { password: None, ..user("wordless") },
        of("gone", "partnerless"),
    ];
    let one: Vec<_> =
        ["sftp_user", "partner"].into_iter().chain(["get"; MOST as usize]).chain(["put_new"]).collect();
    for (name, from) in [
        ("acme-erp", HERE),
        ("nobody", HERE),
        ("paused", HERE),
        ("wordless", HERE),
        ("partnerless", HERE),
        ("acme-erp", "203.0.113.9"),
    ] {
        let (clock, calls) = (Clock::simulated(), Arc::new(Calls::default()));
        let region = Region::new(clock);
        let ports = Arc::new(Faulty::new(region.clone(), calls.clone()));
        let bed = Bed::with(region, clock, ports.clone(), ports, &users).await;
        // Also while it is locked, or whoever has locked what others share would know a user by its first failure.
        for number in 0..2 * MOST {
            assert_eq!(bed.password(name, "wrong", from).await, json!({}));
            let calls = std::mem::take(&mut *calls.0.lock().unwrap());
            assert_eq!(calls, one, "attempt {number} as {name} from {from}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_in_while_the_tables_are_down() {
    struct Down(&'static str);
    impl Fates for Down {
        fn draw(&self, call: &Call<'_>) -> Fate {
            Fate {
                event: if call.name == self.0 {
                    Event::Fails(StoreErrorKind::Unavailable)
                } else {
                    Event::None
                },
                ..Fate::default()
            }
        }
    }
    let logins =
        [("sftp_user", ""), ("sftp_user", CHEAP), ("partner", ""), ("get", CHEAP), ("put_new", "wrong")];
    for (down, password) in logins {
        let clock = Clock::simulated();
        let region = Region::new(clock);
        let ports = Arc::new(Faulty::new(region.clone(), Arc::new(Down(down))));
        let bed = Bed::with(region, clock, ports.clone(), ports, &[user("acme-erp")]).await;
        let request: Request = serde_json::from_value(event("acme-erp", password, HERE)).unwrap();
        let answer = answer(&bed.login, &request, clock, |line| bed.log.lock().unwrap().push(line)).await;
        assert!(answer.is_err(), "{down}: {answer:?}");
        assert_eq!((&bed.last()["level"], bed.reason().as_str()), (&json!("ERROR"), "store.unavailable"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A right password is refused exactly within `TIME` after the last of `MOST` wrong ones within `TIME`.
    #[test]
    fn the_lock_falls_where_a_list_of_failures_says(
        attempts in prop::collection::vec((0_u64..8, any::<bool>()), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bed = Bed::new(&[user("acme-erp")]).await;
            let (mut failures, mut locked_until, mut now) = (Vec::<u64>::new(), 0, 0);
            for (minutes, is_right) in attempts {
                tokio::time::advance(Duration::from_secs(60 * minutes)).await;
                now += minutes;
                let password = if is_right { CHEAP } else { "wrong" };
                let is_in = bed.password("acme-erp", password, HERE).await != json!({});
                assert_eq!(is_in, is_right && now >= locked_until, "after {now} minutes: {failures:?}");
                if now >= locked_until && !is_right {
                    failures.push(now);
                    failures.retain(|at| at + TIME.as_secs() / 60 > now);
                    if failures.len() as u32 == MOST {
                        locked_until = now + TIME.as_secs() / 60;
                    }
                }
            }
        });
    }
}

#[test]
fn an_answer_is_what_transfer_family_reads() {
    assert_eq!(serde_json::to_string(&Answer::Denied {}).unwrap(), "{}");
}
