//! Why a transfer did not succeed: one closed list of codes, each with its owner.
//!
//! The code is a contract: it stands in receipts, events, exit codes and the APIs.

use std::fmt;

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The sender's fault: the file is not what was agreed.
    Rejected,
    /// Ours or the destination's: retries are spent, or retrying cannot help.
    Failed,
    /// Waits for somebody to restore access; resumes on request.
    Held,
    /// The request itself is wrong: route, flags or environment.
    Usage,
    /// Stopped by its user.
    Interrupted,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $class:ident;)*) => {
        /// A stable failure code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it is written in receipts and messages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// Who has to act.
            pub const fn class(self) -> Class {
                match self { $(Code::$name => Class::$class,)* }
            }
        }
    };
}

codes! {
    /// Records broke the rules of the route more often than it allows.
    Validation = "validation", Rejected;
    /// The bytes are not the format they should be.
    FormatCorrupt = "format.corrupt", Rejected;
    /// The file ends in the middle of its format.
    FormatTruncated = "format.truncated", Rejected;
    /// Bytes follow the end of the format.
    FormatTrailing = "format.trailing", Rejected;
    /// The object is empty and the route refuses empty objects.
    SourceEmpty = "source.empty", Rejected;
    /// Larger than `limits.max_input_bytes`.
    LimitInputBytes = "limit.max_input_bytes", Rejected;
    /// The output grew over `limits.max_output_bytes`.
    LimitOutputBytes = "limit.max_output_bytes", Rejected;
    /// Decompression grew the input by more than `limits.max_ratio`.
    LimitRatio = "limit.max_ratio", Rejected;
    /// A record is longer than `limits.max_record_bytes`.
    LimitRecordBytes = "limit.max_record_bytes", Rejected;
    /// A record has more fields than `limits.max_fields`.
    LimitFields = "limit.max_fields", Rejected;
    /// The format asks for more memory than a stage may use (a zstd window).
    LimitWindow = "limit.max_window", Rejected;
    /// The object, version or bucket is not there.
    SourceGone = "source.gone", Failed;
    /// The object was replaced while it was read and its version could not be pinned.
    SourceChanged = "source.changed", Failed;
    /// The source could not be read, retries spent.
    SourceUnavailable = "source.unavailable", Failed;
    /// The bytes read do not have the checksum the source promises.
    IntegritySource = "integrity.source", Failed;
    /// The bytes written do not have the checksum we sent.
    IntegrityDestination = "integrity.destination", Failed;
    /// Something else stands under the destination name.
    DestinationExists = "destination.exists", Failed;
    /// The destination bucket or folder is not there.
    DestinationMissing = "destination.missing", Failed;
    /// No room left at the destination.
    DestinationFull = "destination.full", Failed;
    /// The destination could not be written, retries spent.
    DestinationUnavailable = "destination.unavailable", Failed;
    /// A commit was sent, its answer lost, and what stands there could not be established.
    DestinationIndeterminate = "destination.indeterminate", Failed;
    /// The source may not be read with these credentials or keys.
    SourceAccess = "source.access", Held;
    /// The destination may not be written with these credentials or keys.
    DestinationAccess = "destination.access", Held;
    /// The route is not well formed.
    RouteInvalid = "route.invalid", Usage;
    /// The plan cannot work: refused before the first byte.
    PlanRefused = "plan.refused", Usage;
    /// A flag, file or environment value is wrong.
    Configuration = "configuration", Usage;
    /// Stopped by its user; nothing is left behind.
    Interrupted = "interrupted", Interrupted;
    /// A defect of EFT.
    Internal = "internal", Failed;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure: what happened, in a stable code and in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// What, where and what to do; lower case, no full stop.
    pub message: String,
}

impl Failure {
    /// A failure with a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A broken limit, with the observed value and the bound.
    pub fn limit(code: Code, observed: impl fmt::Display, bound: impl fmt::Display) -> Self {
        Self::new(code, format!("observed {observed}, the route allows {bound}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }
}
