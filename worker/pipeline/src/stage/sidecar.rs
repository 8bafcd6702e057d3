//! `validate.sidecar`: the file has the digest that the file beside it holds.
//!
//! A tap: bytes pass as they came, and the digest is compared at the end. Nothing is published before that. MD5 and
//! SHA-1 find damage and no forgery; they are here because partners send them.

use eft_domain::{Code, Failure, route::SidecarSpec};
use sha2::{Digest as _, digest::common::hazmat::SerializableState};

use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, bad_state};
use crate::{midstate, sidecar::Expected};

const NAME: &str = "validate.sidecar";

/// The stage `validate.sidecar`.
pub struct SidecarValidate {
    expected: Expected,
    digest: AnyDigest,
}

enum AnyDigest {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

macro_rules! each {
    ($any:expr, $digest:ident => $body:expr) => {
        match $any {
            AnyDigest::Md5($digest) => $body,
            AnyDigest::Sha1($digest) => $body,
            AnyDigest::Sha256($digest) => $body,
            AnyDigest::Sha512($digest) => $body,
        }
    };
}

impl SidecarValidate {
    /// A check against what the sidecar was read to say.
    ///
    /// # Errors
    /// `internal` when nobody read it, or another digest was read than the route asks for.
    pub fn new(spec: &SidecarSpec, expected: Option<&Expected>) -> Result<Self, Failure> {
        use eft_domain::route::SidecarDigest::{Md5, Sha1, Sha256, Sha512};
        let expected = expected.filter(|expected| expected.digest == spec.digest).cloned();
        let expected = expected.ok_or_else(|| {
            Failure::new(Code::Internal, "the sidecar was not read before the plan was made")
        })?;
        let digest = match expected.digest {
            Md5 => AnyDigest::Md5(md5::Md5::default()),
            Sha1 => AnyDigest::Sha1(sha1::Sha1::default()),
            Sha256 => AnyDigest::Sha256(sha2::Sha256::default()),
            Sha512 => AnyDigest::Sha512(sha2::Sha512::default()),
        };
        Ok(Self { expected, digest })
    }

    fn compare(&self) -> Result<(), Failure> {
        let bytes = each!(&self.digest, digest => digest.clone().finalize().to_vec());
        if bytes == self.expected.bytes {
            return Ok(());
        }
        let found = Expected { bytes, ..self.expected.clone() }.to_hex();
        let (kind, says) = (self.expected.digest.as_str(), self.expected.to_hex());
        let message = format!("the {kind} of the file is {found}, {} says {says}", self.expected.sidecar);
        Err(Failure::new(Code::SidecarMismatch, message))
    }
}

impl Stage for SidecarValidate {
    fn info(&self) -> StageInfo {
        StageInfo { name: NAME, kind: Kind::Tap, ordered: true, resume: ResumeClass::R1, memory: 4096 }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        while let Some(bytes) = input.take_chunk() {
            each!(&mut self.digest, digest => digest.update(&bytes));
            output.pass(bytes);
        }
        if !input.is_finished() {
            return Ok(Flow::Hungry);
        }
        self.compare()?;
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        Some(each!(&self.digest, digest => midstate::save(digest)))
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        fn put<D: SerializableState>(digest: &mut D, state: &State) -> Result<(), Failure> {
            *digest =
                midstate::restore(state).ok_or_else(|| bad_state(NAME, "it is not the state of a digest"))?;
            Ok(())
        }
        each!(&mut self.digest, digest => put(digest, &state))
    }
}
