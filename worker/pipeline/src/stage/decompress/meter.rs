//! The limits on what a decompressor makes.

use eft_domain::route::Limits;
use eft_domain::{Code, Failure};

/// Output between two looks at the ratio, in bytes. None, reasonable default.
pub const CHECK_INTERVAL: u64 = 256 << 10;
/// Output below which a ratio says nothing, in bytes; see [`Limits::max_ratio`].
const RATIO_FROM: u64 = 1 << 20;

/// Counts output against the limits.
#[derive(Debug)]
pub(in crate::stage) struct Meter {
    max_output: u64,
    max_ratio: u64,
    made: u64,
}

impl Meter {
    pub(in crate::stage) fn new(limits: &Limits) -> Self {
        Self { max_output: limits.max_output_bytes.0, max_ratio: limits.max_ratio.into(), made: 0 }
    }

    /// Output so far, in bytes.
    pub(in crate::stage) fn made(&self) -> u64 {
        self.made
    }

    /// Go on after `made` bytes of output.
    pub(in crate::stage) fn resume(&mut self, made: u64) {
        self.made = made;
    }

    /// Most bytes to make before [`Meter::add`]: to the next look at the ratio, or one over the output limit.
    /// Never 0.
    pub(in crate::stage) fn allowance(&self) -> usize {
        let to_check = CHECK_INTERVAL - self.made % CHECK_INTERVAL;
        let to_limit = self.max_output.saturating_sub(self.made).saturating_add(1);
        usize::try_from(to_check.min(to_limit)).unwrap_or(usize::MAX)
    }

    /// Count `bytes` of output, made of the first `read` bytes of input.
    pub(in crate::stage) fn add(&mut self, bytes: usize, read: u64) -> Result<(), Failure> {
        let made = self.made + bytes as u64;
        if made > self.max_output {
            let observed = format!("at least {made} bytes");
            return Err(Failure::limit(Code::LimitOutputBytes, observed, self.max_output));
        }
        self.made = made;
        if bytes > 0 && made.is_multiple_of(CHECK_INTERVAL) { self.ratio(read) } else { Ok(()) }
    }

    /// Look at the ratio of the whole stream.
    pub(in crate::stage) fn finish(&self, read: u64) -> Result<(), Failure> {
        self.ratio(read)
    }

    fn ratio(&self, read: u64) -> Result<(), Failure> {
        if self.made < RATIO_FROM || self.made <= self.max_ratio.saturating_mul(read) {
            return Ok(());
        }
        let observed = format!("{} ({} bytes from {read})", self.made / read.max(1), self.made);
        Err(Failure::limit(Code::LimitRatio, observed, self.max_ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eft_domain::ByteSize;

    fn meter(max_output: u64, max_ratio: u32) -> Meter {
        Meter::new(&Limits { max_output_bytes: ByteSize(max_output), max_ratio, ..Limits::default() })
    }

    fn code(result: Result<(), Failure>) -> Option<Code> {
        result.err().map(|failure| failure.code)
    }

    #[test]
    fn the_output_limit_is_exact() {
        let mut meter = meter(10, 1);
        assert_eq!(meter.allowance(), 11);
        assert_eq!(code(meter.add(10, 1)), None);
        assert_eq!(meter.allowance(), 1);
        assert_eq!(code(meter.add(1, 1)), Some(Code::LimitOutputBytes));
    }

    #[test]
    fn the_ratio_counts_from_one_mebibyte() {
        let mut meter = meter(u64::MAX, 16);
        for _ in 0..3 {
            assert_eq!(meter.allowance() as u64, CHECK_INTERVAL);
            assert_eq!(code(meter.add(256 << 10, 1)), None);
        }
        assert_eq!(code(meter.add((256 << 10) - 1, 1)), None);
        assert_eq!(meter.allowance(), 1);
        assert_eq!(code(meter.add(1, (1 << 16) - 1)), Some(Code::LimitRatio));
        assert_eq!(code(meter.finish(1 << 16)), None);
        assert_eq!(code(meter.finish((1 << 16) - 1)), Some(Code::LimitRatio));
    }
}
