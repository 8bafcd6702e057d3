//! Routes with an order.

use std::time::Duration;

use eft_domain::{Code, Command, Failure, JobState, route::HeadOfLine};
use eft_worker::serve::Times;

use crate::{
    life::{Death, simulated},
    queue::VISIBILITY,
    world::{Expect, File, Running, World},
};

/// With so many files of a route with an order: each has its turn, and none is in the queue.
async fn accepted(policy: HeadOfLine, files: u8) -> World {
    let mut world = World::faultless().await;
    world.keep_order(policy).await;
    world.pause(true).await;
    // One after the other: two events of one batch have no order.
    for number in 0..files {
        let file = File::new(&format!("in/{number}"), "v1", Expect::Delivered);
        world.arrive(file, &[Duration::ZERO]);
        world.invoke(&world.life(Death::Never)).await.unwrap();
    }
    world.pause(false).await;
    world
}

/// Put these into the queue, in this order.
async fn send(world: &World, files: &[usize]) {
    let desk = world.own_desk();
    for file in files {
        desk.send(&world.job(&world.files[*file]).await.unwrap()).await.unwrap();
    }
}

/// Hold a file, as a worker does that may not read it.
async fn hold(world: &World, file: usize) {
    let (desk, job) = (world.own_desk(), world.files[file].job());
    let claim = Command::Claim { owner: "another".into(), lease: Duration::from_secs(60) };
    let fence = desk.change_and_tell(job, &claim).await.unwrap().fence;
    let failure = Failure::new(Code::SourceAccess, "denied");
    desk.change_and_tell(job, &Command::Hold { fence, failure, retry_in: None }).await.unwrap();
}

/// The files that are published within this time, in their order, and no two of them at once.
async fn published(world: &World, within: Duration) -> Vec<usize> {
    let until = tokio::time::Instant::now() + within;
    let mut order = Vec::new();
    while tokio::time::Instant::now() < until {
        for (number, file) in world.files.iter().enumerate() {
            if world.store.published(file.job()) > 0 && !order.contains(&number) {
                order.push(number);
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    order
}

async fn state(world: &World, file: usize) -> JobState {
    world.job(&world.files[file]).await.unwrap().state
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn messages_in_another_order_than_the_turns_are_each_received_once() {
    simulated(async {
        let mut world = accepted(HeadOfLine::Block, 4).await;
        send(&world, &[3, 1, 2, 0]).await;
        let workers = [world.start(2, Death::Never), world.start(2, Death::Never)];
        assert_eq!(published(&world, HOUR).await, [0, 1, 2, 3]);
        assert_eq!((world.queue.receives(), world.queue.len()), (4, 0), "none was put back to wait");
        for file in &world.files {
            assert_eq!(world.job(file).await.unwrap().fence, 1, "{}", file.key);
        }
        for worker in workers {
            worker.drained().await;
        }
    });
}

#[test]
fn a_message_stays_hidden_while_many_short_jobs_go_before_its_own() {
    simulated(async {
        let mut world = accepted(HeadOfLine::Block, 8).await;
        // None of them lives to see a heartbeat, and all of them together outlast what hides a message at first.
        world.times = Times::of_lease(HOUR);
        send(&world, &[7, 6, 5, 4, 3, 2, 1, 0]).await;
        let begun = tokio::time::Instant::now();
        let workers = [world.start(1, Death::Never), world.start(1, Death::Never)];
        while world.queue.len() == 8 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(begun.elapsed() > VISIBILITY, "too short to show anything: {:?}", begun.elapsed());
        assert_eq!(published(&world, HOUR).await, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(world.queue.receives(), 8);
        for worker in workers {
            worker.drained().await;
        }
    });
}

#[test]
fn one_that_has_no_message_yet_goes_first_all_the_same() {
    simulated(async {
        // Four are as many as the tenant may have in the queue: the first two would wait for those behind them for ever.
        let mut world = accepted(HeadOfLine::Block, 6).await;
        send(&world, &[2, 3, 4, 5]).await;
        let worker = world.start(1, Death::Never);
        assert_eq!(published(&world, HOUR).await, [0, 1, 2, 3, 4, 5]);
        worker.drained().await;
    });
}

#[test]
fn one_that_has_no_message_waits_while_its_tenant_is_paused() {
    simulated(async {
        let mut world = accepted(HeadOfLine::Block, 2).await;
        send(&world, &[1]).await;
        world.pause(true).await;
        let worker = world.start(1, Death::Never);
        assert_eq!(published(&world, HOUR).await, [0; 0]);
        world.pause(false).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(600)).await;
            world.tend().await;
        }
        assert_eq!(published(&world, HOUR).await.len(), 2);
        worker.drained().await;
    });
}

#[test]
fn those_behind_one_that_another_worker_has_wait_for_it() {
    simulated(async {
        let mut world = accepted(HeadOfLine::Block, 2).await;
        let claim = Command::Claim { owner: "another".into(), lease: Duration::from_secs(600) };
        world.own_desk().change_and_tell(world.files[0].job(), &claim).await.unwrap();
        send(&world, &[1]).await;
        let worker = world.start(1, Death::Never);
        assert_eq!(published(&world, Duration::from_secs(590)).await, [0; 0]);
        assert_eq!(published(&world, HOUR).await, [0, 1], "its lease is over");
        worker.drained().await;
    });
}

#[test]
fn on_a_route_that_continues_those_behind_one_that_is_held_keep_their_order() {
    simulated(async {
        let mut world = accepted(HeadOfLine::HoldAndContinue, 4).await;
        hold(&world, 0).await;
        send(&world, &[3, 2, 1]).await;
        let worker = world.start(2, Death::Never);
        assert_eq!(published(&world, HOUR).await, [1, 2, 3]);
        assert_eq!((state(&world, 0).await, world.queue.receives()), (JobState::Held, 3));
        worker.drained().await;
    });
}

/// Two files of a route that blocks, and a worker, after the first was held for an hour.
async fn behind_one_that_is_held() -> (World, Running) {
    let mut world = accepted(HeadOfLine::Block, 2).await;
    hold(&world, 0).await;
    send(&world, &[1]).await;
    let worker = world.start(2, Death::Never);
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(300)).await;
        world.tend().await;
    }
    (world, worker)
}

#[test]
fn on_a_route_that_blocks_nothing_passes_one_that_is_held() {
    simulated(async {
        let (world, worker) = behind_one_that_is_held().await;
        assert_eq!((state(&world, 0).await, state(&world, 1).await), (JobState::Held, JobState::Accepted));
        assert_eq!(world.store.read(world.files[1].job()), 0);
        let resume = Command::Resume { reason: "granted".into() };
        world.own_desk().change_and_tell(world.files[0].job(), &resume).await.unwrap();
        let tended = async {
            for _ in 0..24 {
                tokio::time::sleep(Duration::from_secs(300)).await;
                world.tend().await;
            }
        };
        let (order, ()) = tokio::join!(published(&world, 2 * HOUR), tended);
        assert_eq!(order, [0, 1]);
        worker.drained().await;
    });
}
