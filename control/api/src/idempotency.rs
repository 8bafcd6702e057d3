//! Acts are done once: a request that is sent again under the same key gets the answer that the first one got.
//!
//! # Overview
//! A key is that of one tenant, caller, method and path, for a day. Whoever comes first keeps it as running, by a
//! conditional write, does what is asked, and keeps the answer. It stands in the table `keys`, which is strongly consistent
//! in both regions: the same request is not done in each of them.
//!
//! # Crash consistency
//! A key that runs is kept for [`RUNNING`] only, longer than a Lambda function of this API lives. Whoever dies meanwhile has
//! done it or not; the same request then does it again. Most acts then change nothing or are refused, as what they are about
//! has gone on. A replay does not: where the run that it began has ended meanwhile, another begins, unless `If-Match` says
//! which row it is for. What a fault of ours has kept from being done is not kept, so that it can be tried again. What was
//! done is answered so even where the answer cannot be kept: the same request is told for [`RUNNING`] that it is being done.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use eft_domain::Millis;
use eft_store::Keys;
use http::{HeaderName, StatusCode};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::{
    answer::{Answer, Content},
    call::Call,
    problem::{Code, Problem},
};

/// `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long an answer is kept: a day, as clients that retry are told.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a request may run. API Gateway gives one up after 30 s.
pub(crate) const RUNNING: Duration = Duration::from_secs(60);

/// The longest key. Reasonable default: a UUID has 36.
const MOST_CHARS: usize = 255;

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Of the request.
    fingerprint: String,
    /// None while it runs.
    #[serde(default)]
    answer: Option<KeptAnswer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    content: Content,
}

impl KeptAnswer {
    fn of(answer: &Answer) -> Self {
        let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.clone()));
        Self { status: answer.status.as_u16(), headers: headers.collect(), content: answer.content.clone() }
    }

    fn into_answer(self) -> Option<Answer> {
        let headers = self.headers.into_iter().map(|(name, value)| Some((name.parse().ok()?, value)));
        let headers = headers.collect::<Option<Vec<_>>>()?;
        let status = StatusCode::from_u16(self.status).ok()?;
        Some(Answer { status, headers, content: self.content, cause: None }.with_header(REPLAYED, "true"))
    }
}

/// The digest of texts, each with its length before it.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(context.finish())
}

/// The key that the client has chosen: a quoted text as the draft has it, or bare as everybody writes it.
fn key(call: &Call) -> Result<&str, Problem> {
    let wrong = || {
        let detail = format!("`Idempotency-Key` is 1 to {MOST_CHARS} visible characters, such as a UUID");
        Problem::new(Code::HeaderInvalid, detail)
    };
    let mut values = call.headers.get_all(&KEY).iter();
    let Some(value) = values.next() else {
        return Err(Problem::new(
            Code::IdempotencyMissing,
            "this acts, and the header `Idempotency-Key` is missing",
        ));
    };
    let text = value.to_str().map_err(|_| wrong())?.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_right =
        (1..=MOST_CHARS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
    if is_right && values.next().is_none() { Ok(text) } else { Err(wrong()) }
}

/// The place of a request's key, and the request's fingerprint.
fn place(call: &Call) -> Result<(String, String), Problem> {
    let principal = call.principal()?;
    let key = key(call)?;
    let place = digest(&[
        principal.subject.as_bytes(),
        call.method.as_str().as_bytes(),
        call.path.as_bytes(),
        key.as_bytes(),
    ]);
    let header = |name: &HeaderName| call.headers.get(name).map_or(&[][..], |value| value.as_bytes());
    let fingerprint = digest(&[
        call.query.as_bytes(),
        header(&http::header::CONTENT_TYPE),
        header(&http::header::IF_MATCH),
        &call.body,
    ]);
    Ok((format!("idempotency#{}#{place}", principal.tenant), fingerprint))
}

/// Do what a call asks for, unless it was done under this key.
///
/// # Errors
/// There is no key, it is another request's, or that is still being done; and as what is done.
pub(crate) async fn once(
    keys: &dyn Keys,
    call: &Call,
    done: impl Future<Output = Result<Answer, Problem>>,
) -> Result<Answer, Problem> {
    let (place, fingerprint) = place(call)?;
    let running = text(&Kept { fingerprint: fingerprint.clone(), answer: None })?;
    let found = keys.put_new(&place, &running, call.now.plus(RUNNING), call.now).await?;
    if let Some(found) = found {
        let kept: Kept = serde_json::from_str(&found)
            .map_err(|error| Problem::internal(format!("an idempotency key cannot be read: {error}")))?;
        if kept.fingerprint != fingerprint {
            return Err(Problem::new(
                Code::IdempotencyMismatch,
                "this `Idempotency-Key` was sent with another request to the same path",
            ));
        }
        let answer = kept.answer.ok_or_else(|| {
            Problem::new(Code::IdempotencyRunning, "the request with this `Idempotency-Key` is being done")
        })?;
        return answer.into_answer().ok_or_else(|| Problem::internal("a kept answer cannot be read"));
    }
    let answer = match done.await {
        Ok(answer) => answer,
        // Not done, or not known to be: the same request may try again at once.
        Err(problem) if problem.code.retryable() || problem.code == Code::Internal => {
            keys.put(&place, &running, call.now).await?;
            return Err(problem);
        }
        Err(problem) => problem.into_answer(&call.path, None),
    };
    let kept = Kept { fingerprint, answer: Some(KeptAnswer::of(&answer)) };
    // It is done: as a fault it would be asked for again, and done twice.
    let failed = keep(keys, &place, &kept, call.now.plus(KEPT)).await.err();
    Ok(Answer { cause: failed.and_then(|problem| problem.cause), ..answer })
}

/// Keep an answer; where that fails, try once more.
async fn keep(keys: &dyn Keys, place: &str, kept: &Kept, expires: Millis) -> Result<(), Problem> {
    let kept = text(kept)?;
    if keys.put(place, &kept, expires).await.is_err() {
        keys.put(place, &kept, expires).await?;
    }
    Ok(())
}

fn text(kept: &Kept) -> Result<String, Problem> {
    serde_json::to_string(kept)
        .map_err(|error| Problem::internal(format!("an answer cannot be kept: {error}")))
}
