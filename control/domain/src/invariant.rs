//! What EFT promises: the registry of invariants, each with a predicate where one run's receipt can show it.
//!
//! The README prints [`markdown_table`].

use crate::{
    Receipt,
    job::{JobEvent, JobState},
    receipt::{DeliveryOutcome, Outcome},
};

/// Whether a receipt keeps a promise, and if not, what is wrong.
pub type Predicate = fn(&Receipt) -> Result<(), String>;

/// Whether the history of a job keeps a promise, and if not, what is wrong.
pub type HistoryPredicate = fn(&[JobEvent]) -> Result<(), String>;

/// One promise.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// `G1` to `G13`.
    pub id: &'static str,
    /// Two or three words.
    pub name: &'static str,
    /// The promise.
    pub sentence: &'static str,
    /// What a receipt that keeps it looks like; `None` where one receipt cannot show it.
    pub holds: Option<Predicate>,
    /// What the history of a job that keeps it looks like; `None` where it cannot show it.
    pub holds_of_history: Option<HistoryPredicate>,
}

/// Every promise, in order.
pub const ALL: &[Invariant] = &[
    Invariant {
        id: "G1",
        name: "no loss",
        sentence: "every object version under an ingest prefix reaches exactly one job per matching route, or an \
                   `UNROUTED` / `INCOMPLETE` record, within one sweep interval, even if every event was lost",
        holds: None,
        holds_of_history: None,
    },
    Invariant {
        id: "G2",
        name: "one job",
        sentence: "any number of duplicate, late or reordered events for one version make one job per route, with \
                   no time window",
        holds: Some(one_job),
        holds_of_history: Some(one_owner),
    },
    Invariant {
        id: "G3",
        name: "effects",
        sentence: "effects are at least once; the visible result is exactly once on S3 (deterministic key + \
                   `If-None-Match: *`; 412 with our own delivery id = success); SFTP: temporary name then rename; \
                   HTTPS and notifications: at least once with an idempotency key",
        holds: Some(effects),
        holds_of_history: None,
    },
    Invariant {
        id: "G4",
        name: "all or nothing",
        sentence: "a destination object is visible only if every check passed; nothing partial is ever readable \
                   under the final name",
        holds: Some(all_or_nothing),
        holds_of_history: None,
    },
    Invariant {
        id: "G5",
        name: "integrity",
        sentence: "the receipt's size, CRC-64/NVME and (if asked) SHA-256 are of the bytes read and written; S3 \
                   verified the CRC on write; the source's own full-object checksum is compared when it has one",
        holds: Some(integrity),
        holds_of_history: None,
    },
    Invariant {
        id: "G6",
        name: "pinned",
        sentence: "a run uses one route revision from start to end; replay says which revision (same by default)",
        holds: None,
        holds_of_history: None,
    },
    Invariant {
        id: "G7",
        name: "order",
        sentence: "none across files by default; `ordering: strict` delivers in claim order per route, with an \
                   explicit head-of-line policy (`block` or `hold_and_continue`)",
        holds: None,
        holds_of_history: None,
    },
    Invariant {
        id: "G8",
        name: "isolation",
        sentence: "a tenant at its quota, or poisoned, delays no other beyond its share; tenants cannot read, name \
                   or infer each other's objects, jobs or routes",
        holds: None,
        holds_of_history: None,
    },
    Invariant {
        id: "G9",
        name: "bounded memory",
        sentence: "worker RSS ≤ configured budget + 40 MiB for any input, of any size and shape",
        holds: None,
        holds_of_history: None,
    },
    Invariant {
        id: "G10",
        name: "bounded rework",
        sentence: "after any single crash an R0–R2 run re-reads at most one checkpoint interval",
        holds: None,
        holds_of_history: None,
    },
    Invariant {
        id: "G11",
        name: "audit",
        sentence: "every state change carries actor, time, reason, before and after; append-only",
        holds: None,
        holds_of_history: Some(audit),
    },
    Invariant {
        id: "G12",
        name: "retention",
        sentence: "the original is kept until the later of policy, hold, and last acknowledged delivery; the run \
                   record outlives the bytes",
        holds: None,
        holds_of_history: None,
    },
    Invariant {
        id: "G13",
        name: "DR",
        sentence: "with `rpo: strict`, no acknowledged file is lost when a region is; RTO < 15 min",
        holds: None,
        holds_of_history: None,
    },
];

/// Every promise a receipt breaks, as `id: what is wrong`.
pub fn violations(receipt: &Receipt) -> Vec<String> {
    let broken = |invariant: &Invariant| {
        let fault = invariant.holds?(receipt).err()?;
        Some(format!("{} {}: {fault}", invariant.id, invariant.name))
    };
    ALL.iter().filter_map(broken).collect()
}

/// Owners follow each other: whoever takes a job has a token greater than everybody before.
fn one_owner(history: &[JobEvent]) -> Result<(), String> {
    let broken = history.windows(2).find(|pair| {
        pair[1].fence < pair[0].fence
            || (pair[1].after == JobState::Running && pair[1].fence == pair[0].fence)
    });
    broken.map_or(Ok(()), |pair| {
        Err(format!("change {} has token {} after {}", pair[1].sequence, pair[1].fence, pair[0].fence))
    })
}

