//! Seeds: each is another order of kills, stops, losses and doubles, and each ends with every file delivered once.

use std::time::Duration;

use eft_domain::{JobState, invariant, message::WorkMessage};
use eft_store::Runs as _;

use crate::{
    ledger::Draws,
    world::{Running, World},
};

/// What CI runs; `EFT_SIM_SEEDS=10000` for more, `EFT_SIM_SEED=17` for one.
const SEEDS: u64 = 200;

async fn one(seed: u64) -> Result<String, String> {
    let draws = Draws::new(seed);
    let mut world = World::new(&draws, 6, 1, 12 + draws.below(60), |number| number % 7 == 3).await;
    let mut workers: Vec<Running> = (0..2).map(|_| world.start(2)).collect();
    let (mut killed, mut stopped, mut drained) = (0, 0, 0);
    let mut sleeping: Vec<(Running, u64)> = Vec::new();
    // Twenty minutes of trouble, half a minute each.
    for turn in 0..40 {
        tokio::time::sleep(Duration::from_millis(20_000 + draws.below(20_000))).await;
        world.sweep().await;
        let at = draws.below(workers.len() as u64) as usize;
        match draws.below(8) {
            0 | 1 => {
                workers.swap_remove(at).kill();
                workers.push(world.start(2));
                killed += 1;
            }
            2 => {
                let worker = workers.swap_remove(at);
                worker.freeze(true);
                sleeping.push((worker, turn + 1 + draws.below(12)));
                workers.push(world.start(2));
                stopped += 1;
            }
            3 => {
                let worker = workers.swap_remove(at);
                worker.drain.cancel();
                worker.ended().await;
                workers.push(world.start(2));
                drained += 1;
            }
            _ => {}
        }
        sleeping.retain(|(worker, until)| {
            worker.freeze(*until > turn);
            true
        });
    }
    for (worker, _) in &sleeping {
        worker.freeze(false);
    }
    // A destination that was down is tried again for a day.
    for _ in 0..48 * 60 {
        if world.all_ended() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.sweep().await;
    }
    for worker in workers.into_iter().chain(sleeping.into_iter().map(|(worker, _)| worker)) {
        worker.drain.cancel();
        worker.ended().await;
    }
    check(&world).await?;
    Ok(format!("{killed} killed, {stopped} stopped, {drained} drained"))
}

async fn check(world: &World) -> Result<(), String> {
    for (at, id) in world.jobs.iter().enumerate() {
        let job = world.job(*id).await;
        let expected = if at == 0 { JobState::Rejected } else { JobState::Succeeded };
        if job.state != expected {
            return Err(format!("job {at} is {}, not {expected}: {:?}", job.state, job.failure));
        }
        let visible = u32::from(expected == JobState::Succeeded);
        if world.store.published(*id) != visible {
            return Err(format!("job {at} was published {} times", world.store.published(*id)));
        }
        if !job.outbox.is_empty() {
            return Err(format!("job {at} has changes that were not told"));
        }
        let history = world.region.history(*id).await.map_err(|error| error.to_string())?;
        if history.len() as u64 != job.sequence {
            return Err(format!("the history of job {at} has {} changes of {}", history.len(), job.sequence));
        }
        for promise in invariant::ALL {
            let holds = promise.holds_of_history.map_or(Ok(()), |holds| holds(&history));
            holds.map_err(|why| format!("{} {}: job {at}: {why}", promise.id, promise.name))?;
        }
        let told = world.region.published();
        let last = format!("{id}:1:{}", job.sequence);
        if !told.iter().any(|(_, event)| event["id"] == last.as_str()) {
            return Err(format!("nobody was told how job {at} ended"));
        }
    }
    if world.store.open() > 0 {
        return Err(format!("{} uploads are left", world.store.open()));
    }
    // A message whose receivers die is set aside, and the ledger brings its job back; it is the only reason.
    for body in world.queue.aside() {
        let run = WorkMessage::parse(&body).map_err(|error| error.to_string())?.run;
        if !world.jobs.contains(&run.job()) {
            return Err(format!("set aside: {body}"));
        }
    }
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    std::env::vars().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok())
}

#[test]
fn every_file_is_delivered_once_whatever_happens() {
    let (first, count) = match number("EFT_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("EFT_SIM_SEEDS").unwrap_or(SEEDS)),
    };
    for seed in first..first + count {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        match runtime.block_on(one(seed)) {
            Ok(what) if count == 1 => println!("seed {seed}: {what}"),
            Ok(_) => {}
            Err(why) => panic!(
                "{why}\nEFT_SIM_SEED={seed} cargo test --workspace --test serve every_file -- --nocapture"
            ),
        }
    }
    println!("{count} seeds");
}
