//! How a run begins and ends when it keeps a checkpoint: from where an earlier run was stopped, and leaving what the next
//! one needs.

use std::sync::Arc;

use eft_domain::{Class, Code, Failure};
use futures::future::join_all;

use crate::{
    checkpoint::{Checkpoint, Done, Keeper, Mark, SavedBlocks, SavedSink, SavedStage, SavedStep},
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
    /// With all parts that the checkpoint counts on, or of a sink that was given up.
    Whole(Lane),
    /// Without them: of no use.
    Useless(Arc<dyn Upload>),
    /// Not there.
    Gone,
    /// The sink does not say, for this reason.
    Silent(Failure, Option<Arc<dyn Upload>>),
}

/// Take up what an earlier run has left. Uploads of it that cannot be gone on with are removed, and the run then starts
/// from the beginning, with all sinks. `None`: what stands at the sinks has to be looked at again first.
pub(crate) async fn take_up(
    sinks: &[Arc<dyn ObjectSink>],
    keeper: &Keeper,
    uploads: &Uploads,
    retry: &RetryPolicy,
) -> Result<Option<Start>, Failure> {
    let checkpoint = keeper.get().await;
    if checkpoint.sinks.iter().all(|sink| sink.upload.is_none()) {
        sweep(sinks, &checkpoint, retry).await?;
        let names: Vec<_> = sinks.iter().map(|sink| sink.uri()).collect();
        let begin = |checkpoint: &mut Checkpoint| {
            (checkpoint.done, checkpoint.publishing) = (None, None);
            // What an earlier run has given up and this one has not is begun with the others.
            names.iter().for_each(|name| checkpoint.note(name, |saved| saved.ended = None));
        };
        keeper.update(begin).await?;
        return Ok(Some(Start::afresh(sinks)));
    }
    let done = checkpoint.done.as_ref();
    let left = join_all(sinks.iter().map(|sink| find(sink, &checkpoint, done, retry))).await;
    let left = left.into_iter().collect::<Result<Vec<_>, _>>()?;
    if forget_published(sinks, &left, &checkpoint, keeper).await? {
        return Ok(None);
    }
    // A sink that cannot be asked costs the others nothing.
    let some = left.iter().any(|left| matches!(left, Left::Whole(lane) if lane.dead.is_none()));
    let left = left.into_iter().zip(sinks).map(|(left, sink)| match left {
        Left::Silent(failure, _) if !some => Err(failure),
        Left::Silent(failure, upload) => Ok(Left::Whole(Lane { upload, ..Lane::given_up(sink, failure) })),
        left => Ok(left),
    });
    let left = left.collect::<Result<Vec<_>, _>>()?;
    let whole = left.iter().any(|left| matches!(left, Left::Whole(lane) if lane.dead.is_none()))
        && left.iter().all(|left| matches!(left, Left::Whole(_)));
    let mut lanes = Vec::new();
    for left in left {
        match left {
            Left::Whole(lane) if whole => lanes.push(lane),
            Left::Whole(Lane { upload: Some(upload), .. }) | Left::Useless(upload) => {
                retrying(retry, |_| (), || upload.abort()).await.map_err(|error| of_sink(&error))?;
            }
            Left::Whole(_) | Left::Gone | Left::Silent(..) => {}
        }
    }
    if whole {
        lanes.iter().filter_map(|lane| lane.upload.clone()).for_each(|upload| uploads.adopt(upload));
        return Ok(Some(Start { lanes, done: checkpoint.done }));
    }
    start_over(keeper).await?;
    Ok(Some(Start::afresh(sinks)))
}

