//! One job through its life, command by command.

use std::time::Duration;

use super::*;
use crate::Code;

const LEASE: Duration = Duration::from_secs(120);

fn actor() -> Actor {
    Actor::part("test")
}

fn arrived() -> Arrived {
    Arrived {
        arrival: Arrival {
            bucket: "ingest".into(),
            key: "tenants/acme/in/a.csv".into(),
            version_id: "v1".into(),
        },
        size: 7,
        etag: None,
        at: Millis(1_000),
        tenant: Some("acme".parse().unwrap()),
        route: Some(PinnedRoute {
            id: "orders".parse().unwrap(),
            revision: "0123456789abcdef".parse().unwrap(),
        }),
        runner: Runner::Worker,
        turn: None,
        trace: None,
    }
}

fn accepted() -> Job {
    arrived().begin(&Command::Accept, &actor()).unwrap()
}

fn at(job: &Job, command: &Command, now: u64) -> Result<Job, Refused> {
    apply(job, command, &actor(), Millis(now))
}

fn claim(owner: &str) -> Command {
    Command::Claim { owner: owner.to_owned(), lease: LEASE }
}

fn failed(code: Code) -> Failure {
    Failure::new(code, "why")
}

#[test]
fn a_job_is_run_by_one_owner_at_a_time() {
    let running = at(&accepted(), &claim("a"), 2_000).unwrap();
    assert_eq!((running.state, running.fence), (JobState::Running, 1));
    let refused = at(&running, &claim("b"), 121_999).unwrap_err();
    assert!(matches!(refused, Refused::Leased { .. }), "{refused}");
    let adopted = at(&running, &claim("b"), 122_000).unwrap();
    assert_eq!((adopted.fence, adopted.strikes), (2, 1));
    let zombie = at(&adopted, &Command::Renew { fence: 1, lease: LEASE }, 122_001).unwrap_err();
    assert_eq!(zombie, Refused::Fenced { given: 1, fence: 2 });
    let save = Command::Save { fence: 2, checkpoint: "{}".into(), advanced: true, publishing: true };
    let publishing = at(&adopted, &save, 122_002).unwrap();
    assert_eq!((publishing.state, publishing.strikes), (JobState::Delivering, 0));
    let done = at(&publishing, &Command::End { fence: 2, ending: Ending::Succeeded(None) }, 122_003).unwrap();
    assert_eq!((done.state, done.checkpoint, done.lease), (JobState::Succeeded, None, None));
    let states: Vec<_> = done.outbox.iter().map(|event| (event.sequence, event.after.as_str())).collect();
    assert_eq!(
        states,
        [(1, "ACCEPTED"), (2, "RUNNING"), (3, "RUNNING"), (4, "DELIVERING"), (5, "SUCCEEDED")]
    );
}

#[test]
fn a_token_is_enough_while_nobody_else_has_one() {
    let running = at(&accepted(), &claim("a"), 0).unwrap();
    let late = at(&running, &Command::Renew { fence: 1, lease: LEASE }, 999_999).unwrap();
    assert_eq!(late.lease.unwrap().until, Millis(999_999 + 120_000));
}

#[test]
fn a_zombie_is_told_so_also_after_the_end() {
    let running = at(&accepted(), &claim("a"), 0).unwrap();
    let cancelled = at(&running, &Command::Cancel { reason: "no".into() }, 1).unwrap();
    let end = Command::End { fence: 1, ending: Ending::Succeeded(None) };
    assert_eq!(at(&cancelled, &end, 2), Err(Refused::Fenced { given: 1, fence: 2 }));
}

#[test]
fn a_job_that_kills_its_workers_ends() {
    let mut job = accepted();
    for turn in 0..u64::from(MAX_STRIKES) {
        job = at(&job, &claim("w"), turn * 200_000).unwrap();
        assert_eq!(job.state, JobState::Running);
    }
    job = at(&job, &claim("w"), 10_000_000).unwrap();
    assert_eq!((job.state, job.failure.unwrap().code.as_str()), (JobState::Failed, "run.crashed"));
}

