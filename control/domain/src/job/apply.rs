//! The state machine: what may be done to a job, and what becomes of it.

use std::time::Duration;

use super::{
    Actor, Command, Ending, Hold, Job, JobEvent, JobState, Lease, MAX_CHECKPOINT_BYTES, MAX_STRIKES, Millis,
    ReceiptKey, due::UNROUTED_EVERY, note,
};
use crate::{Class, Code, Failure, receipt::FailureNote};

/// Why a job was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It stands where this cannot be done.
    #[error("a job that is {state} takes no `{command}`")]
    State {
        /// What was asked.
        command: &'static str,
        /// Where it stands.
        state: JobState,
    },
    /// Another owner has it, and its lease has not lapsed.
    #[error("{owner} has the job until {}", until.0)]
    Leased {
        /// Who.
        owner: String,
        /// Until when.
        until: Millis,
    },
    /// Whoever asks is not its owner any more.
    #[error("the token {given} is not the owner's any more, which is {fence}")]
    Fenced {
        /// The token of whoever asks.
        given: u64,
        /// The owner's.
        fence: u64,
    },
    /// It may be published at any moment.
    #[error("the job is being published, which cannot be stopped: wait until it has ended")]
    Publishing,
    /// The checkpoint does not fit into a row.
    #[error("a checkpoint of {0} bytes does not fit into a row, which takes {MAX_CHECKPOINT_BYTES}")]
    Checkpoint(usize),
    /// There were 4,294,967,295 runs of it.
    #[error("the job has had all its runs")]
    Generations,
}

/// What a command asks of the row besides its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// No owner whose lease has not lapsed.
    FreeLease,
    /// The owner's fencing token.
    Fence,
}

/// One line of the transition table.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    /// The command's name.
    pub command: &'static str,
    /// Where a job may stand.
    pub from: &'static [JobState],
    /// Where it stands afterwards; several where the command says which.
    pub to: &'static [JobState],
    /// What else has to hold.
    pub needs: Needs,
}

use JobState::{
    Accepted, Arrived, Cancelled, Delivering, Failed, Held, Incomplete, PartiallyDelivered, Rejected,
    Running, Succeeded, Unrouted,
};

const OWNED: &[JobState] = &[Running, Delivering];
const ENDED: &[JobState] = &[Succeeded, PartiallyDelivered, Rejected, Failed, Cancelled];

/// Everything that can be done to a job. [`apply`] does nothing that is not in it, and stores write nothing that `apply`
/// has not made.
pub const TRANSITIONS: &[Transition] = &[
    line("unrouted", &[Arrived, Unrouted], &[Unrouted], Needs::Nothing),
    line("wait", &[Arrived, Incomplete], &[Incomplete], Needs::Nothing),
    line("accept", &[Arrived, Incomplete], &[Accepted], Needs::Nothing),
    line("dismiss", &[Arrived, Incomplete], &[Succeeded, Rejected, Failed], Needs::Nothing),
    line("sent", &[Accepted, Running, Delivering], &[Accepted, Running, Delivering], Needs::FreeLease),
    line("claim", &[Accepted, Running, Delivering], &[Running, Held, Failed], Needs::FreeLease),
    line("renew", OWNED, OWNED, Needs::Fence),
    line("save", OWNED, OWNED, Needs::Fence),
    line("forget", OWNED, &[Running], Needs::Fence),
    line("hand_back", OWNED, &[Accepted], Needs::Fence),
    line("end", OWNED, &[Succeeded, PartiallyDelivered, Rejected, Failed], Needs::Fence),
    line("hold", OWNED, &[Held], Needs::Fence),
    line("resume", &[Held], &[Accepted], Needs::Nothing),
    line("redeliver", &[PartiallyDelivered, Failed], &[Accepted], Needs::Nothing),
    line("replay", ENDED, &[Accepted], Needs::Nothing),
    line("cancel", &[Incomplete, Unrouted, Accepted, Running, Held], &[Cancelled], Needs::Nothing),
    line("told", JobState::ALL, JobState::ALL, Needs::Nothing),
];

const fn line(
    command: &'static str,
    from: &'static [JobState],
    to: &'static [JobState],
    needs: Needs,
) -> Transition {
    Transition { command, from, to, needs }
}

/// The table of the documentation.
pub fn transition_table() -> String {
    let mut table = "| command | from | to | needs |\n|---|---|---|---|\n".to_owned();
    let words =
        |states: &[JobState]| states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
    for Transition { command, from, to, needs } in TRANSITIONS {
        let (from, to) = match *command {
            "told" => ("any".to_owned(), "the same".to_owned()),
            "renew" | "save" | "sent" => {
                (words(from), "the same; `save` before publishing: DELIVERING".to_owned())
            }
            _ => (words(from), words(to)),
        };
        let needs = match needs {
            Needs::Nothing => "",
            Needs::FreeLease => "no lease, or one that has lapsed",
            Needs::Fence => "the owner's token",
        };
        table.push_str(&format!("| `{command}` | {from} | {to} | {needs} |\n"));
    }
    table
}

