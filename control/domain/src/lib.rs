//! The words of the system: what a route, an object version, a failure and a receipt are.
//!
//! Pure: no IO, no runtime, no AWS crate (CI checks the dependency tree).

#[macro_use]
mod text;
mod tree;

pub mod failure;
pub mod id;
pub mod invariant;
pub mod job;
pub mod message;
pub mod names;
pub mod object;
pub mod partner;
pub mod receipt;
pub mod route;
pub mod sftp;
pub mod size;
pub mod tenant;

pub use failure::{Class, Code, Failure};
pub use id::{Arrival, AuditId, DeliveryId, JobId, PartnerId, RouteId, RouteRevision, RunId, TenantId};
pub use job::{Actor, Command, Job, JobState, Millis};
pub use object::{BucketName, ObjectKey, ObjectUri, ObjectVersion, VersionId};
pub use partner::Partner;
pub use receipt::Receipt;
pub use route::Route;
pub use size::ByteSize;
pub use tenant::Tenant;
