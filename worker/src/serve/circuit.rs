//! Destinations that are down: after a few runs of a route in a row that have found them so, its next jobs are not run for a
//! while.
//!
//! # Overview
//! A run whose destinations do not answer costs their time-outs and tries, and a slot for as long; of a queue full of such
//! jobs each would pay that again, while others wait behind them. Behind an open circuit a job is held at once, before a byte
//! of its source is read, and tried again like any that has found its destinations down. One run is let through in each
//! pause; the first that has an answer closes the circuit.
//!
//! # Ordering
//! By route: what one route's runs have found keeps no other's from running, and no other tenant's.
//!
//! # Not covered
//! Each process finds out for itself. Functions of the state machine ask always: they hold no slot that others wait for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use eft_domain::{Code, Failure, Job, Millis, RouteId, job::HOLD_CUTOFF};
use tokio::time::Instant;

/// Runs in a row that find the destinations down before they are left alone. Each has spent its tries, so one says much; one
/// alone may be an object's or a connection's bad luck.
pub const FAILURES: u32 = 3;
/// For how long they are left alone. A job that is held is tried again after a minute at the earliest, and is to find that over.
pub const PAUSE: Duration = Duration::from_secs(30);

/// What the runs of a process have found, by route.
#[derive(Debug, Default)]
pub struct Circuits(Mutex<HashMap<RouteId, Circuit>>);

/// A route whose last run has found its destinations down.
#[derive(Clone, Copy, Debug)]
struct Circuit {
    failures: u32,
    until: Instant,
}

impl Circuits {
    /// Whether a job may be run now. One that may have published something has to find out, one that is delivered again has
    /// some of it delivered, and one that has been held for as long as any is given up without another try.
    ///
    /// # Errors
    /// `destination.unavailable`: its destinations were down just now.
    pub fn admit(&self, job: &Job, now: Millis) -> Result<(), Failure> {
        let is_first = job.receipt.is_none_or(|key| key.generation != job.generation);
        let is_last = job.hold.is_some_and(|hold| now.since(hold.since) >= HOLD_CUTOFF);
        let can_wait = is_first && !is_last && !job.publishing;
        let Some(route) = job.route.as_ref().filter(|_| can_wait) else { return Ok(()) };
        let mut circuits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let Some(circuit) = circuits.get_mut(&route.id).filter(|circuit| circuit.failures >= FAILURES) else {
            return Ok(());
        };
        if now < circuit.until {
            let (failures, left) = (circuit.failures, (circuit.until - now).as_secs_f64().ceil());
            let message = format!(
                "the last {failures} runs of route {} found their destinations down: they are asked again in {left} s",
                route.id
            );
            return Err(Failure::new(Code::DestinationUnavailable, message));
        }
        circuit.until = now + PAUSE;
        Ok(())
    }

    /// A run has ended, with this failure. Any other than that no destination has answered is an answer, or says nothing; so
    /// does one that some have answered, now or in an earlier attempt.
    pub fn ended(&self, job: &Job, failure: Option<Code>, delivered: usize) {
        let Some(route) = &job.route else { return };
        let mut circuits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(Code::DestinationUnavailable) if delivered == 0 => {
                let until = Instant::now() + PAUSE;
                let circuit = circuits.entry(route.id.clone()).or_insert(Circuit { failures: 0, until });
                *circuit = Circuit { failures: circuit.failures.saturating_add(1), until };
            }
            Some(Code::DestinationAccess | Code::DestinationExists | Code::DestinationMissing) | None => {
                circuits.remove(&route.id);
            }
            Some(_) => {}
        }
    }
}
