//! How a run begins and ends when it keeps a checkpoint: from where an earlier run was stopped, and leaving what the next
//! one needs.

use std::sync::Arc;

use eft_domain::{Class, Code, Failure};
use futures::future::join_all;

use crate::{
    checkpoint::{Checkpoint, Done, Keeper, Mark, SavedBlocks, SavedStage, SavedStep},
    error::of_sink,
    port::{ErrorKind, ObjectSink, PortError, PortResult, Upload},
    retry::{RetryPolicy, retrying},
    upload::{Lane, Uploads},
};

/// Where a run starts.
pub(crate) struct Start {
    pub(crate) lanes: Vec<Lane>,
    /// What an earlier run has done; `None`: from the start of the source.
    pub(crate) done: Option<Done>,
}

impl Start {
    pub(crate) fn afresh(sinks: &[Arc<dyn ObjectSink>]) -> Self {
        Self { lanes: sinks.iter().map(Lane::new).collect(), done: None }
    }
}

/// The states of the steps, handed out one by one.
pub(crate) struct Saved(Option<std::vec::IntoIter<SavedStep>>);

impl Saved {
    /// # Errors
    /// `checkpoint.refused` when there are not as many as steps.
    pub(crate) fn of(mark: Option<&Mark>, steps: usize) -> Result<Self, Failure> {
        let Some(mark) = mark else { return Ok(Self(None)) };
        if mark.steps.len() == steps {
            return Ok(Self(Some(mark.steps.clone().into_iter())));
        }
        Err(misfit(format!("it has {} steps, the plan {steps}", mark.steps.len())))
    }

    /// The next step is serial; `None`: it starts afresh.
    pub(crate) fn chain(&mut self) -> Result<Option<Vec<SavedStage>>, Failure> {
        match self.0.as_mut().and_then(Iterator::next) {
            None => Ok(None),
            Some(SavedStep::Chain(stages)) => Ok(Some(stages)),
            Some(SavedStep::Blocks(_)) => Err(misfit("a serial step was saved as one of blocks")),
        }
    }

    /// The next step compresses blocks; `None`: it starts afresh.
    pub(crate) fn blocks(&mut self) -> Result<Option<SavedBlocks>, Failure> {
        match self.0.as_mut().and_then(Iterator::next) {
            None => Ok(None),
            Some(SavedStep::Blocks(blocks)) => Ok(Some(blocks)),
            Some(SavedStep::Chain(_)) => Err(misfit("a step of blocks was saved as a serial one")),
        }
    }
}

fn misfit(why: impl std::fmt::Display) -> Failure {
    Failure::new(Code::CheckpointRefused, format!("the checkpoint is not of this plan: {why}"))
}

/// A sink's upload as an earlier run left it.
enum Left {
    /// With all parts that the checkpoint counts on.
    Whole(Lane),
    /// Without them: of no use.
    Useless(Arc<dyn Upload>),
    /// Not there.
    Gone,
}

/// Take up what an earlier run has left. Uploads of it that cannot be gone on with are removed, and the run then starts
/// from the beginning.
pub(crate) async fn take_up(
    sinks: &[Arc<dyn ObjectSink>],
    keeper: &Keeper,
    uploads: &Uploads,
    retry: &RetryPolicy,
) -> Result<Start, Failure> {
    let checkpoint = keeper.get().await;
    if checkpoint.uploads.is_empty() {
        sweep(sinks, &checkpoint, retry).await?;
        return Ok(Start::afresh(sinks));
    }
    let done = checkpoint.done.as_ref();
    let left = sinks.iter().zip(&checkpoint.uploads).map(|(sink, id)| find(sink, id.as_deref(), done, retry));
    let left = join_all(left).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let whole = left.iter().any(|left| matches!(left, Left::Whole(lane) if lane.dead.is_none()))
        && left.iter().all(|left| matches!(left, Left::Whole(_)));
    let mut lanes = Vec::new();
    for left in left {
        match left {
            Left::Whole(lane) if whole => lanes.push(lane),
            Left::Whole(Lane { upload: Some(upload), .. }) | Left::Useless(upload) => {
                retrying(retry, |_| (), || upload.abort()).await.map_err(|error| of_sink(&error))?;
            }
            Left::Whole(_) | Left::Gone => {}
        }
    }
    if whole {
        lanes.iter().filter_map(|lane| lane.upload.clone()).for_each(|upload| uploads.adopt(upload));
        return Ok(Start { lanes, done: checkpoint.done });
    }
    start_over(keeper).await?;
    Ok(Start::afresh(sinks))
}

