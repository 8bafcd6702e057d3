//! A ledger that loses answers: it writes and then says that it may have, or says so without having written.
//!
//! Whatever it does, at most one worker owns a job at a time, and a change that is asked for once is made at most once.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use eft_domain::{
    Actor, Arrival, Command, Job, JobId, Millis,
    job::{Arrived, Ending, Refused, Retention, Runner},
};
use eft_store::{
    ChangeError, Clock, Desk, StoreErrorKind,
    faulty::{Call, Chance, Draws, Event, Fate, Fates, Faulty},
    memory::Region,
};
use futures::future::join_all;

const SEEDS: u64 = 2_000;
const WORKERS: u64 = 4;
const LEASE: Duration = Duration::from_millis(400);

/// What befell writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Befell {
    written_and_lost: u32,
    lost: u32,
    refused: u32,
}

/// Faults by chance, and what came of them.
struct Watched {
    chance: Chance,
    /// Rows in the order in which they came to stand.
    rows: Mutex<Vec<Job>>,
    befell: Mutex<Befell>,
}

impl Watched {
    fn new(draws: &Arc<Draws>) -> Self {
        let chance = Chance { draws: Arc::clone(draws), of: 10, throttled: 1, lost: 2, done: 3, millis: 20 };
        Self { chance, rows: Mutex::default(), befell: Mutex::default() }
    }
}

impl Fates for Watched {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let fate = self.chance.draw(call);
        let mut befell = self.befell.lock().unwrap();
        match fate.event {
            // What is read is read in the end.
            _ if !call.writes => return Fate { event: Event::None, ..fate },
            Event::DoneAndLost => befell.written_and_lost += 1,
            Event::Fails(StoreErrorKind::Indeterminate) => befell.lost += 1,
            Event::Fails(_) => befell.refused += 1,
            _ => {}
        }
        fate
    }

    fn written(&self, job: &Job) {
        self.rows.lock().unwrap().push(job.clone());
    }
}

/// What everybody was told of what they asked for.
#[derive(Default)]
struct Told {
    begun: u32,
    /// Owner and token of every claim that was granted.
    claims: BTreeMap<String, u64>,
    /// Checkpoints that were said to stand.
    saves: BTreeSet<String>,
    /// Replays that were said to have begun.
    replays: BTreeSet<String>,
    /// Messages that were said to be counted.
    sends: u32,
    zombies: u32,
}

struct Play {
    desk: Desk,
    draws: Arc<Draws>,
    told: Mutex<Told>,
    id: JobId,
}

