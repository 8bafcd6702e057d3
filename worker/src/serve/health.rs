//! The pulse of a worker: what its slots do, whether they go on, and what it counts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use eft_pipeline::budget::Budget;
use eft_telemetry::{Tracer, table};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Times, watch::Meter};

/// Rounds of waiting for a message that may be missed.
const ROUNDS: u32 = 3;

/// Longest time of a round while the queue cannot be reached: both attempts of a receive, and then the wait until the next.
const UNREACHED: Duration = Duration::from_secs(120);

/// What an owner writes after its run has stopped, each write tried for a time.
const WRITING: Duration = Duration::from_secs(180);

/// What a slot does.
#[derive(Clone, Debug)]
struct Slot {
    /// When it last got further.
    beat: Instant,
    busy: bool,
    protected: bool,
    /// The run it has.
    meter: Option<Arc<Meter>>,
}

/// The pulse of a worker.
pub struct Pulse {
    slots: Mutex<BTreeMap<usize, Slot>>,
    /// A slot that waits for messages and gives no sign for this long is stuck.
    idle: Duration,
    /// A run that moves no byte and renews nothing for this long is stuck.
    busy: Duration,
    budget: Option<Budget>,
    draining: AtomicBool,
    /// What is counted.
    pub metrics: table::Worker,
    /// What makes spans.
    pub tracer: Tracer,
}

impl Pulse {
    /// The pulse of a worker whose slots give a sign at least this often: three of them may be missed.
    pub fn new(every: Duration) -> Self {
        Self {
            slots: Mutex::default(),
            idle: every * ROUNDS,
            busy: every * ROUNDS,
            budget: None,
            draining: AtomicBool::new(false),
            metrics: table::Worker::default(),
            tracer: Tracer::default(),
        }
    }

    /// The pulse of a worker with these times. A run that cannot renew its lease stops within one, and what is written then
    /// has its own bound.
    pub fn of(times: &Times) -> Self {
        let idle = times.poll.max(UNREACHED) * ROUNDS;
        Self { idle, busy: times.lease + times.stop + WRITING, ..Self::new(Duration::ZERO) }
    }

