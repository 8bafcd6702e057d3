//! Faults on demand: which requests they hit ([`Fault`]), what they do ([`Action`]), and the plan they make for
//! one request ([`Plan`]).
//!
//! A fault sees the requests its filters match, in order of arrival. It skips the first `skip`, then fires on every
//! `every`-th, or with `probability`, until it fired `times` times. All faults that fire on a request apply; of those
//! that decide the answer, the first in the list wins. Draws come from a seed, so a run with one client repeats.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    error::{Code, S3Error},
    log::Gauge,
    router::{Op, Target},
    synthetic::mix,
};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Wait before the request is handled (before its body is read, so before the first byte out).
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// Wait, as with a latency, until somebody releases what is held ([`Server::release`](crate::Server::release),
    /// `POST /_release`), or the faults are replaced.
    Hold,
    /// Limit the rate of the request's body and of the response's, each.
    Bandwidth {
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// Answer this error without doing the work. `SlowDown` is 503, `InternalError` 500,
    /// `ConditionalRequestConflict` 409, `PreconditionFailed` 412.
    Error {
        /// S3 error code.
        code: Code,
    },
    /// Do the work, then answer this error.
    DoneThenError {
        /// S3 error code.
        code: Code,
    },
    /// Do the work, then close the connection without an answer.
    DoneThenClose,
    /// Close the connection without doing the work.
    Close,
    /// Do the work, then never answer.
    DoneThenHang,
    /// Close the connection after this many bytes of the response body.
    CutBody {
        /// Bytes sent before.
        after: u64,
    },
    /// Stop sending after this many bytes of the response body.
    StallBody {
        /// Bytes sent before.
        after: u64,
        /// How long; for ever when absent.
        ms: Option<u64>,
    },
    /// Flip the lowest bit of one byte of the response body (of the last byte when the body is shorter).
    FlipBit {
        /// Which byte of the body.
        at: u64,
    },
    /// Flip a bit of the first byte of the request body before it is hashed and stored: a checksum sent with it no
    /// longer matches (`BadDigest`); without one, the damage is stored.
    CorruptUpload,
    /// `CompleteMultipartUpload` and `CopyObject`: status 200 with an error document inside.
    #[serde(rename = "error_in_200")]
    ErrorIn200 {
        /// S3 error code.
        code: Code,
        /// Whether the work is done.
        done: bool,
    },
    /// After this request, a version with other bytes of the same size is current.
    ReplaceObject,
}

impl Action {
    /// The name in JSON and in the log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Hold => "hold",
            Self::Bandwidth { .. } => "bandwidth",
            Self::Error { .. } => "error",
            Self::DoneThenError { .. } => "done_then_error",
            Self::DoneThenClose => "done_then_close",
            Self::Close => "close",
            Self::DoneThenHang => "done_then_hang",
            Self::CutBody { .. } => "cut_body",
            Self::StallBody { .. } => "stall_body",
            Self::FlipBit { .. } => "flip_bit",
            Self::CorruptUpload => "corrupt_upload",
            Self::ErrorIn200 { .. } => "error_in_200",
            Self::ReplaceObject => "replace_object",
        }
    }
}

/// A fault: filters, timing and action. Every filter left out matches everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Only this operation.
    #[serde(default)]
    pub op: Option<Op>,
    /// Only this bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Only keys that start so.
    #[serde(default)]
    pub key_prefix: Option<String>,
    /// Only this part.
    #[serde(default)]
    pub part_number: Option<u32>,
    /// Let this many matching requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// Then fire on every n-th only.
    #[serde(default)]
    pub every: Option<u64>,
    /// Fire with this probability only.
    #[serde(default)]
    pub probability: Option<f64>,
    /// Stop after firing so often.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
}

impl Fault {
    /// On every request.
    pub fn new(action: Action) -> Self {
        Self {
            op: None,
            bucket: None,
            key_prefix: None,
            part_number: None,
            skip: 0,
            every: None,
            probability: None,
            times: None,
            action,
        }
    }

    /// On every request of one operation.
    pub fn on(op: Op, action: Action) -> Self {
        Self { op: Some(op), ..Self::new(action) }
    }