/// Every change is there, each begins where the one before has ended, and says who made it.
fn audit(history: &[JobEvent]) -> Result<(), String> {
    let mut stands = JobState::Arrived;
    for (event, expected) in history.iter().zip(1..) {
        if event.sequence != expected {
            return Err(format!("change {expected} is missing"));
        }
        if event.before != stands {
            return Err(format!("change {expected} begins at {}, and {stands} was before", event.before));
        }
        if event.actor.is_empty() {
            return Err(format!("nobody has made change {expected}"));
        }
        stands = event.after;
    }
    Ok(())
}

/// The table of the README.
pub fn markdown_table() -> String {
    let mut table = "| id | promise |\n|---|---|\n".to_owned();
    for Invariant { id, name, sentence, .. } in ALL {
        table.push_str(&format!("| {id} {name} | {sentence} |\n"));
    }
    table
}

fn check(holds: bool, fault: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(fault()) }
}

fn one_job(receipt: &Receipt) -> Result<(), String> {
    check(receipt.run_id.job() == receipt.job_id, || {
        format!("run {} is not one of job {}", receipt.run_id, receipt.job_id)
    })
}

fn effects(receipt: &Receipt) -> Result<(), String> {
    for (at, delivery) in receipt.deliveries.iter().enumerate() {
        let twice = receipt.deliveries[..at]
            .iter()
            .any(|other| other.delivery_id == delivery.delivery_id || other.uri == delivery.uri);
        check(!twice, || format!("two deliveries to {}", delivery.uri))?;
    }
    Ok(())
}

/// The outcome says of the deliveries what they say of themselves, and a rejected file is visible nowhere.
fn all_or_nothing(receipt: &Receipt) -> Result<(), String> {
    let delivered = |outcome| outcome == DeliveryOutcome::Delivered;
    let count = receipt.deliveries.iter().filter(|delivery| delivered(delivery.outcome)).count();
    let all = receipt.deliveries.len();
    let fits = match receipt.outcome {
        Outcome::Succeeded => count == all,
        Outcome::PartiallyDelivered => 0 < count && count < all,
        Outcome::Rejected | Outcome::Failed => count == 0,
        // What was delivered before somebody had to be waited for stays delivered.
        Outcome::Held | Outcome::Cancelled => count == 0 || count < all,
    };
    check(fits, || format!("{} with {count} of {all} deliveries made", receipt.outcome))?;
    check(receipt.failure.is_none() == (receipt.outcome == Outcome::Succeeded), || {
        format!(
            "{} {} a failure code",
            receipt.outcome,
            if receipt.failure.is_none() { "without" } else { "with" }
        )
    })?;
    for delivery in &receipt.deliveries {
        check(delivery.failure.is_none() || !delivered(delivery.outcome), || {
            format!("{} is delivered and carries a failure", delivery.uri)
        })?;
    }
    Ok(())
}

fn integrity(receipt: &Receipt) -> Result<(), String> {
    let source = &receipt.source;
    let made: Vec<_> =
        receipt.deliveries.iter().filter(|delivery| delivery.outcome == DeliveryOutcome::Delivered).collect();
    if made.is_empty() {
        return Ok(());
    }
    check(source.crc64nvme_matches_source != Some(false), || {
        "delivered although the source's own checksum differs".to_owned()
    })?;
    for delivery in &made {
        check(delivery.size.is_some() && delivery.crc64nvme.is_some(), || {
            format!("{} is delivered without size and CRC-64/NVME", delivery.uri)
        })?;
        // One pass feeds every sink: all of them got the same bytes.
        let same = delivery.size == made[0].size
            && delivery.crc64nvme == made[0].crc64nvme
            && delivery.sha256 == made[0].sha256;
        check(same, || format!("{} and {} hold different bytes", delivery.uri, made[0].uri))?;
        check((delivery.sha256.is_some()) == source.sha256.is_some(), || {
            format!("SHA-256 on one side only of {}", delivery.uri)
        })?;
    }
    let identity = receipt.stages.iter().all(|stage| stage.kind == crate::receipt::StageKind::Tap);
    let equal = source.size == made[0].size
        && (source.crc64nvme.is_none() || source.crc64nvme == made[0].crc64nvme)
        && source.sha256 == made[0].sha256;
    check(!identity || equal, || {
        "no stage changes bytes, yet those written differ from those read".to_owned()
    })?;
    flow(receipt)
}

/// Each stage takes what the one before it gave, and the last gives what is delivered.
fn flow(receipt: &Receipt) -> Result<(), String> {
    let mut bytes = receipt.source.size;
    for stage in &receipt.stages {
        check(bytes.is_none_or(|bytes| bytes == stage.bytes_in), || {
            format!("stage {} took {} bytes of {}", stage.name, stage.bytes_in, bytes.unwrap_or_default())
        })?;
        bytes = Some(stage.bytes_out);
    }
    for delivery in &receipt.deliveries {
        let fits =
            delivery.outcome != DeliveryOutcome::Delivered || bytes.is_none() || delivery.size == bytes;
        check(fits, || format!("{} got another number of bytes than the last stage gave", delivery.uri))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_prints_them() {
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&markdown_table()), "the README should hold:\n{}", markdown_table());
    }

    #[test]
    fn ids_run_from_g1_to_g13_and_stand_in_the_table() {
        let ids: Vec<_> = ALL.iter().map(|invariant| invariant.id.to_owned()).collect();
        assert_eq!(ids, (1..=13).map(|n| format!("G{n}")).collect::<Vec<_>>());
        let table = markdown_table();
        assert_eq!(table.lines().count(), 15);
        assert!(table.lines().all(|line| line.starts_with('|') && line.matches('|').count() == 3), "{table}");
        assert!(!table.contains("  "), "a continued line left its indent");
    }
}