#[test]
fn a_checkpoint_has_room_and_no_more() {
    let running = at(&accepted(), &claim("a"), 0).unwrap();
    let save =
        |bytes| Command::Save { fence: 1, checkpoint: "x".repeat(bytes), advanced: false, publishing: false };
    assert!(at(&running, &save(MAX_CHECKPOINT_BYTES), 1).is_ok());
    let refused = at(&running, &save(MAX_CHECKPOINT_BYTES + 1), 1).unwrap_err();
    assert_eq!(refused, Refused::Checkpoint(MAX_CHECKPOINT_BYTES + 1));
}

#[test]
fn what_may_pass_is_tried_again_until_the_cutoff() {
    let mut job = accepted();
    let (mut now, mut tries) = (0, 0);
    loop {
        job = at(&job, &claim("w"), now).unwrap();
        let command = job.settle(job.fence, failed(Code::DestinationUnavailable), None, Millis(now));
        job = at(&job, &command, now).unwrap();
        if job.state == JobState::Failed {
            break;
        }
        tries += 1;
        assert_eq!(job.state, JobState::Held);
        now = job.due(Retention::default()).0.max(job.hold.unwrap().retry_at.unwrap().0);
        job = at(&job, &Command::Resume { reason: "time".into() }, now).unwrap();
    }
    assert_eq!(tries, 29, "1, 2, 4, 8, 16 and 32 minutes, then an hour each");
    assert!(now >= 24 * 3_600_000, "{now}");
}

/// The time is one trouble's: a person who mends something, and a run that gets further, begin another.
#[test]
fn the_cutoff_begins_anew_with_whoever_mends_it_and_with_progress() {
    let down = |job: &Job, now: u64| {
        let running = at(job, &claim("w"), now).unwrap();
        let command = running.settle(running.fence, failed(Code::DestinationUnavailable), None, Millis(now));
        at(&running, &command, now).unwrap()
    };
    let resume = Command::Resume { reason: "now".into() };
    let (day, minute) = (24 * 3_600_000, 60_000);
    let running = at(&accepted(), &claim("w"), 0).unwrap();
    let denied = at(&running, &running.settle(1, failed(Code::SourceAccess), None, Millis(0)), 0).unwrap();
    let mended = at(&denied, &resume, 3 * day).unwrap();
    let held = down(&mended, 3 * day + minute);
    assert_eq!((held.state, held.hold.unwrap().tries), (JobState::Held, 1));
    // Also before its time has come.
    assert_eq!(at(&held, &resume, 3 * day + minute + 1).unwrap().hold, None);
    let by_itself = at(&held, &resume, 3 * day + 3 * minute).unwrap();
    assert_eq!(by_itself.hold, held.hold);
    assert_eq!(down(&by_itself, 4 * day + minute).state, JobState::Failed);

    let running = at(&by_itself, &claim("w"), 4 * day).unwrap();
    let fence = running.fence;
    let save = |advanced| Command::Save { fence, checkpoint: "{}".into(), advanced, publishing: false };
    let settled = |job: &Job| job.settle(fence, failed(Code::DestinationUnavailable), None, Millis(5 * day));
    let stuck = at(&running, &save(false), 5 * day).unwrap();
    assert!(matches!(settled(&stuck), Command::End { .. }));
    let further = at(&running, &save(true), 5 * day).unwrap();
    assert!(matches!(settled(&further), Command::Hold { .. }));
}

/// The queue drops a message whose number it has had: none is used twice, also when whoever sent it could not count it.
#[test]
fn what_is_sent_after_a_claim_has_a_number_of_its_own() {
    let job = accepted();
    let raced = at(&job, &claim("w"), 0).unwrap();
    assert!(at(&raced, &Command::Sent, 0).is_err(), "the worker was quicker");
    let held = at(&raced, &raced.settle(1, failed(Code::SourceAccess), None, Millis(5)), 5).unwrap();
    let resumed = at(&held, &Command::Resume { reason: "mended".into() }, 6).unwrap();
    assert_ne!(resumed.sends, job.sends);
}

