//! The ledger and what stands around it: ports, their DynamoDB, SQS, SNS and Step Functions adapters, and memory
//! adapters with the same semantics.
//!
//! Everything that changes a job goes through [`Desk`]: the pure state machine of `eft-domain`, a conditional write,
//! and telling what has changed.

pub mod admission;
pub mod audit;
pub mod aws;
mod buckets;
pub mod clock;
pub mod desk;
pub mod dynamo;
pub mod faulty;
pub mod index;
pub mod memory;
pub mod port;
pub mod queues;
pub mod release;
mod summary;
mod tenants;

pub use audit::{Audit, AuditEntry, AuditOutcome};
pub use buckets::Buckets;
pub use clock::Clock;
pub use desk::{ChangeError, Desk};
pub use port::{
    Catalog, Dispatch, JobLedger, JobSize, Keys, Load, Notify, Page, Put, RouteChange, Runs, StoreError,
    StoreErrorKind, StoreResult,
};
pub use queues::{Depth, QueueState, Queues, Redrive};
pub use summary::{JobFilter, RunSummary};
pub use tenants::Tenants;
