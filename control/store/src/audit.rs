//! The audit trail: who did what when, of every write of the APIs. Entries are of a tenant, and stand in the table `config`.

use std::time::Duration;

use eft_domain::{AuditId, Millis, TenantId};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::port::{Page, StoreResult};

/// How long an entry is kept: as long as the rows of jobs where nobody says otherwise (`RetentionDays`).
pub const KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// What somebody did, or tried to do. No body is part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Which entry; it sorts as its time does.
    pub id: AuditId,
    /// In whose trail it stands: whose thing it is about.
    pub tenant: TenantId,
    /// When the request came.
    pub at: Millis,
    /// The subject of the token.
    pub who: String,
    /// The operation, as the document of its API calls it.
    pub what: String,
    /// The path of the thing.
    pub on: String,
    /// Why, where whoever acts has to say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id under which the logs have the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What was answered. None while it is being done, and for ever where whoever did it died or could not say: then it
    /// may have been done or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AuditOutcome>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditOutcome {
    /// The status.
    pub status: u16,
    /// The code of the problem, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The ETag of the thing as it was made to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// Where the trail is kept.
pub trait Audit: Send + Sync {
    /// Keep an entry before what it tells of is done. One that stands there already stays.
    fn begin_entry<'a>(&'a self, entry: &'a AuditEntry) -> BoxFuture<'a, StoreResult<()>>;

    /// Keep an entry with its outcome, whatever stands there of it.
    fn end_entry<'a>(&'a self, entry: &'a AuditEntry) -> BoxFuture<'a, StoreResult<()>>;

    /// Entries of a tenant, the latest first, from the one before `before` down to `from`.
    fn entries<'a>(
        &'a self,
        tenant: &'a TenantId,
        from: AuditId,
        before: AuditId,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<AuditEntry>>>;
}
