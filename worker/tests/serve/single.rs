//! One thing at a time.

use std::time::Duration;

use eft_domain::{Command, JobState};

use crate::{ledger::Draws, world::World};

async fn world(jobs: usize, bad: usize) -> World {
    World::new(&Draws::new(1), jobs, bad, 1 << 30, |_| false).await
}

#[tokio::test(start_paused = true)]
async fn a_job_is_run_told_and_its_message_deleted() {
    let mut world = world(1, 0).await;
    world.sweep().await;
    let worker = world.start(1);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let job = world.job(world.jobs[0]).await;
    assert_eq!((job.state, job.outbox.len(), world.queue.len()), (JobState::Succeeded, 0, 0));
    assert_eq!(world.store.published(job.id), 1);
    worker.drain.cancel();
    worker.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_worker_is_followed_by_one_that_goes_on() {
    let mut world = world(1, 0).await;
    world.sweep().await;
    let first = world.start(1);
    while world.store.read(world.jobs[0]) < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    first.kill();
    let second = world.start(1);
    tokio::time::sleep(Duration::from_secs(900)).await;
    let job = world.job(world.jobs[0]).await;
    assert_eq!((job.state, job.fence), (JobState::Succeeded, 2));
    assert!(
        world.store.read(job.id) <= 10,
        "at most one interval is read again: {}",
        world.store.read(job.id)
    );
    second.kill();
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_that_wakes_is_harmless() {
    let mut world = world(1, 0).await;
    world.sweep().await;
    let first = world.start(1);
    while world.store.read(world.jobs[0]) < 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    first.freeze(true);
    let second = world.start(1);
    tokio::time::sleep(Duration::from_secs(1200)).await;
    first.freeze(false);
    tokio::time::sleep(Duration::from_secs(1200)).await;
    let job = world.job(world.jobs[0]).await;
    assert_eq!((job.state, world.store.published(job.id)), (JobState::Succeeded, 1));
    assert_eq!(world.store.open(), 0);
    for worker in [first, second] {
        worker.drain.cancel();
        worker.ended().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drained_worker_hands_its_job_back_at_once() {
    let mut world = world(1, 0).await;
    world.sweep().await;
    let first = world.start(1);
    while world.store.read(world.jobs[0]) < 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let begun = tokio::time::Instant::now();
    first.drain.cancel();
    first.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(110), "{:?}", begun.elapsed());
    assert_eq!(world.job(world.jobs[0]).await.state, JobState::Accepted);
    let second = world.start(1);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.job(world.jobs[0]).await.state, JobState::Succeeded);
    assert!(world.store.read(world.jobs[0]) <= 10);
    second.kill();
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_is_not_published() {
    let mut world = world(1, 0).await;
    world.sweep().await;
    let worker = world.start(1);
    while world.store.read(world.jobs[0]) < 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world
        .desk
        .change_and_tell(world.jobs[0], &Command::Cancel { reason: "wrong file".into() })
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(900)).await;
    let job = world.job(world.jobs[0]).await;
    assert_eq!((job.state, world.store.published(job.id)), (JobState::Cancelled, 0));
    assert_eq!(world.queue.len(), 0, "its message is deleted");
    worker.kill();
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_read_is_set_aside_and_holds_up_nothing() {
    let mut world = world(2, 1).await;
    world.queue.put("no message");
    world.queue.put(r#"{"v":1,"run":"60103e97-4777-5c71-a745-3fa7d439fdaa.1","send":0}"#);
    world.sweep().await;
    let worker = world.start(1);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.queue.aside().len(), 2);
    assert_eq!(world.job(world.jobs[0]).await.state, JobState::Rejected);
    assert_eq!(world.job(world.jobs[1]).await.state, JobState::Succeeded);
    worker.kill();
}