    /// Only the first `times` requests that match.
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Not the first `skip` requests that match.
    pub fn skip(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// Every n-th request that matches.
    pub fn every(self, every: u64) -> Self {
        Self { every: Some(every), ..self }
    }

    /// A share of the requests that match.
    pub fn probability(self, probability: f64) -> Self {
        Self { probability: Some(probability), ..self }
    }

    /// Only in this bucket.
    pub fn bucket(self, bucket: impl Into<String>) -> Self {
        Self { bucket: Some(bucket.into()), ..self }
    }

    /// Only keys that start so.
    pub fn key_prefix(self, prefix: impl Into<String>) -> Self {
        Self { key_prefix: Some(prefix.into()), ..self }
    }

    /// Only this part.
    pub fn part(self, number: u32) -> Self {
        Self { part_number: Some(number), ..self }
    }

    /// Parses one fault, refusing fields that do not exist (a misspelt filter would match everything).
    pub fn from_json(value: serde_json::Value) -> Result<Self, String> {
        let fault: Self = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        let known = serde_json::to_value(&fault).map_err(|error| error.to_string())?;
        let unknown = value.as_object().and_then(|map| map.keys().find(|name| known.get(name).is_none()));
        unknown.map_or(Ok(fault), |name| Err(format!("unknown field `{name}`")))
    }

    /// Parses one fault or a list of them.
    pub fn list_from_json(text: &[u8]) -> Result<Vec<Self>, String> {
        match serde_json::from_slice(text).map_err(|error| error.to_string())? {
            serde_json::Value::Array(list) => list.into_iter().map(Self::from_json).collect(),
            one => Self::from_json(one).map(|fault| vec![fault]),
        }
    }

    fn matches(&self, target: &Target) -> bool {
        self.op.is_none_or(|op| op == target.op)
            && self.bucket.as_ref().is_none_or(|bucket| *bucket == target.bucket)
            && self.key_prefix.as_ref().is_none_or(|prefix| target.key.starts_with(prefix))
            && self.part_number.is_none_or(|part| Some(part) == target.part_number())
    }
}

/// How the answer is decided when a fault decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Error(Code),
    Close,
    DoneThenError(Code),
    DoneThenClose,
    DoneThenHang,
    ErrorIn200 { code: Code, done: bool },
}

/// What the faults do to one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) latency: Duration,
    /// Held until this many releases were asked for.
    pub(crate) held_until: u64,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) corrupt_upload: bool,
    pub(crate) replace: bool,
    pub(crate) cut_after: Option<u64>,
    pub(crate) stall: Option<(u64, Option<Duration>)>,
    pub(crate) flip_at: Option<u64>,
    /// Kinds that fired.
    pub(crate) fired: Vec<String>,
}

impl Plan {
    fn add(&mut self, action: &Action, releases: u64) {
        self.fired.push(action.kind().to_owned());
        let outcome = match *action {
            Action::Latency { ms } => return self.latency += Duration::from_millis(ms),
            Action::Hold => return self.held_until = releases + 1,
            Action::Bandwidth { bytes_per_second } => {
                return self.bytes_per_second = Some(bytes_per_second.max(1));
            }
            Action::CutBody { after } => return self.cut_after = Some(after),
            Action::StallBody { after, ms } => {
                return self.stall = Some((after, ms.map(Duration::from_millis)));
            }
            Action::FlipBit { at } => return self.flip_at = Some(at),
            Action::CorruptUpload => return self.corrupt_upload = true,
            Action::ReplaceObject => return self.replace = true,
            Action::Error { code } => Outcome::Error(code),
            Action::Close => Outcome::Close,
            Action::DoneThenError { code } => Outcome::DoneThenError(code),
            Action::DoneThenClose => Outcome::DoneThenClose,
            Action::DoneThenHang => Outcome::DoneThenHang,
            Action::ErrorIn200 { code, done } => Outcome::ErrorIn200 { code, done },
        };
        self.outcome.get_or_insert(outcome);
    }

    /// The error to answer instead of doing the work.
    pub(crate) fn refusal(&self) -> Option<S3Error> {
        match self.outcome {
            Some(Outcome::Error(code)) => Some(code.into()),
            Some(Outcome::ErrorIn200 { code, done: false }) => Some(S3Error::from(code).with_status(200)),
            _ => None,
        }
    }

