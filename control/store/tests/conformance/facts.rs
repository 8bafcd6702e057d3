//! Keys, counters, and the history.

use std::{collections::BTreeSet, time::Duration};

use eft_domain::{Command, job::ReceiptKey};
use eft_store::Put;
use futures::future::join_all;

use super::{Bed, accepted, arrived, claim, next, until};

pub(crate) async fn a_key_holds_one_value_until_it_expires(bed: &Bed) {
    let (keys, now) = (&bed.desk().keys, bed.now());
    let later = now.plus(Duration::from_secs(60));
    assert_eq!(keys.get("a", now).await, Ok(None));
    assert_eq!(keys.put_new("a", "1", later, now).await, Ok(None));
    assert_eq!(keys.put_new("a", "2", later, now).await, Ok(Some("1".into())));
    assert_eq!(keys.put_new("b", "3", later, now).await, Ok(None), "another key");
    for desk in &bed.desks {
        assert_eq!(desk.keys.get("a", now).await, Ok(Some("1".into())));
    }
    assert_eq!(keys.get("a", later).await, Ok(None), "until then, and not then");
    let last = later.plus(Duration::from_secs(1));
    assert_eq!(keys.put_new("a", "4", last, later).await, Ok(None));
    assert_eq!(keys.get("a", later).await, Ok(Some("4".into())));
    keys.put("a", "5", last).await.unwrap();
    assert_eq!(keys.put_new("a", "6", last, later).await, Ok(Some("5".into())));
    // A counter of the same name is another thing.
    assert_eq!(keys.next("a").await, Ok(1));
    assert_eq!(keys.get("a", later).await, Ok(Some("5".into())));
}

pub(crate) async fn one_of_many_puts_wins(bed: &Bed) {
    let now = bed.now();
    let puts = (0..16).map(|nth| {
        let desk = bed.desk_of(nth);
        tokio::spawn(async move {
            let value = nth.to_string();
            let found = desk.keys.put_new("k", &value, now.plus(Duration::from_secs(60)), now).await.unwrap();
            (value, found)
        })
    });
    let answers: Vec<_> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
    let won: Vec<_> = answers.iter().filter(|(_, found)| found.is_none()).map(|(value, _)| value).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    let mut others = answers.iter().filter_map(|(_, found)| found.as_ref());
    assert!(others.all(|found| found == won[0]), "{answers:?}");
}

pub(crate) async fn a_key_is_swapped_for_what_stands_there_and_nothing_else(bed: &Bed) {
    let (keys, now) = (&bed.desk().keys, bed.now());
    let later = now.plus(Duration::from_secs(60));
    assert_eq!(keys.swap("s", Some("0"), "1", later, now).await, Ok(Put::Stale), "nothing stands there");
    assert_eq!(keys.swap("s", None, "1", later, now).await, Ok(Put::Done));
    assert_eq!(keys.swap("s", None, "2", later, now).await, Ok(Put::Stale));
    assert_eq!(keys.swap("s", Some("0"), "2", later, now).await, Ok(Put::Stale));
    for desk in &bed.desks {
        assert_eq!(desk.keys.get("s", now).await, Ok(Some("1".into())));
    }
    assert_eq!(keys.swap("s", Some("1"), "2", later, now).await, Ok(Put::Done));
    let last = later.plus(Duration::from_secs(1));
    assert_eq!(keys.swap("s", Some("2"), "3", last, later).await, Ok(Put::Stale), "it has expired");
    assert_eq!(keys.swap("s", None, "3", last, later).await, Ok(Put::Done));
    assert_eq!(keys.get("s", later).await, Ok(Some("3".into())));
    let swaps = (0..16).map(|nth| {
        let desk = bed.desk_of(nth);
        tokio::spawn(async move { desk.keys.swap("s", Some("3"), &format!("of {nth}"), last, later).await })
    });
    let answers: Vec<_> = join_all(swaps).await.into_iter().map(|put| put.unwrap().unwrap()).collect();
    let won = answers.iter().position(|put| *put == Put::Done);
    assert_eq!(answers.iter().filter(|put| **put == Put::Done).count(), 1, "{answers:?}");
    assert_eq!(keys.get("s", later).await.unwrap(), won.map(|nth| format!("of {nth}")));
}

