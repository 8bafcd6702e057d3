//! Every way in which a run ends.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use eft_domain::{
    Command, JobState, Receipt, Tenant,
    receipt::{Delivery, DeliveryOutcome, Outcome, SignedReceipt},
};
use eft_s3::{Action, Config, Fault, Op};
use eft_store::{Catalog, JobLedger, Runs};
use eft_worker::sign;
use serde_json::json;

use crate::{
    machine::Ended,
    world::{ARCHIVE, Kill, OUT, STAGING, World, call, tenant},
};

/// Two destinations, something that reads, a digest, and an archive.
pub(crate) const CHECKED: &str = "stages: [{validate: {csv: {header: [id, n], types: {n: integer}}}}, {newline: {to: crlf}}], \
    digests: [sha256], archive: {storage_class: GLACIER_IR, original: true}, \
    destinations: [{s3: {bucket: acme-out, key: \"a/{name}\"}}, {s3: {bucket: acme-out, key: \"b/{name}\"}}]";
/// The same file as it is.
pub(crate) const COPIED: &str = "stages: [], destinations: [{s3: {bucket: acme-out, key: \"a/{name}\"}}, \
    {s3: {bucket: acme-out, key: \"b/{name}\"}}]";
pub(crate) const GOOD: &str = "id,n\nx,1\ny,2\n";
pub(crate) const MADE: &str = "id,n\r\nx,1\r\ny,2\r\n";
const BAD: &str = "id,n\nx,1\ny,two\n";

pub(crate) async fn receipt(world: &World) -> Receipt {
    let row = world.row().await;
    let text = Runs::receipt(&world.region, row.id, row.receipt.expect("a receipt")).await.unwrap().unwrap();
    let signed = SignedReceipt::parse(&text).unwrap();
    sign::check(&signed, signed.signature.as_ref().unwrap()).unwrap();
    signed.receipt
}

/// Records that were checked, as a receipt says.
pub(crate) fn checked(receipt: &Receipt) -> Option<u64> {
    receipt.stages.iter().find(|stage| stage.name == "validate.csv")?.records
}

fn ended(state: &str) -> Ended {
    Ended::In(state.to_owned())
}

#[tokio::test]
async fn a_file_is_checked_and_made_once_and_copied_everywhere() {
    let world = World::new(CHECKED, GOOD).await;
    assert_eq!(world.execute().await, ended("Archive"));
    let row = world.row().await;
    assert_eq!((row.state, row.outbox.len(), &row.checkpoint), (JobState::Succeeded, 0, &None));
    assert_eq!(
        (world.delivered("a/one.txt").as_deref(), world.delivered("b/one.txt").as_deref()),
        (Some(MADE), Some(MADE))
    );
    assert_eq!(world.s3.get_object(ARCHIVE, &world.s3.keys(ARCHIVE)[0]).unwrap(), GOOD);
    assert!(world.is_clean(), "{:?}", world.s3.keys(STAGING));
    // The bytes of the source passed once; S3 copied the rest.
    assert_eq!(
        world
            .s3
            .request_log()
            .iter()
            .map(|record| record.bytes_out)
            .filter(|bytes| *bytes == GOOD.len() as u64)
            .count(),
        1
    );

    let receipt = receipt(&world).await;
    assert_eq!((receipt.outcome, &receipt.failure), (Outcome::Succeeded, &None));
    assert_eq!(checked(&receipt), Some(2));
    assert!(receipt.stages.iter().any(|stage| stage.name == "newline"));
    let places: Vec<_> = receipt.deliveries.iter().map(|delivery| delivery.uri.to_string()).collect();
    assert_eq!(places[..2], ["s3://acme-out/a/one.txt", "s3://acme-out/b/one.txt"]);
    assert!(places[2].starts_with("s3://eft-archive/"), "{places:?}");
    for delivery in &receipt.deliveries[..2] {
        assert_eq!((delivery.outcome, delivery.size), (DeliveryOutcome::Delivered, Some(MADE.len() as u64)));
        assert!(delivery.sha256.is_some() && delivery.crc64nvme.is_some(), "{delivery:?}");
    }
    let told: Vec<_> =
        world.region.published().iter().map(|(_, event)| event["data"]["state"].clone()).collect();
    assert_eq!(told, ["ACCEPTED", "RUNNING", "DELIVERING", "SUCCEEDED"]);
}

