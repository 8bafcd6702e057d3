//! From what a port reports to why a run fails.

use eft_domain::{Code, Failure};

use crate::port::{ErrorKind, PortError};

/// A source's error as a failure of the run.
pub fn of_source(error: &PortError) -> Failure {
    let code = match error.kind {
        ErrorKind::NotFound => Code::SourceGone,
        ErrorKind::Denied => Code::SourceAccess,
        ErrorKind::Changed => Code::SourceChanged,
        ErrorKind::Checksum => Code::IntegritySource,
        _ => Code::SourceUnavailable,
    };
    Failure::new(code, error.message.clone())
}

/// A sink's error as a failure of the run.
pub fn of_sink(error: &PortError) -> Failure {
    let code = match error.kind {
        ErrorKind::NotFound => Code::DestinationMissing,
        ErrorKind::Denied => Code::DestinationAccess,
        ErrorKind::Exists | ErrorKind::Changed => Code::DestinationExists,
        ErrorKind::Full => Code::DestinationFull,
        ErrorKind::Checksum | ErrorKind::Damaged => Code::IntegrityDestination,
        ErrorKind::Unproven | ErrorKind::Indeterminate => Code::DestinationIndeterminate,
        // A spent upload too: a later run begins another.
        _ => Code::DestinationUnavailable,
    };
    Failure::new(code, error.message.clone())
}

/// A scanner's error as a failure of the run, after it was shown so many bytes. The scan cannot be gone on with.
pub(crate) fn of_scanner(error: &PortError, shown: u64) -> Failure {
    let when = if shown == 0 { String::new() } else { format!(", after {shown} bytes") };
    Failure::new(Code::ScanUnavailable, format!("{}{when}", error.message))
}

/// The error of a checkpoint store as a failure of the run.
pub fn of_checkpoint(error: &PortError) -> Failure {
    Failure::new(Code::CheckpointUnavailable, error.message.clone())
}

/// The failure of a run that its user stopped.
pub fn interrupted() -> Failure {
    Failure::new(Code::Interrupted, "stopped on request")
}
