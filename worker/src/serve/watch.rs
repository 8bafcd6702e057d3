//! A run as it is seen from outside: its lines of the log, its spans, its bytes.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use eft_domain::Job;
use eft_pipeline::progress::{Moved, Progress};
use eft_telemetry::{Context, Kind, Level, Span, log};
use tokio::time::Instant;

use super::health::Pulse;

/// When something began: by the wall's clock for spans, by the runtime's for durations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began(SystemTime, Instant);

impl Began {
    pub(super) fn now() -> Self {
        Self(SystemTime::now(), Instant::now())
    }

    /// By the runtime's clock.
    pub(super) fn at(self) -> Instant {
        self.1
    }
}

/// A run under way.
pub struct Watched {
    pulse: Arc<Pulse>,
    slot: usize,
    began: Began,
    span: Span,
    /// What every line says of it.
    about: Vec<(&'static str, String)>,
    meter: Arc<Meter>,
}

impl Watched {
    /// A run that a slot has claimed since `began`. Its span is a part of the trace that the row names, or the message.
    pub(super) fn new(
        pulse: &Arc<Pulse>,
        slot: usize,
        job: &Job,
        message: Option<&str>,
        began: Began,
    ) -> Self {
        let parent = [job.trace.as_deref(), message].into_iter().flatten().find_map(Context::parse);
        let span = pulse.tracer.span("worker.job", Kind::Consumer, parent, began.0);
        let context = span.context();
        let mut about = vec![
            ("job", job.id.to_string()),
            ("run", job.run().to_string()),
            ("fence", job.fence.to_string()),
            ("trace_id", context.trace_id()),
            ("span_id", context.span_id()),
        ];
        about.extend(job.tenant.as_ref().map(|tenant| ("tenant", tenant.to_string())));
        about.extend(job.route.as_ref().map(|route| ("route", route.id.to_string())));
        for (name, value) in about.iter().filter(|(name, _)| !name.ends_with("_id")) {
            span.set(name, value);
        }
        pulse.metrics.resumes.add(u64::from(job.checkpoint.is_some()));
        let meter = Arc::<Meter>::default();
        pulse.watch(slot, &meter);
        let watched = Self { pulse: Arc::clone(pulse), slot, began, span, about, meter };
        drop(watched.phase_since("claim", began));
        watched
    }

    /// One of its phases begins, and goes on until what this returns is dropped.
    pub(super) fn phase(&self, name: &'static str) -> Phase<'_> {
        self.phase_since(name, Began::now())
    }

    fn phase_since(&self, name: &'static str, began: Began) -> Phase<'_> {
        self.pulse.beat(self.slot);
        Phase { pulse: &self.pulse, name, began: began.1, _span: self.span.child_since(name, began.0) }
    }

    /// Counters of what moves its bytes.
    pub fn moves(&self, progress: Arc<Progress>) {
        self.meter.count(&self.pulse);
        *self.meter.current() = (Some(progress), Moved::default());
    }

    /// A pass has ended, which S3 has asked so often to slow down.
    pub fn moved(&self, throttles: u64) {
        self.meter.count(&self.pulse);
        self.pulse.metrics.throttles.add(throttles);
    }

    /// It has ended, or waits: the row says how.
    pub(super) fn ended(&self, job: &Job) {
        self.meter.count(&self.pulse);
        let code = job.failure.as_ref().map_or("none", |failure| failure.code.as_str());
        self.pulse.metrics.runs.count([job.state.as_str(), code]);
        self.pulse.metrics.run_seconds.took(self.began.1.elapsed());
        self.span.set("state", job.state);
        self.span.set("bytes", job.size);
        if let Some(failure) = &job.failure {
            self.span.set("code", &failure.code);
            self.span.fail(failure.code.clone());
        }
    }

    /// It is stopped from outside.
    pub(super) fn stopped(&self, why: &'static str) {
        self.pulse.metrics.stops.count([why]);
        self.span.set("stopped", why);
        self.log(Level::Info, "stop", &[("why", &why)]);
    }

    /// The metrics of the process.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// A line about it.
    pub(super) fn log(&self, level: Level, event: &'static str, fields: &[(&str, &dyn Display)]) {
        log::log(level, event, &self.with(fields));
    }

    /// The line that is written once a run and is never kept back.
    pub(super) fn record(&self, level: Level, event: &'static str, fields: &[(&str, &dyn Display)]) {
        log::record(level, event, &self.with(fields));
    }

    fn with<'a>(&'a self, fields: &[(&'a str, &'a dyn Display)]) -> Vec<(&'a str, &'a dyn Display)> {
        let about = self.about.iter().map(|(name, value)| (*name, value as &dyn Display));
        about.chain(fields.iter().copied()).collect()
    }
}

/// What becomes of it otherwise is seen by its bytes alone.
impl Drop for Watched {
    fn drop(&mut self) {
        self.meter.count(&self.pulse);
    }
}

/// A phase of a run.
pub(super) struct Phase<'a> {
    pulse: &'a Pulse,
    name: &'static str,
    began: Instant,
    _span: Span,
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        self.pulse.metrics.phase_seconds.took_of([self.name], self.began.elapsed());
    }
}

/// What a run has moved so far, and how much of that was counted.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<(Option<Arc<Progress>>, Moved)>);

impl Meter {
    fn current(&self) -> std::sync::MutexGuard<'_, (Option<Arc<Progress>>, Moved)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Count what has moved since the last time; whether anything has.
    pub(super) fn count(&self, pulse: &Pulse) -> bool {
        let mut current = self.current();
        let Some(progress) = &current.0 else { return false };
        let (now, before) = (progress.moved(), current.1);
        current.1 = now;
        let metrics = &pulse.metrics;
        metrics.bytes_read.add(now.read.saturating_sub(before.read));
        metrics.bytes_reread.add(now.reread.saturating_sub(before.reread));
        metrics.bytes_written.add(now.written.saturating_sub(before.written));
        metrics.retries.add(now.retries.saturating_sub(before.retries));
        now != before
    }
}
