//! Where outputs wait until they are delivered: a bucket of our own that keeps versions.
//!
//! Every pass writes to a name of its own under its run's prefix, so that what a killed pass has left is never taken for
//! another's; which one is delivered stands in the row. The prefix is cleared when the run has ended. A pass that publishes
//! after that leaves its object to the bucket's lifecycle rule.

use eft_domain::{BucketName, Code, Failure, ObjectKey, ObjectUri, RunId, object::ParseObjectError};
use eft_pipeline::{
    concurrency::Concurrency,
    error::of_sink,
    port::{ErrorKind, PortResult},
};
use eft_worker::{
    place,
    s3::{Client, Clients},
};

use crate::Error;

/// The staging bucket.
#[derive(Clone, Debug)]
pub struct Staging {
    bucket: BucketName,
    client: Client,
}

impl Staging {
    /// This bucket.
    pub fn new(bucket: BucketName, clients: &Clients) -> Self {
        Self { bucket, client: clients.client(Concurrency::new(1)) }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A name that no other pass has.
    ///
    /// # Errors
    /// `internal`: it is no key.
    pub fn place(&self, run: RunId) -> Result<ObjectUri, Failure> {
        let key = format!("{}{}", prefix(run), uuid::Uuid::new_v4());
        let wrong = |error| Failure::new(Code::Internal, format!("staging: {error}"));
        let key: ObjectKey = key.parse().map_err(|error: ParseObjectError| wrong(error))?;
        Ok(ObjectUri::s3(self.bucket.clone(), key))
    }

    /// Whether a version is still there.
    pub(crate) async fn stands(&self, staged: &ObjectUri) -> Result<bool, Error> {
        match place::source(&self.client, staged).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(of_sink(&error).into()),
        }
    }

    /// Remove everything that a run has staged.
    pub(crate) async fn clear(&self, run: RunId) -> PortResult<usize> {
        self.client.remove_all(self.bucket.as_str(), &prefix(run)).await
    }
}

fn prefix(run: RunId) -> String {
    format!("runs/{run}/")
}
