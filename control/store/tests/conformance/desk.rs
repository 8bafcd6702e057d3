//! The desk over the ports.

use std::{collections::BTreeSet, time::Duration};

use eft_domain::{Command, JobState, Tenant, job::Ending, message::WorkMessage};
use eft_store::{Desk, Load};
use futures::future::join_all;
use serde_json::Value;

use super::{Bed, arrived, before, claim, load_of, tenant, until};

pub(crate) async fn a_job_begins_once(bed: &Bed) {
    let arrived = arrived("a", bed.now());
    let begins = (0..16).map(|nth| {
        let (desk, arrived) = (bed.desk_of(nth), arrived.clone());
        tokio::spawn(async move { desk.begin(&arrived, &Command::Accept).await.unwrap() })
    });
    let answers: Vec<_> = join_all(begins).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|(_, is_new)| *is_new).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|(job, _)| *job == answers[0].0));
    // Late, and when it has long been something else.
    let sent = bed.desk().change(arrived.job_id(), &Command::Sent).await.unwrap();
    let late = bed.desk().begin(&arrived, &Command::Accept).await.unwrap();
    assert_eq!(late, (sent, false));
}

async fn through(desk: &Desk, name: &str, bed: &Bed) -> eft_domain::Job {
    let (job, _) = desk.begin(&arrived(name, bed.now()), &Command::Accept).await.unwrap();
    let job = desk.change(job.id, &claim("a", Duration::from_secs(60))).await.unwrap();
    let end = Command::End { fence: job.fence, ending: Ending::Succeeded(Some("{}".into())) };
    desk.change(job.id, &end).await.unwrap()
}