impl Command {
    /// Its name in the transition table.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unrouted { .. } => "unrouted",
            Self::Wait { .. } => "wait",
            Self::Accept => "accept",
            Self::Dismiss(_) => "dismiss",
            Self::Sent => "sent",
            Self::Claim { .. } => "claim",
            Self::Renew { .. } => "renew",
            Self::Save { .. } => "save",
            Self::Forget { .. } => "forget",
            Self::HandBack { .. } => "hand_back",
            Self::End { .. } => "end",
            Self::Hold { .. } => "hold",
            Self::Resume { .. } => "resume",
            Self::Redeliver { .. } => "redeliver",
            Self::Replay { .. } => "replay",
            Self::Cancel { .. } => "cancel",
            Self::Told { .. } => "told",
        }
    }

    const fn fence(&self) -> Option<u64> {
        match self {
            Self::Renew { fence, .. }
            | Self::Save { fence, .. }
            | Self::Forget { fence }
            | Self::HandBack { fence, .. }
            | Self::End { fence, .. }
            | Self::Hold { fence, .. } => Some(*fence),
            _ => None,
        }
    }
}

fn admit(job: &Job, command: &Command, now: Millis) -> Result<(), Refused> {
    let name = command.name();
    let line = TRANSITIONS.iter().find(|line| line.command == name);
    let Some(line) = line.filter(|line| line.from.contains(&job.state)) else {
        // A zombie learns that it is one, not that the job has ended meanwhile.
        if let Some(given) = command.fence().filter(|given| *given != job.fence) {
            return Err(Refused::Fenced { given, fence: job.fence });
        }
        return Err(Refused::State { command: name, state: job.state });
    };
    match (line.needs, &job.lease) {
        (Needs::FreeLease, Some(Lease { owner, until })) if *until > now => {
            Err(Refused::Leased { owner: owner.clone(), until: *until })
        }
        (Needs::Fence, _) if command.fence() != Some(job.fence) => {
            Err(Refused::Fenced { given: command.fence().unwrap_or(0), fence: job.fence })
        }
        _ => Ok(()),
    }
}

