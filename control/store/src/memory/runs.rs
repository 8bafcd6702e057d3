//! The history in memory.

use std::collections::BTreeMap;

use eft_domain::{
    Job, JobId, TenantId,
    job::{JobEvent, ReceiptKey},
};
use futures::{FutureExt, future::BoxFuture};

use super::{Region, lock};
use crate::{
    index::place,
    port::{Page, Runs, StoreResult},
    summary::{JobFilter, RunSummary},
};

impl Runs for Region {
    fn record<'a>(&'a self, job: &'a Job, event: &'a JobEvent) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let mut own = lock(&self.own);
            own.history.entry(job.id).or_default().insert(event.sequence, event.clone());
            let summary = RunSummary::of(job, event);
            let kept = own.runs.entry((job.id, event.generation)).or_insert_with(|| summary.clone());
            if kept.sequence < summary.sequence {
                *kept = summary;
            }
            Ok(())
        }
        .boxed()
    }

    fn history(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<JobEvent>>> {
        async move {
            let own = lock(&self.own);
            Ok(own.history.get(&job).into_iter().flat_map(BTreeMap::values).cloned().collect())
        }
        .boxed()
    }

    fn jobs<'a>(
        &'a self,
        tenant: Option<&'a TenantId>,
        filter: &'a JobFilter,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RunSummary>>> {
        async move {
            let own = lock(&self.own);
            // The runs of a job stand beside each other, the latest last.
            let latest: BTreeMap<_, _> = own.runs.iter().map(|((job, _), run)| (*job, run)).collect();
            let mut found: Vec<_> = latest
                .into_iter()
                .filter(|(_, run)| run.tenant.as_ref() == tenant && filter.takes(run))
                .map(|(job, run)| (place(run.changed_at, job), run.clone()))
                .filter(|(place, _)| after.is_none_or(|after| place.as_str() < after))
                .collect();
            found.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
            let more = found.len() > usize::from(limit);
            found.truncate(usize::from(limit));
            let next = found.last().filter(|_| more).map(|(place, _)| place.clone());
            Ok(Page { items: found.into_iter().map(|(_, run)| run).collect(), next })
        }
        .boxed()
    }

    fn runs(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<RunSummary>>> {
        async move {
            let own = lock(&self.own);
            Ok(own.runs.range((job, 0)..=(job, u32::MAX)).map(|(_, run)| run.clone()).collect())
        }
        .boxed()
    }

    fn keep_receipt<'a>(
        &'a self,
        job: JobId,
        key: ReceiptKey,
        text: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            lock(&self.own).receipts.insert((job, key), text.to_owned());
            Ok(())
        }
        .boxed()
    }

    fn receipt(&self, job: JobId, key: ReceiptKey) -> BoxFuture<'_, StoreResult<Option<String>>> {
        async move { Ok(lock(&self.own).receipts.get(&(job, key)).cloned()) }.boxed()
    }
}
