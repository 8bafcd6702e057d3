//! `pgp_decrypt`, `pgp_verify`, `pgp_encrypt` and `pgp_sign`: OpenPGP messages by rPGP, streaming.
//!
//! # Overview
//! rPGP pulls; [`bridge`] runs it on a thread that the stage steps. On the way in, a tower of readers is built layer by
//! layer (`read`): armor, a [`guard`] that checks the frames of packets, the decryption of rPGP, a guard again,
//! decompression, a guard again, and what rPGP makes of signed and literal packets. On the way out, rPGP's message
//! builder writes into the stage's output (`write`).
//!
//! # Failure handling
//! Decryption streams: content leaves the stage before its modification detection code or its signature was seen, and
//! nothing of it may be believed or told before. So the output is published only when the stage is done, a failure of a
//! later stage is held back until then (see `chain`), and of a message whose integrity does not hold nothing is said
//! but [`Code::CryptoRefused`]: not whether the key, the padding, the structure or the content was at fault, and not
//! before the whole message was read. What the frames of an encrypted message say in the clear (truncated, no key of
//! ours, no integrity protection) is told as it is.

mod armor;
mod bridge;
mod guard;
mod read;
mod watch;
mod write;

use eft_domain::{
    Failure,
    route::{Limits, PgpDecryptSpec, PgpEncryptSpec, PgpSignSpec, PgpVerify, PgpVerifySpec},
};

use self::{bridge::Bridge, read::Reading, write::Writing};
use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, bad_state};
use crate::keys::Keyring;

/// What decrypting holds: two buffers of the largest chunk that an AEAD message may have (4 MiB each, twice while one
/// is moved), bzip2's 4 MiB, and small buffers of each layer.
const READ_MEMORY: u64 = 22 << 20;

/// What encrypting holds: buffers of half a megabyte in each layer (literal, compressed, encrypted), and bzip2's 8 MiB.
const WRITE_MEMORY: u64 = 12 << 20;

/// The `pgp_decrypt` and `pgp_verify` stages.
pub struct PgpRead {
    name: &'static str,
    bridge: Bridge<()>,
    /// The message was read to its end and is what it should be.
    verified: bool,
}

impl PgpRead {
    /// `pgp_decrypt` for one object. Of the limits it enforces `max_output_bytes` and `max_ratio`.
    ///
    /// # Errors
    /// When a key was not looked for.
    pub fn decrypt(spec: &PgpDecryptSpec, limits: &Limits, keys: &Keyring) -> Result<Self, Failure> {
        let reading = keys.for_use(|| {
            let secret: Vec<_> = spec.keys.iter().map(|name| keys.secret(name)).collect::<Result<_, _>>()?;
            Reading::new(Some(secret), spec.verify, &spec.signers, limits, keys)
        })?;
        Ok(Self::new("pgp_decrypt", reading))
    }

    /// `pgp_verify` for one object. Of the limits it enforces `max_output_bytes` and `max_ratio`.
    ///
    /// # Errors
    /// When a key was not looked for.
    pub fn verify(spec: &PgpVerifySpec, limits: &Limits, keys: &Keyring) -> Result<Self, Failure> {
        let reading =
            keys.for_use(|| Reading::new(None, PgpVerify::Required, &spec.signers, limits, keys))?;
        Ok(Self::new("pgp_verify", reading))
    }

    fn new(name: &'static str, reading: Result<Reading, Failure>) -> Self {
        let bridge = Bridge::new(move |feed, sink| reading?.read(feed, sink));
        Self { name, bridge, verified: false }
    }

    /// Nothing that came out of it has been vouched for yet.
    pub(crate) fn is_unverified(&self) -> bool {
        !self.verified
    }
}

impl Stage for PgpRead {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: self.name,
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R3,
            memory: READ_MEMORY,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        let flow = self.bridge.step(input, output)?;
        self.verified = self.bridge.outcome().is_some();
        Ok(flow)
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        None
    }

    fn restore(&mut self, _: State) -> Result<(), Failure> {
        Err(bad_state(self.name, "an OpenPGP message is read from its beginning"))
    }
}

/// The `pgp_encrypt` and `pgp_sign` stages.
pub struct PgpWrite {
    name: &'static str,
    bridge: Bridge<()>,
}

impl PgpWrite {
    /// `pgp_encrypt` for one object.
    ///
    /// # Errors
    /// When a key was not looked for.
    pub fn encrypt(spec: &PgpEncryptSpec, keys: &Keyring) -> Result<Self, Failure> {
        Ok(Self::new("pgp_encrypt", keys.for_use(|| Writing::encrypted(spec, keys))?))
    }

    /// `pgp_sign` for one object.
    ///
    /// # Errors
    /// When a key was not looked for.
    pub fn sign(spec: &PgpSignSpec, keys: &Keyring) -> Result<Self, Failure> {
        Ok(Self::new("pgp_sign", keys.for_use(|| Writing::signed(spec, keys))?))
    }

    fn new(name: &'static str, writing: Result<Writing, Failure>) -> Self {
        Self { name, bridge: Bridge::new(move |feed, sink| writing?.write(feed, sink)) }
    }
}

impl Stage for PgpWrite {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: self.name,
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R3,
            memory: WRITE_MEMORY,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        self.bridge.step(input, output)
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        None
    }

    fn restore(&mut self, _: State) -> Result<(), Failure> {
        Err(bad_state(self.name, "an OpenPGP message is written from its beginning"))
    }
}
