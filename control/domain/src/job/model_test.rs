//! Every interleaving of two workers that may stop and wake at any moment, a queue that gives a message to anybody at any
//! time, a sweep, and an operator: breadth first over the state machine itself, with a model of S3 beside it.
//!
//! Times are kept relative to now and tokens relative to the row's, so that the states are finite and all of them are
//! visited: there is no depth at which something new begins.

use std::{collections::HashSet, time::Duration};

use super::*;
use crate::Code;

const LEASE: u64 = 2;

/// A worker, as far as it knows itself. It may stop anywhere, and goes on as if no time had passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Worker {
    fence: u64,
    /// The ledger has said yes to publishing.
    may_publish: bool,
    /// The upload it writes to.
    upload: u8,
}

/// S3: uploads are numbered; one is open at most, because each owner goes on with the one in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Store {
    upload: u8,
    open: bool,
    visible: bool,
}

#[derive(Clone, Debug)]
struct World {
    job: Job,
    now: u64,
    store: Store,
    workers: [Option<Worker>; 2],
}

/// What distinguishes a world from another for everything that can still happen: state, strikes, whether it may be
/// published, what is left of the lease, whether it was held, S3, and of each worker whether its token is the row's.
type Canonical = (JobState, u32, bool, Option<u64>, bool, Store, [Option<(bool, bool, u8)>; 2]);

#[derive(Clone, Copy, Debug)]
enum Step {
    Time,
    Claim(usize),
    Progress(usize),
    MayPublish(usize),
    Publish(usize),
    Succeed(usize),
    Fail(usize),
    Hold(usize),
    HandBack(usize),
    Renew(usize),
    Sweep,
    Cancel,
    Redeliver,
}

fn steps() -> Vec<Step> {
    use Step::*;
    let of = |step: fn(usize) -> Step| [step(0), step(1)];
    let workers = [
        of(Claim),
        of(Progress),
        of(MayPublish),
        of(Publish),
        of(Succeed),
        of(Fail),
        of(Hold),
        of(HandBack),
        of(Renew),
    ];
    workers.concat().into_iter().chain([Time, Sweep, Cancel, Redeliver]).collect()
}

impl World {
    fn new() -> Self {
        let arrived = Arrived {
            arrival: Arrival { bucket: "b".into(), key: "k".into(), version_id: "v".into() },
            size: 1,
            etag: None,
            at: Millis(0),
            tenant: None,
            route: Some(PinnedRoute {
                id: "r".parse().unwrap(),
                revision: "0123456789abcdef".parse().unwrap(),
            }),
            runner: Runner::Worker,
            turn: None,
            trace: None,
        };
        let job = arrived.begin(&Command::Accept, &Actor::part("router")).unwrap();
        Self { job, now: 0, store: Store { upload: 0, open: false, visible: false }, workers: [None, None] }
    }

    fn ask(&mut self, command: &Command) -> bool {
        match apply(&self.job, command, &Actor::part("model"), Millis(self.now)) {
            Ok(next) => {
                assert!(next.fence >= self.job.fence && next.sequence >= self.job.sequence);
                assert_eq!(next.rev, self.job.rev + 1);
                self.job = next;
                true
            }
            Err(_) => false,
        }
    }

