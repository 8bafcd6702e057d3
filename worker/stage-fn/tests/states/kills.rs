//! Every function killed after each of its effects: the same state again, or another owner, comes to the same end.

use std::time::Duration;

use eft_domain::JobState;
use serde_json::Value;

use crate::{
    ends::{CHECKED, COPIED, GOOD, MADE, checked, receipt},
    machine::{Answer, Ended},
    world::{ARCHIVE, Kill, World, call},
};

const STATES: [&str; 5] = ["Validate", "Stage", "Transform", "Deliver", "Archive"];

/// An execution up to a state; what that state is asked for.
async fn up_to(world: &World, state: &str) -> (String, Value) {
    let (name, mut input) = world.started();
    for before in STATES.iter().take_while(|before| **before != state) {
        input = world.call(&world.machine.request(before, &name, &input)).await.unwrap();
    }
    (name, input)
}

async fn assert_delivered(world: &World, made: &str, what: &str) {
    let row = world.row().await;
    assert_eq!((row.state, row.outbox.len()), (JobState::Succeeded, 0), "{what}: {:?}", row.failure);
    for key in ["a/one.txt", "b/one.txt"] {
        assert_eq!(world.delivered(key).as_deref(), Some(made), "{what}");
    }
    assert!(world.is_clean(), "{what}: {:?}, {:?}", world.s3.keys("eft-staging"), world.s3.open_uploads());
    if made == MADE {
        assert_eq!(world.s3.versions(ARCHIVE, &world.s3.keys(ARCHIVE)[0]).len(), 1, "{what}");
        let receipt = receipt(world).await;
        assert_eq!(checked(&receipt), Some(2), "{what}: the receipt says what was done");
        assert_eq!(receipt.deliveries.len(), 3, "{what}");
    }
}

/// How often a state can be killed in this way before it has answered.
async fn kill_everywhere(
    route: &str,
    made: &str,
    kill: impl Fn(u64) -> Kill,
    then: impl AsyncFn(&mut World, &str, String, Value) -> Ended,
) -> usize {
    let mut killed = 0;
    for state in STATES {
        for effect in 1.. {
            let mut world = World::new(route, GOOD).await;
            let (name, input) = up_to(&world, state).await;
            let request = world.machine.request(state, &name, &input);
            let answer = world.killed(&request, kill(effect)).await;
            if let Some(answer) = answer {
                assert!(answer.is_ok(), "{state}: {answer:?}");
                break;
            }
            killed += 1;
            let what = format!("{state}, {:?}", kill(effect));
            assert_eq!(then(&mut world, state, name, input).await, Ended::In("Archive".to_owned()), "{what}");
            assert_delivered(&world, made, &what).await;
        }
    }
    killed
}

/// The same execution tries the state again.
async fn again(world: &mut World, state: &str, name: String, input: Value) -> Ended {
    let call = async |_: &str, request: Value| -> Answer { world.call(&request).await };
    world.machine.run(state, &name, input, call).await
}

/// The execution is gone; the sweep sends the run again; and then the first one wakes.
async fn another(world: &mut World, state: &str, name: String, input: Value) -> Ended {
    let later = world.later(Duration::from_secs(3600));
    let zombie = std::mem::replace(&mut world.stages, later);
    let row = world.row().await;
    if row.state.is_terminal() {
        // It had come to its end, and is told by the sweep. What it had staged is the lifecycle rule's.
        world.stages.desk.tell(&row).await.unwrap();
        assert_eq!(state, "Archive");
        return again(world, state, name, input).await;
    }
    world.stages.desk.send(&row).await.unwrap();
    let (next, first) = world.started();
    assert_ne!(next, name);
    let between = async |at: &str, request: Value| {
        if at == "Deliver" {
            let woken = call(&zombie, &world.machine.request(state, &name, &input)).await;
            assert_eq!(woken, Err("EFT.Superseded".to_owned()), "{state}");
        }
        world.call(&request).await
    };
    world.machine.run("Validate", &next, first, between).await
}

#[tokio::test]
async fn a_state_killed_after_any_write_to_the_ledger_is_tried_again() {
    let checked = kill_everywhere(CHECKED, MADE, Kill::Ledger, again).await;
    let copied = kill_everywhere(COPIED, GOOD, Kill::Ledger, again).await;
    println!("{checked} and {copied} kills");
    assert!(checked >= 12 && copied >= 9);
}

#[tokio::test]
async fn a_state_killed_after_any_request_to_s3_is_tried_again() {
    let checked = kill_everywhere(CHECKED, MADE, Kill::S3, again).await;
    let copied = kill_everywhere(COPIED, GOOD, Kill::S3, again).await;
    println!("{checked} and {copied} kills");
    assert!(checked >= 15 && copied >= 8);
}

#[tokio::test]
async fn another_owner_goes_on_after_any_write_to_the_ledger_and_the_first_is_fenced() {
    let killed = kill_everywhere(CHECKED, MADE, Kill::Ledger, another).await;
    println!("{killed} kills");
    assert!(killed >= 12);
}

#[tokio::test]
async fn another_owner_goes_on_after_any_request_to_s3_and_the_first_is_fenced() {
    let killed = kill_everywhere(CHECKED, MADE, Kill::S3, another).await;
    println!("{killed} kills");
    assert!(killed >= 15);
}

#[tokio::test]
async fn answers_of_the_ledger_that_are_lost_change_nothing() {
    for losses in [1, 3, 8] {
        let world = World::new(CHECKED, GOOD).await;
        world.fate.loses.store(losses, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(world.execute().await, Ended::In("Archive".to_owned()));
        assert_delivered(&world, MADE, &format!("{losses} lost")).await;
    }
}
