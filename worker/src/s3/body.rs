//! A part as a request body: its segments as they are, sent again from the start when a request is retried.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

struct Segments {
    segments: Arc<[Bytes]>,
    next: usize,
    left: u64,
}

impl Body for Segments {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let segment = self.segments.get(self.next).cloned();
        self.next += 1;
        self.left -= segment.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Poll::Ready(segment.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body of these segments, without joining or copying them.
pub(super) fn of_segments(segments: &Arc<[Bytes]>, len: u64) -> ByteStream {
    let segments = Arc::clone(segments);
    ByteStream::new(SdkBody::retryable(move || {
        SdkBody::from_body_1_x(Segments { segments: Arc::clone(&segments), next: 0, left: len })
    }))
}