#[tokio::test]
async fn what_nobody_looks_at_is_not_staged() {
    let world = World::new(COPIED, GOOD).await;
    assert_eq!(world.execute().await, ended("Archive"));
    assert_eq!(world.row().await.state, JobState::Succeeded);
    assert_eq!(world.delivered("b/one.txt").as_deref(), Some(GOOD));
    let log = world.s3.request_log();
    assert!(log.iter().all(|record| record.op != "GetObject"), "no byte came here");
    assert!(log.iter().all(|record| record.bucket != STAGING || record.op == "ListObjectVersions"));
    assert_eq!(receipt(&world).await.deliveries.len(), 2);
}

#[tokio::test]
async fn a_file_that_breaks_the_rules_is_rejected_and_nothing_is_visible() {
    let world = World::new(CHECKED, BAD).await;
    assert_eq!(world.execute().await, ended("Quarantine"));
    let row = world.row().await;
    assert_eq!(row.state, JobState::Rejected);
    assert_eq!(row.failure.unwrap().code, "validation");
    let receipt = receipt(&world).await;
    assert_eq!((receipt.outcome, receipt.rejects[0].record), (Outcome::Rejected, 2));
    let outcomes: Vec<_> = receipt.deliveries.iter().map(|it| (it.uri.to_string(), it.outcome)).collect();
    assert_eq!(outcomes[0], ("s3://acme-out/a/one.txt".to_owned(), DeliveryOutcome::NotAttempted));
    assert_eq!((world.s3.keys(OUT).len(), world.s3.keys(ARCHIVE).len()), (0, 0));
    assert!(world.is_clean());
}

#[tokio::test]
async fn a_source_that_is_gone_ends_the_run() {
    let world = World::new(COPIED, GOOD).await;
    let gone =
        Fault::on(Op::HeadObject, Action::Error { code: eft_s3::Code::NoSuchVersion }).bucket("eft-ingest");
    world.s3.set_faults([gone]);
    assert_eq!(world.execute().await, ended("MarkFailed"));
    let row = world.row().await;
    assert_eq!((row.state, row.failure.unwrap().code.as_str()), (JobState::Failed, "source.gone"));
    assert_eq!(world.s3.keys(OUT).len(), 0);
}

#[tokio::test]
async fn a_name_that_is_taken_costs_only_its_own_destination() {
    let world = World::new(CHECKED, GOOD).await;
    world.s3.put_object(OUT, "b/one.txt", "theirs");
    assert_eq!(world.execute().await, ended("MarkFailed"));
    let row = world.row().await;
    assert_eq!(
        (row.state, row.failure.unwrap().code.as_str()),
        (JobState::PartiallyDelivered, "destination.exists")
    );
    assert_eq!(
        (world.delivered("a/one.txt").as_deref(), world.delivered("b/one.txt").as_deref()),
        (Some(MADE), Some("theirs"))
    );
    let receipt = receipt(&world).await;
    let outcomes: Vec<_> = receipt.deliveries.iter().map(|delivery| delivery.outcome).collect();
    assert_eq!(receipt.outcome, Outcome::PartiallyDelivered);
    assert_eq!(outcomes, [DeliveryOutcome::Delivered, DeliveryOutcome::NotAttempted]);
    assert!(world.is_clean() && world.s3.keys(ARCHIVE).is_empty(), "what is not delivered is not archived");
}