/// Forget what was done; the uploads are gone.
pub(crate) async fn start_over(keeper: &Keeper) -> Result<(), Failure> {
    let afresh = |checkpoint: &mut Checkpoint| {
        (checkpoint.done, checkpoint.publishing) = (None, None);
        checkpoint.uploads.clear();
    };
    keeper.update(afresh).await
}

async fn find(
    sink: &Arc<dyn ObjectSink>,
    id: Option<&str>,
    done: Option<&Done>,
    retry: &RetryPolicy,
) -> Result<Left, Failure> {
    let Some(id) = id else {
        let mut lane = Lane::new(sink);
        let message = format!("{}: given up before the run was resumed", sink.uri());
        lane.dead = Some(Failure::new(Code::DestinationUnavailable, message));
        return Ok(Left::Whole(lane));
    };
    let Some(upload) = found(retrying(retry, |_| (), || sink.reopen(id)).await)? else {
        return Ok(Left::Gone);
    };
    let upload: Arc<dyn Upload> = Arc::from(upload);
    let Some(done) = done else {
        return Ok(Left::Whole(Lane { upload: Some(upload), ..Lane::new(sink) }));
    };
    let parts = retrying(retry, |_| (), || upload.parts(done.parts, done.output)).await;
    // Who may not list parts may still remove the upload, and begin another.
    if matches!(&parts, Err(error) if error.kind == ErrorKind::Denied) {
        return Ok(Left::Useless(upload));
    }
    Ok(match found(parts)? {
        None => Left::Gone,
        Some(None) => Left::Useless(upload),
        Some(Some(acks)) => Left::Whole(Lane { upload: Some(upload), acks, ..Lane::new(sink) }),
    })
}

/// `None` for what is not there.
fn found<T>(answer: PortResult<T>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(of_sink(&error)),
    }
}

/// Remove the uploads that an earlier run may have begun without coming to note them: those that stand under the name
/// now and did not before. That takes for granted that one run at a time writes a key: an upload that anybody else has
/// begun there since is removed too.
///
/// # Errors
/// As the sinks find them.
pub async fn sweep(
    sinks: &[Arc<dyn ObjectSink>],
    checkpoint: &Checkpoint,
    retry: &RetryPolicy,
) -> Result<(), Failure> {
    for (sink, before) in sinks.iter().zip(&checkpoint.before) {
        let now = match retrying(retry, |_| (), || sink.uploads()).await {
            Ok(now) => now,
            // Who may not list cannot know; a lifecycle rule has to remove them.
            Err(PortError { kind: ErrorKind::Denied | ErrorKind::Unsupported, .. }) => continue,
            Err(error) => return Err(of_sink(&error)),
        };
        for id in now.iter().filter(|id| !before.contains(id)) {
            if let Some(upload) = found(retrying(retry, |_| (), || sink.reopen(id)).await)? {
                retrying(retry, |_| (), || upload.abort()).await.map_err(|error| of_sink(&error))?;
            }
        }
    }
    Ok(())
}

/// A run that ended like this can be gone on with: nothing was wrong with the file, and what was in the way may not be
/// for ever.
pub(crate) fn can_go_on(failure: &Failure) -> bool {
    match failure.code {
        Code::SourceUnavailable
        | Code::DestinationUnavailable
        | Code::DestinationIndeterminate
        | Code::DestinationFull
        | Code::ScanUnavailable
        | Code::CheckpointUnavailable => true,
        code => matches!(code.class(), Class::Held | Class::Interrupted),
    }
}
