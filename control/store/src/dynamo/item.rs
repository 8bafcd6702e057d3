//! A job as an item.
//!
//! The row is one text, so that a field more is no new attribute; the checkpoint stands beside it, because it is a text of
//! JSON itself and quoting it would take a row of 256 KiB beyond the 400 KB that an item may have. Receipts are items of
//! their own in the table of the history: a row is written many times, and they may be long.
//! Everything else is there for the indexes and is derived anew with every write.

use eft_domain::{Job, job::Retention};

use super::{Item, number, text, text_of, wrong};
use crate::{
    index::{due_place, line_of, line_shard_of, live_of, place, shard_of, turn_of},
    port::StoreResult,
};

pub(super) const ROW: &str = "row";
pub(super) const REV: &str = "rev";
const CHECKPOINT: &str = "checkpoint";

/// The item of a job.
pub(super) fn item_of(job: &Job, retention: Retention) -> StoreResult<Item> {
    let mut row = job.clone();
    let checkpoint = row.checkpoint.take();
    let row = serde_json::to_string(&row)
        .map_err(|error| wrong(format_args!("job {} cannot be written as JSON: {error}", job.id)))?;
    let mut item = Item::new();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set("pk", text(job.id.to_string()));
    set(REV, number(job.rev));
    set(ROW, text(row));
    set("due_shard", number(u64::from(shard_of(job.id))));
    set("due_at", text(due_place(job, retention)));
    if let Some(checkpoint) = checkpoint {
        set(CHECKPOINT, text(checkpoint));
    }
    if let Some((tenant, line)) = line_of(job) {
        set("line", text(line.key(tenant, line_shard_of(job.id))));
        set("line_at", text(place(job.arrived_at, job.id)));
        set("size", number(job.size));
    }
    if let Some(tenant) = live_of(job) {
        set("live_of", text(tenant.as_str()));
    }
    if let Some((route, turn)) = turn_of(job) {
        set("turn_of", text(route.as_str()));
        set("turn", number(turn));
    }
    Ok(item)
}

/// The job of an item.
pub(super) fn job_of(item: &Item) -> StoreResult<Job> {
    let id = text_of(item, "pk")?;
    let mut job: Job = serde_json::from_str(text_of(item, ROW)?)
        .map_err(|error| wrong(format_args!("the row of job {id} cannot be read: {error}")))?;
    job.checkpoint = item.get(CHECKPOINT).and_then(|value| value.as_s().ok()).cloned();
    Ok(job)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eft_domain::{
        Actor, Arrival, Command, Millis,
        job::{Arrived, Ending, MAX_CHECKPOINT_BYTES, PinnedRoute, RouteTurn, Runner, apply},
        route::HeadOfLine,
    };

    use super::*;

    fn accepted() -> Job {
        let arrived = Arrived {
            arrival: Arrival {
                bucket: "ingest".into(),
                key: "tenants/acme/in/a.csv".into(),
                version_id: "v1".into(),
            },
            size: 7,
            etag: Some("\"e\"".into()),
            at: Millis(1_000),
            tenant: Some("acme".parse().unwrap()),
            route: Some(PinnedRoute {
                id: "orders".parse().unwrap(),
                revision: "0123456789abcdef".parse().unwrap(),
            }),
            runner: Runner::Worker,
            turn: Some(RouteTurn { number: 3, head_of_line: HeadOfLine::HoldAndContinue }),
            trace: None,
        };
        arrived.begin(&Command::Accept, &Actor::part("test")).unwrap()
    }

    fn next(job: &Job, command: &Command) -> Job {
        apply(job, command, &Actor::part("test"), Millis(2_000)).unwrap()
    }

    fn attributes(job: &Job) -> Vec<String> {
        let mut names: Vec<_> = item_of(job, Retention::default()).unwrap().into_keys().collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_job_stands_in_the_indexes_it_belongs_to() {
        let job = accepted();
        let id = job.id;
        let item = item_of(&job, Retention::default()).unwrap();
        for (name, value) in [
            ("pk", text(id.to_string())),
            ("rev", number(1)),
            ("due_shard", number(u64::from(shard_of(id)))),
            ("due_at", text(format!("0000000000061000#{id}"))),
            ("line", text(format!("acme#W{}", line_shard_of(id)))),
            ("line_at", text(format!("0000000000001000#{id}"))),
            ("size", number(7)),
            ("live_of", text("acme")),
            ("turn_of", text("orders")),
            ("turn", number(3)),
        ] {
            assert_eq!(item.get(name), Some(&value), "{name}");
        }
        let sent = next(&job, &Command::Sent);
        let in_flight = text(format!("acme#F{}", line_shard_of(id)));
        assert_eq!(item_of(&sent, Retention::default()).unwrap()["line"], in_flight);
        let claim = Command::Claim { owner: "a".into(), lease: Duration::from_secs(1) };
        let running = next(&sent, &claim);
        assert_eq!(item_of(&running, Retention::default()).unwrap()["line"], in_flight);
        let ended = next(&running, &Command::End { fence: 1, ending: Ending::Succeeded(Some("{}".into())) });
        assert_eq!(attributes(&ended), ["due_at", "due_shard", "pk", "rev", "row"]);
    }

    #[test]
    fn what_is_written_is_read() {
        let claim = Command::Claim { owner: "a".into(), lease: Duration::from_secs(1) };
        let running = next(&accepted(), &claim);
        let save = |checkpoint: &str| Command::Save {
            fence: 1,
            checkpoint: checkpoint.to_owned(),
            advanced: true,
            publishing: false,
        };
        let saved = next(&running, &save("{\"a\":\"\\\"\"}"));
        let ended = next(&saved, &Command::End { fence: 1, ending: Ending::Succeeded(Some("{}".into())) });
        for job in [accepted(), running, saved, ended] {
            let item = item_of(&job, Retention::default()).unwrap();
            assert_eq!(job_of(&item), Ok(job));
        }
    }

    /// Quotes as dense as in JSON: quoted once more they would not fit.
    #[test]
    fn the_largest_checkpoint_fits_into_an_item() {
        let claim = Command::Claim { owner: "a".into(), lease: Duration::from_secs(1) };
        let checkpoint = "\"".repeat(MAX_CHECKPOINT_BYTES);
        let save = Command::Save { fence: 1, checkpoint, advanced: true, publishing: false };
        let item = item_of(&next(&next(&accepted(), &claim), &save), Retention::default()).unwrap();
        let size: usize = item
            .iter()
            .map(|(name, value)| name.len() + value.as_s().or(value.as_n()).map_or(0, String::len))
            .sum();
        assert!(size < 300_000, "{size}");
    }

    #[test]
    fn an_item_that_is_no_job_is_refused() {
        let mut item = item_of(&accepted(), Retention::default()).unwrap();
        item.insert(ROW.to_owned(), text("{}"));
        assert_eq!(job_of(&item).unwrap_err().kind, crate::port::StoreErrorKind::Permanent);
        item.remove(ROW);
        assert!(job_of(&item).unwrap_err().message.contains("`row`"));
    }
}
