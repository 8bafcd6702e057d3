//! W3C trace context: where a message carries none, a trace begins here.

use uuid::Uuid;

/// Whether a text is a `traceparent` of version 00.
pub fn is_valid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    // Trace and span of zeros only are "not set" (W3C Trace Context, 3.2.2).
    let set = |part: &str| part.bytes().any(|b| b != b'0');
    matches!(parts.as_slice(), ["00", trace, span, flags]
        if hex(trace, 32) && set(trace) && hex(span, 16) && set(span) && hex(flags, 2))
}

/// The trace that a message belongs to; a new one if it carries none, or something else under that name.
pub fn of(carried: Option<&str>) -> String {
    carried.filter(|text| is_valid(text)).map_or_else(begin, ToOwned::to_owned)
}

fn begin() -> String {
    let span = Uuid::new_v4().simple().to_string();
    format!("00-{}-{}-01", Uuid::new_v4().simple(), &span[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_kept_or_begun() {
        let carried = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(of(Some(carried)), carried);
        for other in [None, Some(""), Some("x"), Some("00-4bf92f35-00f067aa0ba902b7-01"), Some("00-0-0-00")] {
            let begun = of(other);
            assert!(is_valid(&begun), "{begun}");
        }
        assert!(!is_valid("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
        assert_ne!(of(None), of(None));
    }
}
