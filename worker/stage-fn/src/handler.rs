//! From what a state asks to its answer.

use std::{fmt, sync::Arc, time::Duration};

use eft_domain::{
    Job,
    message::{Stage, StageRequest},
};
use eft_store::Desk;
use eft_worker::serve::transfer::Engine;
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Error, staging::Staging};

/// Where a line of the log goes: what it is about, which job, and what is said.
pub type Log = Arc<dyn Fn(&str, &Job, &str) + Send + Sync>;

/// Everything that the states take.
pub struct Stages {
    /// Where jobs are changed.
    pub desk: Desk,
    /// What moves bytes.
    pub engine: Engine,
    /// Where outputs wait.
    pub staging: Staging,
    /// For how long nobody else takes a job.
    pub lease: Duration,
    /// The log.
    pub log: Log,
}

impl fmt::Debug for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stages").field("staging", &self.staging).finish_non_exhaustive()
    }
}

/// When a function has to have answered.
#[derive(Clone, Copy, Debug)]
pub struct Until(Instant);

/// What is kept of a function's time for stopping and for noting it.
const SPARE: Duration = Duration::from_secs(15);

impl Until {
    /// A function with this time left.
    pub fn after(left: Duration) -> Self {
        Self(Instant::now() + left.saturating_sub(SPARE))
    }

    /// Ends when the time is over.
    pub(crate) async fn over(self) {
        tokio::time::sleep_until(self.0).await;
    }
}

impl Stages {
    /// Do what a state asks for. The answer is the input of the next state: the run and the token of its owner.
    ///
    /// # Errors
    /// By their names; see [`Error`].
    pub async fn handle(&self, request: &Value, until: Until) -> Result<Value, Error> {
        let request = StageRequest::of(request)?;
        let done = match request.stage {
            Stage::Validate => self.validate(&request, until).boxed(),
            Stage::Stage => self.stage(&request, until).boxed(),
            Stage::Transform => self.transform(&request, until).boxed(),
            Stage::Deliver => self.deliver(&request, until).boxed(),
            Stage::Archive => self.archive(&request, until).boxed(),
            Stage::Quarantine | Stage::MarkFailed => self.end_failed(&request).boxed(),
        };
        let job = done.await?;
        (self.log)(request.stage.as_str(), &job, "done");
        Ok(json!({ "v": 1, "run": request.run, "fence": job.fence, "state": job.state }))
    }
}
