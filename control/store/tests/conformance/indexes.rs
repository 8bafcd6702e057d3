//! What is due, a tenant's lines, and turns.

use std::time::Duration;

use eft_domain::{
    Code, Command, Failure, Job,
    job::{Ending, OUTBOX_GRACE, RouteTurn},
    route::HeadOfLine,
};
use eft_store::{JobSize, Load, index::shard_of, port::DUE_SHARDS};

use super::{Bed, accepted, arrived, before, claim, ids, load_of, next, tenant, until};

pub(crate) async fn what_is_due_comes_in_order_and_in_pages(bed: &Bed) {
    let (desk, now) = (bed.desk(), bed.now());
    let shard = 3;
    // In one shard, and created in another order than they are due in.
    let mut jobs: Vec<Job> = (0..)
        .map(|nth| accepted(&arrived(&nth.to_string(), before(now, 3_600 - 37 * nth % 200))))
        .filter(|job| shard_of(job.id) == shard)
        .take(7)
        .collect();
    let later = (0..).map(|nth| accepted(&arrived(&format!("later-{nth}"), now)));
    let later = later.into_iter().find(|job| shard_of(job.id) == shard).unwrap();
    for job in jobs.iter().chain([&later]) {
        desk.ledger.create(job).await.unwrap();
    }
    jobs.sort_by_key(|job| (job.due(desk.retention), job.id));
    let due = || async { desk.ledger.due(shard, now, None, 100).await.unwrap() };
    let page = until("seven are due", due, |page| page.items.len() == 7).await;
    assert_eq!(page.items, ids(&jobs));
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = desk.ledger.due(shard, now, after.as_deref(), 3).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids(&jobs));
    for other in (0..DUE_SHARDS).filter(|other| *other != shard) {
        assert_eq!(desk.ledger.due(other, now, None, 100).await.unwrap().items, []);
    }
    // One that is removed and one that is looked after are due no more; the one from before comes in its time.
    desk.ledger.remove(jobs[0].id, jobs[0].rev).await.unwrap();
    let claimed = next(&jobs[1], &claim("a", Duration::from_secs(3_600)), now);
    let told = next(&claimed, &Command::Told { sequence: claimed.sequence }, now);
    desk.ledger.replace(&claimed).await.unwrap();
    desk.ledger.replace(&told).await.unwrap();
    let page = until("five are due", due, |page| page.items.len() == 5).await;
    assert_eq!(page.items, ids(&jobs[2..]));
    let then = now.plus(OUTBOX_GRACE);
    assert_eq!(desk.ledger.due(shard, then, None, 100).await.unwrap().items.last(), Some(&later.id));
}

pub(crate) async fn a_tenant_has_its_lines(bed: &Bed) {
    let (desk, now) = (bed.desk(), bed.now());
    let jobs: Vec<Job> = [30, 20, 10]
        .iter()
        .map(|ago| {
            let mut arrived = arrived(&format!("{ago}"), before(now, *ago));
            arrived.size = *ago;
            accepted(&arrived)
        })
        .collect();
    let mut elsewhere = arrived("b", now);
    elsewhere.tenant = Some(tenant("acme2"));
    let mut nobodys = arrived("c", now);
    nobodys.tenant = None;
    // The last comes first.
    for job in [&jobs[2], &jobs[0], &accepted(&elsewhere), &jobs[1], &accepted(&nobodys)] {
        desk.ledger.create(job).await.unwrap();
    }
    let acme = tenant("acme");
    let waiting = || async { desk.ledger.waiting(&acme, 10).await.unwrap() };
    let load = || async { load_of(desk, &acme).await };
    let live = || async { desk.ledger.live(&acme, None, 10).await.unwrap().items };
    let found = until("three wait", waiting, |found| found.len() == 3).await;
    let expected = jobs.iter().map(|job| JobSize { job: job.id, size: job.size }).collect::<Vec<_>>();
    assert_eq!(found, expected);
    assert_eq!(desk.ledger.waiting(&acme, 2).await.unwrap(), expected[..2]);
    assert_eq!(load().await, Load::default());

    for job in &jobs[..2] {
        desk.change(job.id, &Command::Sent).await.unwrap();
    }
    until("two are in flight", load, |load| *load == Load { jobs: 2, bytes: 50 }).await;
    until("one waits", waiting, |found| *found == expected[2..]).await;
    assert_eq!(desk.ledger.in_flight(&acme, 1).await.unwrap().len(), 1, "listed up to one");

    let running = desk.change(jobs[0].id, &claim("a", Duration::from_secs(60))).await.unwrap();
    until("a job with an owner is in flight", load, |load| load.jobs == 2).await;
    let failure = Failure::new(Code::DestinationUnavailable, "down");
    let hold = Command::Hold { fence: running.fence, failure, retry_in: None };
    desk.change(jobs[0].id, &hold).await.unwrap();
    until("a job that is held is not", load, |load| *load == Load { jobs: 1, bytes: 20 }).await;
    let mut all = ids(&jobs);
    all.sort_unstable();
    until("it is live", live, |found| *found == all).await;
    let page = desk.ledger.live(&acme, None, 2).await.unwrap();
    assert_eq!(page.items, all[..2]);
    let page = desk.ledger.live(&acme, page.next.as_deref(), 2).await.unwrap();
    assert_eq!(page.items, all[2..]);

    desk.change(jobs[0].id, &Command::Resume { reason: "up".into() }).await.unwrap();
    until("a job that is resumed waits, first as before", waiting, |found| {
        *found == [expected[0], expected[2]]
    })
    .await;
    let running = desk.change(jobs[1].id, &claim("a", Duration::from_secs(60))).await.unwrap();
    let end = Command::End { fence: running.fence, ending: Ending::Succeeded(None) };
    desk.change(jobs[1].id, &end).await.unwrap();
    until("nothing is in flight", load, |load| *load == Load::default()).await;
    until("two are live", live, |found| found.len() == 2).await;
    until(
        "the other tenant has its own",
        || async { desk.ledger.waiting(&tenant("acme2"), 10).await.unwrap() },
        |found| found.len() == 1,
    )
    .await;
}

pub(crate) async fn the_first_turn_is_the_oldest_that_is_open(bed: &Bed) {
    let (desk, now) = (bed.desk(), bed.now());
    // Numbers, not texts: 9 is before 10.
    let jobs: Vec<Job> = [10, 9, 11]
        .iter()
        .map(|turn| {
            let mut arrived = arrived(&turn.to_string(), now);
            arrived.turn = Some(RouteTurn { number: *turn, head_of_line: HeadOfLine::HoldAndContinue });
            accepted(&arrived)
        })
        .collect();
    for job in &jobs {
        desk.ledger.create(job).await.unwrap();
    }
    desk.ledger.create(&accepted(&arrived("no turn", now))).await.unwrap();
    let route = "acme-in".parse().unwrap();
    let first = || async { desk.ledger.first_turn(&route).await.unwrap() };
    until("the oldest is first", first, |found| *found == Some((9, jobs[1].id))).await;
    desk.change(jobs[1].id, &Command::Cancel { reason: "test".into() }).await.unwrap();
    until("the next is first", first, |found| *found == Some((10, jobs[0].id))).await;
    let other = "acme".parse().unwrap();
    assert_eq!(desk.ledger.first_turn(&other).await, Ok(None));
}
