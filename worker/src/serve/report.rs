//! What is said of a run: first to everybody who asked for it, then to the queue.

use std::time::Duration;

use eft_domain::{Job, JobState, TenantId};
use eft_store::ChangeError;
use eft_telemetry::Level;

use super::{
    checkpoint::Owned,
    poll::{Turn, Worker},
    queue::Received,
};

impl Worker {
    /// Let in what the end of a job of this tenant makes room for.
    async fn let_in(&self, tenant: &TenantId) -> Result<(), ChangeError> {
        let release = || async { self.desk.release(std::slice::from_ref(tenant)).await.map(drop) };
        self.releases.after_end(tenant, release).await
    }

    /// Tell how a run ended. Its message is deleted only when that was told.
    pub(super) async fn report(&self, job: &Job, owned: &Owned, received: &Received) -> Turn {
        let watched = &owned.watched;
        let phase = watched.phase("report");
        let told = self.desk.tell(job).await;
        if let Some(tenant) = &job.tenant
            && let Err(error) = self.let_in(tenant).await
        {
            // The sweep lets them in.
            watched.log(Level::Warn, "release", &[("error", &error)]);
        }
        drop(phase);
        watched.ended(job);
        let code = job.failure.as_ref().map_or("", |failure| failure.code.as_str());
        let level = match job.state {
            JobState::Failed | JobState::PartiallyDelivered => Level::Error,
            JobState::Held => Level::Warn,
            _ => Level::Info,
        };
        let said = [("state", &job.state as _), ("code", &code as _), ("receives", &received.receives as _)];
        watched.record(level, "run", &said);
        match told {
            Ok(_) => Turn::Delete,
            Err(error) => {
                watched.log(Level::Warn, "tell", &[("error", &error)]);
                Turn::Again(Duration::from_secs(30))
            }
        }
    }
}
