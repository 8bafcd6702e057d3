//! Keys for OpenPGP stages: where they come from, and the ones a plan needs, found and checked before a byte moves.
//!
//! # Overview
//! A route names keys. [`Keys`] is the port that knows them: a folder of files on the command line, a secret store
//! elsewhere. [`Keyring::resolve`] asks it for every key the stages name, once, and parses, unlocks and judges them, so
//! that whatever is missing, locked, expired or revoked is refused with all other faults when the plan is made. A
//! keyring is cheap to clone and carries the time it was made at: whether a key is still valid is judged against that,
//! so a stage knows nothing of time.

mod cert;

use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use eft_domain::{Code, Failure, route::StageSpec};
use futures::future::BoxFuture;
use pgp::{
    composed::{Deserializable, SignedPublicKey, SignedSecretKey},
    types::{Password, Timestamp},
};
use ring::{hmac, rand::SystemRandom};

pub(crate) use self::cert::{Cert, Judgement, SecretKey};
use crate::port::{ErrorKind, PortError, PortResult};

/// Largest key file, in bytes: a certificate with hundreds of certifications. None, reasonable default.
pub const MAX_KEY_BYTES: usize = 1 << 20;

/// A secret key as it is kept: a transferable secret key, binary or armored, and what unlocks it.
pub struct SecretBytes {
    /// The key.
    pub key: Bytes,
    /// Its passphrase; `None` for a key that is not locked.
    pub passphrase: Option<String>,
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// Where keys are kept.
pub trait Keys: Send + Sync {
    /// A public key (an OpenPGP certificate), binary or armored.
    ///
    /// # Errors
    /// `NotFound` with where it was looked for.
    fn public<'a>(&'a self, name: &'a str) -> BoxFuture<'a, PortResult<Bytes>>;

    /// A secret key.
    ///
    /// # Errors
    /// `NotFound` with where it was looked for.
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, PortResult<SecretBytes>>;
}

/// No keys at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

impl Keys for NoKeys {
    fn public<'a>(&'a self, _: &'a str) -> BoxFuture<'a, PortResult<Bytes>> {
        Box::pin(async { Err(none()) })
    }

    fn secret<'a>(&'a self, _: &'a str) -> BoxFuture<'a, PortResult<SecretBytes>> {
        Box::pin(async { Err(none()) })
    }
}

fn none() -> PortError {
    PortError::new(ErrorKind::NotFound, "no place of keys was given")
}

/// The keys of one plan.
#[derive(Clone, Default)]
pub struct Keyring(Arc<Ring>);

#[derive(Default)]
struct Ring {
    public: BTreeMap<String, Arc<Cert>>,
    secret: BTreeMap<String, Arc<SecretKey>>,
    now: Timestamp,
    /// Makes session keys that are none; see [`Keyring::decoy`].
    decoys: Option<hmac::Key>,
    unread: bool,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (public, secret) = (self.0.public.keys(), self.0.secret.keys());
        f.debug_struct("Keyring").field("public", &public).field("secret", &secret).finish()
    }
}

/// What a key is wanted for.
#[derive(Clone, Copy)]
enum Use {
    Decrypt,
    Sign,
    Encrypt,
    Verify,
}

/// Every key the stages name, with what for.
fn wanted(stages: &[StageSpec]) -> Vec<(&str, Use)> {
    fn named(names: &[String], usage: Use) -> impl Iterator<Item = (&str, Use)> {
        names.iter().map(move |name| (name.as_str(), usage))
    }
    let mut wanted = Vec::new();
    for stage in stages {
        match stage {
            StageSpec::PgpDecrypt(spec) => {
                wanted.extend(named(&spec.keys, Use::Decrypt));
                wanted.extend(named(&spec.signers, Use::Verify));
            }
            StageSpec::PgpVerify(spec) => wanted.extend(named(&spec.signers, Use::Verify)),
            StageSpec::PgpEncrypt(spec) => {
                wanted.extend(named(&spec.recipients, Use::Encrypt));
                wanted.extend(named(spec.sign_with.as_slice(), Use::Sign));
            }
            StageSpec::PgpSign(spec) => wanted.push((&spec.sign_with, Use::Sign)),
            _ => {}
        }
    }
    wanted
}

