//! SHA-256 of the bytes that pass, for routes that ask for it.
//!
//! By the `sha2` crate, not by ring, which does not let the state of a digest out: a run with a digest could not be
//! resumed. Both use the processor's SHA instructions: 1.44 GiB/s here (`plumbing`), 1.45 by ring alone
//! (`speed_of_light`), on the same core in one sitting.

use eft_domain::Failure;
use sha2::Digest as _;

use crate::midstate;

use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, bad_state};

/// Taps a stream for its SHA-256.
#[derive(Default)]
pub struct Sha256 {
    digest: sha2::Sha256,
}

impl Stage for Sha256 {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: "digest.sha256",
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            memory: 4096,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        while let Some(bytes) = input.take_chunk() {
            self.digest.update(&bytes);
            output.pass(bytes);
        }
        Ok(if input.is_finished() { Flow::Done } else { Flow::Hungry })
    }

    fn report(&self) -> StageReport {
        let digest = self.digest.clone().finalize();
        StageReport { sha256: Some(digest.into()), ..StageReport::default() }
    }

    fn save(&self) -> Option<State> {
        Some(midstate::save(&self.digest))
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let digest = midstate::restore(&state);
        self.digest = digest.ok_or_else(|| bad_state("digest.sha256", "it is not the state of a digest"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn known_value_in_any_chunking() {
        for cut in 0..=3 {
            let mut stage = Sha256::default();
            let mut input = Input::default();
            let mut output = Output::with_room(0);
            input.push(Bytes::from_static(&b"abc"[..cut]));
            input.push(Bytes::from_static(&b"abc"[cut..]));
            assert_eq!(stage.step(&mut input, &mut output), Ok(Flow::Hungry));
            input.end();
            assert_eq!(stage.step(&mut input, &mut output), Ok(Flow::Done));
            assert_eq!(output.take().concat(), b"abc");
            // FIPS 180-2, appendix B.1.
            assert_eq!(stage.report().sha256.unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);
        }
    }
}
