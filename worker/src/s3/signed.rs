//! Ranged reads by a request that was signed for an earlier one.
//!
//! # Overview
//! A signature says who asks for which version of an object, and when; which bytes need not be in it (Signature Version 4
//! asks for `host` and `x-amz-*`). So `Range` is added behind the signature, and within [`FRESH`] other ranges are asked for by
//! the same signed request. To sign, and all that the SDK does around it, is then paid once and not for each part.
//!
//! # Failure handling
//! Only an answer with bytes is taken. After any other, or none, the request is forgotten, and the range asked for through the
//! SDK, which knows what to do about it: to use other credentials or another clock, to follow a redirect, or to give up; where
//! the endpoint was not well, after a pause. An endpoint that fails [`STRIKES`] of them in a row wants to be asked anew each time.
//!
//! # Cancellation
//! As of any GET: its connection is closed.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_sdk_s3::config::{
    ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use http::{Request, header::RANGE};
use tokio::time::Instant;

use super::download::Prepared;

/// S3 takes a signature for 15 minutes. Signing once a minute costs nothing, and keeps far from that, and from the end of
/// credentials that are renewed some minutes before.
const FRESH: Duration = Duration::from_secs(60);

/// Requests in a row that were signed before and were not answered with bytes.
const STRIKES: u32 = 3;

/// The bytes of a range as HTTP asks for them.
pub(super) fn bytes(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end - 1)
}

/// The GET of an object version that was signed last.
#[derive(Debug, Default)]
pub(super) struct Signed {
    last: Mutex<Option<(Instant, Arc<Prepared>)>>,
    strikes: AtomicU32,
}

impl Signed {
    /// One that can be used again.
    pub(super) fn fresh(&self) -> Option<Arc<Prepared>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, request)| Arc::clone(request))
    }

    /// It was answered with bytes.
    pub(super) fn served(&self) {
        self.strikes.store(0, Relaxed);
    }

    /// It was not.
    pub(super) fn failed(&self) {
        self.strikes.fetch_add(1, Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Keep what was signed and answered with the range it asked for.
    pub(super) fn keep(&self, asking: &Asking) {
        let signed = asking.signed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((at, request)) = signed
            && self.strikes.load(Relaxed) < STRIKES
        {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, Arc::new(request)));
        }
    }
}

/// Asks for a range behind the signature, and keeps what was signed.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    range: String,
    signed: Arc<Mutex<Option<(Instant, Prepared)>>>,
}

impl Asking {
    pub(super) fn new(range: &Range<u64>) -> Self {
        Self { range: bytes(range), signed: Arc::default() }
    }
}

impl Intercept for Asking {
    fn name(&self) -> &'static str {
        "Asking"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        // A GET has no body, so it can be copied.
        let signed = request.try_clone().map(TryInto::try_into).transpose()?;
        let signed = signed.and_then(|signed: Request<SdkBody>| Prepared::new(&signed));
        *self.signed.lock().unwrap_or_else(PoisonError::into_inner) =
            signed.map(|signed| (Instant::now(), signed));
        request.headers_mut().insert(RANGE.as_str(), self.range.clone());
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn signed() -> Asking {
        let request = Request::get("http://store.test/bucket/key").header("authorization", "secret");
        let prepared = Prepared::new(&request.body(SdkBody::empty()).unwrap());
        Asking {
            signed: Arc::new(Mutex::new(prepared.map(|prepared| (Instant::now(), prepared)))),
            ..Asking::new(&(0..1))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_signature_is_used_for_a_minute() {
        let last = Signed::default();
        assert!(last.fresh().is_none());
        last.keep(&signed());
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        assert!(last.fresh().is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(last.fresh().is_none());
    }

    #[test]
    fn nothing_that_is_secret_is_shown() {
        let last = Signed::default();
        last.keep(&signed());
        let shown = format!("{last:?}");
        assert!(shown.contains("GET /bucket/key") && !shown.contains("secret"), "{shown}");
    }
}