/// The row after a command.
///
/// A token is enough to act, also when the lease has lapsed: nobody has taken the job since, or the token would be
/// another.
///
/// # Errors
/// Why the row stays as it is.
pub fn apply(job: &Job, command: &Command, actor: &Actor, now: Millis) -> Result<Job, Refused> {
    admit(job, command, now)?;
    let mut next = Job { rev: job.rev + 1, reason: None, ..job.clone() };
    let mut reason = None;
    let mut code = None;
    match command {
        Command::Unrouted { reason: why } => {
            next.state = Unrouted;
            next.hold = Some(waiting(job, now, Some(UNROUTED_EVERY)));
            next.reason = Some(why.clone());
        }
        Command::Wait { reason: why, until } => {
            next.state = Incomplete;
            next.hold = Some(waiting(job, now, Some(*until)));
            next.reason = Some(why.clone());
        }
        Command::Accept => {
            next.state = Accepted;
            next.hold = None;
        }
        Command::Dismiss(ending) => {
            next.hold = None;
            code = end(&mut next, ending);
        }
        Command::Sent => {
            next.sends = next.sends.saturating_add(1);
            next.sent_at = Some(now);
        }
        Command::Claim { owner, lease } => {
            if job.state.is_owned() {
                next.strikes += 1;
            }
            next.fence += 1;
            // Its sender may have been too slow to count it, and a number that was used is dropped as a duplicate.
            next.sends = next.sends.saturating_add(1);
            if next.strikes >= MAX_STRIKES {
                let message = format!(
                    "{MAX_STRIKES} workers died on it one after the other without getting any further"
                );
                let failure = Failure::new(Code::RunCrashed, message);
                if job.publishing {
                    // One of them may only be slow, and publish it yet.
                    code = Some(failure.code.as_str().to_owned());
                    next.failure = Some(note(&failure));
                    next.state = Held;
                    next.lease = None;
                    next.strikes = 0;
                    next.hold = Some(waiting(job, now, None));
                } else {
                    code = end(&mut next, &Ending::Failed(failure, None));
                }
            } else {
                next.state = Running;
                next.lease = Some(Lease { owner: owner.clone(), until: now.plus(*lease) });
                reason = job.state.is_owned().then(|| "the lease of its owner has lapsed".to_owned());
            }
        }
        Command::Renew { lease, .. } => {
            if let Some(held) = &mut next.lease {
                held.until = now.plus(*lease);
            }
        }
        Command::Save { checkpoint, advanced, publishing, .. } => {
            if checkpoint.len() > MAX_CHECKPOINT_BYTES {
                return Err(Refused::Checkpoint(checkpoint.len()));
            }
            next.checkpoint = Some(checkpoint.clone());
            if *advanced {
                next.strikes = 0;
                // What kept it waiting has passed: the next trouble has the whole time again.
                next.hold = None;
            }
            if *publishing {
                next.state = Delivering;
                next.publishing = true;
            }
        }
        Command::Forget { .. } => {
            next.checkpoint = None;
            next.publishing = false;
            next.state = Running;
        }
        Command::HandBack { reason: why, .. } => {
            next.state = Accepted;
            next.lease = None;
            next.strikes = 0;
            // Its message is in the queue: it is given to the next worker when this one lets go of it.
            next.sent_at = Some(now);
            reason = Some(why.clone());
        }
        Command::End { ending, .. } => {
            code = end(&mut next, ending);
        }
        Command::Hold { failure, retry_in, .. } => {
            next.state = Held;
            next.lease = None;
            next.strikes = 0;
            let tries = job.hold.map_or(0, |hold| hold.tries) + u32::from(retry_in.is_some());
            next.hold = Some(Hold { tries, ..waiting(job, now, *retry_in) });
            code = Some(failure.code.as_str().to_owned());
            next.failure = Some(note(failure));
        }
        Command::Resume { reason: why } => {
            next.state = Accepted;
            // By a person, who has mended something, and not because its time has come.
            if job.hold.and_then(|hold| hold.retry_at).is_none_or(|at| now < at) {
                next.hold = None;
            }
            next.failure = None;
            next.sent_at = None;
            reason = Some(why.clone());
        }
        Command::Redeliver { reason: why } => {
            again(&mut next);
            reason = Some(why.clone());
        }
        Command::Replay { reason: why, route } => {
            next.generation = next.generation.checked_add(1).ok_or(Refused::Generations)?;
            if let Some(route) = route {
                next.route = Some(route.clone());
            }
            again(&mut next);
            reason = Some(why.clone());
        }
        Command::Cancel { .. } if job.publishing => return Err(Refused::Publishing),
        Command::Cancel { reason: why } => {
            next.state = Cancelled;
            // Whoever works on it finds out with its next write.
            next.fence += 1;
            next.lease = None;
            next.hold = None;
            reason = Some(why.clone());
        }
        Command::Told { sequence } => {
            next.reason = job.reason.clone();
            next.outbox.retain(|event| event.sequence > *sequence);
        }
    }
    let is_adopted = matches!(command, Command::Claim { .. });
    // Another reason to wait is no other state, and is told as well.
    let is_news = next.reason.is_some() && next.reason != job.reason;
    if next.state != job.state || is_adopted {
        next.changed_at = now;
    }
    if next.state != job.state || is_adopted || is_news {
        next.sequence += 1;
        let reason = reason
            .or_else(|| next.reason.clone())
            .or_else(|| next.failure.as_ref().filter(|_| code.is_some()).map(|it| it.message.clone()));
        next.outbox.push(JobEvent {
            sequence: next.sequence,
            generation: next.generation,
            at: now,
            actor: actor.0.clone(),
            reason,
            code,
            before: job.state,
            after: next.state,
            fence: next.fence,
        });
    }
    Ok(next)
}

fn waiting(job: &Job, now: Millis, retry_in: Option<Duration>) -> Hold {
    let earlier = job.hold.unwrap_or(Hold { since: now, retry_at: None, tries: 0 });
    Hold { retry_at: retry_in.map(|time| now.plus(time)), ..earlier }
}

/// To be run as if it had never been in a queue.
fn again(job: &mut Job) {
    job.state = Accepted;
    job.sent_at = None;
    job.strikes = 0;
    job.publishing = false;
    job.checkpoint = None;
    job.failure = None;
    job.hold = None;
}

/// The failure code that is told, if it is one.
fn end(job: &mut Job, ending: &Ending) -> Option<String> {
    job.lease = None;
    job.publishing = false;
    job.checkpoint = None;
    job.hold = None;
    (job.state, job.failure) = match ending {
        Ending::Succeeded(_) => (Succeeded, None),
        Ending::Partial(failure, _) => (PartiallyDelivered, Some(failure.clone())),
        Ending::Failed(failure, _) => {
            let state = if failure.code.class() == Class::Rejected { Rejected } else { Failed };
            (state, Some(note(failure)))
        }
    };
    if ending.receipt().is_some() {
        job.receipt = Some(ReceiptKey { generation: job.generation, fence: job.fence });
    }
    job.failure.as_ref().map(|FailureNote { code, .. }| code.clone())
}
