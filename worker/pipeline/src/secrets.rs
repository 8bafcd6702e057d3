//! Secrets that stages use, such as the key of a hash: a route names them, and never holds them.

use std::{collections::BTreeMap, fmt};

use eft_domain::{
    Code, Failure,
    route::{Change, ColumnSource, StageSpec},
};

/// Where secrets are, already read: asked when a plan is made and when its stages are built, so it does no IO.
pub trait Secrets: fmt::Debug + Send + Sync {
    /// The bytes of a secret.
    ///
    /// # Errors
    /// `keys.unusable` when there is none of this name.
    fn secret_bytes(&self, name: &str) -> Result<&[u8], Failure>;
}

/// No secrets at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn secret_bytes(&self, name: &str) -> Result<&[u8], Failure> {
        Err(missing(name))
    }
}

/// Secrets in memory, by name.
#[derive(Clone, Default)]
pub struct HeldSecrets(BTreeMap<String, Vec<u8>>);

impl HeldSecrets {
    /// These secrets.
    pub fn new(secrets: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(secrets.into_iter().collect())
    }
}

impl fmt::Debug for HeldSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets for HeldSecrets {
    fn secret_bytes(&self, name: &str) -> Result<&[u8], Failure> {
        self.0.get(name).map(Vec::as_slice).ok_or_else(|| missing(name))
    }
}

/// The names of the secrets that stages use; one may stand there several times.
pub fn named(stages: &[StageSpec]) -> impl Iterator<Item = &str> {
    let columns = stages.iter().filter_map(|stage| match stage {
        StageSpec::CsvProject(spec) => Some(spec.columns.iter()),
        _ => None,
    });
    columns.flatten().filter_map(|column| match &column.source {
        ColumnSource::Column(_, Change::Hash { key }) => Some(key.as_str()),
        _ => None,
    })
}

fn missing(name: &str) -> Failure {
    let message = format!(
        "the route uses the secret `{name}`, and it is not there: put it into `{name}.key` of the folder given with --keys"
    );
    Failure::new(Code::KeysUnusable, message)
}