/// Asked again, only what has failed is written to, not even where a reader has taken what was delivered.
#[tokio::test]
async fn a_redelivery_touches_only_what_has_failed() {
    for (route, content) in [(CHECKED, MADE), (COPIED, GOOD)] {
        let world = World::new(route, GOOD).await;
        world.s3.put_object(OUT, "b/one.txt", "theirs");
        assert_eq!(world.execute().await, ended("MarkFailed"));
        let row = world.row().await;
        assert_eq!(row.state, JobState::PartiallyDelivered);
        let clients = eft_worker::s3::Clients::for_endpoint(&world.s3.endpoint());
        let client = clients.client(eft_pipeline::concurrency::Concurrency::new(1));
        assert_eq!(client.remove_all(OUT, "").await, Ok(2));
        let again = Command::Redeliver { reason: "the name is free".into() };
        world.stages.desk.change_and_tell(row.id, &again).await.unwrap();
        world.stages.desk.release(&["acme".parse().unwrap()]).await.unwrap();
        assert_eq!(world.execute().await, ended("Archive"));
        assert_eq!(world.row().await.state, JobState::Succeeded);
        assert_eq!(world.delivered("b/one.txt").as_deref(), Some(content));
        assert_eq!(world.delivered("a/one.txt"), None, "it was delivered a second time");
        let receipt = receipt(&world).await;
        let outcomes: Vec<_> =
            receipt.deliveries.iter().map(|it| (it.outcome, it.already_delivered)).take(2).collect();
        assert_eq!(
            outcomes,
            [(DeliveryOutcome::Delivered, true), (DeliveryOutcome::Delivered, false)],
            "{route}"
        );
    }
}

/// What the first run has archived is not in the way of the second.
#[tokio::test]
async fn a_replay_finds_the_original_in_the_archive() {
    let route = CHECKED.replace("a/{name}", "a/{run_id}").replace("b/{name}", "b/{run_id}");
    let world = World::new(&route, GOOD).await;
    assert_eq!(world.execute().await, ended("Archive"));
    let row = world.row().await;
    let again = Command::Replay { reason: "to see it again".into(), route: None };
    world.stages.desk.change_and_tell(row.id, &again).await.unwrap();
    world.stages.desk.release(&["acme".parse().unwrap()]).await.unwrap();
    assert_eq!(world.execute().await, ended("Archive"));
    assert_eq!(world.row().await.state, JobState::Succeeded);
    assert_eq!(world.s3.versions(ARCHIVE, &world.s3.keys(ARCHIVE)[0]).len(), 1, "it stands there once");
    let receipt = receipt(&world).await;
    assert_eq!(receipt.run_id.generation(), 2);
    let found: Vec<_> = receipt.deliveries.iter().map(|it| (it.outcome, it.already_delivered)).collect();
    let (made, there) = ((DeliveryOutcome::Delivered, false), (DeliveryOutcome::Delivered, true));
    assert_eq!(found, [made, made, there]);
}

#[tokio::test]
async fn where_no_destination_takes_it_no_byte_is_read() {
    let world = World::new(CHECKED, GOOD).await;
    for key in ["a/one.txt", "b/one.txt"] {
        world.s3.put_object(OUT, key, "theirs");
    }
    assert_eq!(world.execute().await, ended("MarkFailed"));
    let row = world.row().await;
    assert_eq!((row.state, row.failure.unwrap().code.as_str()), (JobState::Failed, "destination.exists"));
    assert_eq!(world.s3.count(Op::GetObject), 0);
    let receipt = receipt(&world).await;
    assert_eq!(
        (receipt.outcome, receipt.failure.unwrap().code.as_str()),
        (Outcome::Failed, "destination.exists")
    );
    let said = |delivery: &Delivery| (delivery.uri.to_string(), delivery.failure.clone().unwrap().code);
    let said: Vec<_> = receipt.deliveries.iter().map(said).collect();
    let place = |key: &str| (format!("s3://acme-out/{key}/one.txt"), "destination.exists".to_owned());
    assert_eq!(said, [place("a"), place("b")]);
}

/// The staging bucket's own name for it is in no archive.
#[tokio::test]
async fn a_file_in_an_archive_is_named_after_its_destinations() {
    let world = World::new(
        "stages: [{compress: {codec: zip}}], destinations: \
         [{s3: {bucket: acme-out, key: \"a/{name}.zip\"}}, {s3: {bucket: acme-out, key: \"b/{name}.zip\"}}]",
        GOOD,
    )
    .await;
    assert_eq!(world.execute().await, ended("Archive"));
    for key in ["a/one.txt.zip", "b/one.txt.zip"] {
        let archive = world.s3.get_object(OUT, key).unwrap();
        // The local file header: the length of the name at 26, the name at 30.
        assert_eq!((archive[26], &archive[30..37]), (7, &b"one.txt"[..]), "{key}");
    }
}

