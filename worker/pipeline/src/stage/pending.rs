//! New bytes on their way to the output.
//!
//! Here the limit on the output is kept: not a byte over it is handed over, whatever the room.

use eft_domain::{Code, Failure, route::Limits};

use super::Output;

/// Counts new bytes against the limit on them.
#[derive(Debug)]
pub(super) struct Capped {
    made: u64,
    max: u64,
}

impl Capped {
    /// Nothing was made.
    pub(super) fn new(limits: &Limits) -> Self {
        Self { made: 0, max: limits.max_output_bytes.0 }
    }

    /// Bytes handed over since the start of the stream.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Go on after `made` bytes.
    pub(super) fn resume(&mut self, made: u64) {
        self.made = made;
    }

    /// Append as much of `bytes` as there is room for; returns how much that was.
    ///
    /// # Errors
    /// `limit.max_output_bytes`, once exactly as many bytes as are allowed were handed over.
    pub(super) fn put(&mut self, bytes: &[u8], output: &mut Output) -> Result<usize, Failure> {
        let allowed = usize::try_from(self.max.saturating_sub(self.made)).unwrap_or(usize::MAX);
        let put = output.put(&bytes[..bytes.len().min(allowed)]);
        self.made += put as u64;
        if put < bytes.len() && self.made >= self.max {
            let observed = format!("at least {} bytes", self.max.saturating_add(1));
            return Err(Failure::limit(Code::LimitOutputBytes, observed, self.max));
        }
        Ok(put)
    }
}

/// Bytes of a stage that makes them in small pieces: they wait in a buffer that stays in the cache.
#[derive(Debug)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    capped: Capped,
}

impl Pending {
    /// Nothing waits; there will be `room` bytes for what does.
    pub(super) fn new(room: usize, limits: &Limits) -> Self {
        Self { bytes: vec![0; room], from: 0, to: 0, capped: Capped::new(limits) }
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
        self.capped.made()
    }

    /// Go on after `made` bytes.
    pub(super) fn resume(&mut self, made: u64) {
        self.capped.resume(made);
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
    /// As [`Capped::put`].
    pub(super) fn hand_over(&mut self, output: &mut Output) -> Result<bool, Failure> {
        self.from += self.capped.put(&self.bytes[self.from..self.to], output)?;
        if self.is_empty() {
            (self.from, self.to) = (0, 0);
        }
        Ok(self.is_empty())
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
