//! One tenant's flood, and another's file.

use std::time::Duration;

use crate::{
    life::{Death, simulated},
    store::PARTS,
    world::{Expect, File, MOST_JOBS, World},
};

const FLOOD: usize = 200;
/// The most that a part takes (`transfer.rs`), and what is between two jobs of a slot.
const PART: Duration = Duration::from_millis(20_100);
const BETWEEN: Duration = Duration::from_secs(5);

/// Deliver a file of globex's that comes while there is a flood of acme's, good files and bad, and a worker dies: how long
/// it took, and how many of acme's were still to be done.
fn delivered_in_a_flood(flood: usize) -> (Duration, usize) {
    simulated(async {
        let mut world = World::faultless().await;
        world.join("globex", "theirs").await;
        for number in 0..flood {
            let expect = if number % 3 == 0 { Expect::Rejected } else { Expect::Delivered };
            world.arrive(File::new(&format!("in/{number}"), "v1", expect), &[Duration::ZERO]);
        }
        // All at once: no index follows.
        while world.events.len() > 0 {
            world.invoke(&world.life(Death::Never)).await.unwrap();
        }
        let workers = [world.start(1, Death::Never), world.start(1, Death::Never)];
        let dying = world.start(1, Death::Never);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let file = File::of("globex", "theirs/a", "v1", Expect::Delivered);
        let job = file.job();
        world.arrive(file, &[Duration::ZERO]);
        world.invoke(&world.life(Death::Never)).await.unwrap();
        dying.life.kill();
        let came = tokio::time::Instant::now();
        while world.store.published(job) == 0 {
            assert!(came.elapsed() < Duration::from_secs(3600 * 24), "it was never delivered");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let took = came.elapsed();
        let open = world.region.jobs().iter().filter(|job| !job.state.is_terminal()).count();
        for worker in workers {
            worker.drained().await;
        }
        (took, open)
    })
}

/// Both slots that are left have a job of acme's, the rest of its quota is in the queue before globex's, and no more comes
/// before it, however many there are.
#[test]
fn a_flood_of_one_tenant_delays_another_by_its_quota_at_most() {
    let (alone, _) = delivered_in_a_flood(0);
    let job = PART * PARTS + BETWEEN;
    assert!(alone <= job, "a job takes {alone:?} by itself");
    let before = job * MOST_JOBS.div_ceil(2);
    for flood in [FLOOD, FLOOD * 2] {
        let (took, open) = delivered_in_a_flood(flood);
        assert!(open > flood / 2, "there was no flood any more: {open} of {flood}");
        assert!(took <= before + job, "{took:?} beside {flood} files");
    }
}