#[tokio::test]
async fn a_destination_that_denies_holds_the_run_and_what_was_made_is_kept() {
    let config = Config { denied: vec![OUT.to_owned()], ..Config::default() };
    let world = World::with(CHECKED, GOOD, config).await;
    assert_eq!(world.execute().await, ended("MarkFailed"));
    let row = world.row().await;
    assert_eq!(
        (row.state, row.failure.as_ref().unwrap().code.as_str()),
        (JobState::Held, "destination.access")
    );
    assert!(!row.publishing, "it can be cancelled");
    assert_eq!(world.s3.keys(STAGING).len(), 1);
    // Resumed, it goes on with what was made.
    let reads = world.s3.count(Op::GetObject);
    world.stages.desk.change(row.id, &Command::Resume { reason: "granted".into() }).await.unwrap();
    world.stages.desk.release(&["acme".parse().unwrap()]).await.unwrap();
    assert_eq!(world.execute().await, ended("MarkFailed"));
    assert_eq!(world.s3.count(Op::GetObject), reads, "the source was not read again");
    assert_eq!(world.row().await.state, JobState::Held);
}

#[tokio::test]
async fn what_was_staged_and_has_expired_is_made_again() {
    let config = Config { denied: vec![OUT.to_owned()], ..Config::default() };
    let world = World::with(CHECKED, GOOD, config).await;
    assert_eq!(world.execute().await, ended("MarkFailed"));
    let row = world.row().await;
    let clients = eft_worker::s3::Clients::for_endpoint(&world.s3.endpoint());
    let client = clients.client(eft_pipeline::concurrency::Concurrency::new(1));
    assert_eq!(client.remove_all(STAGING, "runs/").await, Ok(1));
    let reads = world.s3.count(Op::GetObject);
    world.stages.desk.change(row.id, &Command::Resume { reason: "granted".into() }).await.unwrap();
    world.stages.desk.release(&["acme".parse().unwrap()]).await.unwrap();
    assert_eq!(world.execute().await, ended("MarkFailed"));
    assert_eq!(world.s3.count(Op::GetObject), reads + 1);
    assert_eq!(world.s3.keys(STAGING).len(), 1);
}

#[tokio::test]
async fn what_says_nothing_of_the_file_is_left_to_the_next_owner_until_five_have_died() {
    let mut world = World::new(CHECKED, GOOD).await;
    for turn in 1..=4_u32 {
        let (name, input) = world.started();
        let crash = async |state: &str, request| match state {
            "Transform" => Err("Runtime.ExitError".to_owned()),
            _ => world.call(&request).await,
        };
        let end = world.machine.run(world.machine.start(), &name, input, crash).await;
        assert_eq!(end, Ended::With("EFT.Unfinished".to_owned()));
        let row = world.row().await;
        assert_eq!((row.state, row.strikes), (JobState::Running, turn - 1));
        world.stages = world.later(Duration::from_secs(3600) * turn);
        world.stages.desk.send(&row).await.unwrap();
    }
    let end = world.execute().await;
    assert_eq!(end, ended("Archive"), "the fifth comes through");
    assert_eq!(
        (world.row().await.state, world.delivered("a/one.txt").as_deref()),
        (JobState::Succeeded, Some(MADE))
    );
}

#[tokio::test]
async fn five_owners_that_die_end_the_run() {
    let mut world = World::new(CHECKED, GOOD).await;
    for turn in 1..=6_u32 {
        let (name, input) = world.started();
        let crash = async |state: &str, request| match state {
            "Transform" => Err("Sandbox.Timedout".to_owned()),
            _ => world.call(&request).await,
        };
        let end = world.machine.run(world.machine.start(), &name, input, crash).await;
        let row = world.row().await;
        if row.state == JobState::Failed {
            assert_eq!((end, turn), (ended("Superseded"), 6));
            assert_eq!((row.failure.unwrap().code.as_str(), row.outbox.len()), ("run.crashed", 0));
            return;
        }
        world.stages = world.later(Duration::from_secs(3600) * turn);
        world.stages.desk.send(&row).await.unwrap();
    }
    panic!("it goes on for ever");
}

