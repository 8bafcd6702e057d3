//! What has to hold when all is over.

use std::collections::BTreeSet;

use eft_domain::{
    Job, JobId, JobState, invariant,
    job::{JobEvent, MAX_STRIKES},
    message::WorkMessage,
    route::HeadOfLine,
};
use eft_store::Runs as _;

use crate::{
    store::PARTS,
    transfer::INTERVAL,
    world::{Expect, File, TURNS, WORKER, World, is_given_up},
};

/// Between two claims only the owner says what becomes of a run: whoever has slept through the second is refused.
fn fenced(history: &[JobEvent]) -> Result<(), String> {
    let (mut owner, mut fence) = ("", 0);
    for event in history.iter().filter(|event| event.actor.starts_with(WORKER)) {
        if event.fence > fence {
            (owner, fence) = (&event.actor, event.fence);
        } else if event.actor != owner {
            let who = &event.actor;
            return Err(format!(
                "change {} is by {who}, and {owner} has the job: {history:#?}",
                event.sequence
            ));
        }
    }
    Ok(())
}

impl World {
    /// G1 and G2: every version has its one row, and there is no other.
    pub(crate) async fn check_rows(&self) -> Result<(), String> {
        let mut expected: BTreeSet<JobId> = BTreeSet::new();
        for file in self.files.iter().filter(|file| file.expect != Expect::Nothing) {
            expected.insert(file.job());
            if self.job(file).await.is_none() {
                return Err(format!("G1: {} {} has no row after a sweep", file.key, file.version));
            }
        }
        match self.region.jobs().iter().find(|job| !expected.contains(&job.id)) {
            Some(other) => Err(format!("G2: {:?} has a job that it should not have", other.arrival)),
            None => Ok(()),
        }
    }

    /// All of them.
    pub(crate) async fn check(&self) -> Result<(), String> {
        self.check_rows().await?;
        for file in self.files.iter().filter(|file| file.expect != Expect::Nothing) {
            self.check_file(file).await.map_err(|why| format!("{why} ({} {})", file.key, file.version))?;
        }
        self.check_order().await?;
        if self.store.partial() > 0 {
            return Err(format!("G4: {} objects were visible in part", self.store.partial()));
        }
        if self.store.open() > 0 {
            return Err(format!("{} uploads are left after a sweep", self.store.open()));
        }
        if self.queue.len() + self.events.len() > 0 {
            return Err(format!(
                "{} messages and {} events are left in their queues",
                self.queue.len(),
                self.events.len()
            ));
        }
        // A message whose receivers die is set aside, and the ledger brings its job back; it is the only reason.
        for body in self.queue.aside() {
            let run = WorkMessage::parse(&body).map_err(|error| error.to_string())?.run;
            if self.files.iter().all(|file| file.job() != run.job()) {
                return Err(format!("set aside: {body}"));
            }
        }
        Ok(())
    }

    /// G7: no file of a route with an order was delivered before those with an earlier turn had ended; one that was held at
    /// some time before lets later ones by where its route says so. How many passed another so.
    pub(crate) async fn check_order(&self) -> Result<u64, String> {
        let jobs = self.region.jobs();
        let has_turn = |job: &&Job| job.route.as_ref().is_some_and(|route| route.id.as_str() == TURNS);
        let turns: Vec<_> = jobs.iter().filter(has_turn).map(|job| (job, job.turn.unwrap())).collect();
        let order = self.store.order();
        let made = self.region.made();
        let claim = |job: &Job| made.iter().position(|id| *id == job.id);
        let place = |job: &Job| order.iter().position(|(id, _)| *id == job.id);
        let mut passed = 0;
        for (job, turn) in &turns {
            let Some(at) = place(job) else { continue };
            let when = order[at].1;
            // A turn is given before its row is made, and the row is the claim: whoever's router was stopped in between has
            // come after those that were claimed meanwhile.
            let claims = |before: &Job| claim(before) < claim(job);
            let earlier =
                turns.iter().filter(|(other, turn_of)| turn_of.number < turn.number && claims(other));
            for (before, earlier) in earlier {
                let history = self.region.history(before.id).await.map_err(|error| error.to_string())?;
                let by_then = |is: fn(JobState) -> bool| {
                    history.iter().any(|event| is(event.after) && event.at <= when)
                };
                if place(before).is_some_and(|place| place < at) || by_then(JobState::is_terminal) {
                    continue;
                }
                let held = by_then(|state| state == JobState::Held);
                if !held || earlier.head_of_line == HeadOfLine::Block {
                    return Err(format!(
                        "G7: {} has turn {} and was delivered before {} ended, which has turn {}: {history:#?}",
                        job.arrival.key, turn.number, before.arrival.key, earlier.number
                    ));
                }
                passed += 1;
            }
        }
        Ok(passed)
    }

    /// Whether that many of its last owners have died or were stopped, one after the other.
    async fn have_died_on(&self, job: &Job) -> Result<bool, String> {
        let history = self.region.history(job.id).await.map_err(|error| error.to_string())?;
        let claims = history.iter().rev().filter(|event| event.after == JobState::Running);
        let owners: Vec<_> = claims.take(MAX_STRIKES as usize).map(|event| &event.actor).collect();
        Ok(owners.len() == MAX_STRIKES as usize && owners.iter().all(|owner| self.has_failed(owner)))
    }

    async fn check_file(&self, file: &File) -> Result<(), String> {
        let job = self.job(file).await.ok_or("G1: there is no row")?;
        let expected = match file.expect {
            Expect::Rejected => JobState::Rejected,
            Expect::Unrouted => JobState::Unrouted,
            Expect::Cancelled => JobState::Cancelled,
            // Trouble may befall one job so often that it looks as if it were the job's doing.
            _ if is_given_up(&job) && self.have_died_on(&job).await? => JobState::Failed,
            _ => JobState::Succeeded,
        };
        if job.state != expected {
            let history = self.region.history(job.id).await.map_err(|error| error.to_string())?;
            let (state, failure) = (job.state, job.failure);
            return Err(format!("G1: the job is {state}, not {expected}: {failure:?}: {history:#?}"));
        }
        let visible = self.store.published(job.id);
        if visible != u32::from(expected == JobState::Succeeded) {
            return Err(format!("G3: it was published {visible} times"));
        }
        // What an owner has read and not saved is read again by the next: an interval at most.
        let again = u64::from(INTERVAL) * job.fence.saturating_sub(1);
        let (read, most) = (u64::from(self.store.read(job.id)), u64::from(PARTS) + again);
        if read > most {
            return Err(format!("G10: {read} parts were read by {} owners, {most} are the most", job.fence));
        }
        if !job.outbox.is_empty() {
            return Err("G11: there are changes that were not told".to_owned());
        }
        let history = self.region.history(job.id).await.map_err(|error| error.to_string())?;
        if history.len() as u64 != job.sequence {
            return Err(format!("G11: the history has {} changes of {}", history.len(), job.sequence));
        }
        for promise in invariant::ALL {
            let holds = promise.holds_of_history.map_or(Ok(()), |holds| holds(&history));
            holds.map_err(|why| format!("{} {}: {why}", promise.id, promise.name))?;
        }
        fenced(&history)?;
        let last = format!("{}:1:{}", job.id, job.sequence);
        if !self.region.published().iter().any(|(_, event)| event["id"] == last.as_str()) {
            return Err("nobody was told how it ended".to_owned());
        }
        Ok(())
    }
}
