//! From the SDK's errors to what a caller may do about them.

use std::fmt::Display;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
use eft_pipeline::port::{ErrorKind, PortError};

/// What went wrong with `what` (operation and object).
pub(super) fn port_error<E>(what: impl Display, error: &SdkError<E, HttpResponse>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code();
    let text = match (code, status) {
        (Some(code), _) => format!("{code}: {}", error.message().unwrap_or("no message")),
        (None, Some(status)) => format!("HTTP status {status}"),
        (None, None) => DisplayErrorContext(error).to_string(),
    };
    PortError::new(kind(error, code, status), format!("{what}: {text}"))
}

/// What went wrong with a part: an upload that is not there any more takes none.
pub(super) fn part_error<E>(what: impl Display, error: &SdkError<E, HttpResponse>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let kind = (error.code() == Some("NoSuchUpload")).then_some(ErrorKind::Spent);
    let error = port_error(what, error);
    PortError { kind: kind.unwrap_or(error.kind), ..error }
}

/// The endpoint refused a checksum it does not know. Any other refusal must not be taken for that: what is sent again
/// without a checksum is protected by nothing.
pub(super) fn speaks_of_checksum(error: &PortError) -> bool {
    matches!(error.kind, ErrorKind::Permanent | ErrorKind::Unsupported)
        && error.message.to_ascii_lowercase().contains("checksum")
}

fn kind<E>(error: &SdkError<E, HttpResponse>, code: Option<&str>, status: Option<u16>) -> ErrorKind {
    match code {
        Some("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded") => {
            return ErrorKind::Throttled;
        }
        Some("NoSuchKey" | "NoSuchBucket" | "NoSuchVersion" | "NoSuchUpload" | "NotFound") => {
            return ErrorKind::NotFound;
        }
        Some("AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "KMS.DisabledException") => {
            return ErrorKind::Denied;
        }
        Some("BadDigest" | "InvalidDigest") => return ErrorKind::Checksum,
        Some("NotImplemented") => return ErrorKind::Unsupported,
        Some("RequestTimeout" | "InternalError" | "ServiceUnavailable") => return ErrorKind::Transient,
        _ => {}
    }
    match status {
        Some(404 | 410) => ErrorKind::NotFound,
        Some(401 | 403) => ErrorKind::Denied,
        Some(412) => ErrorKind::Changed,
        Some(429 | 503) => ErrorKind::Throttled,
        Some(501) => ErrorKind::Unsupported,
        Some(408 | 409 | 500..=599) => ErrorKind::Transient,
        // A 200 that could not be read, or whose body was an error.
        Some(200..=299) => ErrorKind::Transient,
        Some(_) => ErrorKind::Permanent,
        None => match error {
            SdkError::ConstructionFailure(_) => ErrorKind::Permanent,
            _ => ErrorKind::Transient,
        },
    }
}
