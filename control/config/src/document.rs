//! What is kept by its name and saved as a whole: how a tenant, a user or a partner is read, saved and removed.
//!
//! Every write depends on what its client has read, and is one conditional write of the store. Where its answer is lost, what
//! stands there afterwards says whether it was done.

use eft_api::{
    Answer, Call, Code, Problem,
    idempotency::digest,
    precondition::{Tags, Write, is_known},
};
use eft_store::{Put, StoreErrorKind, StoreResult};
use http::{StatusCode, header};
use serde_json::{Value, json};

/// A kind of documents.
pub(crate) trait Document: PartialEq + Sized {
    /// All that it says, which its ETag is made of.
    fn text(&self) -> Value;

    /// Where it stands.
    fn path(&self) -> String;

    /// As it is shown, besides its ETag.
    fn shown(&self) -> Value;

    /// There is none of this name.
    fn missing(name: &str) -> Problem;
}

/// The strong ETag of a document.
pub(crate) fn etag(document: &impl Document) -> String {
    format!("\"{}\"", &digest(&[document.text().to_string().as_bytes()])[..22])
}

/// As it is shown.
pub(crate) fn shown(document: &impl Document) -> Value {
    let mut shown = document.shown();
    shown["etag"] = json!(etag(document));
    shown
}

fn stale(document: &impl Document) -> Problem {
    let tag = etag(document);
    let detail = format!("it was changed since; its ETag is {tag}");
    Problem::new(Code::PreconditionFailed, detail).with_header(header::ETAG, tag)
}

/// It stands so, as the client knows or not.
pub(crate) fn read(call: &Call, document: &impl Document) -> Result<Answer, Problem> {
    let tag = etag(document);
    let known = is_known(&call.headers, &tag)?;
    let answer = if known { Answer::not_modified() } else { Answer::ok(shown(document)) };
    Ok(answer.with_header(header::ETAG, tag).with_header(header::CACHE_CONTROL, "private, no-cache"))
}

/// What stands there, if the write may be made.
pub(crate) fn before<D: Document>(write: &Write, found: Option<D>, name: &str) -> Result<Option<D>, Problem> {
    match (write, found) {
        (Write::Create, None) => Ok(None),
        (Write::Create, Some(found)) => Err(stale(&found)),
        (Write::Change(tags), found) => as_read(tags, found, name).map(Some),
    }
}

/// What stands there, if it is as it was read.
pub(crate) fn as_read<D: Document>(tags: &Tags, found: Option<D>, name: &str) -> Result<D, Problem> {
    let found = found.ok_or_else(|| D::missing(name))?;
    if tags.has(&etag(&found)) { Ok(found) } else { Err(stale(&found)) }
}

/// What came of writing that this should stand there, or nothing. `now` looks at what does.
async fn settled<D: Document>(
    written: StoreResult<Put>,
    wanted: Option<&D>,
    name: &str,
    now: impl Future<Output = Result<Option<D>, Problem>>,
) -> Result<(), Problem> {
    let error = match written {
        Ok(Put::Done) => return Ok(()),
        // Somebody was quicker.
        Ok(Put::Stale) => return Err(now.await?.as_ref().map_or_else(|| D::missing(name), stale)),
        Err(error) => error,
    };
    if error.kind == StoreErrorKind::Indeterminate && now.await?.as_ref() == wanted {
        return Ok(());
    }
    Err(error.into())
}

/// The answer to saving a document.
pub(crate) async fn saved<D: Document>(
    document: &D,
    is_new: bool,
    written: StoreResult<Put>,
    name: &str,
    now: impl Future<Output = Result<Option<D>, Problem>>,
) -> Result<Answer, Problem> {
    settled(written, Some(document), name, now).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let answer = Answer::new(status, shown(document)).with_header(header::ETAG, etag(document));
    Ok(if is_new { answer.with_header(header::LOCATION, document.path()) } else { answer })
}

/// The answer to removing what was there.
pub(crate) async fn removed<D: Document>(
    written: StoreResult<Put>,
    name: &str,
    now: impl Future<Output = Result<Option<D>, Problem>>,
) -> Result<Answer, Problem> {
    settled(written, None, name, now).await?;
    Ok(Answer::no_content())
}
