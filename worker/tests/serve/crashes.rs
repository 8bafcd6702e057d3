//! Crashes at every await: router, sweep and worker die before and after each of the calls they make, one at a time.

use std::time::Duration;

use crate::{
    life::{Death, simulated},
    world::{Expect, File, World},
};

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Router,
    Worker,
    Sweep,
}

/// A file whose event comes, one whose event is lost, and one that is bad: a router, a worker and a sweep do their work, and
/// one of them dies; how many calls each has made.
async fn play(dies: Part, death: Death) -> Result<[u64; 3], String> {
    let mut world = World::faultless().await;
    world.arrive(File::new("in/a", "v1", Expect::Delivered), &[Duration::ZERO]);
    world.arrive(File::new("in/lost", "v2", Expect::Delivered), &[]);
    world.arrive(File::new("in/bad", "v3", Expect::Rejected), &[Duration::ZERO]);
    let of = |part| if dies == part { death } else { Death::Never };
    let router = world.life(of(Part::Router));
    world.invoke(&router).await.unwrap();
    let worker = world.start(2, of(Part::Worker));
    tokio::time::sleep(Duration::from_secs(61)).await;
    let sweep = world.life(of(Part::Sweep));
    world.sweep(&sweep).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let calls = [router.calls(), worker.life.calls(), sweep.calls()];
    world.recover(vec![worker]).await?;
    Ok(calls)
}

#[test]
fn every_part_may_die_at_every_call() {
    simulated(async {
        let calls = play(Part::Router, Death::Never).await.unwrap();
        let mut deaths = 0;
        for (part, calls) in [Part::Router, Part::Worker, Part::Sweep].into_iter().zip(calls) {
            assert!(calls > 10, "{part:?} has made {calls} calls");
            for at in 1..=calls {
                for death in [Death::Before(at), Death::After(at)] {
                    let played = play(part, death).await;
                    assert!(played.is_ok(), "{part:?} dies {death:?} of {calls}: {played:?}");
                    deaths += 1;
                }
            }
        }
        println!("{deaths} deaths at {calls:?} calls of router, worker and sweep");
    });
}