/// An upload that was being published is gone. It was looked for after the object was, and whoever was stopped may have
/// woken up between the two and made the object of it: nothing is read again before somebody has looked there once more,
/// and by then this upload is forgotten. Returns whether there is such a one.
async fn forget_published(
    sinks: &[Arc<dyn ObjectSink>],
    left: &[Left],
    checkpoint: &Checkpoint,
    keeper: &Keeper,
) -> Result<bool, Failure> {
    let is_gone = |name: &String, left: &Left| {
        matches!(left, Left::Gone) && checkpoint.sink(name).is_some_and(|saved| saved.upload.is_some())
    };
    let names = sinks.iter().map(|sink| sink.uri()).zip(left);
    let gone: Vec<_> = names.filter(|(name, left)| is_gone(name, left)).map(|(name, _)| name).collect();
    if checkpoint.publishing.is_none() || gone.is_empty() {
        return Ok(false);
    }
    let forget = |checkpoint: &mut Checkpoint| {
        gone.iter().for_each(|name| checkpoint.note(name, |sink| sink.upload = None));
    };
    keeper.update(forget).await?;
    Ok(true)
}

/// For whoever does not look again.
pub(crate) fn unseen() -> Failure {
    let message = "an upload is gone that an earlier run was publishing: look again what stands there";
    Failure::new(Code::DestinationIndeterminate, message)
}

/// Forget what was done; the uploads are gone. What stands stands.
pub(crate) async fn start_over(keeper: &Keeper) -> Result<(), Failure> {
    let afresh = |checkpoint: &mut Checkpoint| {
        (checkpoint.done, checkpoint.publishing) = (None, None);
        for sink in checkpoint.sinks.iter_mut().filter(|sink| sink.delivered().is_none()) {
            (sink.upload, sink.ended) = (None, None);
        }
    };
    keeper.update(afresh).await
}

/// Sinks that were given up for what may pass are tried again.
pub(crate) fn revive(checkpoint: &mut Checkpoint) {
    for sink in &mut checkpoint.sinks {
        if sink.given_up().is_some_and(|failure| can_go_on(&failure)) {
            sink.ended = None;
        }
    }
}

async fn find(
    sink: &Arc<dyn ObjectSink>,
    checkpoint: &Checkpoint,
    done: Option<&Done>,
    retry: &RetryPolicy,
) -> Result<Left, Failure> {
    let saved = checkpoint.sink(&sink.uri()).filter(|saved| saved.delivered().is_none());
    let saved = saved.ok_or_else(|| misfit(format!("nothing is left to be sent to {}", sink.uri())))?;
    if let Some(failure) = saved.given_up() {
        return Ok(Left::Whole(given_up(sink, saved.upload.as_deref(), failure).await));
    }
    let Some(id) = saved.upload.as_deref() else { return Ok(Left::Gone) };
    let upload = match found(retrying(retry, |_| (), || sink.reopen(id)).await) {
        Ok(Some(upload)) => upload,
        Ok(None) => return Ok(Left::Gone),
        Err(mut failure) => {
            failure.message.push_str("; an upload may be left behind there");
            return Ok(Left::Silent(failure, None));
        }
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
    Ok(match found(parts) {
        Err(failure) => Left::Silent(failure, Some(upload)),
        Ok(None) => Left::Gone,
        Ok(Some(None)) => Left::Useless(upload),
        Ok(Some(Some(acks))) => Left::Whole(Lane { upload: Some(upload), acks, ..Lane::new(sink) }),
    })
}

/// A sink that an earlier run gave up stays given up; what it had begun there is removed with the end of this one.
async fn given_up(sink: &Arc<dyn ObjectSink>, upload: Option<&str>, mut failure: Failure) -> Lane {
    let Some(id) = upload else { return Lane::given_up(sink, failure) };
    // Asked once: it may well be down still.
    match sink.reopen(id).await {
        Ok(upload) => Lane { upload: Some(Arc::from(upload)), ..Lane::given_up(sink, failure) },
        Err(error) if error.kind == ErrorKind::NotFound => Lane::given_up(sink, failure),
        Err(left) => {
            failure.message.push_str(&format!("; an upload is left behind: {}", left.message));
            Lane::given_up(sink, failure)
        }
    }
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
    for sink in sinks {
        let Some(SavedSink { before, .. }) = checkpoint.sink(&sink.uri()) else { continue };
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
