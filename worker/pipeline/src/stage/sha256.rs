//! SHA-256 of the bytes that pass (ring), for routes that ask for it.

use eft_domain::Failure;
use ring::digest::{Context, SHA256};

use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, bad_state};

/// Taps a stream for its SHA-256.
pub struct Sha256 {
    context: Context,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self { context: Context::new(&SHA256) }
    }
}

impl Stage for Sha256 {
    fn info(&self) -> StageInfo {
        // ring does not let its mid-state out, so a resume reads the source again to make the digest.
        StageInfo {
            name: "digest.sha256",
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R3,
            memory: 4096,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        while let Some(bytes) = input.take_chunk() {
            self.context.update(&bytes);
            output.pass(bytes);
        }
        Ok(if input.is_finished() { Flow::Done } else { Flow::Hungry })
    }

    fn report(&self) -> StageReport {
        let digest = self.context.clone().finish();
        StageReport { sha256: digest.as_ref().try_into().ok(), ..StageReport::default() }
    }

    fn save(&self) -> Option<State> {
        None
    }

    fn restore(&mut self, _state: State) -> Result<(), Failure> {
        Err(bad_state("digest.sha256", "it has none"))
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