impl Play {
    async fn pause(&self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.draws.below(most))).await;
    }

    async fn worker(&self, worker: u64) {
        for turn in 0..6 {
            self.pause(300).await;
            let owner = format!("worker-{worker}-{turn}");
            let claim = Command::Claim { owner: owner.clone(), lease: LEASE };
            let job = match self.desk.change(self.id, &claim).await {
                Ok(job) => job,
                Err(ChangeError::Refused(Refused::Leased { owner: other, .. })) => {
                    assert_ne!(other, owner, "it has the job and is not told so");
                    continue;
                }
                Err(_) => continue,
            };
            // The fifth owner of a job that kills its workers gets no lease.
            if job.lease.is_none() {
                continue;
            }
            let fence = job.fence;
            assert!(self.told.lock().unwrap().claims.insert(owner.clone(), fence).is_none());
            self.own(&owner, fence).await;
        }
    }

    /// Some work, at the end of which some die and some sleep too long.
    async fn own(&self, owner: &str, fence: u64) {
        for step in 0..self.draws.below(4) {
            self.pause(300).await;
            let checkpoint = format!("{owner}-{step}");
            let save = Command::Save {
                fence,
                checkpoint: checkpoint.clone(),
                advanced: self.draws.below(2) == 0,
                publishing: false,
            };
            match self.desk.change(self.id, &save).await {
                Ok(_) => {
                    self.told.lock().unwrap().saves.insert(checkpoint);
                }
                Err(ChangeError::Refused(_)) => {
                    self.told.lock().unwrap().zombies += 1;
                    return;
                }
                Err(_) => {}
            }
        }
        let last = match self.draws.below(4) {
            0 => Command::HandBack { fence, reason: owner.to_owned() },
            1 | 2 => Command::End { fence, ending: Ending::Succeeded(Some(owner.to_owned())) },
            _ => return,
        };
        drop(self.desk.change(self.id, &last).await);
    }

    async fn operator(&self) {
        for turn in 0..12 {
            self.pause(200).await;
            let reason = format!("replay-{turn}");
            let replay = Command::Replay { reason: reason.clone(), route: None };
            if self.desk.change(self.id, &replay).await.is_ok() {
                self.told.lock().unwrap().replays.insert(reason);
            }
        }
    }

    /// Nobody else counts messages.
    async fn sender(&self) {
        for _ in 0..12 {
            self.pause(200).await;
            let before = self.sends().await;
            let sent = self.desk.change(self.id, &Command::Sent).await.is_ok();
            let counted = self.sends().await - before;
            assert!(counted <= 1, "one message is counted {counted} times");
            assert!(counted == 1 || !sent, "a message was said to be counted");
            self.told.lock().unwrap().sends += u32::from(sent);
        }
    }

    /// Messages that were counted. Each claim uses a number up as well, whoever's message it was for.
    async fn sends(&self) -> u64 {
        self.desk.ledger.get(self.id).await.unwrap().map_or(0, |job| u64::from(job.sends) - job.fence)
    }

    async fn teller(&self) {
        for _ in 0..10 {
            self.pause(200).await;
            if let Ok(Some(job)) = self.desk.ledger.get(self.id).await {
                drop(self.desk.tell(&job).await);
            }
        }
    }
}

fn arrived(at: Millis) -> Arrived {
    Arrived {
        arrival: Arrival {
            bucket: "ingest".into(),
            key: "tenants/acme/in/a".into(),
            version_id: "v1".into(),
        },
        size: 1,
        etag: None,
        at,
        tenant: Some("acme".parse().unwrap()),
        route: None,
        runner: Runner::Worker,
        turn: None,
        trace: None,
    }
}

/// One play from its seed; gives the rows, what everybody was told, and what befell the writes.
fn play(seed: u64) -> (Vec<Job>, Told, Befell) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = Clock::simulated();
        let draws = Arc::new(Draws::new(seed));
        let region = Arc::new(Region::new(clock));
        let watched = Arc::new(Watched::new(&draws));
        let desk = Desk {
            ledger: Arc::new(Faulty::new(Region::clone(&region), watched.clone())),
            runs: region.clone(),
            catalog: region.clone(),
            keys: region.clone(),
            dispatch: region.clone(),
            notify: region,
            clock,
            retention: Retention::default(),
            actor: Actor::part("test"),
            source: "eft/test".into(),
        };
        let play = Play { desk, draws, told: Mutex::default(), id: arrived(clock.now()).job_id() };
        let begins = (0..3).map(|nth| {
            let (desk, at) = (play.desk.clone(), clock.now().plus(Duration::from_millis(nth)));
            async move { desk.begin(&arrived(at), &Command::Accept).await }
        });
        for answer in join_all(begins).await {
            play.told.lock().unwrap().begun += u32::from(matches!(answer, Ok((_, true))));
        }
        let workers = join_all((0..WORKERS).map(|nth| play.worker(nth)));
        tokio::join!(workers, play.operator(), play.sender(), play.teller());
        // Marks are of no seed.
        let rows =
            watched.rows.lock().unwrap().iter().map(|row| Job { marks: Vec::new(), ..row.clone() }).collect();
        let befell = *watched.befell.lock().unwrap();
        let told = std::mem::take(&mut *play.told.lock().unwrap());
        (rows, told, befell)
    })
}

