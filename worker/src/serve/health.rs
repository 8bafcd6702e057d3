//! Whether the worker goes on, and what it has done: for whoever watches it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use eft_domain::JobState;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

/// What a slot does.
#[derive(Clone, Copy, Debug)]
struct Slot {
    beat: Instant,
    busy: bool,
    protected: bool,
}

/// The pulse of a worker.
pub struct Pulse {
    slots: Mutex<BTreeMap<usize, Slot>>,
    ended: Mutex<BTreeMap<JobState, u64>>,
    polls: AtomicU64,
    /// A slot that gives no sign for this long is stuck.
    silence: Duration,
}

impl Pulse {
    /// The pulse of a worker whose slots give a sign at least this often: three of them may be missed.
    pub fn new(every: Duration) -> Self {
        Self {
            slots: Mutex::default(),
            ended: Mutex::default(),
            polls: AtomicU64::new(0),
            silence: every * 3,
        }
    }

    fn slots<T>(&self, then: impl FnOnce(&mut BTreeMap<usize, Slot>) -> T) -> T {
        then(&mut self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A slot gives a sign.
    pub fn beat(&self, slot: usize) {
        self.polls.fetch_add(1, Relaxed);
        self.slots(|slots| {
            let new = Slot { beat: Instant::now(), busy: false, protected: false };
            slots.entry(slot).or_insert(new).beat = Instant::now();
        });
    }

    pub(super) fn busy(&self, slot: usize, busy: bool) {
        self.slots(|slots| {
            if let Some(slot) = slots.get_mut(&slot) {
                slot.busy = busy;
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

    pub(super) fn ended(&self, state: JobState) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(state).or_default() += 1;
    }

    /// Whether every slot has given a sign lately.
    ///
    /// # Errors
    /// Which has not.
    pub fn check(&self) -> Result<(), String> {
        let stuck = |slots: &mut BTreeMap<usize, Slot>| {
            let silent = slots.iter().find(|(_, slot)| slot.beat.elapsed() > self.silence);
            silent.map(|(at, slot)| {
                format!("slot {at} has given no sign for {} s", slot.beat.elapsed().as_secs())
            })
        };
        self.slots(stuck).map_or(Ok(()), Err)
    }

    /// The metrics, in the text format of Prometheus.
    pub fn metrics(&self) -> String {
        let busy = self.slots(|slots| slots.values().filter(|slot| slot.busy).count());
        let slots = self.slots(|slots| slots.len());
        let mut text = String::new();
        let mut gauge = |metric: &Metric, label: &str, value: u64| {
            // Writing to a String does not fail.
            let _written = writeln!(text, "{}{label} {value}", metric.name);
        };
        gauge(&SLOTS, "", slots as u64);
        gauge(&SLOTS_BUSY, "", busy as u64);
        gauge(&POLLS, "", self.polls.load(Relaxed));
        for (state, count) in self.ended.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            gauge(&RUNS, &format!("{{state=\"{state}\"}}"), *count);
        }
        let head = METRICS.iter().map(|metric| {
            format!(
                "# HELP {} {} ({})\n# TYPE {} {}\n",
                metric.name, metric.help, metric.unit, metric.name, metric.kind
            )
        });
        head.collect::<String>() + &text
    }

    /// Answer `GET /health` and `GET /metrics` for ever.
    pub async fn answer(&self, listener: TcpListener) {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                // One after the other: there are two who ask, and neither may hold up the other for long.
                drop(timeout(Duration::from_secs(2), self.one(stream)).await);
            }
        }
    }

    async fn one(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = [0; 1024];
        let read = stream.read(&mut request).await?;
        let (status, body) = match &request[..read] {
            request if request.starts_with(b"GET /health ") => match self.check() {
                Ok(()) => ("200 OK", "{\"status\":\"ok\"}\n".to_owned()),
                Err(why) => {
                    ("503 Service Unavailable", format!("{{\"status\":\"stuck\",\"why\":\"{why}\"}}\n"))
                }
            },
            request if request.starts_with(b"GET /metrics ") => ("200 OK", self.metrics()),
            _ => ("404 Not Found", "there are /health and /metrics\n".to_owned()),
        };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await
    }
}

/// A metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// `gauge` or `counter`.
    pub kind: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// What it says.
    pub help: &'static str,
}

const SLOTS: Metric =
    Metric { name: "eft_slots", kind: "gauge", unit: "slots", help: "slots that take work" };
const SLOTS_BUSY: Metric =
    Metric { name: "eft_slots_busy", kind: "gauge", unit: "slots", help: "slots that run a job" };
const POLLS: Metric =
    Metric { name: "eft_signs_total", kind: "counter", unit: "signs", help: "signs of life of all slots" };
const RUNS: Metric =
    Metric { name: "eft_runs_total", kind: "counter", unit: "runs", help: "runs that ended, by their end" };

/// Every metric of the worker.
pub const METRICS: &[&Metric] = &[&SLOTS, &SLOTS_BUSY, &POLLS, &RUNS];

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slot_without_a_sign_is_stuck() {
        let pulse = Pulse::new(Duration::from_secs(60));
        pulse.beat(0);
        pulse.beat(1);
        tokio::time::advance(Duration::from_secs(170)).await;
        pulse.beat(1);
        assert_eq!(pulse.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(pulse.check(), Err("slot 0 has given no sign for 190 s".to_owned()));
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

    #[tokio::test]
    async fn whoever_asks_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let pulse = Pulse::new(Duration::from_secs(60));
        pulse.beat(0);
        pulse.ended(JobState::Succeeded);
        let ask = async {
            let mut answers = Vec::new();
            for path in ["/health", "/metrics", "/x"] {
                let mut stream = TcpStream::connect(at).await.unwrap();
                stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                answers.push(answer);
            }
            answers
        };
        let answers =
            tokio::select! { answers = ask => answers, () = pulse.answer(listener) => unreachable!() };
        assert!(
            answers[0].contains("200 OK") && answers[1].contains("eft_runs_total{state=\"SUCCEEDED\"} 1")
        );
        assert!(answers[2].contains("404"));
        assert!(METRICS.iter().all(|metric| answers[1].contains(metric.name)));
    }
}