#[test]
fn who_must_act_first_is_waited_for() {
    let running = at(&accepted(), &claim("w"), 0).unwrap();
    let held = at(&running, &running.settle(1, failed(Code::SourceAccess), None, Millis(5)), 5).unwrap();
    assert_eq!((held.state, held.hold.unwrap().retry_at), (JobState::Held, None));
    let rejected = at(&running, &running.settle(1, failed(Code::Validation), None, Millis(5)), 5).unwrap();
    assert_eq!(rejected.state, JobState::Rejected);
    let gone = at(&running, &running.settle(1, failed(Code::SourceGone), None, Millis(5)), 5).unwrap();
    assert_eq!(gone.state, JobState::Failed);
    let back = at(&running, &running.settle(1, failed(Code::Interrupted), None, Millis(5)), 5).unwrap();
    assert_eq!((back.state, back.lease), (JobState::Accepted, None));
}

#[test]
fn a_replay_is_another_run_and_a_redelivery_the_same() {
    let running = at(&accepted(), &claim("w"), 0).unwrap();
    let failed = at(&running, &running.settle(1, failed(Code::SourceGone), None, Millis(5)), 5).unwrap();
    let again = at(&failed, &Command::Redeliver { reason: "it is back".into() }, 6).unwrap();
    assert_eq!((again.generation, again.state), (1, JobState::Accepted));
    let replay = at(&failed, &Command::Replay { reason: "once more".into(), route: None }, 6).unwrap();
    assert_eq!((replay.generation, &replay.route), (2, &failed.route));
    assert_eq!(replay.run().to_string(), format!("{}.2", replay.id));
    assert!(at(&running, &Command::Replay { reason: "now".into(), route: None }, 6).is_err());
}

#[test]
fn every_row_is_looked_at_some_time() {
    let retention = Retention::default();
    let mut job = accepted();
    assert_eq!(job.due(retention), Millis(61_000), "untold");
    let waiting = at(&job, &Command::Told { sequence: 1 }, 2_000).unwrap();
    assert_eq!(waiting.due(retention), Millis(1_000).plus(LONG_WAIT), "for its tenant's share");
    job = at(&job, &Command::Sent, 2_000).unwrap();
    job = at(&job, &Command::Told { sequence: 1 }, 2_000).unwrap();
    assert_eq!(job.due(retention), Millis(2_000).plus(RESEND_AFTER));
    let running = at(&job, &claim("w"), 3_000).unwrap();
    assert_eq!(running.due(retention), Millis(63_000), "untold");
    let told = at(&running, &Command::Told { sequence: 2 }, 3_000).unwrap();
    assert_eq!(told.due(retention), Millis(123_000), "the lease");
    let sent = at(&told, &Command::Sent, 130_000).unwrap();
    assert_eq!(sent.due(retention), Millis(130_000).plus(RESEND_AFTER), "no message a sweep");
    let done = at(&told, &Command::End { fence: 1, ending: Ending::Succeeded(None) }, 4_000).unwrap();
    let done = at(&done, &Command::Told { sequence: 3 }, 4_000).unwrap();
    assert_eq!(done.due(retention), Millis(4_000).plus(retention.0));
    assert!(!done.is_expired(retention, Millis(5_000)));
    assert!(done.is_expired(retention, Millis(4_000).plus(retention.0)));
}

