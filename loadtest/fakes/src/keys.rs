//! Keys in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use eft_pipeline::{
    keys::{Keys, SecretBytes},
    port::{ErrorKind, PortError, PortResult},
};
use futures::{FutureExt, future::BoxFuture};

/// Secret keys without passphrases, each with its public half.
#[derive(Clone, Debug, Default)]
pub struct MemoryKeys(BTreeMap<String, Bytes>);

impl MemoryKeys {
    /// These keys and one more.
    #[must_use]
    pub fn and(mut self, name: &str, key: impl Into<Bytes>) -> Self {
        self.0.insert(name.to_owned(), key.into());
        self
    }

    fn key(&self, name: &str) -> PortResult<Bytes> {
        self.0.get(name).cloned().ok_or_else(|| PortError::new(ErrorKind::NotFound, "not in memory"))
    }
}

impl Keys for MemoryKeys {
    fn public<'a>(&'a self, name: &'a str) -> BoxFuture<'a, PortResult<Bytes>> {
        async move { self.key(name) }.boxed()
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, PortResult<SecretBytes>> {
        async move { Ok(SecretBytes { key: self.key(name)?, passphrase: None }) }.boxed()
    }
}
