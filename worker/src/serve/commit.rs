//! How a run ended, and what the ledger is told of it.

use std::{sync::Arc, time::Duration};

use eft_domain::{
    Code, Command, Failure, Job, Route,
    job::{Ending, Remedy, remedy},
    receipt::FailureNote,
};
use eft_store::{ChangeError, StoreResult};
use eft_telemetry::Level;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::delivery::is_of_destination;

use super::{
    checkpoint::{Owned, is_loss, passed},
    lease::Stop,
    poll::{Turn, Worker},
    queue::Received,
    transfer::{Finished, Task},
    watch::Watched,
};

/// Times the end of a run is written before it is left to whoever finds the message next.
const TRIES: u32 = 6;

impl Worker {
    /// Run a job that is ours, to its end or until it has to stop. The message was received `since`, the lease began at
    /// `leased` or later.
    pub(super) async fn run(
        &self,
        slot: usize,
        job: Job,
        watched: Watched,
        received: &Received,
        (since, leased): (Instant, Instant),
    ) -> Turn {
        let owned = Arc::new(Owned::new(self.desk.clone(), job.clone(), watched));
        // What an owner before us has come to: that we do too is no progress.
        let before = job.clone();
        let cancel = CancellationToken::new();
        let task = match self.task(&owned, job).await {
            Ok(task) => task,
            Err(Some(failure)) => return self.finish(&owned, Finished::failed(failure), received).await,
            Err(None) => return Turn::Again(Duration::from_secs(30)),
        };
        if let Err(failure) = self.circuits.admit(&before, self.desk.clock.now()) {
            return self.finish(&owned, Finished::failed(failure), received).await;
        }
        let phase = owned.watched.phase("transfer");
        let mut transfer = self.transfers.run(task, cancel.clone());
        let (finished, stop) = tokio::select! {
            biased;
            finished = &mut transfer => (Some(finished), None),
            stop = self.keep(slot, &owned, received, (since, leased)) => {
                owned.watched.stopped(stop.as_str());
                cancel.cancel();
                (tokio::time::timeout(self.times.stop, transfer).await.ok(), Some(stop))
            }
        };
        drop(phase);
        if let Some(Finished { failure, delivered, .. }) = &finished {
            self.circuits.ended(&before, failure.as_ref().map(|failure| failure.code), *delivered);
        }
        let now = owned.job().await;
        let has_passed = passed(now.checkpoint.as_deref()).len() > passed(before.checkpoint.as_deref()).len();
        // What its message waited for before it was claimed is not the run's time.
        let was_short = leased.elapsed() < self.times.held / 2;
        let has_advanced = owned.has_advanced() || has_passed || (now.publishing && !before.publishing);
        let goes_on = was_short || has_advanced;
        match (finished, stop) {
            (_, Some(Stop::Lost)) => Turn::Leave,
            // It came to its end although it was asked to stop.
            (Some(finished), _) if finished.failure.as_ref().is_none_or(|failure| !is_stopped(failure)) => {
                self.finish(&owned, finished, received).await
            }
            (_, Some(Stop::Held)) if goes_on => self.go_on_later(&owned).await,
            // The next owner would not come further either; and what may stand is not given up.
            (_, Some(Stop::Held)) if now.publishing => {
                let hold = Command::Hold { fence: owned.fence(), failure: self.too_long(), retry_in: None };
                self.commit(&owned, &hold, received).await
            }
            (_, Some(Stop::Held)) => self.finish(&owned, Finished::failed(self.too_long()), received).await,
            (_, stop) => self.hand_back(&owned, stop).await,
        }
    }

    /// What is to be done, as the row and the catalog say; `Err(None)`: the catalog was not reached.
    async fn task(&self, owned: &Arc<Owned>, job: Job) -> Result<Task, Option<Failure>> {
        match self.pinned(&job).await {
            Ok(Some((route, withdrawn))) => Ok(Task { owned: Arc::clone(owned), job, route, withdrawn }),
            Ok(None) => Err(Some(Failure::new(
                Code::RouteInvalid,
                "the revision of the route that the job is pinned to is not in the catalog",
            ))),
            Err(error) => {
                owned.watched.log(Level::Warn, "catalog", &[("error", &error)]);
                drop(owned.ask(&Command::HandBack { fence: owned.fence(), reason: error.message }).await);
                Err(None)
            }
        }
    }