pub(crate) async fn changes_are_told_at_least_once(bed: &Bed) {
    let desk = bed.desk();
    let untold = through(desk, "a", bed).await;
    let expected: Vec<_> = untold.outbox.iter().map(|event| event.id(&untold)).collect();
    assert_eq!(expected.len(), 3);
    let told = desk.tell(&untold).await.unwrap();
    assert_eq!(told.outbox, []);
    assert_eq!(desk.runs.history(told.id).await.unwrap(), untold.outbox);
    // Whoever died after telling and before saying so tells again.
    desk.tell(&untold).await.unwrap();
    assert_eq!(desk.runs.history(told.id).await.unwrap(), untold.outbox);
    let mut heard: Vec<Value> = Vec::new();
    let mut set = BTreeSet::new();
    for _ in 0..200 {
        heard.extend((bed.heard)().await);
        set = heard.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        if set.len() == expected.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(set, expected.into_iter().collect());
    let last = heard.iter().find(|event| event["data"]["state"] == "SUCCEEDED").unwrap();
    assert_eq!(last["type"], "eft.job.succeeded");
    assert_eq!(last["data"]["tenant"], "acme");
}

pub(crate) async fn a_receipt_is_kept_with_the_end_of_its_run(bed: &Bed) {
    let desk = bed.desk();
    let job = through(desk, "a", bed).await;
    assert_eq!(desk.receipt(&job).await, Ok(Some("{}".into())));
    let found = desk.ledger.get(job.id).await.unwrap().unwrap();
    assert_eq!(found, job);
    let zombie = Command::End { fence: 0, ending: Ending::Succeeded(Some("zombie".into())) };
    assert!(desk.change(job.id, &zombie).await.is_err());
    assert_eq!(desk.receipt(&found).await, Ok(Some("{}".into())));
}

pub(crate) async fn releases_fill_a_share_and_no_more(bed: &Bed) {
    let desk = bed.desk();
    let acme = Tenant { max_jobs: 2, ..Tenant::new(tenant("acme")) };
    desk.catalog.put_tenant(&acme).await.unwrap();
    let own = [acme.id.clone()];
    let mut jobs = Vec::new();
    for ago in [30, 20, 10] {
        let mut arrived = arrived(&ago.to_string(), before(bed.now(), ago));
        arrived.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
        jobs.push(desk.begin(&arrived, &Command::Accept).await.unwrap().0);
    }
    let waiting = || async { desk.ledger.waiting(&acme.id, 10).await.unwrap().len() };
    let load = || async { load_of(desk, &acme.id).await };
    until("three wait", waiting, |found| *found == 3).await;
    assert_eq!(desk.release(&own).await, Ok(2));
    until("two are in flight", load, |load| *load == Load { jobs: 2, bytes: 2_000 }).await;
    until("one waits", waiting, |found| *found == 1).await;
    assert_eq!(desk.release(&own).await, Ok(0));

    let job = desk.change(jobs[0].id, &claim("a", Duration::from_secs(60))).await.unwrap();
    let end = Command::End { fence: job.fence, ending: Ending::Succeeded(None) };
    assert_eq!(desk.change(job.id, &end).await.unwrap().state, JobState::Succeeded);
    until("one is in flight", load, |load| load.jobs == 1).await;
    assert_eq!(desk.release(&own).await, Ok(1));

    let mut taken: Vec<(WorkMessage, String)> = Vec::new();
    for _ in 0..200 {
        taken.extend((bed.taken)().await);
        if taken.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (message, group) in &taken {
        assert_eq!(*group, message.run.job().to_string(), "a job blocks only itself");
        assert_eq!((message.send, message.trace.is_some()), (0, true));
    }
    // Groups come in any order.
    let found: BTreeSet<_> = taken.iter().map(|(message, _)| message.run.job()).collect();
    assert_eq!((taken.len(), found), (3, jobs.iter().map(|job| job.id).collect()));
}

pub(crate) async fn a_release_looks_as_far_as_there_is_room(bed: &Bed) {
    let desk = bed.desk();
    let acme = Tenant { max_jobs: 25, ..Tenant::new(tenant("acme")) };
    desk.catalog.put_tenant(&acme).await.unwrap();
    let now = bed.now();
    for ago in 1..=30 {
        desk.begin(&arrived(&ago.to_string(), before(now, ago)), &Command::Accept).await.unwrap();
    }
    let waiting = || async { desk.ledger.waiting(&acme.id, 100).await.unwrap().len() };
    until("thirty wait", waiting, |found| *found == 30).await;
    let own = [acme.id.clone()];
    assert_eq!(desk.release(&own).await, Ok(25));
    let in_flight = || async { desk.ledger.in_flight(&acme.id, 100).await.unwrap().len() };
    until("25 are in flight", in_flight, |found| *found == 25).await;
    until("five wait", waiting, |found| *found == 5).await;
    assert_eq!(desk.release(&own).await, Ok(0));
}

/// Whatever the index shows of the others.
pub(crate) async fn releases_at_once_fill_a_share_and_no_more(bed: &Bed) {
    let acme = Tenant { max_jobs: 5, ..Tenant::new(tenant("acme")) };
    bed.desk().catalog.put_tenant(&acme).await.unwrap();
    let now = bed.now();
    let releases = (0..16).map(|nth| {
        let desk = bed.desk_of(nth);
        tokio::spawn(async move {
            let arrived = arrived(&format!("{nth}"), before(now, 16 - nth as u64));
            let (job, _) = desk.begin(&arrived, &Command::Accept).await.unwrap();
            let sent = desk.release_fresh(std::slice::from_ref(&job)).await.unwrap();
            (job.id, sent)
        })
    });
    let jobs: Vec<_> = join_all(releases).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(jobs.iter().map(|(_, sent)| sent).sum::<usize>(), 5);
    let desk = bed.desk();
    let mut sent = Vec::new();
    for (id, _) in &jobs {
        sent.extend(desk.ledger.get(*id).await.unwrap().filter(|job| job.sent_at.is_some()));
    }
    assert_eq!(sent.len(), 5);
    // Those that have ended make room, whether or not the index has shown that they were in flight.
    for job in &sent[..2] {
        let job = desk.change(job.id, &claim("a", Duration::from_secs(60))).await.unwrap();
        let end = Command::End { fence: job.fence, ending: Ending::Succeeded(None) };
        desk.change(job.id, &end).await.unwrap();
    }
    let own = [acme.id.clone()];
    let more = std::cell::Cell::new(0);
    let release = || async {
        more.set(more.get() + desk.release(&own).await.unwrap());
        more.get()
    };
    until("two more are in flight", release, |more| *more == 2).await;
    until("five are in flight", || load_of(desk, &acme.id), |load| load.jobs == 5).await;
    assert_eq!(desk.release(&own).await, Ok(0));
}