#[test]
fn another_reason_to_wait_is_kept_and_told() {
    let wait = |reason: &str| Command::Wait { reason: reason.to_owned(), until: Duration::from_secs(60) };
    let first = arrived().begin(&wait("no control file"), &actor()).unwrap();
    let same = at(&first, &wait("no control file"), 2_000).unwrap();
    assert_eq!(same.outbox, first.outbox, "said before");
    let told = at(&same, &Command::Told { sequence: 1 }, 2_500).unwrap();
    let other = at(&told, &wait("superseded"), 3_000).unwrap();
    assert_eq!(other.reason.as_deref(), Some("superseded"));
    let event = &other.outbox[0];
    assert_eq!((event.sequence, event.before, event.after), (2, JobState::Incomplete, JobState::Incomplete));
    assert_eq!(event.reason.as_deref(), Some("superseded"));
    assert_eq!(other.changed_at, first.changed_at, "its state has not changed");
    let accepted = at(&other, &Command::Accept, 4_000).unwrap();
    assert_eq!((accepted.reason, accepted.outbox[1].sequence), (None, 3));
}

#[test]
fn a_receipt_is_of_the_owner_that_has_ended_the_run() {
    let running = at(&at(&accepted(), &claim("a"), 0).unwrap(), &claim("b"), 130_000).unwrap();
    let end = Command::End { fence: 2, ending: Ending::Succeeded(Some("{}".into())) };
    assert_eq!(end.receipt(), Some("{}"));
    let done = at(&running, &end, 130_001).unwrap();
    assert_eq!(done.receipt, Some(ReceiptKey { generation: 1, fence: 2 }));
    let replayed = at(&done, &Command::Replay { reason: "again".into(), route: None }, 130_002).unwrap();
    assert_eq!(replayed.receipt, done.receipt, "until the next run has ended");
}

#[test]
fn a_row_keeps_the_last_marks() {
    let marked = (0..20).fold(accepted(), |job, mark| job.marked(mark));
    assert_eq!(marked.marks, (12..20).collect::<Vec<_>>());
}

#[test]
fn a_row_is_read_back_and_so_is_one_of_a_later_version() {
    let running = at(&accepted(), &claim("w"), 0).unwrap();
    let text = serde_json::to_string(&running).unwrap();
    assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), running);
    let later = text.replacen('{', "{\"new\":[1],", 1);
    assert_eq!(serde_json::from_str::<Job>(&later).unwrap(), running);
}

#[test]
fn what_is_told_is_a_cloud_event() {
    let job = accepted();
    let event = job.outbox[0].to_cloud_event(&job, "eft/eu-west-1", "2026-11-27T00:00:00Z");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["id"], format!("{}:1:1", job.id));
    assert_eq!(event["type"], "eft.job.accepted");
    assert_eq!(event["data"]["tenant"], "acme");
}

#[test]
fn an_arrival_without_a_route_has_a_record_of_its_own() {
    let arrived = Arrived { route: None, tenant: None, ..arrived() };
    let record = arrived.begin(&Command::Unrouted { reason: "no route".into() }, &actor()).unwrap();
    assert_eq!(record.state, JobState::Unrouted);
    assert_ne!(record.id, accepted().id);
    assert_eq!(record.due(Retention::default()), Millis(61_000), "told first");
}

#[test]
fn the_documentation_has_every_command_and_code() {
    assert_eq!(transition_table().lines().count(), TRANSITIONS.len() + 2);
    assert_eq!(remedy_table().lines().count(), Code::ALL.len() + 2);
}

/// `EFT_BLESS=1` writes it anew.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test's own switch")]
fn the_page_says_what_the_code_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/JOBS.md");
    let states: String = JobState::ALL.iter().map(|state| format!("`{state}` ")).collect();
    let page = format!(
        "# Jobs\n\nOne object version on one route is one job, and a job is one row of the ledger. Made from the code by \
         `EFT_BLESS=1 cargo test --workspace --lib the_page_says`.\n\nStates: {}\n\n## What may be done\n\nNothing else is \
         ever written: `eft_domain::job::apply` makes the next row, and a store writes it only over the row it was made \
         from.\n\n{}\n## What is done about a failure\n\n{}",
        states.trim_end(),
        transition_table(),
        remedy_table()
    );
    if std::env::var("EFT_BLESS").is_ok() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), page, "EFT_BLESS=1 writes it anew");
}
