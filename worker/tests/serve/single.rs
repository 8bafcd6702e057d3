//! One thing at a time.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use eft_domain::{
    Code, Command, Job, JobState,
    job::{HOLD_CUTOFF, Hold},
};
use eft_store::StoreResult;
use eft_worker::serve::{
    Times,
    circuit::{Circuits, FAILURES, PAUSE},
    protect::Protection,
};
use futures::{FutureExt, future::BoxFuture};

use crate::{
    life::{Death, simulated},
    queue::Fifo,
    store::PARTS,
    transfer::INTERVAL,
    world::{Expect, File, Running, World},
};

/// With these files, given to the router.
async fn world(files: &[Expect]) -> World {
    let mut world = World::faultless().await;
    for (number, expect) in files.iter().enumerate() {
        let file = File::new(&format!("in/{number}"), &format!("v{number}"), *expect);
        world.arrive(file, &[Duration::ZERO]);
    }
    world.invoke(&world.life(Death::Never)).await.unwrap();
    world
}

/// A world with one file, and a worker that has read this many parts of it.
async fn begun(parts: u32) -> (World, File, Running) {
    let mut world = world(&[Expect::Delivered]).await;
    let file = world.files[0].clone();
    let worker = world.start(1, Death::Never);
    while world.store.read(file.job()) < parts {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (world, file, worker)
}

async fn state(world: &World, file: &File) -> JobState {
    world.job(file).await.unwrap().state
}

#[test]
fn a_job_is_run_told_and_its_message_deleted() {
    simulated(async {
        let (world, file, worker) = begun(1).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let job = world.job(&file).await.unwrap();
        assert_eq!((job.state, job.outbox.len(), world.queue.len()), (JobState::Succeeded, 0, 0));
        assert_eq!(world.store.published(job.id), 1);
        worker.drained().await;
    });
}

#[test]
fn a_killed_worker_is_followed_by_one_that_goes_on() {
    simulated(async {
        let (mut world, file, first) = begun(5).await;
        first.life.kill();
        let second = world.start(1, Death::Never);
        tokio::time::sleep(Duration::from_secs(900)).await;
        let job = world.job(&file).await.unwrap();
        assert_eq!((job.state, job.fence), (JobState::Succeeded, 2));
        let read = world.store.read(job.id);
        assert!(read <= PARTS + INTERVAL, "at most one interval is read again: {read}");
        second.drained().await;
    });
}

#[test]
fn a_stopped_worker_that_wakes_is_harmless() {
    simulated(async {
        let (mut world, file, first) = begun(3).await;
        first.life.freeze(true);
        let second = world.start(1, Death::Never);
        tokio::time::sleep(Duration::from_secs(1200)).await;
        assert_eq!(state(&world, &file).await, JobState::Succeeded);
        first.life.freeze(false);
        tokio::time::sleep(Duration::from_secs(1200)).await;
        assert_eq!((state(&world, &file).await, world.store.published(file.job())), (JobState::Succeeded, 1));
        assert_eq!(world.store.open(), 0);
        // It works on.
        second.drained().await;
        world.arrive(File::new("in/next", "v9", Expect::Delivered), &[Duration::ZERO]);
        world.tend().await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let next = world.files[1].clone();
        assert_eq!(state(&world, &next).await, JobState::Succeeded);
        first.drained().await;
    });
}

/// Its message may be another's at any moment.
#[test]
fn a_worker_that_cannot_keep_its_message_stops_at_once() {
    simulated(async {
        let (world, file, worker) = begun(1).await;
        worker.life.let_go(true);
        while worker.life.told() == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let read = world.store.read(file.job());
        assert!(read < PARTS, "it had come to its end by then: the test shows nothing");
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!((world.store.read(file.job()), state(&world, &file).await), (read, JobState::Accepted));
        worker.life.let_go(false);
        tokio::time::sleep(Duration::from_secs(1200)).await;
        assert_eq!((state(&world, &file).await, world.store.published(file.job())), (JobState::Succeeded, 1));
        assert!(world.store.read(file.job()) <= PARTS + INTERVAL);
        worker.drained().await;
    });
}

#[test]
fn a_drained_worker_hands_its_job_back_at_once() {
    simulated(async {
        let (mut world, file, first) = begun(3).await;
        let begun = tokio::time::Instant::now();
        first.drained().await;
        assert!(begun.elapsed() < Duration::from_secs(110), "{:?}", begun.elapsed());
        assert_eq!(state(&world, &file).await, JobState::Accepted);
        let second = world.start(1, Death::Never);
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(state(&world, &file).await, JobState::Succeeded);
        assert!(world.store.read(file.job()) <= PARTS + INTERVAL);
        second.drained().await;
    });
}

/// What the task's agent was told, with how often a message had been received and how many there were.
struct Agent(Fifo, Mutex<Vec<(bool, u64, usize)>>);

impl Protection for Agent {
    fn set(&self, protected: bool) -> BoxFuture<'_, StoreResult<()>> {
        self.1.lock().unwrap().push((protected, self.0.receives(), self.0.len()));
        async { Ok(()) }.boxed()
    }
}

