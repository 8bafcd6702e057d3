//! The step that shows the bytes to a virus scanner: chunks pass as they came, and the stream ends once the verdict is in.
//!
//! # Several objects
//! Each is shown by itself: what is in the second file of an archive is not looked for in the middle of one.
//!
//! # Ordering
//! What comes behind may see the bytes before the verdict; nobody else does, because nothing is published before every
//! step has ended well (`transfer.rs`).
//!
//! # Backpressure
//! A chunk goes on when the scanner has taken its bytes: the slower of scanner and sink sets the pace, and the step
//! holds the one chunk in hand.
//!
//! # Resuming
//! A scanner has to see all bytes of a file in one go. Marks end here, so that no place behind the start is ever kept.
//!
//! # Failure handling
//! A scan that is lost is not begun again: the bytes are gone. Reaching the scanner is tried again before the first.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use eft_domain::{
    Code, Failure,
    route::{Larger, ScanSpec},
};
use tokio::time::Instant;

use crate::{
    chain::StageTotals,
    chunk::Chunk,
    error::of_scanner,
    objects::{Incoming, add},
    ordered::{Downstream, Flowing, Upstream, downstream_gone},
    port::PortResult,
    retry::{RetryPolicy, retrying},
    scanner::{Scan, Scanner, Verdict},
    serial::{Crew, of_object},
    stage::{Kind, ResumeClass, Scanned, StageInfo, StageReport},
};

/// The name in routes and receipts.
const NAME: &str = "scan";

/// What the planner has to know.
pub(crate) fn info() -> StageInfo {
    StageInfo {
        name: NAME,
        kind: Kind::Tap,
        ordered: true,
        resume: ResumeClass::R3,
        // An answer of a scanner is a line; its connection holds no bytes of the file.
        memory: 8 << 10,
    }
}

/// A scan of one stream, and what is to be told of it.
struct Watch {
    spec: ScanSpec,
    /// `None` once there is a verdict.
    scan: Option<Box<dyn Scan>>,
    /// Bytes the scanner was shown.
    shown: u64,
    report: Scanned,
    bytes_in: u64,
    busy: Duration,
}

pub(crate) async fn run_scan(
    spec: ScanSpec,
    scanner: &Arc<dyn Scanner>,
    retry: &RetryPolicy,
    upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    let (mut incoming, mut totals) = (Incoming::new(upstream), Vec::new());
    for object in 1.. {
        let begun = retrying(retry, |_| crew.progress.retried(), || scanner.begin()).await;
        let scan = match begun {
            Ok(scan) => scan,
            Err(error) => {
                (crew.totals)(totals);
                return Err(of_scanner(&error, 0));
            }
        };
        let mut watch = Watch {
            spec,
            shown: 0,
            report: Scanned { scanner: scan.scanner().to_owned(), ..Scanned::default() },
            scan: Some(scan),
            bytes_in: 0,
            busy: Duration::ZERO,
        };
        let mut ended = watch.run(&mut incoming, &downstream).await;
        if let (Err(failure), true) = (&mut ended, crew.several) {
            failure.message = of_object(object, &failure.message);
        }
        if ended.is_err() && crew.withhold {
            incoming.drain().await;
        }
        add(&mut totals, vec![watch.totals()]);
        if ended.is_err() || !incoming.has_more() {
            (crew.totals)(totals);
            ended?;
            break;
        }
    }
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

impl Watch {
    async fn run(&mut self, incoming: &mut Incoming, downstream: &Downstream<Chunk>) -> Result<(), Failure> {
        let mut some = false;
        while let Some(mut chunk) = incoming.next(some).await {
            some = true;
            chunk.mark = None;
            self.bytes_in += chunk.len;
            self.show(&chunk).await?;
            downstream.send(Flowing::Item(chunk)).await.map_err(|_| downstream_gone())?;
        }
        self.finish().await
    }

    /// Show the scanner a chunk, as far as it may see it. The segments are cloned, not their bytes.
    async fn show(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        for segment in &chunk.segments {
            if self.scan.is_none() {
                return Ok(());
            }
            let room = self.spec.max_bytes.bytes() - self.shown;
            let len = segment.len() as u64;
            if len > room && self.spec.larger == Larger::Refuse {
                let most = self.spec.max_bytes.bytes();
                let observed = format_args!("at least {} bytes", most + 1);
                return Err(Failure::limit(Code::LimitScanBytes, observed, most));
            }
            if room > 0 {
                // No more than the length of a segment, which fits a usize.
                self.feed(segment.slice(..len.min(room) as usize)).await?;
            }
            if len > room {
                // What is found in the part it may see is found, whatever comes behind.
                self.report.skipped = true;
                self.finish().await?;
            }
        }
        Ok(())
    }

    async fn feed(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let Some(scan) = &mut self.scan else { return Ok(()) };
        let (started, len) = (Instant::now(), bytes.len() as u64);
        let answered = scan.feed(bytes).await;
        self.busy += started.elapsed();
        match self.told(answered)? {
            Some(Verdict::Clean) => {
                let message = format!("{} called the file clean before its end", self.report.scanner);
                Err(Failure::new(Code::ScanUnavailable, message))
            }
            Some(verdict) => {
                self.scan = None;
                self.judge(verdict)
            }
            None => {
                self.shown += len;
                Ok(())
            }
        }
    }

    /// Wait for the verdict, unless it is in.
    async fn finish(&mut self) -> Result<(), Failure> {
        let Some(scan) = self.scan.take() else { return Ok(()) };
        let started = Instant::now();
        let answered = scan.finish().await;
        self.busy += started.elapsed();
        let verdict = self.told(answered)?;
        self.judge(verdict)
    }

    fn told<T>(&self, answered: PortResult<T>) -> Result<T, Failure> {
        answered.map_err(|error| of_scanner(&error, self.shown))
    }

    fn judge(&mut self, verdict: Verdict) -> Result<(), Failure> {
        match verdict {
            Verdict::Clean => {
                self.report.bytes = self.shown;
                Ok(())
            }
            Verdict::Infected(name) => {
                self.report.bytes = self.shown;
                Err(Failure::new(Code::ScanInfected, format!("{} found {name}", self.report.scanner)))
            }
            Verdict::TooLarge(said) if self.spec.larger == Larger::Refuse => {
                let message = format!(
                    "{} did not look at all of the file (`{said}`), although the route lets it see {}",
                    self.report.scanner, self.spec.max_bytes
                );
                Err(Failure::new(Code::LimitScanBytes, message))
            }
            // How much it saw it does not say.
            Verdict::TooLarge(_) => {
                self.report.skipped = true;
                Ok(())
            }
        }
    }

    fn totals(&self) -> StageTotals {
        StageTotals {
            info: info(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_in,
            busy: self.busy,
            report: StageReport { scan: Some(self.report.clone()), ..StageReport::default() },
        }
    }
}