impl Keyring {
    /// Find the keys that the stages name, parse and unlock them, and see that they can do what they are wanted for
    /// at the time `now`.
    ///
    /// # Errors
    /// `keys.unusable` with every fault.
    pub async fn resolve(stages: &[StageSpec], keys: &dyn Keys, now: SystemTime) -> Result<Self, Failure> {
        let now = Timestamp::try_from(now)
            .map_err(|error| Failure::new(Code::Configuration, format!("the clock: {error}")))?;
        let decoys = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Failure::new(Code::Internal, "no random numbers"))?;
        let mut ring = Ring { now, decoys: Some(decoys), ..Ring::default() };
        let mut faults = Vec::new();
        for (name, usage) in wanted(stages) {
            if let Err(fault) = ring.find(name, usage, keys).await {
                let kind = if matches!(usage, Use::Decrypt | Use::Sign) { "secret" } else { "public" };
                let fault = format!("{kind} key `{name}`: {fault}");
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
        }
        if faults.is_empty() { Ok(Self(Arc::new(ring))) } else { Err(refused(faults.join("; "))) }
    }

    /// Stands for keys that nobody has read: stages can be made with it, to be asked what they are, and none of them runs.
    pub fn unread() -> Self {
        Self(Arc::new(Ring { unread: true, ..Ring::default() }))
    }

    /// What is made of keys; a failure in its place, for when it is used, where no key was read.
    pub(crate) fn for_use<T>(
        &self,
        made: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<Result<T, Failure>, Failure> {
        if self.0.unread {
            return Ok(Err(Failure::new(Code::Internal, "a stage ran whose keys were not read")));
        }
        made().map(Ok)
    }

    pub(crate) fn cert(&self, name: &str) -> Result<Arc<Cert>, Failure> {
        self.0
            .public
            .get(name)
            .cloned()
            .ok_or_else(|| refused(format!("public key `{name}` was not looked for")))
    }

    pub(crate) fn secret(&self, name: &str) -> Result<Arc<SecretKey>, Failure> {
        self.0
            .secret
            .get(name)
            .cloned()
            .ok_or_else(|| refused(format!("secret key `{name}` was not looked for")))
    }

    /// 32 bytes that nobody can guess, and the same for the same `seed`: decryption that has failed goes on with them, and
    /// its end must depend on the message alone.
    pub(crate) fn decoy(&self, seed: &[u8]) -> Vec<u8> {
        self.0.decoys.as_ref().map_or_else(|| vec![0; 32], |key| hmac::sign(key, seed).as_ref().to_vec())
    }

    /// When the keys were looked for.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.now
    }
}

impl Ring {
    async fn find(&mut self, name: &str, usage: Use, keys: &dyn Keys) -> Result<(), String> {
        let said = |error: PortError| error.message;
        match usage {
            Use::Decrypt | Use::Sign => {
                if !self.secret.contains_key(name) {
                    let secret = parse_secret(&keys.secret(name).await.map_err(said)?)?;
                    self.secret.insert(name.to_owned(), Arc::new(secret));
                }
                let Some(key) = self.secret.get(name) else { return Ok(()) };
                match usage {
                    Use::Sign => key.signing(self.now).map(drop),
                    _ => key.decrypting(),
                }
            }
            Use::Encrypt | Use::Verify => {
                if !self.public.contains_key(name) {
                    let cert = parse_public(&keys.public(name).await.map_err(said)?)?;
                    self.public.insert(name.to_owned(), Arc::new(cert));
                }
                let Some(key) = self.public.get(name) else { return Ok(()) };
                match usage {
                    Use::Encrypt => key.encrypting(self.now).map(drop),
                    // An expired or revoked signer is refused when its signature is seen: others may still be good.
                    _ => key.check(),
                }
            }
        }
    }
}

fn parse_public(bytes: &[u8]) -> Result<Cert, String> {
    sized(bytes)?;
    let public = SignedPublicKey::from_reader_single(bytes).map(|(key, _)| key);
    // The public half of a secret key will do.
    let key = public.or_else(|error| {
        SignedSecretKey::from_reader_single(bytes).map(|(key, _)| key.to_public_key()).map_err(|_| error)
    });
    key.map(Cert::new).map_err(|error| format!("not an OpenPGP public key: {error}"))
}

fn parse_secret(bytes: &SecretBytes) -> Result<SecretKey, String> {
    sized(&bytes.key)?;
    let (key, _) = SignedSecretKey::from_reader_single(&bytes.key[..])
        .map_err(|error| format!("not an OpenPGP secret key: {error}"))?;
    let password = bytes.passphrase.as_deref().map_or_else(Password::empty, Password::from);
    Ok(SecretKey::new(key, password))
}

fn sized(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    Err(format!("has {} bytes, at most {MAX_KEY_BYTES} are read", bytes.len()))
}

fn refused(message: String) -> Failure {
    Failure::new(Code::KeysUnusable, message)
}
