//! Every interleaving of two finders of a file (a router that is given its event any number of times and a sweep that lists
//! it, or two routers), two workers that may stop and wake at any moment, a queue that gives a message to anybody at any
//! time, a sweep, somebody who tells what has happened, and an operator: breadth first over the state machine itself, with a
//! model of the ledger's conditional writes and of S3 beside it.
//!
//! Times are kept relative to now, tokens and generations relative to the row's, so that the states are finite and all of
//! them are visited: there is no depth at which something new begins.

use std::{collections::HashSet, time::Duration};

use super::*;
use crate::Code;

const LEASE: u64 = 2;

/// A worker, as far as it knows itself. It may stop anywhere, and goes on as if no time had passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Worker {
    fence: u64,
    generation: u32,
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
    /// The object of the job's generation is there.
    visible: bool,
    /// An upload of an earlier generation was completed after the next had begun.
    stray: bool,
}

#[derive(Clone, Debug)]
struct World {
    /// The row of the ledger; there is none at first.
    job: Option<Job>,
    /// How often a row was made where none was.
    made: u32,
    now: u64,
    store: Store,
    /// Who has seen the file and found no row of it.
    finders: [bool; 2],
    workers: [Option<Worker>; 2],
    /// Up to which change somebody is telling, and up to which all were told.
    telling: Option<u64>,
    told: u64,
}

/// What distinguishes a world from another for everything that can still happen.
#[derive(PartialEq, Eq, Hash)]
struct Canonical {
    finders: [bool; 2],
    job: Option<Row>,
    store: Store,
    /// Of each worker: whether its token and its generation are the row's, and what it knows.
    workers: [Option<(bool, bool, bool, u8)>; 2],
    /// Whether what is being told is all there is.
    telling: Option<bool>,
}

#[derive(PartialEq, Eq, Hash)]
struct Row {
    state: JobState,
    strikes: u32,
    publishing: bool,
    /// What is left of the lease.
    lease: Option<u64>,
    /// It was held, and whether it is tried again by itself.
    held: Option<bool>,
    untold: bool,
}

/// How a row begins: the route takes the file, waits for the rest of it, or there is none.
#[derive(Clone, Copy, Debug)]
enum First {
    Accept,
    Wait,
    Unrouted,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Time,
    Find(usize),
    Begin(usize, First),
    Recheck,
    Claim(usize),
    Progress(usize),
    MayPublish(usize),
    Publish(usize),
    Succeed(usize),
    Fail(usize),
    HoldWithNothingLeft(usize),
    Hold(usize),
    HandBack(usize),
    Renew(usize),
    Sweep,
    Tell,
    Told,
    Cancel,
    Redeliver,
    Replay,
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
        of(HoldWithNothingLeft),
        of(Hold),
        of(HandBack),
        of(Renew),
    ];
    let finders = [0, 1].into_iter().flat_map(|at| {
        [Find(at), Begin(at, First::Accept), Begin(at, First::Wait), Begin(at, First::Unrouted)]
    });
    let others = [Time, Recheck, Sweep, Tell, Told, Cancel, Redeliver, Replay];
    finders.chain(workers.concat()).chain(others).collect()
}

impl World {
    fn new() -> Self {
        let store = Store { upload: 0, open: false, visible: false, stray: false };
        let (finders, workers) = ([false; 2], [None, None]);
        Self { job: None, made: 0, now: 0, store, finders, workers, telling: None, told: 0 }
    }

    /// The file, as whoever finds it sees it.
    fn arrived(&self) -> Arrived {
        Arrived {
            arrival: Arrival { bucket: "b".into(), key: "k".into(), version_id: "v".into() },
            size: 1,
            etag: None,
            at: Millis(self.now),
            tenant: None,
            route: Some(PinnedRoute {
                id: "r".parse().unwrap(),
                revision: "0123456789abcdef".parse().unwrap(),
            }),
            runner: Runner::Worker,
            turn: None,
            trace: None,
        }
    }

    /// `attribute_not_exists(pk)`: a row that is there stays as it is.
    fn begin(&mut self, first: First) {
        let command = match first {
            First::Accept => Command::Accept,
            First::Wait => Command::Wait { reason: "quiet".into(), until: Duration::from_millis(1) },
            First::Unrouted => Command::Unrouted { reason: "none".into() },
        };
        let job = self.arrived().begin(&command, &Actor::part("router")).unwrap();
        match &self.job {
            Some(there) => {
                assert_eq!(there.id, job.id, "one version and one route, and two names of the job")
            }
            None => {
                self.made += 1;
                self.job = Some(job);
            }
        }
    }

    fn ask(&mut self, command: &Command) -> bool {
        let Some(job) = &self.job else { return false };
        match apply(job, command, &Actor::part("model"), Millis(self.now)) {
            Ok(next) => {
                assert!(next.fence >= job.fence && next.sequence >= job.sequence);
                assert_eq!(next.rev, job.rev + 1);
                self.job = Some(next);
                true
            }
            Err(_) => false,
        }
    }

