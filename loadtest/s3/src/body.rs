//! Response bodies: frames by reference, shaped by faults (pace, stall, cut, flipped bit).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{faults::Plan, rope::Rope};

/// How long sent bytes get to leave before a cut closes the connection: hyper drops what is still buffered.
const FLUSH: Duration = Duration::from_millis(5);

/// Frames of a paced body, so that a limit is a stream and not a burst a second.
const PACED_FRAME: usize = 16 << 10;

/// A response body.
pub(crate) struct ResponseBody {
    frames: Box<dyn Iterator<Item = Bytes> + Send>,
    /// Bytes not yet sent.
    left: u64,
    shape: Option<Box<Shape>>,
}

/// What faults do to a body, and where it stands.
struct Shape {
    sent: u64,
    pending: Bytes,
    cut_after: Option<u64>,
    stall: Option<(u64, Option<Duration>)>,
    flip_at: Option<u64>,
    /// Bytes a second, and since when.
    pace: Option<(u64, Instant)>,
    /// The next frame has waited for its turn.
    due: bool,
    sleep: Option<Pin<Box<Sleep>>>,
    cutting: bool,
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self { frames: Box::new(std::iter::empty()), left: 0, shape: None }
    }

    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self { left: text.len() as u64, frames: Box::new(std::iter::once(text)), shape: None }
    }

    pub(crate) fn rope(rope: Rope) -> Self {
        Self { left: rope.len(), frames: Box::new(rope.frames()), shape: None }
    }

    pub(crate) fn len(&self) -> u64 {
        self.left
    }

    /// Applies the plan's body faults.
    pub(crate) fn shaped(mut self, plan: &Plan) -> Self {
        let shaped = plan.cut_after.is_some()
            || plan.stall.is_some()
            || plan.flip_at.is_some()
            || plan.bytes_per_second.is_some();
        if shaped {
            self.shape = Some(Box::new(Shape {
                sent: 0,
                pending: Bytes::new(),
                cut_after: plan.cut_after,
                stall: plan.stall,
                flip_at: plan.flip_at.map(|at| at.min(self.left.saturating_sub(1))),
                pace: plan.bytes_per_second.map(|rate| (rate, Instant::now())),
                due: false,
                sleep: None,
                cutting: false,
            }));
        }
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let frame = match &mut this.shape {
            None => this.frames.next().map(Ok),
            Some(shape) => ready!(shape.poll(cx, &mut this.frames)),
        };
        if let Some(Ok(frame)) = &frame {
            this.left -= frame.len() as u64;
        }
        Poll::Ready(frame.map(|frame| frame.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Shape {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut dyn Iterator<Item = Bytes>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        if self.cutting {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        if let Some((_, lasting)) = self.stall.take_if(|(after, _)| self.sent >= *after) {
            let Some(lasting) = lasting else {
                // No waker: the body ends when the client or the server closes the connection.
                self.stall = Some((0, None));
                return Poll::Pending;
            };
            self.sleep = Some(Box::pin(sleep(lasting)));
            return self.poll(cx, frames);
        }
        if self.cut_after.is_some_and(|after| self.sent >= after) {
            self.cutting = true;
            self.sleep = Some(Box::pin(sleep(FLUSH)));
            return self.poll(cx, frames);
        }
        if self.pending.is_empty() {
            let Some(next) = frames.next() else { return Poll::Ready(None) };
            self.pending = next;
        }
        let mut take = self.pending.len();
        for stop in [self.cut_after, self.stall.map(|(after, _)| after)].into_iter().flatten() {
            take = take.min(stop.saturating_sub(self.sent).try_into().unwrap_or(usize::MAX));
        }
        if let Some((rate, started)) = self.pace {
            take = take.min(PACED_FRAME);
            if !std::mem::replace(&mut self.due, true) {
                let at = Duration::from_secs_f64((self.sent + take as u64) as f64 / rate as f64);
                self.sleep = Some(Box::pin(sleep_until(started + at)));
                return self.poll(cx, frames);
            }
            self.due = false;
        }
        let mut frame = self.pending.split_to(take);
        if let Some(at) = self.flip_at.take_if(|at| (self.sent..self.sent + take as u64).contains(at)) {
            frame = flip(&frame, (at - self.sent) as usize);
        }
        self.sent += take as u64;
        Poll::Ready(Some(Ok(frame)))
    }
}

/// A copy with the lowest bit of one byte flipped.
pub(crate) fn flip(bytes: &Bytes, at: usize) -> Bytes {
    let mut copy = bytes.to_vec();
    if let Some(byte) = copy.get_mut(at) {
        *byte ^= 1;
    }
    copy.into()
}
