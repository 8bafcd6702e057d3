//! One transfer as the user asked for it, and its plan; `deliver.rs` carries it out.

use std::sync::Arc;

use eft_domain::{
    ByteSize, Code, Failure, ObjectUri, Route, RunId,
    receipt::Receipt,
    route::{OnEmpty, StageSpec},
};
use eft_pipeline::{
    budget::Budget,
    concurrency::Concurrency,
    error::of_source,
    given::Given,
    plan::{DEFAULT_MEMORY, Plan, Request},
    pool::Pool,
    port::SinkLimits,
};

use crate::{
    input::{Found, look_around},
    kept::CheckpointAt,
    place::{self, Goal, Opened},
    s3::{self, Client},
};

/// What the user asked for.
#[derive(Clone)]
pub struct Job {
    /// The route.
    pub route: Route,
    /// Where from.
    pub source: ObjectUri,
    /// Where to: all get the same bytes, from one pass over the source.
    pub destinations: Vec<Goal>,
    /// Memory for bytes in flight and stages; `None`: as much as the object's size asks for.
    pub memory: Option<ByteSize>,
    /// Most requests in flight in each direction.
    pub concurrency: usize,
    /// Size of the first parts.
    pub part_size: Option<ByteSize>,
    /// The secrets and keys that the route names.
    pub given: Given,
    /// S3 may copy the object itself when no stage reads it.
    pub server_copy: bool,
    /// Which run this is, where somebody has numbered it; otherwise the first of its source on its route.
    pub run: Option<RunId>,
    /// What the runs of one process have in common; `None`: this one is alone.
    pub shared: Option<Shared>,
    /// Where to keep what a later run needs to go on, and to find what an earlier one has left.
    pub checkpoint: Option<CheckpointAt>,
    /// Whom to ask before anything becomes visible; `None`: nobody else has a say.
    pub permit: Option<Arc<dyn s3::Permit>>,
    /// How much of the source a resumed run may read again; `None`: as the memory asks for.
    pub interval: Option<ByteSize>,
}

/// What the runs of one process have in common.
#[derive(Clone)]
pub struct Shared {
    /// All memory for bytes in flight.
    pub budget: Budget,
    /// All threads for stages.
    pub pool: Pool,
    /// All connections to S3.
    pub clients: s3::Clients,
}

/// A finished job.
pub struct Done {
    /// What it did.
    pub receipt: Receipt,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
}

/// What a job would do.
pub struct Preview {
    /// How the bytes would be streamed.
    pub plan: Plan,
    /// How S3 would copy them instead, where it can.
    pub copy: Option<s3::Method>,
}

impl Job {
    pub(crate) fn plan(&self, size: Option<u64>, found: &Found, threads: usize) -> Result<Plan, Failure> {
        self.refuse_unproven_output()?;
        self.refuse_places()?;
        let request = Request {
            size,
            stages: &self.route.stages,
            archive: found.archive.as_ref(),
            limits: &self.route.limits,
            sha256: !self.route.digests.is_empty(),
            sink: SinkLimits { passes: found.passes && self.sink_limits().passes, ..self.sink_limits() },
            memory: self.memory.unwrap_or(DEFAULT_MEMORY),
            concurrency: self.concurrency,
            part_size: self.part_size,
            near: self.is_near(),
            threads,
            // An archive with an empty entry is no empty source.
            refuse_empty: self.route.on_empty != OnEmpty::Accept && found.archive.is_none(),
            given: Given {
                expected: found.expected.clone(),
                entry_name: self.entry_name(),
                ..self.given.clone()
            },
        };
        match self.memory {
            Some(_) => Plan::new(&request),
            None => Plan::with_memory_to_suit(&request),
        }
    }

    /// No byte is S3's. What a manifest names may be: that is not looked at.
    fn is_near(&self) -> bool {
        let joins = self.route.stages.iter().any(|stage| matches!(stage, StageSpec::Concat(_)));
        !joins && !std::iter::once(&self.source).chain(self.uris()).any(ObjectUri::is_s3)
    }

    /// Content of a message is written before its integrity and signature are known, and what is scanned before the
    /// verdict: neither must be taken for good before.
    fn refuse_unproven_output(&self) -> Result<(), Failure> {
        let what = self.route.stages.iter().find_map(|stage| match stage {
            StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_) => Some("decrypted is genuine"),
            StageSpec::Scan(_) => Some("scanned is clean"),
            _ => None,
        });
        let Some(what) = what.filter(|_| self.uris().any(|uri| *uri == ObjectUri::Std)) else {
            return Ok(());
        };
        let message = format!(
            "what is {what} only once its end was read, and standard output cannot be taken back: name a file or an \
             object"
        );
        Err(Failure::new(Code::PlanRefused, message))
    }

    /// What all sinks take, without opening them.
    fn sink_limits(&self) -> SinkLimits {
        let limits = |uri: &ObjectUri| match uri {
            ObjectUri::S3 { .. } => SinkLimits::S3,
            ObjectUri::Local(_) => SinkLimits { min_part: 1, passes: false, ..SinkLimits::S3 },
            ObjectUri::Std => SinkLimits { min_part: 1, sequential: true, passes: false, ..SinkLimits::S3 },
        };
        self.uris().map(limits).reduce(SinkLimits::and).unwrap_or(SinkLimits::S3)
    }

    pub(crate) fn uris(&self) -> impl Iterator<Item = &ObjectUri> {
        self.destinations.iter().map(|goal| &goal.uri)
    }

    /// Routes that look at no byte move none within S3.
    pub(crate) fn copy_method(&self, opened: &Opened) -> Option<s3::Method> {
        let asked = self.server_copy && self.route.only_joins();
        let sources: Vec<_> =
            opened.s3.iter().filter(|_| asked).map(|source| source.size_and_crc()).collect();
        s3::Method::of(&sources)
    }

    pub(crate) async fn client(&self, window: Concurrency) -> Client {
        let client = match &self.shared {
            Some(shared) => shared.clients.client(window),
            None => Client::from_environment(window).await,
        };
        client.asking(self.permit.clone())
    }

    /// Look at the source and plan; no byte is moved.
    ///
    /// # Errors
    /// The source cannot be opened or is not taken, or `plan.refused`.
    pub async fn look(&self, threads: usize) -> Result<Preview, Failure> {
        let client = self.client(Concurrency::new(self.concurrency)).await;
        let mut opened = place::source(&client, &self.source).await.map_err(|error| of_source(&error))?;
        let apart = self.is_several() && !self.route.splits();
        let found = look_around(&client, &self.route, self.concurrency, apart, &mut opened).await?;
        self.refuse_names(&found.names)?;
        let plan = self.plan(opened.source.size(), &found, threads)?;
        opened.source.size().map_or(Ok(()), |size| plan.admit(size))?;
        let copy = self.copy_method(&opened).filter(|_| self.uris().all(ObjectUri::is_s3));
        Ok(Preview { plan, copy })
    }
}
