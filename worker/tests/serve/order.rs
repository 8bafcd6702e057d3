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
    world.keep_order("in", policy).await;
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

/// The files that are published within this time, in their order.
async fn published(world: &World, within: Duration) -> Vec<usize> {
    let until = tokio::time::Instant::now() + within;
    let mut order = Vec::new();
    while tokio::time::Instant::now() < until {
        let before = order.len();
        for (number, file) in world.files.iter().enumerate() {
            if world.store.published(file.job()) > 0 && !order.contains(&number) {
                order.push(number);
            }
        }
        // A part takes no less.
        assert!(order.len() < before + 2 || before == 0, "at once: {order:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
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
        let mut world = accepted(HeadOfLine::Block, 6).await;
        // None of them lives to see a heartbeat, and all of them together outlast what hides a message at first.
        world.times = Times::of_lease(HOUR);
        send(&world, &[5, 4, 3, 2, 1, 0]).await;
        let begun = tokio::time::Instant::now();
        let workers = [world.start(1, Death::Never), world.start(1, Death::Never)];
        let first_gone = async {
            while world.queue.len() == 6 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            begun.elapsed()
        };
        let (order, first_gone) = tokio::join!(published(&world, HOUR), first_gone);
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
        assert!(first_gone > VISIBILITY, "too short to show anything: {first_gone:?}");
        assert_eq!(world.queue.receives(), 6);
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
        let tended = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(600)).await;
                world.tend().await;
            }
        };
        let (order, ()) = tokio::join!(published(&world, HOUR), tended);
        assert_eq!(order, [0, 1]);
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

/// Wait until so many have owned the first file.
async fn owned(world: &World, fence: u64) {
    while world.job(&world.files[0]).await.unwrap().fence < fence {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn whoever_dies_under_another_message_leaves_the_order_as_it_is() {
    simulated(async {
        let mut world = accepted(HeadOfLine::Block, 3).await;
        send(&world, &[2, 1, 0]).await;
        let first = world.start(1, Death::Never);
        owned(&world, 1).await;
        first.life.kill();
        let second = world.start(1, Death::Never);
        assert_eq!(published(&world, HOUR).await, [0, 1, 2]);
        assert_eq!((world.queue.len(), world.queue.aside().len()), (0, 0));
        second.drained().await;
    });
}

#[test]
fn a_message_under_which_others_are_handed_back_is_not_used_up() {
    simulated(async {
        let mut world = accepted(HeadOfLine::Block, 3).await;
        send(&world, &[2, 1]).await;
        // More often than a message may be received.
        for round in 1..10 {
            let worker = world.start(1, Death::Never);
            owned(&world, round).await;
            worker.drained().await;
        }
        assert_eq!(world.queue.aside().len(), 0);
        let worker = world.start(1, Death::Never);
        assert_eq!(published(&world, HOUR).await, [0, 1, 2]);
        worker.drained().await;
    });
}

#[test]
fn those_behind_one_that_is_cancelled_go_on_at_once() {
    simulated(async {
        let mut world = accepted(HeadOfLine::Block, 3).await;
        send(&world, &[2, 1, 0]).await;
        let worker = world.start(1, Death::Never);
        owned(&world, 1).await;
        let cancel = Command::Cancel { reason: "wrong file".into() };
        world.own_desk().change_and_tell(world.files[0].job(), &cancel).await.unwrap();
        assert_eq!(published(&world, HOUR).await, [1, 2]);
        assert_eq!((world.queue.receives(), world.queue.len()), (3, 0));
        worker.drained().await;
    });
}

#[test]
fn no_message_is_held_for_long_for_others_than_its_own_job() {
    simulated(async {
        let mut world = accepted(HeadOfLine::Block, 14).await;
        send(&world, &[13, 12]).await;
        let worker = world.start(1, Death::Never);
        let all: Vec<_> = (0..14).collect();
        assert_eq!(published(&world, 2 * HOUR).await, all);
        assert!(world.queue.receives() > 2, "their jobs got other messages");
        assert_eq!((world.queue.len(), world.queue.aside().len()), (0, 0));
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
