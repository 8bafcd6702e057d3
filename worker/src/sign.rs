//! The key that signs receipts: Ed25519 (ring), made on first use, readable by its owner only.

use std::{io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use eft_domain::{
    Code, Failure,
    receipt::{Receipt, Signature, SignedReceipt},
};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

fn bad(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Configuration, format!("signing key {}: {what}", path.display()))
}

/// A signing key.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Load a PKCS#8 key.
    ///
    /// # Errors
    /// `configuration` when the file cannot be read or understood.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        Self::of(path, &std::fs::read(path).map_err(|error| bad(path, error))?)
    }

    fn of(path: &Path, pkcs8: &[u8]) -> Result<Self, Failure> {
        Ed25519KeyPair::from_pkcs8(pkcs8).map(Self).map_err(|error| bad(path, error))
    }

    /// Load a PKCS#8 key, or make one where there is none.
    ///
    /// # Errors
    /// `configuration` when the file cannot be read, written or understood.
    pub fn load_or_create(path: &Path) -> Result<Self, Failure> {
        let pkcs8 = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(bad(path, error)),
        };
        Self::of(path, &pkcs8)
    }

    /// Sign a receipt.
    ///
    /// # Errors
    /// `internal` when it has no canonical form.
    pub fn sign(&self, receipt: Receipt) -> Result<SignedReceipt, Failure> {
        let internal =
            |error: eft_domain::receipt::ReceiptError| Failure::new(Code::Internal, error.to_string());
        let bytes = receipt.canonical_bytes().map_err(internal)?;
        let public = STANDARD.encode(self.0.public_key());
        let signature = Signature {
            algorithm: "Ed25519".to_owned(),
            key_id: public.chars().take(16).collect(),
            public_key: public,
            value: STANDARD.encode(self.0.sign(&bytes)),
        };
        SignedReceipt::new(receipt, Some(signature)).map_err(internal)
    }

    /// The public key, base64.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key())
    }
}

/// Makes the key that stands at the path from now on. Of several that do so at once all get the one that came to stand: it is
/// written beside it, and linked to the name when it is whole.
fn create(path: &Path) -> Result<Vec<u8>, Failure> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|error| bad(path, error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| bad(path, error))?;
    let beside = folder.join(format!(".{}.new", uuid::Uuid::new_v4()));
    let written = write(&beside, document.as_ref()).and_then(|()| std::fs::hard_link(&beside, path));
    let removed = std::fs::remove_file(&beside);
    match written {
        Ok(()) => removed.map_err(|error| bad(&beside, error))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(bad(path, error)),
    }
    std::fs::read(path).map_err(|error| bad(path, error))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Check a receipt's signature against the key it names; the caller decides whether it trusts that key.
///
/// # Errors
/// What does not hold.
pub fn check(receipt: &SignedReceipt, signature: &Signature) -> Result<(), String> {
    let bytes = receipt.signed_bytes().map_err(|error| error.to_string())?;
    if signature.algorithm != "Ed25519" {
        return Err(format!("unknown signature algorithm `{}`", signature.algorithm));
    }
    let key = STANDARD.decode(&signature.public_key).map_err(|error| format!("public key: {error}"))?;
    let value = STANDARD.decode(&signature.value).map_err(|error| format!("signature: {error}"))?;
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&bytes, &value)
        .map_err(|_| "the signature does not match: the receipt was changed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_make_a_key_at_once_have_the_same_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/signing.p8");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || SigningKey::load_or_create(&path).unwrap().public_key())
            })
            .collect();
        let keys: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(SigningKey::load(&path).unwrap().public_key(), keys[0]);
        assert_eq!(
            std::fs::read_dir(folder.path().join("keys")).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }
}