#[tokio::test]
async fn what_may_be_better_in_a_moment_is_tried_again_and_then_held_for_longer() {
    let route = "stages: [{scan: {}}], destinations: [{s3: {bucket: acme-out, key: \"a/{name}\"}}]";
    let world = World::new(route, GOOD).await;
    let (name, input) = world.started();
    let mut tries = 0;
    let call = async |state: &str, request| match state {
        // What it says the first time it says every time; each takes as long as the scanner is asked again.
        "Transform" if tries > 0 => {
            tries += 1;
            Err("EFT.Retry".to_owned())
        }
        "Transform" => {
            tries += 1;
            let answer = world.call(&request).await;
            assert_eq!(answer, Err("EFT.Retry".to_owned()));
            answer
        }
        _ => world.call(&request).await,
    };
    let end = world.machine.run(world.machine.start(), &name, input, call).await;
    assert_eq!((end, tries), (ended("MarkFailed"), 5));
    let row = world.row().await;
    assert_eq!((row.state, row.failure.unwrap().code.as_str()), (JobState::Held, "scan.unavailable"));
    assert!(row.hold.unwrap().retry_at.is_some());
    assert_eq!(world.s3.keys(OUT).len(), 0);
}

#[tokio::test]
async fn a_ledger_that_is_down_ends_nothing() {
    let mut world = World::new(CHECKED, GOOD).await;
    let (name, input) = world.started();
    let refusing = async |state: &str, request| {
        if state == "Transform" {
            world.fate.refuses.store(99, SeqCst);
        }
        world.call(&request).await
    };
    let end = world.machine.run(world.machine.start(), &name, input, refusing).await;
    assert_eq!(end, Ended::With("EFT.Retry".to_owned()));
    world.fate.refuses.store(0, SeqCst);
    let row = world.row().await;
    assert_eq!((row.state, row.failure.clone()), (JobState::Running, None));
    world.stages = world.later(Duration::from_secs(3600));
    world.stages.desk.send(&row).await.unwrap();
    assert_eq!(world.execute().await, ended("Archive"));
    assert_eq!(world.delivered("a/one.txt").as_deref(), Some(MADE));
}

#[tokio::test]
async fn an_end_lets_the_tenants_next_job_in() {
    let world = World::new(COPIED, GOOD).await;
    let tenant = Tenant { max_jobs: 1, ..tenant() };
    Catalog::put_tenant(&world.region, &tenant).await.unwrap();
    let next = world.arrive("two.txt", GOOD).await;
    assert_eq!(world.execute().await, ended("Archive"));
    assert_eq!(world.execute().await, ended("Archive"));
    let row = JobLedger::get(&world.region, next).await.unwrap().unwrap();
    assert_eq!((row.state, world.delivered("a/two.txt").as_deref()), (JobState::Succeeded, Some(GOOD)));
}

#[tokio::test]
async fn a_job_that_was_cancelled_is_not_delivered() {
    let world = World::new(CHECKED, GOOD).await;
    let (name, input) = world.started();
    let cancelling = async |state: &str, request| {
        if state == "Deliver" {
            world.stages.desk.change(world.job, &Command::Cancel { reason: "asked".into() }).await.unwrap();
        }
        world.call(&request).await
    };
    let end = world.machine.run(world.machine.start(), &name, input, cancelling).await;
    assert_eq!((end, world.row().await.state), (ended("Superseded"), JobState::Cancelled));
    assert_eq!(world.s3.keys(OUT).len(), 0);
}