    /// One step; `None` where it cannot be made.
    fn step(&self, step: Step) -> Option<Self> {
        let mut next = self.clone();
        let done = match step {
            Step::Time => {
                next.now += 1;
                true
            }
            Step::Claim(at) => {
                let lease = Duration::from_millis(LEASE);
                let asked = next.ask(&Command::Claim { owner: at.to_string(), lease });
                if asked && next.job.state == JobState::Running {
                    if !next.store.open {
                        next.store.upload = (next.store.upload + 1) % 3;
                        next.store.open = true;
                    }
                    let upload = next.store.upload;
                    next.workers[at] = Some(Worker { fence: next.job.fence, may_publish: false, upload });
                }
                asked
            }
            Step::Sweep => {
                let resumed = next.ask(&Command::Resume { reason: "time".into() });
                resumed | next.ask(&Command::Sent)
            }
            // What a cancelled run has begun is removed by the sweep.
            Step::Cancel => {
                let asked = next.ask(&Command::Cancel { reason: "no".into() });
                if asked && !next.store.visible {
                    next.store.open = false;
                }
                asked
            }
            Step::Redeliver => next.ask(&Command::Redeliver { reason: "again".into() }),
            Step::Progress(at) | Step::MayPublish(at) => {
                let worker = next.workers[at]?;
                let publishing = matches!(step, Step::MayPublish(_));
                let save = Command::Save {
                    fence: worker.fence,
                    checkpoint: String::new(),
                    advanced: !publishing,
                    publishing,
                };
                if next.ask(&save) {
                    next.workers[at] =
                        Some(Worker { may_publish: worker.may_publish || publishing, ..worker });
                } else {
                    next.workers[at] = None;
                }
                true
            }
            // S3 knows no token: a zombie publishes as well as an owner, if its upload is still there.
            Step::Publish(at) => {
                let worker = next.workers[at].filter(|worker| worker.may_publish)?;
                if next.store.open && next.store.upload == worker.upload {
                    next.store.open = false;
                    next.store.visible = true;
                }
                true
            }
            Step::Succeed(at) => {
                let worker = next.workers[at].filter(|_| next.store.visible)?;
                next.ask(&Command::End { fence: worker.fence, ending: Ending::Succeeded(None) });
                next.workers[at] = None;
                true
            }
            // Whoever fails removes its upload first, and looks whether the object stands.
            Step::Fail(at) => {
                let worker = next.workers[at].filter(|_| !next.store.visible)?;
                if next.store.upload == worker.upload {
                    next.store.open = false;
                }
                let failure = Failure::new(Code::Validation, "bad");
                next.ask(&Command::End { fence: worker.fence, ending: Ending::Failed(failure, None) });
                next.workers[at] = None;
                true
            }
            Step::Hold(at) => {
                let worker = next.workers[at]?;
                let failure = Failure::new(Code::DestinationUnavailable, "down");
                let retry_in = Some(Duration::from_millis(1));
                next.ask(&Command::Hold { fence: worker.fence, failure, retry_in });
                next.workers[at] = None;
                true
            }
            Step::HandBack(at) => {
                let worker = next.workers[at]?;
                next.ask(&Command::HandBack { fence: worker.fence, reason: "drain".into() });
                next.workers[at] = None;
                true
            }
            Step::Renew(at) => {
                let worker = next.workers[at]?;
                let renew = Command::Renew { fence: worker.fence, lease: Duration::from_millis(LEASE) };
                if !next.ask(&renew) {
                    next.workers[at] = None;
                }
                true
            }
        };
        done.then_some(next)
    }

    fn check(&self) -> Result<(), String> {
        let owners = self.workers.iter().flatten().filter(|worker| worker.fence == self.job.fence).count();
        if owners > 1 {
            return Err("two owners with one token".to_owned());
        }
        match self.job.state {
            JobState::Succeeded if !self.store.visible => Err("a success nobody can see".to_owned()),
            JobState::Rejected | JobState::Failed | JobState::Cancelled if self.store.visible => {
                Err(format!("{} and visible", self.job.state))
            }
            state if !state.is_terminal() && self.job.due(Retention(Duration::MAX)) == Millis(u64::MAX) => {
                Err(format!("nobody would look at it any more: {state}"))
            }
            _ => Ok(()),
        }
    }

    fn canonical(&self) -> Canonical {
        let lease = self.job.lease.as_ref().map(|lease| lease.until.0.saturating_sub(self.now));
        let workers = self
            .workers
            .map(|worker| worker.map(|it| (it.fence == self.job.fence, it.may_publish, it.upload)));
        let held = self.job.hold.is_some();
        (self.job.state, self.job.strikes, self.job.publishing, lease, held, self.store, workers)
    }
}

#[test]
fn no_interleaving_breaks_a_promise() {
    let mut seen = HashSet::new();
    let mut layer = vec![(World::new(), Vec::new())];
    let mut depth = 0;
    while !layer.is_empty() {
        let mut next = Vec::new();
        for (world, path) in layer {
            for step in steps() {
                let Some(after) = world.step(step) else { continue };
                let path: Vec<Step> = path.iter().copied().chain([step]).collect();
                if let Err(broken) = after.check() {
                    panic!("{broken}, after {path:?}");
                }
                if seen.insert(after.canonical()) {
                    next.push((after, path));
                }
            }
        }
        layer = next;
        depth += usize::from(!layer.is_empty());
    }
    println!("{} states, all of them, the last after {depth} steps", seen.len());
    assert!(
        seen.len() > 1_000 && depth > 10,
        "{} states, {depth} steps: the model does not move",
        seen.len()
    );
}