    fn row(&self) -> &Job {
        self.job.as_ref().expect("a worker has seen the row, and nobody removes one")
    }

    /// An upload that no worker knows.
    fn another_upload(&self) -> u8 {
        (0..3).find(|it| self.workers.iter().flatten().all(|worker| worker.upload != *it)).unwrap()
    }

    /// One step; `None` where it cannot be made.
    fn step(&self, step: Step) -> Option<Self> {
        let mut next = self.clone();
        let done = match step {
            Step::Time => {
                next.now += 1;
                true
            }
            // However often its event comes, and however late.
            Step::Find(at) => {
                next.finders[at] = next.job.is_none();
                true
            }
            Step::Begin(at, first) => {
                let found = std::mem::take(&mut next.finders[at]);
                if found {
                    next.begin(first);
                }
                found
            }
            Step::Recheck => next.ask(&Command::Accept),
            Step::Claim(at) => {
                let lease = Duration::from_millis(LEASE);
                let asked = next.ask(&Command::Claim { owner: at.to_string(), lease });
                if asked && next.row().state == JobState::Running {
                    next.workers[at] = None;
                    // It looks first whether the object of this run stands, and begins nothing then.
                    if !next.store.open && !next.store.visible {
                        next.store.upload = next.another_upload();
                        next.store.open = true;
                    }
                    let (job, upload) = (next.row(), next.store.upload);
                    let (fence, generation) = (job.fence, job.generation);
                    next.workers[at] = Some(Worker { fence, generation, may_publish: false, upload });
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
            // What the run before has delivered is another object than that of the next.
            Step::Replay => {
                let asked = next.ask(&Command::Replay { reason: "again".into(), route: None });
                if asked {
                    next.store.visible = false;
                }
                asked
            }
            Step::Tell => {
                next.telling = next.job.as_ref().map(|job| job.sequence);
                next.job.is_some()
            }
            // After it was told, whatever has happened meanwhile.
            Step::Told => {
                let sequence = next.telling.take()?;
                next.told = next.told.max(sequence);
                next.ask(&Command::Told { sequence })
            }
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
                    if worker.generation == next.row().generation {
                        next.store.visible = true;
                    } else {
                        next.store.stray = true;
                    }
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
            // It has removed what it had begun: whoever is next must not look for it, and may be cancelled.
            Step::HoldWithNothingLeft(at) => {
                let worker = next.workers[at].filter(|_| !next.store.visible)?;
                if next.store.upload == worker.upload {
                    next.store.open = false;
                }
                if next.ask(&Command::Forget { fence: worker.fence }) {
                    next.workers[at] = Some(Worker { may_publish: false, ..worker });
                    return next.step(Step::Hold(at));
                }
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
        if self.made > 1 {
            return Err("two jobs of one file".to_owned());
        }
        let Some(job) = &self.job else { return Ok(()) };
        let owners = self.workers.iter().flatten().filter(|worker| worker.fence == job.fence).count();
        if owners > 1 {
            return Err("two owners with one token".to_owned());
        }
        if self.store.stray {
            return Err("an object of a run before, beside the next".to_owned());
        }
        if job.outbox.len() as u64 != job.sequence - self.told {
            return Err("a change that nobody tells, or tells again for ever".to_owned());
        }
        match job.state {
            JobState::Succeeded if !self.store.visible => Err("a success nobody can see".to_owned()),
            JobState::Rejected | JobState::Failed | JobState::Cancelled if self.store.visible => {
                Err(format!("{} and visible", job.state))
            }
            // It waits for people, who are told.
            JobState::Held if job.hold.is_some_and(|hold| hold.retry_at.is_none()) => Ok(()),
            state if !state.is_terminal() && job.due(Retention(Duration::MAX)) == Millis(u64::MAX) => {
                Err(format!("nobody would look at it any more: {state}"))
            }
            _ => Ok(()),
        }
    }

    fn canonical(&self) -> Canonical {
        let job = self.job.as_ref();
        let row = job.map(|job| {
            let lease = job.lease.as_ref().map(|lease| lease.until.0.saturating_sub(self.now));
            let held = job.hold.map(|hold| hold.retry_at.is_some());
            let untold = !job.outbox.is_empty();
            Row { state: job.state, strikes: job.strikes, publishing: job.publishing, lease, held, untold }
        });
        let workers = self.workers.map(|worker| {
            let (it, job) = (worker?, job?);
            Some((it.fence == job.fence, it.generation == job.generation, it.may_publish, it.upload))
        });
        let telling = self.telling.map(|at| job.is_some_and(|job| job.sequence == at));
        Canonical { finders: self.finders, job: row, store: self.store, workers, telling }
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