    /// The route that a job is pinned to, and where its tenant may not deliver to any more.
    async fn pinned(&self, job: &Job) -> StoreResult<Option<(Arc<Route>, Vec<(usize, Failure)>)>> {
        let Some(route) = self.desk.route_of(job).await? else { return Ok(None) };
        let withdrawn = self.desk.withdrawn(job, &route).await?;
        Ok(Some((route, withdrawn)))
    }

    /// Write how it ended, tell it, and let the tenant's next jobs in.
    async fn finish(&self, owned: &Arc<Owned>, finished: Finished, received: &Received) -> Turn {
        let Finished { failure, receipt, delivered, nothing_left } = finished;
        let fence = owned.fence();
        let job = owned.job().await;
        let command = match failure {
            None => Command::End { fence, ending: Ending::Succeeded(receipt) },
            // What is delivered stays delivered. A destination is not waited for while others have the file; a source is.
            Some(failure) if delivered > 0 && self.ends(&job, &failure) => {
                let receipt = receipt.unwrap_or_default();
                Command::End { fence, ending: Ending::Partial(FailureNote::from(&failure), receipt) }
            }
            Some(failure) => {
                let ends = remedy(failure.code) == Remedy::End;
                // What the next owner would go on from is gone: it must not look for it.
                if nothing_left && !ends && self.write(owned, &Command::Forget { fence }).await.is_err() {
                    return Turn::Leave;
                }
                job.settle(fence, failure, receipt, self.desk.clock.now())
            }
        };
        self.commit(owned, &command, received).await
    }

    async fn commit(&self, owned: &Owned, command: &Command, received: &Received) -> Turn {
        let phase = owned.watched.phase("commit");
        let written = self.write(owned, command).await;
        drop(phase);
        match written {
            Ok(job) => self.report(&job, owned, received).await,
            Err(error) if is_loss(&error) => Turn::Leave,
            Err(_) => Turn::Again(self.times.lease),
        }
    }

    /// Whether a run that has delivered to some destinations ends with this failure.
    fn ends(&self, job: &Job, failure: &Failure) -> bool {
        let settled = job.settle(job.fence, failure.clone(), None, self.desk.clock.now());
        is_of_destination(failure.code) || matches!(settled, Command::End { .. })
    }

    async fn write(&self, owned: &Owned, command: &Command) -> Result<Job, ChangeError> {
        let mut wait = Duration::from_millis(200);
        for turn in 1.. {
            match owned.ask(command).await {
                Err(ChangeError::Store(error)) if error.is_transient() && turn < TRIES => {
                    owned.watched.log(
                        Level::Warn,
                        "ledger",
                        &[("error", &error), ("command", &command.name())],
                    );
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                other => return other,
            }
        }
        unreachable!("the last try returns")
    }

    async fn hand_back(&self, owned: &Owned, stop: Option<Stop>) -> Turn {
        let reason = match stop {
            Some(Stop::Drain) => "the worker is being stopped",
            Some(Stop::Unrenewed) => "the lease or the message could not be renewed",
            _ => "the run was stopped",
        };
        let back = Command::HandBack { fence: owned.fence(), reason: reason.to_owned() };
        match self.write(owned, &back).await {
            Ok(job) => {
                drop(self.desk.tell(&job).await);
                Turn::Again(Duration::ZERO)
            }
            Err(_) => Turn::Leave,
        }
    }

    /// The run goes on under a new message, because nobody may hold one for more than 12 hours.
    fn too_long(&self) -> Failure {
        let hours = self.times.held.as_secs() / 3600;
        let message = format!("it did not end within {hours} h, and another run would come no further");
        Failure::new(Code::RunTooLong, message)
    }

    async fn go_on_later(&self, owned: &Owned) -> Turn {
        let reason = "its message can be held for 12 h at most: it goes on under another".to_owned();
        let Ok(job) = self.write(owned, &Command::HandBack { fence: owned.fence(), reason }).await else {
            return Turn::Leave;
        };
        let job = self.desk.tell(&job).await.unwrap_or(job);
        match self.desk.send(&job).await {
            Ok(_) => Turn::Delete,
            Err(_) => Turn::Again(Duration::ZERO),
        }
    }
}

fn is_stopped(failure: &Failure) -> bool {
    remedy(failure.code) == Remedy::HandBack
}
