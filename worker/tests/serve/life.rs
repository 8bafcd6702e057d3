//! A process: it can be killed, also in the middle of what it asks of a port, and stopped and woken.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Poll, Waker},
};

use eft_store::{
    StoreErrorKind,
    faulty::{Call, Chance, Event, Fate, Fates},
};
use tokio::task::{JoinHandle, LocalSet};
use tokio_util::sync::CancellationToken;

/// Let this happen in simulated time.
pub(crate) fn simulated<T>(course: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, course)
}

/// When a process dies of itself, or stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Death {
    /// It does not.
    #[default]
    Never,
    /// In place of the call with this number, from 1.
    Before(u64),
    /// Between that call and its answer.
    After(u64),
    /// It stops at that call, and does what it was about to do when it is woken.
    Stops(u64),
}

/// One process.
pub(crate) struct Life {
    chance: Chance,
    /// Ports do not fail any more.
    calm: Arc<AtomicBool>,
    death: Death,
    calls: AtomicU64,
    dead: CancellationToken,
    frozen: AtomicBool,
    /// It has been stopped at some time.
    stopped: AtomicBool,
    /// It reaches its queue and nothing else.
    cut_off: AtomicBool,
    /// It may not hold its messages any longer, and how often it was told.
    let_go: AtomicBool,
    told: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Life {
    pub(crate) fn new(chance: Chance, calm: &Arc<AtomicBool>, death: Death) -> Arc<Self> {
        Arc::new(Self {
            chance,
            calm: Arc::clone(calm),
            death,
            calls: AtomicU64::new(0),
            dead: CancellationToken::new(),
            frozen: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            let_go: AtomicBool::new(false),
            told: AtomicU64::new(0),
            waker: Mutex::default(),
        })
    }

    /// What it has asked of ports.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    pub(crate) fn died_at_a_call(&self) -> bool {
        matches!(self.death, Death::Before(at) | Death::After(at) if self.calls() >= at)
    }

    pub(crate) fn stopped_at_a_call(&self) -> bool {
        matches!(self.death, Death::Stops(at) if self.calls() >= at)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Somebody may have had to go on with its work.
    pub(crate) fn has_failed(&self) -> bool {
        self.is_dead() || self.stopped.load(Relaxed)
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.dead.cancel();
    }

    /// The ledger, and all else but the queue, is not reached, until it is again.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.cut_off.store(cut_off, Relaxed);
    }

    /// What it does to keep its messages is refused, until it is not.
    pub(crate) fn let_go(&self, let_go: bool) {
        self.let_go.store(let_go, Relaxed);
    }

    /// How often it was refused that.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Relaxed)
    }

    /// SIGSTOP and SIGCONT: nothing of it goes on, and time does.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Relaxed);
        self.stopped.fetch_or(frozen, Relaxed);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Live, doing this; `None` for one that died of it.
    pub(crate) fn spawn<T: 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = T> + 'static,
    ) -> JoinHandle<Option<T>> {
        let life = Arc::clone(self);
        tokio::task::spawn_local(async move {
            let mut work = Box::pin(work);
            let lives = poll_fn(|context| {
                if life.frozen.load(Relaxed) {
                    *life.waker.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(context.waker().clone());
                    return Poll::Pending;
                }
                work.as_mut().poll(context).map(Some)
            });
            tokio::select! {
                biased;
                () = life.dead.cancelled() => None,
                done = lives => done,
            }
        })
    }
}

impl Fates for Life {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let number = self.calls.fetch_add(1, Relaxed) + 1;
        let is_of_queue = matches!(call.name, "receive" | "hide" | "delete" | "send");
        match self.death {
            _ if self.let_go.load(Relaxed) && call.name == "hide" => {
                self.told.fetch_add(1, Relaxed);
                Fate::of(Event::Fails(StoreErrorKind::Permanent))
            }
            _ if self.cut_off.load(Relaxed) && !is_of_queue => {
                Fate::of(Event::Fails(StoreErrorKind::Unavailable))
            }
            Death::Before(at) if at == number => Fate::of(Event::DiesBefore),
            Death::After(at) if at == number => Fate::of(Event::DiesAfter),
            Death::Stops(at) if at == number => {
                self.freeze(true);
                self.chance.draw(call)
            }
            _ if self.calm.load(Relaxed) => Fate::default(),
            _ => self.chance.draw(call),
        }
    }

    fn die(&self) {
        self.kill();
    }
}
