//! New bytes of a stage that wait until the output has room.
//!
//! A stage that rewrites small pieces fills a buffer that stays in the cache and hands it over. The limit on the output
//! is kept here: not a byte over it is handed over, whatever the room.

use eft_domain::{Code, Failure, route::Limits};

use super::Output;

/// Bytes waiting, and how many there were before them.
#[derive(Debug)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    made: u64,
    max: u64,
}

impl Pending {
    /// Nothing waits; there will be `room` bytes for what does.
    pub(super) fn new(room: usize, limits: &Limits) -> Self {
        Self { bytes: vec![0; room], from: 0, to: 0, made: 0, max: limits.max_output_bytes.0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Memory held, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes handed over since the start of the stream.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Go on after `made` bytes.
    pub(super) fn resume(&mut self, made: u64) {
        self.made = made;
    }

    /// Where the next bytes go; see [`Pending::fill`].
    pub(super) fn free(&mut self) -> &mut [u8] {
        &mut self.bytes[self.to..]
    }

    /// The first `n` bytes of [`Pending::free`] were written.
    pub(super) fn fill(&mut self, n: usize) {
        self.to += n;
        debug_assert!(self.to <= self.bytes.len());
    }

    /// Append bytes for which there is room.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.free()[..bytes.len()].copy_from_slice(bytes);
        self.fill(bytes.len());
    }

    /// Hand over what waits, as far as the output has room; returns whether nothing waits any more.
    ///
    /// # Errors
    /// `limit.max_output_bytes`, once exactly as many bytes as are allowed were handed over.
    pub(super) fn hand_over(&mut self, output: &mut Output) -> Result<bool, Failure> {
        let allowed = usize::try_from(self.max.saturating_sub(self.made)).unwrap_or(usize::MAX);
        let waiting = &self.bytes[self.from..self.to];
        let put = output.put(&waiting[..waiting.len().min(allowed)]);
        self.from += put;
        self.made += put as u64;
        if self.is_empty() {
            (self.from, self.to) = (0, 0);
            return Ok(true);
        }
        if self.made == self.max {
            let observed = format!("at least {} bytes", self.max.saturating_add(1));
            return Err(Failure::limit(Code::LimitOutputBytes, observed, self.max));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eft_domain::ByteSize;

    #[test]
    fn bytes_wait_for_room_and_not_one_is_over_the_limit() {
        let limits = Limits { max_output_bytes: ByteSize(5), ..Limits::default() };
        let mut pending = Pending::new(8, &limits);
        pending.put(b"abcdefg");
        let mut output = Output::with_room(3);
        assert_eq!(pending.hand_over(&mut output), Ok(false));
        assert_eq!(output.take().concat(), b"abc");
        let mut output = Output::with_room(100);
        let failure = pending.hand_over(&mut output).unwrap_err();
        assert_eq!(output.take().concat(), b"de");
        assert_eq!(
            failure.to_string(),
            "limit.max_output_bytes: observed at least 6 bytes, the route allows 5"
        );
    }

    #[test]
    fn exactly_the_limit_is_allowed() {
        let limits = Limits { max_output_bytes: ByteSize(3), ..Limits::default() };
        let mut pending = Pending::new(3, &limits);
        pending.put(b"abc");
        assert_eq!(pending.hand_over(&mut Output::with_room(3)), Ok(true));
        assert_eq!((pending.made(), pending.free().len()), (3, 3));
    }
}
