//! The status API: jobs of a tenant over HTTP, what became of them and what can be done about them.
//!
//! # Overview
//! One [`table`] says which endpoints there are. Lists are queries of an index each, and what no index has is refused. What
//! is said of one job is its row, read strongly consistently, with its history and its receipts. Acts go to the
//! [`Desk`](eft_store::Desk) as whoever sends them, so that the history says who and why (G11).
//!
//! # Tenants
//! The tenant is that of the token. What is another's is not there: the answer is the same as for what nobody has. What no
//! route took is the tenant's whose prefix it has; what has nobody's prefix is shown to those who run the platform.
//!
//! # Crash consistency
//! An act is one conditional write of the row. Whoever dies after it and before the answer is kept has done it: the same
//! request is then refused by the state machine, as the job has gone on, unless the run that it began has ended meanwhile;
//! with `If-Match` it is refused then as well.
//! What was not told or not sent is told and sent by the sweep.

mod fleet;
mod jobs;
pub mod openapi;
pub mod settings;
pub mod table;

use std::{fmt, sync::Arc};

use eft_api::{CursorKey, Endpoint, Service};
use eft_store::{Audit, Desk, Keys, Queues};
pub use settings::Settings;

/// The API over its stores.
#[derive(Clone)]
pub struct Api {
    /// Where jobs are read and changed. Acts are done as their sender, not as its actor.
    pub desk: Desk,
    /// Who has done what to them; the config API shows it.
    pub audit: Arc<dyn Audit>,
    /// The queues.
    pub queues: Arc<dyn Queues>,
    /// What signs cursors.
    pub cursors: CursorKey,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}

impl Service for Api {
    const TABLE: &'static [Endpoint<Self>] = table::TABLE;

    fn keys(&self) -> &dyn Keys {
        self.desk.keys.as_ref()
    }

    fn audit(&self) -> &dyn Audit {
        self.audit.as_ref()
    }
}
