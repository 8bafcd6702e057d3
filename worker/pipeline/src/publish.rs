//! What was sent becomes visible, object by object and sink by sink.

use eft_domain::{Code, Failure};
use futures::{StreamExt, future::join_all, stream};

use crate::{
    checksum::Crc64,
    error::of_sink,
    port::{Committed, Part, PortError},
    resume::can_go_on,
    retry::retrying,
    transfer::{Delivery, Outcome, Stopped, Streamed, Transfer},
    upload::{Lane, Uploaded, Uploads},
};

impl Transfer {
    /// Make every object visible at every sink that took all of it.
    pub(crate) async fn publish(&self, streamed: Streamed, uploads: &Uploads) -> Result<Outcome, Failure> {
        let Streamed { source, resumed_from, uploaded } = streamed;
        let output = uploaded.iter().fold(Crc64::default(), |all, one| all.then(one.crc));
        if let Some(keeper) = &self.keeper {
            keeper.update(|checkpoint| checkpoint.publishing = Some(output)).await?;
        }
        // Each by itself: what can be published is, and a run of the same delivery finds it there and does the rest.
        let width = self.writing.window();
        let published = stream::iter(uploaded.into_iter().map(|one| self.publish_one(one, uploads)));
        let published = published.buffered(width);
        let deliveries: Vec<_> = published.collect::<Vec<_>>().await.into_iter().flatten().collect();
        all_failed(&deliveries)?;
        Ok(Outcome {
            source,
            compared: self.source.checksum().map(|stored| stored.name()),
            output,
            stages: Vec::new(),
            deliveries,
            resumed_from,
        })
    }

    /// Make one object visible at every sink that took all of it.
    async fn publish_one(&self, uploaded: Uploaded, uploads: &Uploads) -> Vec<Delivery> {
        let Uploaded { mut lanes, whole, crc, parts } = uploaded;
        let deliveries = join_all(lanes.iter_mut().map(|lane| async {
            let result = match lane.dead.clone() {
                Some(failure) => Err(failure),
                None => self.commit(lane, whole.clone(), crc, uploads).await,
            };
            let Err(mut failure) = result else { return Delivery { parts, result } };
            // One sink's failure must not leave its parts behind because the others succeeded.
            let kept = self.keeper.is_some() && can_go_on(&failure) && !uploads.is_spent();
            if let Some(upload) = lane.upload.as_ref().filter(|_| !kept)
                && let Err(left) = retrying(&self.retry, |_| (), || upload.abort()).await
            {
                failure = Stopped::new(failure, Vec::new(), vec![left]).failure;
            }
            Delivery { parts, result: Err(failure) }
        }))
        .await;
        if whole.is_some() && deliveries.iter().any(|delivery| delivery.result.is_ok()) {
            self.progress.wrote_part(crc.len());
        }
        deliveries
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

/// Fail when nothing was published, with the first reason.
fn all_failed(deliveries: &[Delivery]) -> Result<(), Failure> {
    let mut failures = deliveries.iter().map(|delivery| delivery.result.as_ref().err());
    let first = failures.next().flatten().cloned();
    match first {
        Some(failure) if failures.all(|failure| failure.is_some()) => Err(failure),
        _ => Ok(()),
    }
}