/// What must hold of every play.
fn check(seed: u64, rows: &[Job], told: &Told) {
    assert!(told.begun <= 1, "seed {seed}: {} begins were said to be the first", told.begun);
    let mut claims = BTreeMap::<String, u64>::new();
    let mut saves = BTreeMap::<String, u32>::new();
    let mut reasons = BTreeMap::<String, BTreeSet<u64>>::new();
    let mut events = BTreeMap::new();
    for (before, row) in std::iter::once(None).chain(rows.iter().map(Some)).zip(rows) {
        assert_eq!(
            row.rev,
            before.map_or(1, |before| before.rev + 1),
            "seed {seed}: revisions follow each other"
        );
        for event in &row.outbox {
            let known = events.entry(event.sequence).or_insert_with(|| event.clone());
            assert_eq!(known, event, "seed {seed}: a change is told as it was");
            if let Some(reason) = &event.reason {
                reasons.entry(reason.clone()).or_default().insert(event.sequence);
            }
        }
        let Some(before) = before else { continue };
        assert!(matches!(row.fence - before.fence, 0 | 1), "seed {seed}: tokens follow each other");
        if row.fence > before.fence {
            let until = before.lease.as_ref().map_or(Millis(0), |lease| lease.until);
            assert!(until <= row.changed_at, "seed {seed}: two own it at {:?}", row.changed_at);
            if let Some(lease) = &row.lease {
                let twice = claims.insert(lease.owner.clone(), row.fence);
                assert_eq!(twice, None, "seed {seed}: {} has claimed once and owns twice", lease.owner);
            }
        }
        if let Some(checkpoint) = row.checkpoint.as_ref().filter(|_| row.checkpoint != before.checkpoint) {
            *saves.entry(checkpoint.clone()).or_default() += 1;
        }
    }
    for (owner, fence) in &told.claims {
        assert_eq!(claims.get(owner), Some(fence), "seed {seed}: {owner} was told that it owns the job");
    }
    let twice = saves.iter().find(|(_, times)| **times > 1);
    assert_eq!(twice, None, "seed {seed}: a checkpoint came back");
    for save in &told.saves {
        assert!(saves.contains_key(save), "seed {seed}: {save} was said to stand");
    }
    for turn in 0..12 {
        let reason = format!("replay-{turn}");
        let made = reasons.get(&reason).map_or(0, BTreeSet::len);
        assert!(made <= 1, "seed {seed}: {reason} was made {made} times");
        assert!(made == 1 || !told.replays.contains(&reason), "seed {seed}: {reason} was said to be made");
    }
}

#[test]
fn lost_answers_make_no_second_owner_and_no_second_change() {
    let (mut befell, mut claims, mut saves, mut replays, mut zombies) = (Befell::default(), 0, 0, 0, 0);
    for seed in 0..SEEDS {
        let (rows, told, one) = play(seed);
        check(seed, &rows, &told);
        befell.written_and_lost += one.written_and_lost;
        befell.lost += one.lost;
        befell.refused += one.refused;
        claims += told.claims.len();
        saves += told.saves.len();
        replays += told.replays.len();
        zombies += told.zombies;
    }
    println!(
        "{SEEDS} seeds: {befell:?}, {claims} claims, {saves} checkpoints, {replays} replays, {zombies} zombies"
    );
    // A play in which nothing happens proves nothing.
    assert!(befell.written_and_lost > 10_000 && befell.lost > 10_000 && befell.refused > 1_000, "{befell:?}");
    assert!(claims > 5_000 && saves > 1_000 && replays > 1_000 && zombies > 100);
}

#[test]
fn a_seed_gives_one_play() {
    let (one, ..) = play(7);
    let (other, ..) = play(7);
    assert_eq!(one, other);
    assert_ne!(play(8).0, one);
}
