//! The config API: tenants over HTTP, with their routes as data with revisions, their partners, users and audit trail.
//!
//! # Overview
//! One [`table`] says which endpoints there are: method, path, scope, handler, and what is documented of each. The
//! dispatcher ([`eft_api::handle`]) and the OpenAPI document ([`openapi`]) are both made of it.
//!
//! # Tenants
//! The tenant is that of the token. What is another's is not there: the answer is the same as for what nobody has.
//!
//! # Crash consistency
//! A save is one conditional write, made after everything it names is stored. Whoever dies before it has changed nothing;
//! after it, the answer is lost and the same request again finds what it has written.

mod audit;
mod document;
mod fields;
pub mod openapi;
mod partners;
mod routes;
pub mod settings;
pub mod table;
mod tenants;
mod users;

use std::{fmt, sync::Arc};

use eft_api::{CursorKey, Endpoint, Service};
use eft_store::{Audit, Catalog, Keys};
pub use settings::Settings;

/// The API over its stores.
#[derive(Clone)]
pub struct Api {
    /// Tenants and what is theirs.
    pub catalog: Arc<dyn Catalog>,
    /// Who has changed it.
    pub audit: Arc<dyn Audit>,
    /// Idempotency keys, and who saves at the moment.
    pub keys: Arc<dyn Keys>,
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
        self.keys.as_ref()
    }

    fn audit(&self) -> &dyn Audit {
        self.audit.as_ref()
    }
}
