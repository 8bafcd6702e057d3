//! What a Lambda function shows of itself: metrics after every call, and spans.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use eft_store::Clock;
use eft_telemetry::{
    Tracer,
    emf::Emf,
    metric::Metrics,
    otlp::{self, Exporter},
};

use crate::{config::environment, handler::Log};

/// Spans are sent before a call is answered, because nothing runs after it; a collector that is slow is not waited for any
/// longer than this.
const FLUSH: Duration = Duration::from_millis(500);

/// Metrics and spans of a function.
pub struct Observer {
    emf: Mutex<Emf>,
    exporter: Option<Exporter>,
}

impl Observer {
    /// Of this function in this region, and what makes its spans.
    ///
    /// # Errors
    /// What the environment says of traces is wrong.
    pub fn new(service: &str, region: &str) -> Result<(Self, Tracer), String> {
        let settings = otlp::Settings::parse(service, &environment).map_err(|faults| faults.join("; "))?;
        let (tracer, exporter) = otlp::start(&settings)?;
        Ok((Self { emf: Mutex::new(Emf::new(service, region)), exporter }, tracer))
    }

    /// A call is over.
    pub async fn called(&self, metrics: &dyn Metrics, log: &Log) {
        let lines = {
            let mut emf = self.emf.lock().unwrap_or_else(PoisonError::into_inner);
            emf.lines(metrics, Clock::System.now().0)
        };
        for line in lines {
            log(line);
        }
        if let Some(exporter) = &self.exporter {
            // What was not taken is counted.
            exporter.flush(FLUSH).await;
        }
    }
}
