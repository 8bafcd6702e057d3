//! Rows of jobs.

use std::time::Duration;

use eft_domain::{
    Command,
    job::{Refused, RouteTurn},
    route::HeadOfLine,
};
use eft_store::{ChangeError, Put};
use futures::future::join_all;

use super::{Bed, accepted, arrived, claim, next};

pub(crate) async fn rows_are_written_on_condition(bed: &Bed) {
    let ledger = &bed.desk().ledger;
    let one = accepted(&arrived("a", bed.now()));
    let two = next(&one, &Command::Sent, bed.now());
    let three = next(&two, &Command::Sent, bed.now());
    assert_eq!(ledger.get(one.id).await, Ok(None));
    assert_eq!(ledger.replace(&two).await, Ok(Put::Stale), "of nothing");
    assert_eq!(ledger.remove(one.id, 1).await, Ok(Put::Stale), "nothing");
    assert_eq!(ledger.create(&one).await, Ok(Put::Done));
    assert_eq!(ledger.create(&one).await, Ok(Put::Stale));
    assert_eq!(ledger.create(&two).await, Ok(Put::Stale));
    assert_eq!(ledger.replace(&three).await, Ok(Put::Stale), "one revision was left out");
    assert_eq!(ledger.get(one.id).await, Ok(Some(one.clone())));
    assert_eq!(ledger.replace(&two).await, Ok(Put::Done));
    assert_eq!(ledger.replace(&two).await, Ok(Put::Stale), "the same again");
    assert_eq!(ledger.get(one.id).await, Ok(Some(two.clone())));
    assert_eq!(ledger.remove(one.id, one.rev).await, Ok(Put::Stale));
    assert_eq!(ledger.remove(one.id, two.rev).await, Ok(Put::Done));
    assert_eq!(ledger.remove(one.id, two.rev).await, Ok(Put::Stale), "the same again");
    assert_eq!(ledger.get(one.id).await, Ok(None));
    assert_eq!(ledger.create(&one).await, Ok(Put::Done), "removed rows leave nothing");
}

pub(crate) async fn a_row_is_read_as_it_was_written(bed: &Bed) {
    let now = bed.now();
    let mut arrived = arrived("ünï/日本 %2F+&<>\"'\\", now);
    arrived.arrival.version_id = "null".into();
    arrived.size = u64::MAX >> 1;
    arrived.turn = Some(RouteTurn { number: 7, head_of_line: HeadOfLine::Block });
    arrived.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    let job = accepted(&arrived);
    let running = next(&job, &claim("a", Duration::from_secs(60)), now);
    // As large as a checkpoint may be, and of quotes, which a text in a text would double.
    let checkpoint = "\"".repeat(eft_domain::job::MAX_CHECKPOINT_BYTES);
    let save = Command::Save { fence: 1, checkpoint, advanced: true, publishing: true };
    let saved = next(&running, &save, now);
    let ledger = &bed.desk().ledger;
    assert_eq!(ledger.create(&job).await, Ok(Put::Done));
    for job in [running, saved] {
        assert_eq!(ledger.replace(&job).await, Ok(Put::Done));
        for desk in &bed.desks {
            assert_eq!(desk.ledger.get(job.id).await.unwrap().as_ref(), Some(&job));
        }
    }
}

/// How many of sixteen that claim at once get the job.
async fn winners(bed: &Bed, round: u32, id: eft_domain::JobId, lease: Duration) -> Vec<eft_domain::Job> {
    let claims = (0..16).map(|nth| {
        let desk = bed.desk_of(nth);
        tokio::spawn(async move { desk.change(id, &claim(&format!("owner-{round}-{nth}"), lease)).await })
    });
    let mut won = Vec::new();
    for answer in join_all(claims).await {
        match answer.unwrap() {
            Ok(job) => won.push(job),
            Err(ChangeError::Refused(Refused::Leased { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
    won
}

pub(crate) async fn one_of_many_claims_wins(bed: &Bed) {
    let job = accepted(&arrived("a", bed.now()));
    bed.desk().ledger.create(&job).await.unwrap();
    let lease = Duration::from_secs(6);
    for round in 1..=2 {
        let won = winners(bed, round, job.id, lease).await;
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!((won[0].fence, won[0].strikes), (u64::from(round), round - 1));
        let stands = bed.desk().ledger.get(job.id).await.unwrap().unwrap();
        assert_eq!(stands, won[0]);
        let zombie = bed.desk().change(job.id, &Command::Renew { fence: stands.fence - 1, lease }).await;
        assert!(matches!(zombie, Err(ChangeError::Refused(Refused::Fenced { .. }))), "{zombie:?}");
        let until = stands.lease.unwrap().until;
        tokio::time::sleep(until.since(bed.now()) + Duration::from_millis(1)).await;
    }
}
