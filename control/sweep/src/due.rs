//! Rows that somebody has to look at although nobody said so.

use eft_domain::{
    Command, Job, JobId, JobState, Millis,
    job::{OUTBOX_GRACE, Retention},
};
use eft_router::{RouteError, What};
use eft_store::{ChangeError, Put, port::DUE_SHARDS};
use futures::{StreamExt, stream};

use crate::{CONCURRENT, Deadline, Report, Sweep};

/// Rows of a shard that are listed at once.
const PAGE: u16 = 100;

/// The key of the place where a sweep ran out of time.
const PLACE: &str = "sweep-due";

/// Shards and where to go on in each.
type Shards = Vec<(u16, Option<String>)>;

/// What has to be done about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing any more: somebody has done it.
    Nothing,
    /// Nothing but count it: it has waited long for its tenant's share, which is given to all tenants at once.
    Count,
    /// Its time is over.
    Remove,
    /// Put it into its queue again: its message, or its owner, was lost.
    Send,
    /// The time to try it again has come.
    Resume,
    /// See whether it is whole.
    Recheck,
    /// Ask the routes again.
    Reroute,
}

/// What has to be done about a row now, its changes told.
pub fn action(job: &Job, retention: Retention, now: Millis) -> Action {
    if job.is_expired(retention, now) {
        return Action::Remove;
    }
    if job.due(retention) > now {
        return Action::Nothing;
    }
    match job.state {
        JobState::Accepted if job.sent_at.is_none() => Action::Count,
        JobState::Accepted => Action::Send,
        JobState::Running | JobState::Delivering => Action::Send,
        JobState::Held => Action::Resume,
        JobState::Incomplete => Action::Recheck,
        JobState::Unrouted => Action::Reroute,
        _ => Action::Nothing,
    }
}

impl Sweep {
    /// Look at every row that is due, some of each shard in turn. Where the time does not suffice the next sweep goes on: a
    /// tenant with a million rows that have waited long, and are due for ever, must not hide the others'.
    pub(crate) async fn due(&self, deadline: Deadline, report: &mut Report) {
        let stopped: Shards = match self.place(PLACE).await {
            Ok(stopped) => stopped,
            Err(error) => return self.failed(report, "due", PLACE, &error),
        };
        let had_stopped = !stopped.is_empty();
        if had_stopped {
            let left = self.due_from(stopped, deadline, report).await;
            if let Err(error) = self.keep(PLACE, &left).await {
                self.failed(report, "due", PLACE, &error);
            }
            if !left.is_empty() {
                return;
            }
        }
        let left =
            self.due_from((0..DUE_SHARDS).map(|shard| (shard, None)).collect(), deadline, report).await;
        if !left.is_empty()
            && let Err(error) = self.keep(PLACE, &left).await
        {
            self.failed(report, "due", PLACE, &error);
        }
    }

    /// The shards that were not finished in time.
    async fn due_from(&self, mut open: Shards, deadline: Deadline, report: &mut Report) -> Shards {
        let now = self.router.desk.clock.now();
        while !open.is_empty() {
            let mut still_open = Shards::new();
            let mut shards = open.into_iter();
            while let Some((shard, after)) = shards.next() {
                if deadline.is_over() {
                    report.out_of_time = true;
                    return std::iter::once((shard, after)).chain(shards).chain(still_open).collect();
                }
                match self.router.desk.ledger.due(shard, now, after.as_deref(), PAGE).await {
                    Ok(page) => {
                        self.look_at(&page.items, report).await;
                        still_open.extend(page.next.map(|next| (shard, Some(next))));
                    }
                    Err(error) => self.failed(report, "due", &shard.to_string(), &error),
                }
            }
            open = still_open;
        }
        open
    }

    async fn look_at(&self, ids: &[JobId], report: &mut Report) {
        let looks = stream::iter(ids).map(|id| async move { (*id, self.look(*id).await) });
        let mut looks = std::pin::pin!(looks.buffer_unordered(CONCURRENT));
        while let Some((id, looked)) = looks.next().await {
            report.due += 1;
            match looked {
                Ok((told, count)) => {
                    report.told += u64::from(told);
                    if let Some(count) = count {
                        *count(report) += 1;
                    }
                }
                Err(error) => self.failed(report, "row", &id.to_string(), &error),
            }
        }
    }

    /// Do what has to be done about a row: whether something was told, and what is counted.
    async fn look(&self, id: JobId) -> Result<(bool, Option<Counted>), RouteError> {
        let desk = &self.router.desk;
        // The index is late: what is done depends on the row itself.
        let Some(mut job) = desk.ledger.get(id).await.map_err(RouteError::Store)? else {
            return Ok((false, None));
        };
        let late = |job: &Job| {
            job.outbox.first().is_some_and(|event| event.at.plus(OUTBOX_GRACE) <= desk.clock.now())
        };
        let told = late(&job);
        if told {
            job = desk.tell(&job).await?;
        }
        let counted = match action(&job, desk.retention, desk.clock.now()) {
            Action::Nothing => None,
            Action::Count => Some(long_waits as Counted),
            Action::Remove => match desk.ledger.remove(id, job.rev).await.map_err(RouteError::Store)? {
                Put::Done => Some(expired as Counted),
                Put::Stale => None,
            },
            Action::Send => {
                desk.send(&job).await?;
                Some(resent as Counted)
            }
            Action::Resume => {
                let reason = "the time to try it again has come".to_owned();
                match desk.change_from(job, &Command::Resume { reason }).await {
                    Ok(job) => {
                        // Told by the next sweep if not by this one.
                        desk.tell(&job).await.ok();
                        Some(resumed as Counted)
                    }
                    Err(ChangeError::Refused(_)) => None,
                    Err(error) => return Err(error.into()),
                }
            }
            Action::Recheck => match self.router.recheck(job).await?.what {
                What::Accepted | What::Dismissed => Some(completed as Counted),
                _ => Some(incomplete as Counted),
            },
            Action::Reroute => match self.router.reroute(job).await?.what {
                What::Unrouted => Some(unrouted as Counted),
                _ => Some(rerouted as Counted),
            },
        };
        Ok((told, counted))
    }
}

/// Which count of a report goes up.
type Counted = fn(&mut Report) -> &mut u64;

macro_rules! counted {
    ($($name:ident)*) => {$(
        fn $name(report: &mut Report) -> &mut u64 {
            &mut report.$name
        }
    )*};
}

counted!(expired resent resumed completed incomplete long_waits unrouted rerouted);
