//! A part that is sent while it is read: `aws-chunked`, in one chunk, with its checksum behind it.
//!
//! The form is S3's own for bodies whose checksum is not known before they are sent ("Signature calculations for the
//! Authorization header: transferring a payload in multiple chunks", with `STREAMING-UNSIGNED-PAYLOAD-TRAILER`): S3 compares the
//! checksum in the trailer with what it received, and refuses the part otherwise.
//!
//! Endpoints that take the encoding for the bytes are known, and others that refuse it: proxies that cannot check its
//! signature, buckets with Object Lock, which want the checksum before the bytes. So parts are sent so only where the
//! endpoint has said that the upload has CRC-64/NVME checksums, and only as long as it answers each part with the checksum
//! of the bytes alone.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll, ready},
};

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut,
        retry::RetryConfig,
    },
    primitives::{ByteStream, SdkBody},
};
use aws_smithy_runtime_api::box_error::BoxError;
use bytes::Bytes;
use eft_pipeline::{
    checksum::Crc64,
    port::{ErrorKind, Frames, PartAck, PassingPart, PortError, PortResult},
};
use futures::StreamExt;
use http_body::{Body, Frame, SizeHint};

use super::{crc_from_text, crc_to_text, error::part_error, sink::S3Upload, timeouts::within};

/// The trailer's name.
const CRC64: &str = "x-amz-checksum-crc64nvme";

/// What stands before the bytes: their length.
fn head(len: u64) -> Bytes {
    format!("{len:x}\r\n").into()
}

/// What stands behind them: the end of the chunk, the last chunk, and the trailer.
fn tail(crc: Crc64) -> Bytes {
    format!("\r\n0\r\n{CRC64}:{}\r\n\r\n", crc_to_text(crc.value())).into()
}

/// The part as it is sent.
struct Encoded {
    state: State,
    /// Nobody else polls: the lock makes it shareable, as the SDK has it, and is never waited for.
    frames: Mutex<Frames>,
    crc: Arc<OnceLock<Crc64>>,
    /// Bytes to come, encoding and all.
    left: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Head(u64),
    Bytes,
    Done,
}

impl Encoded {
    fn new(part: PassingPart) -> Self {
        let left = head(part.len).len() as u64 + part.len + tail(Crc64::default()).len() as u64;
        Self { state: State::Head(part.len), frames: Mutex::new(part.frames), crc: part.crc, left }
    }
}

impl Body for Encoded {
    type Data = Bytes;
    type Error = PortError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PortError>>> {
        let bytes = match self.state {
            State::Head(len) => {
                self.state = State::Bytes;
                head(len)
            }
            State::Bytes => {
                let frames = self.frames.get_mut().unwrap_or_else(PoisonError::into_inner);
                match ready!(frames.poll_next_unpin(cx)) {
                    Some(Ok(frame)) => frame,
                    Some(Err(error)) => {
                        self.state = State::Done;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => {
                        self.state = State::Done;
                        let Some(crc) = self.crc.get() else {
                            let message = "the part has ended, and its checksum is not known";
                            let error = PortError::new(ErrorKind::Transient, message);
                            return Poll::Ready(Some(Err(error)));
                        };
                        tail(*crc)
                    }
                }
            }
            State::Done => return Poll::Ready(None),
        };
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Done
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Says in the headers how the body is encoded, before they are signed.
#[derive(Debug)]
struct Announce {
    len: u64,
}

impl Intercept for Announce {
    fn name(&self) -> &'static str {
        "Announce"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        headers.insert("content-encoding", "aws-chunked");
        headers.insert("x-amz-decoded-content-length", self.len.to_string());
        headers.insert("x-amz-trailer", CRC64);
        config.interceptor_state().store_put(PayloadSigningOverride::StreamingUnsignedPayloadTrailer);
        Ok(())
    }
}

impl S3Upload {
    /// Send a part while it is read.
    ///
    /// # Errors
    /// As the endpoint answers. `Unsupported` when it does not say that it has the right bytes: no other part is sent so.
    pub(super) async fn pass_part(&self, part: PassingPart) -> PortResult<PartAck> {
        let sink = &self.sink;
        let what = format!("UploadPart {} of {}", part.number, sink.target.uri);
        let (number, len, crc) = (part.number, part.len, Arc::clone(&part.crc));
        let body = Encoded::new(part);
        let request = sink
            .client
            .sdk
            .upload_part()
            .bucket(&sink.bucket)
            .key(&sink.key)
            .upload_id(&self.id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .content_length(i64::try_from(body.left).unwrap_or(i64::MAX))
            .body(ByteStream::new(SdkBody::from_body_1_x(body)))
            .customize()
            .interceptor(Announce { len })
            // The body comes once: what the SDK cannot send again it would only count.
            .config_override(aws_sdk_s3::config::Config::builder().retry_config(RetryConfig::disabled()));
        let answer = within(sink.client.timeouts.part(len), &what, request.send()).await?;
        let done = answer.map_err(|error| part_error(&what, &error)).inspect_err(|error| {
            if matches!(error.kind, ErrorKind::Unsupported | ErrorKind::Permanent | ErrorKind::Denied) {
                sink.passes_no_more();
            }
        })?;
        let known = done.checksum_crc64_nvme().and_then(crc_from_text);
        match (done.e_tag(), crc.get()) {
            (Some(tag), Some(crc)) if known == Some(crc.value()) => {
                Ok(PartAck { number, tag: tag.to_owned(), crc: *crc })
            }
            _ => {
                sink.passes_no_more();
                let message = format!("{what}: the answer has not the checksum of what was sent");
                Err(PortError::new(ErrorKind::Unsupported, message))
            }
        }
    }
}