/// Before it begins, and between what was made and its delivery: it is not delivered to where its tenant may not any more,
/// and goes on where it was when the tenant may again.
#[tokio::test]
async fn a_place_that_was_taken_away_gets_nothing() {
    for taken in ["Validate", "Deliver"] {
        let world = World::new(CHECKED, GOOD).await;
        let (name, input) = world.started();
        let taking = async |state: &str, request| {
            if state == taken {
                Catalog::put_tenant(&world.region, &Tenant { outputs: Vec::new(), ..tenant() })
                    .await
                    .unwrap();
            }
            world.call(&request).await
        };
        let end = world.machine.run(world.machine.start(), &name, input, taking).await;
        let row = world.row().await;
        assert_eq!((end, row.state, row.publishing), (ended("MarkFailed"), JobState::Held, false));
        assert_eq!(row.failure.unwrap().code, "destination.withdrawn");
        assert_eq!(world.s3.keys(OUT).len(), 0, "{taken}");
        Catalog::put_tenant(&world.region, &tenant()).await.unwrap();
        world.stages.desk.change(row.id, &Command::Resume { reason: "it may again".into() }).await.unwrap();
        world.stages.desk.release(&["acme".parse().unwrap()]).await.unwrap();
        assert_eq!(world.execute().await, ended("Archive"));
        assert_eq!(world.delivered("a/one.txt").as_deref(), Some(MADE));
    }
}

/// A function that was about to publish has died: what it has done is not known, and nobody is told that nothing stands.
#[tokio::test]
async fn a_place_that_was_taken_away_while_it_was_delivered_to_keeps_the_job() {
    // The lease, that it publishes, and that the first has it.
    for writes in [2, 3] {
        let world = World::new(CHECKED, GOOD).await;
        let (name, input) = world.started();
        let taking = async |state: &str, request| {
            if state == "Deliver" {
                assert!(world.killed(&request, Kill::Ledger(writes)).await.is_none());
                Catalog::put_tenant(&world.region, &Tenant { outputs: Vec::new(), ..tenant() })
                    .await
                    .unwrap();
            }
            world.call(&request).await
        };
        let end = world.machine.run(world.machine.start(), &name, input, taking).await;
        let row = world.row().await;
        assert_eq!((end, row.state, row.publishing), (ended("MarkFailed"), JobState::Held, true));
        let cancel = Command::Cancel { reason: "asked".into() };
        world.stages.desk.change(world.job, &cancel).await.unwrap_err();
        Catalog::put_tenant(&world.region, &tenant()).await.unwrap();
        world.stages.desk.change(row.id, &Command::Resume { reason: "it may again".into() }).await.unwrap();
        world.stages.desk.release(&["acme".parse().unwrap()]).await.unwrap();
        assert_eq!(world.execute().await, ended("Archive"));
        assert_eq!(world.delivered("a/one.txt").as_deref(), Some(MADE));
        assert_eq!(world.delivered("b/one.txt").as_deref(), Some(MADE));
    }
}

#[tokio::test]
async fn the_same_run_started_twice_is_run_once() {
    let world = World::new(CHECKED, GOOD).await;
    let (name, input) = world.started();
    let twice = async |state: &str, request| {
        if state == "Deliver" {
            // An EXPRESS machine starts a second execution of one name.
            let again = world.machine.request("Validate", "express:other", &input);
            assert_eq!(call(&world.stages, &again).await, Err("EFT.Superseded".to_owned()));
            let guessed =
                json!({ "v": 1, "run": again["run"], "fence": 0, "stage": "archive", "execution": "x" });
            assert_eq!(call(&world.stages, &guessed).await, Err("EFT.Superseded".to_owned()));
        }
        world.call(&request).await
    };
    let end = world.machine.run(world.machine.start(), &name, input.clone(), twice).await;
    assert_eq!((end, world.row().await.state), (ended("Archive"), JobState::Succeeded));
    let late = async |_: &str, request| world.call(&request).await;
    assert_eq!(world.machine.run("Validate", "express:late", input, late).await, ended("Superseded"));
    assert_eq!(world.row().await.fence, 1);
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    let world = World::new(COPIED, GOOD).await;
    for request in
        [json!(null), json!({ "v": 2, "stage": "validate" }), json!({ "v": 1, "stage": "validate" })]
    {
        assert_eq!(world.call(&request).await, Err("EFT.Request".to_owned()), "{request}");
    }
    assert_eq!(world.row().await.state, JobState::Accepted);
}