#[test]
fn a_task_is_protected_from_before_its_message_is_received_until_the_job_has_ended() {
    simulated(async {
        let mut world = world(&[Expect::Delivered]).await;
        let agent = Arc::new(Agent(world.queue.clone(), Mutex::default()));
        world.protection = agent.clone();
        let worker = world.start(1, Death::Never);
        tokio::time::sleep(Duration::from_secs(600)).await;
        worker.drained().await;
        assert_eq!(state(&world, &world.files[0]).await, JobState::Succeeded);
        let told = agent.1.lock().unwrap().clone();
        assert_eq!(told.first(), Some(&(true, 0, 1)), "before it is received");
        assert!(told.contains(&(true, 1, 1)), "renewed while it runs: {told:?}");
        let released = told.iter().filter(|(protected, ..)| !protected);
        assert!(released.clone().all(|(_, receives, left)| (*receives, *left) == (1, 0)), "{told:?}");
        assert!(!told.last().unwrap().0, "an idle worker may be scaled in");
    });
}

/// However long it is away: a message that was received five times would be set aside, though it has a row.
#[test]
fn while_the_ledger_is_away_no_message_is_used_up() {
    simulated(async {
        let mut world = world(&[Expect::Delivered; 3]).await;
        let worker = world.start(1, Death::Never);
        worker.life.cut_off(true);
        tokio::time::sleep(Duration::from_secs(6 * 3600)).await;
        assert_eq!((world.queue.aside().len(), world.queue.len()), (0, 3));
        worker.life.cut_off(false);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        for file in &world.files {
            let job = world.job(file).await.unwrap();
            assert_eq!((job.state, job.fence), (JobState::Succeeded, 1), "{}", file.key);
        }
        assert_eq!((world.queue.aside().len(), world.queue.len()), (0, 0));
        worker.drained().await;
    });
}

/// A worker whose messages can be held for so long.
async fn short_of_time(held: Duration) -> (World, File, Running) {
    let mut world = world(&[Expect::Delivered]).await;
    world.times = Times { held, ..Times::of_lease(Duration::from_secs(6)) };
    let file = world.files[0].clone();
    let worker = world.start(1, Death::Never);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.queue.len(), 0);
    (world, file, worker)
}

#[test]
fn a_run_that_outlasts_its_message_goes_on_under_another() {
    simulated(async {
        // Two parts, after which a checkpoint is written, take 40 s at most.
        let (world, file, worker) = short_of_time(Duration::from_secs(60)).await;
        let job = world.job(&file).await.unwrap();
        assert_eq!(job.state, JobState::Succeeded, "{:?}", job.failure);
        assert!(job.fence > 1, "it was never handed on");
        assert_eq!(world.store.published(job.id), 1);
        assert!(
            u64::from(world.store.read(job.id)) <= u64::from(PARTS) + u64::from(INTERVAL) * (job.fence - 1)
        );
        worker.drained().await;
    });
}

#[test]
fn a_run_that_gets_nowhere_while_its_message_is_held_ends() {
    simulated(async {
        let (world, file, worker) = short_of_time(Duration::from_secs(3)).await;
        let job = world.job(&file).await.unwrap();
        assert_eq!((job.state, job.fence, world.store.published(job.id)), (JobState::Failed, 1, 0));
        assert_eq!(job.failure.unwrap().code, "run.too_long");
        worker.drained().await;
        world.tend().await;
        assert_eq!(world.store.open(), 0);
    });
}

/// Three runs find out, then one in each half minute; all are delivered when it is up again.
#[test]
fn a_destination_that_is_down_is_left_alone_for_a_while() {
    const FILES: usize = 40;
    simulated(async {
        let mut world = world(&[Expect::Delivered; FILES]).await;
        world.outage.store(true, Relaxed);
        let worker = world.start(2, Death::Never);
        let began = tokio::time::Instant::now();
        let read = |world: &World| world.files.iter().map(|file| world.store.read(file.job())).sum::<u32>();
        while began.elapsed() < Duration::from_secs(3600) {
            tokio::time::sleep(Duration::from_secs(300)).await;
            world.tend().await;
            let most = FAILURES + 1 + (began.elapsed().as_secs() / PAUSE.as_secs()) as u32;
            assert!(read(&world) <= most, "{} runs in {:?}", read(&world), began.elapsed());
        }
        assert!(read(&world) > FAILURES, "nobody asks any more");
        world.outage.store(false, Relaxed);
        for _ in 0..24 {
            tokio::time::sleep(Duration::from_secs(600)).await;
            world.tend().await;
        }
        for file in &world.files {
            let job = world.job(file).await.unwrap();
            assert_eq!((job.state, world.store.published(job.id)), (JobState::Succeeded, 1), "{}", file.key);
        }
        worker.drained().await;
    });
}