    /// The error to answer after the work was done.
    pub(crate) fn denial(&self) -> Option<S3Error> {
        match self.outcome {
            Some(Outcome::DoneThenError(code)) => Some(code.into()),
            Some(Outcome::ErrorIn200 { code, done: true }) => Some(S3Error::from(code).with_status(200)),
            _ => None,
        }
    }
}

/// The configured faults and how often each matched and fired.
#[derive(Debug)]
pub(crate) struct Faults {
    inner: Mutex<Inner>,
    /// How often what is held was released.
    releases: watch::Sender<u64>,
    /// Requests that wait for the next time.
    held: Gauge,
}

#[derive(Debug)]
struct Inner {
    faults: Vec<Armed>,
    random: u64,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u64,
    fired: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64, faults: Vec<Fault>) -> Self {
        let inner = Mutex::new(Inner { faults: Vec::new(), random: seed });
        let this = Self { inner, releases: watch::Sender::new(0), held: Gauge::default() };
        this.set(faults);
        this
    }

    /// Replaces all faults; their counters start anew, and nothing stays held by the old ones.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        let mut inner = self.lock();
        inner.faults = faults.into_iter().map(|fault| Armed { fault, seen: 0, fired: 0 }).collect();
        self.release();
    }

    /// Lets every request go that is held now.
    pub(crate) fn release(&self) {
        self.releases.send_modify(|releases| *releases += 1);
    }

    /// Requests that are held now.
    pub(crate) fn held(&self) -> u64 {
        self.held.now()
    }

    /// Waits while the plan has its request held.
    pub(crate) async fn hold(&self, plan: &Plan) {
        if plan.held_until > 0 {
            let _held = self.held.enter();
            // An error would be the sender gone, which lives as long as `self`.
            self.releases.subscribe().wait_for(|releases| *releases >= plan.held_until).await.ok();
        }
    }

    /// The plan for one request; counts it.
    pub(crate) fn plan(&self, target: &Target) -> Plan {
        let mut plan = Plan::default();
        let Inner { faults, random } = &mut *self.lock();
        let releases = *self.releases.borrow();
        for armed in faults.iter_mut().filter(|armed| armed.fault.matches(target)) {
            armed.seen += 1;
            let fault = &armed.fault;
            let due = armed.seen > fault.skip
                && fault.every.is_none_or(|every| (armed.seen - fault.skip).is_multiple_of(every.max(1)))
                && fault.times.is_none_or(|times| armed.fired < times);
            if due && fault.probability.is_none_or(|probability| draw(random) < probability) {
                armed.fired += 1;
                plan.add(&fault.action, releases);
            }
        }
        plan
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number in [0, 1) from the top 53 bits, the precision of an `f64`.
fn draw(state: &mut u64) -> f64 {
    *state = state.wrapping_add(1);
    (mix(*state) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn get(key: &str) -> Target {
        Target::parse(&Method::GET, &format!("/b/{key}").parse().unwrap(), &HeaderMap::new()).unwrap()
    }

    fn hits(fault: Fault, requests: u64) -> Vec<u64> {
        let faults = Faults::new(7, vec![fault]);
        (1..=requests).filter(|_| faults.plan(&get("k")).outcome.is_some()).collect()
    }

    #[test]
    fn timing_filters_compose() {
        let slow = Action::Error { code: Code::SlowDown };
        assert_eq!(hits(Fault::new(slow.clone()).times(2), 9), [1, 2]);
        assert_eq!(hits(Fault::new(slow.clone()).skip(2).every(3).times(2), 20), [5, 8]);
        assert_eq!(hits(Fault::on(Op::PutObject, slow.clone()), 5), [0; 0]);
        assert_eq!(hits(Fault::new(slow.clone()).key_prefix("x"), 5), [0; 0]);
        let half = hits(Fault::new(slow).probability(0.5), 1000).len();
        assert!((400..600).contains(&half), "{half}");
    }

    #[test]
    fn json_reads_and_refuses() {
        let text = br#"[{"op":"GetObject","kind":"cut_body","after":10,"times":1}]"#;
        let expected = Fault::on(Op::GetObject, Action::CutBody { after: 10 }).times(1);
        assert_eq!(Fault::list_from_json(text), Ok(vec![expected]));
        for bad in
            ["{}", r#"{"kind":"nope"}"#, r#"{"kind":"close","time":1}"#, r#"{"kind":"error","code":"Nope"}"#]
        {
            assert!(Fault::list_from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