pub(crate) async fn no_number_is_given_twice(bed: &Bed) {
    let counts = (0..16).map(|nth| {
        let desk = bed.desk_of(nth);
        tokio::spawn(async move {
            let mut own = Vec::new();
            for _ in 0..4 {
                own.push(desk.keys.next("turns").await.unwrap());
            }
            assert!(own.is_sorted(), "{own:?}");
            own
        })
    });
    let all: Vec<u64> = join_all(counts).await.into_iter().flat_map(Result::unwrap).collect();
    let set: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!((all.len(), set.len()), (64, 64), "{all:?}");
    assert_eq!(set.first(), Some(&1));
    assert_eq!(bed.desk().keys.next("others").await, Ok(1));
}

pub(crate) async fn history_is_kept_once_and_in_order(bed: &Bed) {
    let (runs, now) = (&bed.desk().runs, bed.now());
    let mut job = accepted(&arrived("a", now));
    for _ in 0..6 {
        job = next(&job, &claim("a", Duration::from_secs(1)), now);
        job = next(&job, &Command::HandBack { fence: job.fence, reason: "test".into() }, now);
    }
    let events = job.outbox.clone();
    assert_eq!(events.len(), 13, "more than nine: 10 comes after 9");
    for event in events.iter().rev() {
        runs.record(&job, event).await.unwrap();
        runs.record(&job, event).await.unwrap();
    }
    assert_eq!(runs.history(job.id).await.unwrap(), events);
    let other = accepted(&arrived("b", now));
    assert_eq!(runs.history(other.id).await, Ok(vec![]));
}

pub(crate) async fn what_has_expired_is_removed(bed: &Bed) {
    let (keys, now) = (&bed.desk().keys, bed.now());
    for nth in 0..5 {
        keys.put(&format!("gone-{nth}"), "x", now).await.unwrap();
    }
    keys.put("kept", "x", now.plus(Duration::from_secs(60))).await.unwrap();
    keys.next("counter").await.unwrap();
    let removed = std::cell::Cell::new(0);
    let remove = || async {
        removed.set(removed.get() + keys.remove_expired(now).await.unwrap());
        removed.get()
    };
    until("five are removed", remove, |removed| *removed == 5).await;
    assert_eq!(keys.remove_expired(now).await, Ok(0));
    assert_eq!(keys.get("kept", now).await, Ok(Some("x".into())));
    assert_eq!(keys.next("counter").await, Ok(2));
}

pub(crate) async fn a_receipt_is_kept_whatever_its_length(bed: &Bed) {
    let (runs, job) = (&bed.desk().runs, accepted(&arrived("a", bed.now())).id);
    // Longer than an item of DynamoDB, and of characters that may not be cut.
    let texts = ["{}".to_owned(), "é".repeat(400_001)];
    let keys = [(1, 2), (1, 3)].map(|(generation, fence)| ReceiptKey { generation, fence });
    for (key, text) in keys.iter().zip(&texts) {
        assert_eq!(runs.receipt(job, *key).await, Ok(None));
        runs.keep_receipt(job, *key, text).await.unwrap();
        runs.keep_receipt(job, *key, text).await.unwrap();
    }
    for (key, text) in keys.iter().zip(&texts) {
        assert!(runs.receipt(job, *key).await.unwrap().as_ref() == Some(text), "{key:?}");
    }
    assert_eq!(runs.receipt(job, ReceiptKey { generation: 2, fence: 2 }).await, Ok(None));
    assert_eq!(runs.history(job).await, Ok(vec![]), "a receipt is no change");
}
