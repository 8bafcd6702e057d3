//! Spans: what took how long, as a part of what.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use tokio::sync::mpsc::{self, error::TrySendError};

use crate::trace::Context;

/// What a span is to others (OTLP's `SpanKind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work inside the process.
    Internal = 1,
    /// Work on a message of a queue.
    Consumer = 5,
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// What one's parent says is followed.
    pub by_parent: bool,
    /// The share that is recorded of those that begin here, from 0 to 1.
    pub ratio: f64,
}

impl Default for Sampler {
    /// `parentbased_always_on`, the default of OpenTelemetry.
    fn default() -> Self {
        Self { by_parent: true, ratio: 1.0 }
    }
}

impl Sampler {
    fn samples(self, context: Context, parent: Option<Context>) -> bool {
        match parent {
            Some(parent) if self.by_parent => parent.is_sampled(),
            // As OpenTelemetry's TraceIdRatioBased: the same trace is recorded everywhere or nowhere.
            _ => ((context.draw() >> 1) as f64) < self.ratio * (1_u64 << 63) as f64,
        }
    }
}

/// Spans that have ended, on their way to the collector.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) queue: mpsc::Sender<Ended>,
    pub(crate) dropped: Arc<AtomicU64>,
}

/// Makes spans. Without a collector it makes them all the same, because logs name them.
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    pub(crate) sampler: Sampler,
    pub(crate) outlet: Option<Arc<Outlet>>,
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub context: Context,
    /// What it is a part of.
    pub parent: Option<Context>,
    /// What was done.
    pub name: &'static str,
    /// What it is to others.
    pub kind: Kind,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What else is known.
    pub attributes: Vec<(&'static str, String)>,
    /// What went wrong.
    pub error: Option<Cow<'static, str>>,
}

/// A span that goes on until this is dropped.
#[derive(Debug)]
pub struct Span {
    tracer: Tracer,
    /// None once it was handed on.
    open: Mutex<Option<Ended>>,
    context: Context,
}

impl Tracer {
    /// A span of this name, a part of `parent`, or the first of a trace.
    pub fn span(&self, name: &'static str, kind: Kind, parent: Option<Context>, began: SystemTime) -> Span {
        let context = parent.map_or_else(|| Context::begin(true), Context::child);
        let context = context.sampled(self.sampler.samples(context, parent));
        let open =
            Ended { context, parent, name, kind, began, ended: began, attributes: Vec::new(), error: None };
        Span { tracer: self.clone(), open: Mutex::new(Some(open)), context }
    }

    /// Spans that were not exported.
    pub fn dropped(&self) -> u64 {
        self.outlet.as_ref().map_or(0, |outlet| outlet.dropped.load(Relaxed))
    }
}

impl Span {
    /// Which it is.
    pub fn context(&self) -> Context {
        self.context
    }

    /// A part of it that begins now.
    pub fn child(&self, name: &'static str) -> Span {
        self.child_since(name, SystemTime::now())
    }

    /// A part of it that began then.
    pub fn child_since(&self, name: &'static str, began: SystemTime) -> Span {
        self.tracer.span(name, Kind::Internal, Some(self.context), began)
    }

    /// Something that is known of it.
    pub fn set(&self, name: &'static str, value: impl ToString) {
        if let Some(open) = &mut *self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            open.attributes.push((name, value.to_string()));
        }
    }

    /// It has failed.
    pub fn fail(&self, error: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut *self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            open.error = Some(error.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(outlet) = self.tracer.outlet.as_ref().filter(|_| self.context.is_sampled()) else { return };
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut span) = open else { return };
        span.ended = SystemTime::now();
        // A collector that is slow or gone must not hold up anything.
        if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = outlet.queue.try_send(span) {
            outlet.dropped.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_recorded_as_its_parent_says_or_by_its_share() {
        let sampler = |by_parent, ratio| Tracer { sampler: Sampler { by_parent, ratio }, outlet: None };
        let sampled = |tracer: &Tracer, parent| {
            tracer.span("x", Kind::Internal, parent, SystemTime::now()).context().is_sampled()
        };
        let (yes, no) = (Some(Context::begin(true)), Some(Context::begin(false)));
        assert!(sampled(&sampler(true, 0.0), yes) && !sampled(&sampler(true, 1.0), no));
        assert!(!sampled(&sampler(true, 0.0), None) && sampled(&sampler(true, 1.0), None));
        assert!(!sampled(&sampler(false, 0.0), yes) && sampled(&sampler(false, 1.0), no));
        let half = (0..2_000).filter(|_| sampled(&sampler(true, 0.5), None)).count();
        assert!((850..1_150).contains(&half), "{half} of 2,000");
        let few = (0..2_000).filter(|_| sampled(&sampler(true, 0.1), None)).count();
        assert!((100..320).contains(&few), "{few} of 2,000");
    }

    #[test]
    fn what_the_queue_does_not_hold_is_dropped_and_counted() {
        let (queue, mut taken) = mpsc::channel(1);
        let outlet = Arc::new(Outlet { queue, dropped: Arc::default() });
        let tracer = Tracer { sampler: Sampler::default(), outlet: Some(outlet) };
        let job = tracer.span("job", Kind::Consumer, None, SystemTime::now());
        let part = job.child("part");
        part.set("n", 3);
        part.fail("broke");
        let (job_context, part_context) = (job.context(), part.context());
        drop(part);
        drop(job);
        assert_eq!(tracer.dropped(), 1);
        let part = taken.try_recv().unwrap();
        assert_eq!((part.context, part.parent, part.name), (part_context, Some(job_context), "part"));
        assert_eq!((part.attributes, part.error.as_deref()), (vec![("n", "3".to_owned())], Some("broke")));
    }
}
