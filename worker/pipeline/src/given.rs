//! What stages need that a route only names: read before the plan is made, and handed to every stage built for it.

use std::sync::Arc;

use crate::{
    keys::Keyring,
    secrets::{NoSecrets, Secrets},
    sidecar::Expected,
};

/// What the stages of one run are given besides their parameters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Given {
    /// The secrets the stages name.
    pub secrets: Arc<dyn Secrets>,
    /// The OpenPGP keys the stages name.
    pub keys: Keyring,
    /// The digest that the object's sidecar holds.
    pub expected: Option<Expected>,
    /// What a file is named in an archive that is made, where the route does not say.
    pub entry_name: Option<String>,
}

/// Nothing, as most routes need.
impl Default for Given {
    fn default() -> Self {
        Self { secrets: Arc::new(NoSecrets), keys: Keyring::default(), expected: None, entry_name: None }
    }
}