/// What may stand at a destination has to be found out about, whoever finds it down.
#[test]
fn a_job_that_may_stand_is_run_although_its_destination_is_down() {
    simulated(async {
        let mut world = world(&[Expect::Delivered; 1 + FAILURES as usize]).await;
        let file = world.files[0].clone();
        let circuits = Circuits::default();
        let job = world.job(&file).await.unwrap();
        let now = job.arrived_at;
        (0..FAILURES).for_each(|_| circuits.ended(&job, Some(Code::DestinationUnavailable), 0));
        assert_eq!(circuits.admit(&job, now).unwrap_err().code, Code::DestinationUnavailable);
        let publishing = Job { publishing: true, ..job.clone() };
        assert_eq!(circuits.admit(&publishing, now), Ok(()));
        let hold = |since| Job { hold: Some(Hold { since, tries: 30, retry_at: None }), ..job.clone() };
        assert!(circuits.admit(&hold(now), now).is_err());
        let cutoff = now.plus(HOLD_CUTOFF);
        assert_eq!(circuits.admit(&hold(now), cutoff), Ok(()), "it is not given up untried");
        world.join("globex", "theirs").await;
        world.arrive(File::of("globex", "theirs/a", "v1", Expect::Delivered), &[Duration::ZERO]);
        world.tend().await;
        let theirs = world.job(world.files.last().unwrap()).await.unwrap();
        assert_eq!(circuits.admit(&theirs, now), Ok(()), "another's route");
    });
}

#[test]
fn a_circuit_is_closed_by_an_answer_and_tried_once_in_a_pause() {
    simulated(async {
        let world = world(&[Expect::Delivered]).await;
        let job = world.job(&world.files[0]).await.unwrap();
        let (down, now) = (Some(Code::DestinationUnavailable), job.arrived_at);
        for answer in [None, Some(Code::DestinationAccess)] {
            let circuits = Circuits::default();
            for _ in 0..5 {
                (1..FAILURES).for_each(|_| circuits.ended(&job, down, 0));
                circuits.ended(&job, answer, 0);
            }
            assert_eq!(circuits.admit(&job, now), Ok(()), "{answer:?}: only failures in a row count");
        }
        let circuits = Circuits::default();
        for silent in [Code::Interrupted, Code::SourceUnavailable, Code::DestinationIndeterminate] {
            circuits.ended(&job, Some(silent), 0);
            circuits.ended(&job, down, 1);
            assert_eq!(circuits.admit(&job, now), Ok(()), "some have answered");
            circuits.ended(&job, down, 0);
        }
        let refused = circuits.admit(&job, now).unwrap_err();
        assert!(refused.message.contains("asked again in 30 s"), "{refused}");
        tokio::time::sleep(PAUSE).await;
        assert_eq!(circuits.admit(&job, now), Ok(()), "one finds out");
        assert!(circuits.admit(&job, now).is_err(), "and no other meanwhile");
        tokio::time::sleep(PAUSE).await;
        assert_eq!(circuits.admit(&job, now), Ok(()), "the first may take long");
        circuits.ended(&job, None, 1);
        assert!([(); 3].iter().all(|()| circuits.admit(&job, now).is_ok()), "it is up");
    });
}

#[test]
fn a_cancelled_job_is_not_published() {
    simulated(async {
        let (world, file, worker) = begun(3).await;
        let cancel = Command::Cancel { reason: "wrong file".into() };
        world.own_desk().change_and_tell(file.job(), &cancel).await.unwrap();
        tokio::time::sleep(Duration::from_secs(900)).await;
        assert_eq!((state(&world, &file).await, world.store.published(file.job())), (JobState::Cancelled, 0));
        assert_eq!(world.queue.len(), 0, "its message is deleted");
        worker.drained().await;
    });
}

#[test]
fn what_nobody_can_read_is_set_aside_and_holds_up_nothing() {
    simulated(async {
        let mut world = world(&[Expect::Rejected, Expect::Delivered]).await;
        world.queue.put("no message");
        world.queue.put(r#"{"v":1,"run":"60103e97-4777-5c71-a745-3fa7d439fdaa.1","send":0}"#);
        let worker = world.start(1, Death::Never);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(world.queue.aside().len(), 2);
        let (bad, good) = (&world.files[0], &world.files[1]);
        assert_eq!(state(&world, bad).await, JobState::Rejected);
        assert_eq!(state(&world, good).await, JobState::Succeeded);
        worker.drained().await;
    });
}
