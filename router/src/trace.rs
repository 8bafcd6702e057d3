//! W3C trace context: where a message carries none, a trace begins here.

use std::time::SystemTime;

use eft_telemetry::{Context, Kind, Tracer};

/// The trace that a job belongs to: the one that was carried, or a new one if there is none, or something else under that
/// name.
pub fn of(carried: Option<&str>, tracer: &Tracer) -> String {
    let context = carried.and_then(Context::parse);
    let begin = || tracer.span("router.route", Kind::Internal, None, SystemTime::now()).context();
    context.unwrap_or_else(begin).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_kept_or_begun() {
        let tracer = Tracer::default();
        let carried = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(of(Some(carried), &tracer), carried);
        for other in [None, Some(""), Some("x"), Some("00-4bf92f35-00f067aa0ba902b7-01"), Some("00-0-0-00")] {
            let begun = of(other, &tracer);
            assert!(Context::parse(&begun).is_some(), "{begun}");
        }
        assert_ne!(of(None, &tracer), of(None, &tracer));
    }
}
