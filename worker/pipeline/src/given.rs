//! What stages need that a route only names: read before the plan is made, and handed to every stage built for it.

use std::sync::Arc;

use eft_domain::{Code, Failure};

use crate::{
    keys::Keyring,
    scanner::Scanner,
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
    /// What scans.
    pub scanner: Option<Arc<dyn Scanner>>,
}

/// Nothing, as most routes need.
impl Default for Given {
    fn default() -> Self {
        Self {
            secrets: Arc::new(NoSecrets),
            keys: Keyring::default(),
            expected: None,
            entry_name: None,
            scanner: None,
        }
    }
}

impl Given {
    /// The scanner, of a route that scans.
    ///
    /// # Errors
    /// `plan.refused` when none was given.
    pub(crate) fn scanner(&self) -> Result<&Arc<dyn Scanner>, Failure> {
        self.scanner.as_ref().ok_or_else(|| {
            let message = "the route scans, and no scanner was given: say where clamd listens with \
                           --scanner ADDR or EFT_SCANNER";
            Failure::new(Code::PlanRefused, message)
        })
    }
}
