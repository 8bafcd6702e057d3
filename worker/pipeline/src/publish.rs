//! What was sent becomes visible, object by object and sink by sink.

use eft_domain::{Code, Failure};
use futures::{StreamExt, future::join_all, stream};

use crate::{
    checkpoint::{Checkpoint, SavedEnd},
    checksum::Crc64,
    error::of_sink,
    port::{Committed, Part, PortError},
    retry::retrying,
    transfer::{Delivery, Outcome, Stopped, Streamed, Transfer},
    upload::{Lane, Uploaded, Uploads},
};

impl Transfer {
    /// Make every object visible at every sink that took all of it.
    pub(crate) async fn publish(&self, streamed: Streamed, uploads: &Uploads) -> Result<Outcome, Failure> {
        let Streamed { source, resumed_from, mut uploaded } = streamed;
        let output = uploaded.iter().fold(Crc64::default(), |all, one| all.then(one.crc));
        give_up_whole(&mut uploaded);
        if let Some(keeper) = &self.keeper {
            keeper.update(|checkpoint| checkpoint.publishing = Some(output)).await?;
        }
        // Each by itself: what can be published is, and a run of the same delivery finds it there and does the rest.
        let width = self.writing.window();
        let published = stream::iter(uploaded.into_iter().map(|one| self.publish_one(one, uploads)));
        let mut published = published.buffered(width).collect::<Vec<_>>().await;
        any_published(&published, uploads)?;
        // Something stands, so that the transfer has ended: what is left of the others is of no use.
        let failed = published
            .iter_mut()
            .flatten()
            .filter_map(|(lane, delivery)| Some((lane.upload.take()?, delivery.result.as_mut().err()?)));
        join_all(failed.map(|(upload, failure)| async move {
            if let Err(left) = retrying(&self.retry, |_| (), || upload.abort()).await {
                *failure = Stopped::new(failure.clone(), Vec::new(), vec![left]).failure;
            }
        }))
        .await;
        Ok(Outcome {
            source,
            compared: self.source.checksum().map(|stored| stored.name()),
            output,
            stages: Vec::new(),
            deliveries: published.into_iter().flatten().map(|(_, delivery)| delivery).collect(),
            resumed_from,
        })
    }

    /// Make one object visible at every sink that took all of it.
    async fn publish_one(&self, uploaded: Uploaded, uploads: &Uploads) -> Vec<(Lane, Delivery)> {
        let Uploaded { lanes, whole, crc, parts } = uploaded;
        let several = lanes.len() > 1;
        let published = lanes.into_iter().map(|mut lane| async {
            let result = match lane.dead.clone() {
                Some(failure) => Err(failure),
                None => self.commit(&mut lane, whole.clone(), crc, uploads).await,
            };
            if let (Ok(committed), Some(keeper), true) = (&result, &self.keeper, several) {
                let name = lane.sink.uri();
                let delivered = Some(SavedEnd::Delivered(committed.clone()));
                let note = |checkpoint: &mut Checkpoint| {
                    checkpoint.note(&name, |sink| (sink.upload, sink.ended) = (None, delivered));
                };
                // It stands, whether or not this can be noted: whoever goes on may also look.
                drop(keeper.update(note).await);
            }
            (lane, Delivery { parts, result })
        });
        let published = join_all(published).await;
        if whole.is_some() && published.iter().any(|(_, delivery)| delivery.result.is_ok()) {
            self.progress.wrote_part(crc.len());
        }
        published
    }

    async fn commit(
        &self,
        lane: &mut Lane,
        whole: Option<Part>,
        crc: Crc64,
        uploads: &Uploads,
    ) -> Result<Committed, Failure> {
        lane.acks.sort_by_key(|ack| ack.number);
        let on_retry = |_: &PortError| self.progress.retried();
        let committed = match (&lane.upload, whole) {
            (Some(upload), _) => retrying(&self.retry, on_retry, || upload.commit(&lane.acks, crc)).await,
            (None, Some(part)) => retrying(&self.retry, on_retry, || lane.sink.put(part.clone())).await,
            (None, None) => {
                return Err(Failure::new(Code::Internal, "nothing was sent and nothing is left to send"));
            }
        };
        committed.map_err(|error| {
            uploads.failed(&error);
            of_sink(&error)
        })
    }
}

/// Of several objects, a sink that has not taken all gets none.
fn give_up_whole(uploaded: &mut [Uploaded]) {
    let sinks = uploaded.first().map_or(0, |one| one.lanes.len());
    for at in 0..sinks {
        let Some(failure) = uploaded.iter().find_map(|one| one.lanes[at].dead.clone()) else { continue };
        uploaded.iter_mut().for_each(|one| one.lanes[at].give_up(failure.clone()));
    }
}

/// Fail when nothing was published, with the first reason.
fn any_published(published: &[Vec<(Lane, Delivery)>], uploads: &Uploads) -> Result<(), Failure> {
    let failures = |one: &[(Lane, Delivery)]| {
        one.iter().map(|(_, delivery)| delivery.result.clone().err()).collect::<Option<Vec<_>>>()
    };
    let lost = published.iter().map(|one| failures(one)).collect::<Option<Vec<_>>>();
    let Some(lost) = lost.and_then(|lost| lost.into_iter().next()) else { return Ok(()) };
    let Some(first) = lost.first().cloned() else { return Ok(()) };
    uploads.all_lost(lost);
    Err(first)
}