    /// Whose memory is shown as well.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// With what makes its spans.
    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    fn slots<T>(&self, then: impl FnOnce(&mut BTreeMap<usize, Slot>) -> T) -> T {
        then(&mut self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A slot has got further: a round of waiting is over, a phase of a run begins, a lease was renewed.
    pub fn beat(&self, slot: usize) {
        let new = Slot { beat: Instant::now(), busy: false, protected: false, meter: None };
        self.slots(|slots| slots.entry(slot).or_insert(new).beat = Instant::now());
    }

    pub(super) fn busy(&self, slot: usize, busy: bool) {
        self.slots(|slots| {
            if let Some(slot) = slots.get_mut(&slot) {
                slot.busy = busy;
                slot.meter = None;
            }
        });
    }

    /// The bytes of a slot's run are progress as well.
    pub(super) fn watch(&self, slot: usize, meter: &Arc<Meter>) {
        self.slots(|slots| {
            if let Some(slot) = slots.get_mut(&slot) {
                slot.meter = Some(Arc::clone(meter));
            }
        });
    }

    /// A slot wants the task protected, or no longer; what the task has to be told, if anything.
    pub(super) fn protect(&self, slot: usize, wanted: bool) -> Option<bool> {
        self.slots(|slots| {
            let before = slots.values().any(|slot| slot.protected);
            let busy = slots.get(&slot).is_some_and(|slot| slot.busy);
            if let Some(slot) = slots.get_mut(&slot) {
                slot.protected = wanted;
            }
            let after = slots.values().any(|slot| slot.protected);
            // A run that goes on renews it, because it expires.
            (before != after || (wanted && busy)).then_some(after)
        })
    }

    /// No more work is taken.
    pub(super) fn drains(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether it takes work: some slot has begun, and it is not being stopped.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Relaxed) && self.slots(|slots| !slots.is_empty())
    }

    /// Count what runs have moved since the last time, and set what is now.
    pub fn observe(&self) {
        let now = Instant::now();
        let slots = self.slots(|slots| {
            for slot in slots.values_mut() {
                if slot.meter.as_ref().is_some_and(|meter| meter.count(self)) {
                    slot.beat = now;
                }
            }
            slots.values().cloned().collect::<Vec<_>>()
        });
        let metrics = &self.metrics;
        metrics.slots.set(slots.len() as u64);
        metrics.slots_busy.set(slots.iter().filter(|slot| slot.busy).count() as u64);
        metrics.protected.set(u64::from(slots.iter().any(|slot| slot.protected)));
        let oldest = slots.iter().map(|slot| slot.beat.elapsed()).max().unwrap_or_default();
        metrics.progress_age.set(oldest.as_secs());
        metrics.spans_dropped.raise(self.tracer.dropped());
        if let Some(budget) = &self.budget {
            metrics.budget.set(budget.bytes());
            metrics.budget_used.set(budget.bytes().saturating_sub(budget.available()));
        }
    }

    /// Whether every slot goes on.
    ///
    /// # Errors
    /// Which does not.
    pub fn check(&self) -> Result<(), String> {
        self.observe();
        let stuck = |(at, slot): (&usize, &Slot)| {
            let (silence, bound) = (slot.beat.elapsed(), if slot.busy { self.busy } else { self.idle });
            let what = if slot.busy { "moved no byte and renewed nothing" } else { "not come round" };
            (silence > bound).then(|| format!("slot {at} has {what} for {} s", silence.as_secs()))
        };
        self.slots(|slots| slots.iter().find_map(stuck)).map_or(Ok(()), Err)
    }

    /// The state of the worker for people and programs, and whether it goes on.
    pub fn health(&self) -> (bool, Value) {
        let checked = self.check();
        let mut body = self.slots(|slots| {
            json!({
                "status": if checked.is_ok() { "ok" } else { "stuck" },
                "ready": !self.draining.load(Relaxed) && !slots.is_empty(),
                "slots": slots.len(),
                "busy": slots.values().filter(|slot| slot.busy).count(),
                "last_progress_seconds": slots.values().map(|slot| slot.beat.elapsed().as_secs()).max(),
            })
        });
        if let Err(why) = &checked {
            body["why"] = why.as_str().into();
        }
        (checked.is_ok(), body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_does_not_come_round_is_stuck() {
        let pulse = Pulse::of(&Times::DEFAULT);
        assert!(!pulse.is_ready());
        pulse.beat(0);
        pulse.beat(1);
        assert!(pulse.is_ready());
        tokio::time::advance(Duration::from_secs(350)).await;
        pulse.beat(1);
        assert_eq!(pulse.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(20)).await;
        let (goes_on, body) = pulse.health();
        assert!(!goes_on);
        assert_eq!((&body["status"], &body["last_progress_seconds"]), (&json!("stuck"), &json!(370)));
        assert_eq!(body["why"], "slot 0 has not come round for 370 s");
        pulse.beat(0);
        assert_eq!(pulse.check(), Ok(()), "it goes on");
        pulse.drains();
        assert!(!pulse.is_ready());
    }

    #[tokio::test]
    async fn the_task_is_protected_while_any_slot_works() {
        let pulse = Pulse::new(Duration::from_secs(60));
        pulse.beat(0);
        pulse.beat(1);
        assert_eq!(pulse.protect(0, true), Some(true));
        assert_eq!(pulse.protect(1, true), None);
        assert_eq!(pulse.protect(0, false), None);
        pulse.busy(1, true);
        assert_eq!(pulse.protect(1, true), Some(true), "renewed");
        pulse.busy(1, false);
        assert_eq!(pulse.protect(1, false), Some(false));
    }
}
