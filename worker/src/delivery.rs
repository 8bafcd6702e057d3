//! What becomes of one destination of a run: it is opened, copied to by S3 or streamed to, and ends as it ends.

use eft_domain::{Code, Failure, ObjectUri, receipt::Method};
use eft_pipeline::{
    error::of_sink,
    port::{Committed, PortResult},
    transfer,
};

use crate::place::{Goal, Sink};

/// A destination of a run.
pub(crate) struct Delivery {
    /// Where to, as the job says.
    pub(crate) goal: Goal,
    /// Through which sink, if it came that far; of several objects that of the first.
    pub(crate) sink: Option<Sink>,
    /// How the bytes get there.
    pub(crate) method: Method,
    /// How each of its objects ended; empty before.
    pub(crate) objects: Vec<transfer::Delivery>,
}

impl Delivery {
    /// Not opened yet.
    pub(crate) fn new(goal: &Goal) -> Self {
        Self { goal: goal.clone(), sink: None, method: Method::Stream, objects: Vec::new() }
    }

    /// To the places there are.
    pub(crate) fn all(goals: &[Goal]) -> Vec<Self> {
        goals.iter().map(Self::new).collect()
    }

    /// The name its sink goes by in a checkpoint.
    pub(crate) fn name(&self) -> String {
        match &self.goal.uri {
            ObjectUri::Local(path) => path.display().to_string(),
            uri => uri.to_string(),
        }
    }

    /// Something is still to be sent there, through this sink.
    pub(crate) fn live(&self) -> Option<&Sink> {
        self.sink.as_ref().filter(|_| self.objects.is_empty())
    }

    /// It has come to its end.
    pub(crate) fn end(&mut self, parts: u32, result: Result<Committed, Failure>) {
        self.objects = vec![transfer::Delivery { parts, result }];
    }

    /// It was opened, or not.
    pub(crate) fn opened(mut self, opened: PortResult<Sink>) -> Self {
        match opened {
            Ok(sink) => self.sink = Some(sink),
            Err(error) => self.end(0, Err(of_sink(&error))),
        }
        self
    }

    /// What stands there, where one object is delivered.
    pub(crate) fn committed(&self) -> Option<&Committed> {
        self.objects.first()?.result.as_ref().ok()
    }

    /// Why it does not have all of its objects.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.objects.iter().find_map(|object| object.result.as_ref().err())
    }
}

/// Whether a failure is one destination's alone.
pub(crate) fn is_of_destination(code: Code) -> bool {
    code.as_str().starts_with("destination.") || code == Code::IntegrityDestination
}
