//! W3C trace context (Recommendation of 2021, level 1).

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// Where in a trace one is: what `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// A number nobody else has. The hasher's keys are the operating system's random numbers, other ones for each hasher; a
/// UUID would do as well, but for its fixed bits, by which a sampler would choose all or none.
fn random() -> u64 {
    loop {
        let number = RandomState::new().hash_one(0_u8);
        // Zero is "not set" (3.2.2).
        if number != 0 {
            return number;
        }
    }
}

impl Context {
    /// A trace that begins here.
    pub fn begin(sampled: bool) -> Self {
        let trace = u128::from(random()) << 64 | u128::from(random());
        Self { trace, span: random(), sampled }
    }

    /// A part of what this one is.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span: random(), ..self }
    }

    /// Read a `traceparent`; none where it is no such text. Of a later version what this one knows is read (4.3).
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |part: &str, digits: usize| {
            let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            (part.len() == digits && part.bytes().all(is_hex)).then(|| u128::from_str_radix(part, 16).ok())?
        };
        let mut parts = text.splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let (trace, span) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?);
        let flags = hex(parts.next()?, 2)?;
        let is_known = version != 0xff && (version != 0 || parts.next().is_none());
        let is_set = trace != 0 && span != 0;
        let span = u64::try_from(span).ok()?;
        (is_known && is_set).then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// The trace, as 32 digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The span, as 16 digits.
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span)
    }

    /// Whether it is to be recorded.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }

    /// What a sampler draws by: the random half of the trace that the specification of OpenTelemetry takes.
    pub(crate) fn draw(self) -> u64 {
        self.trace as u64
    }

    pub(crate) fn sampled(self, sampled: bool) -> Self {
        Self { sampled, ..self }
    }
}

/// As a `traceparent`.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-0{}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_back() {
        let read = Context::parse(TRACE).unwrap();
        assert_eq!(read.to_string(), TRACE);
        let child = read.child();
        assert_eq!(child.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(child.span_id(), read.span_id());
        assert_eq!(Context::parse(&Context::begin(false).to_string()).map(Context::is_sampled), Some(false));
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-comes";
        assert_eq!(Context::parse(later).unwrap().to_string(), TRACE);
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        for text in [
            "",
            "x",
            "00",
            "00-0-0-00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::parse(text), None, "{text}");
        }
    }
}
