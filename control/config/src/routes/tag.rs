//! ETags of routes.

use eft_api::{Code, Problem, precondition::Tags};
use eft_store::RouteChange;
use http::header;

/// The strong ETag of a route as it stands: which text, and which change brought it there. The same text paused and active
/// has two.
pub(super) fn etag(head: &RouteChange) -> String {
    format!("\"{}-{}\"", head.revision, head.number)
}

/// # Errors
/// It is not as it was read.
pub(super) fn check(tags: &Tags, head: &RouteChange) -> Result<(), Problem> {
    if tags.has(&etag(head)) { Ok(()) } else { Err(stale(head)) }
}

/// It is not as it was read: this is what it is now.
pub(super) fn stale(head: &RouteChange) -> Problem {
    let detail = format!("it was changed since, the last time by {}; its ETag is {}", head.by, etag(head));
    Problem::new(Code::PreconditionFailed, detail).with_header(header::ETAG, etag(head))
}
