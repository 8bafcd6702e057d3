//! Multipart uploads that nobody will end: a bucket keeps, and bills, their parts for ever.
//!
//! # Failure handling
//! An upload is aborted only where it is certain that no run goes on with it: it is a day old, would make an object in a
//! place of a tenant, and no job of any tenant with that place names it. Where the jobs could not all be looked at, none
//! is aborted. What is not ours by these rules is left to a lifecycle rule of the bucket's owner.

use std::collections::{BTreeMap, BTreeSet};

use eft_domain::{BucketName, Job, Tenant, TenantId};
use eft_store::{StoreResult, Tenants};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{CONCURRENT, Deadline, Report, Sweep, UploadEntry};

/// Live jobs of a tenant that are listed at once.
const PAGE: u16 = 100;

/// Uploads of one bucket that are looked at in a sweep; the next looks at the next, once these are gone.
const MOST: usize = 1_000;

/// An upload that may be abandoned.
#[derive(Clone, Debug)]
struct Candidate {
    upload: UploadEntry,
    /// Whose it may be.
    tenants: BTreeSet<TenantId>,
}

/// The tenants that have the place of a key, and those that may have it: who cannot be read, where anybody else has.
fn tenants_of(tenants: &Tenants, bucket: &BucketName, key: &str) -> BTreeSet<TenantId> {
    let has = |tenant: &&Tenant| {
        tenant.outputs.iter().any(|output| output.bucket == *bucket && key.starts_with(&output.prefix))
    };
    let mut owners: BTreeSet<_> = tenants.readable().filter(has).map(|tenant| tenant.id.clone()).collect();
    if !owners.is_empty() {
        owners.extend(tenants.unreadable().map(|(id, _)| id.clone()));
    }
    owners
}

/// Whether a job goes on with an upload.
fn names(job: &Job, upload_id: &str) -> bool {
    job.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.contains(upload_id))
}

impl Sweep {
    /// Abort the uploads that belong to no run.
    pub(crate) async fn end_uploads(&self, deadline: Deadline, report: &mut Report) {
        let tenants = match self.router.desk.catalog.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => return self.failed(report, "tenants", "", &error),
        };
        let buckets: BTreeSet<_> =
            tenants.readable().flat_map(|tenant| &tenant.outputs).map(|output| &output.bucket).collect();
        for bucket in buckets {
            if deadline.is_over() {
                report.out_of_time = true;
                return;
            }
            if let Err(error) = self.end_uploads_of(bucket, &tenants, deadline, report).await {
                self.failed(report, "uploads", bucket.as_str(), &error);
            }
        }
    }

    async fn end_uploads_of(
        &self,
        bucket: &BucketName,
        tenants: &Tenants,
        deadline: Deadline,
        report: &mut Report,
    ) -> StoreResult<()> {
        let mut candidates = self.candidates(bucket, tenants, deadline, report).await?;
        let owners: BTreeSet<_> = candidates.iter().flat_map(|candidate| candidate.tenants.clone()).collect();
        for owner in owners {
            let mut after = None;
            loop {
                if deadline.is_over() {
                    // Not all jobs were looked at: none is certain.
                    report.out_of_time = true;
                    return Ok(());
                }
                let page = self.router.desk.ledger.live(&owner, after.as_deref(), PAGE).await?;
                let rows = stream::iter(page.items).map(|id| self.router.desk.ledger.get(id));
                let rows: Vec<_> = rows.buffer_unordered(CONCURRENT).try_collect().await?;
                let rows: Vec<Job> = rows.into_iter().flatten().collect();
                candidates
                    .retain(|candidate| !rows.iter().any(|job| names(job, &candidate.upload.upload_id)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        for Candidate { upload, .. } in candidates {
            match self.uploads.abort(bucket, &upload).await {
                Ok(()) => report.aborted += 1,
                Err(error) => self.failed(report, "abort", &upload.key, &error),
            }
        }
        Ok(())
    }

    async fn candidates(
        &self,
        bucket: &BucketName,
        tenants: &Tenants,
        deadline: Deadline,
        report: &mut Report,
    ) -> StoreResult<Vec<Candidate>> {
        let now = self.router.desk.clock.now();
        let mut candidates = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.uploads.list(bucket, after.as_deref()).await?;
            report.uploads += page.items.len() as u64;
            for upload in page.items {
                let tenants = tenants_of(tenants, bucket, &upload.key);
                if upload.initiated.plus(self.settings.upload_age) <= now && !tenants.is_empty() {
                    candidates.insert(upload.upload_id.clone(), Candidate { upload, tenants });
                }
            }
            after = page.next;
            if after.is_none() || candidates.len() >= MOST || deadline.is_over() {
                return Ok(candidates.into_values().collect());
            }
        }
    }
}
