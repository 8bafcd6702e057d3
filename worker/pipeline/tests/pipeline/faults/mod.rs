//! A thousand seeded runs with faults at every port: right bytes, or a right error with its code; nothing partial visible,
//! nothing left behind, no byte unpaid.
//!
//! `EFT_SEED=n` runs one seed alone. The clock stands still but for who waits: an hour of back-off takes no time.
#![expect(clippy::disallowed_methods, reason = "EFT_SEED, and waits for threads that know no paused clock")]

mod draw;
mod rig;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use draw::{Stop, Story};
use eft_domain::Code;
use eft_fakes::faulty::{Call, Dice, Trouble};
use eft_pipeline::transfer::{Outcome, Stopped};
use rig::{Rig, Route};

const SEEDS: u64 = 1000;

/// A seed that takes longer than this by the clock on the wall waits for ever. A run takes some 20 ms.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a seed ended, for the figures.
#[derive(Debug, Default)]
struct Tally {
    ends: BTreeMap<String, u64>,
    fired: BTreeMap<String, u64>,
    resumed: u64,
}

#[test]
fn a_thousand_seeds_end_right() {
    let seeds = match std::env::var("EFT_SEED") {
        Ok(text) => vec![text.parse().unwrap()],
        Err(_) => (0..SEEDS).collect::<Vec<_>>(),
    };
    let routes = Arc::new(Route::all());
    let (next, tally) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Tally::default())));
    let (done, ended) = mpsc::sync_channel(1);
    let total = seeds.len();
    for _ in 0..2 {
        let (routes, next, tally, done) =
            (Arc::clone(&routes), Arc::clone(&next), Arc::clone(&tally), done.clone());
        let seeds = seeds.clone();
        thread::spawn(move || {
            while let Some(seed) = seeds.get(next.fetch_add(1, Relaxed) as usize) {
                // Names the seed when it panics.
                let guard = Seed(*seed);
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_time().start_paused(true).build().unwrap();
                runtime.block_on(live(*seed, &routes, &tally));
                drop(guard);
                if done.send(*seed).is_err() {
                    return;
                }
            }
        });
    }
    drop(done);
    let mut good = 0;
    while good < total {
        match ended.recv_timeout(PATIENCE) {
            Ok(_) => good += 1,
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{} of {total} seeds failed", total - good),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("a seed waits for ever, or a thread has died of one")
            }
        }
    }
    let tally = tally.lock().unwrap();
    println!("{good} seeds; {tally:#?}");
    if total == 1 {
        return;
    }
    // A test that cannot fail is a defect: every fault must have fired, and every kind of end must have come.
    for code in [
        "right bytes",
        Code::SourceUnavailable.as_str(),
        Code::IntegritySource.as_str(),
        Code::DestinationUnavailable.as_str(),
        Code::DestinationIndeterminate.as_str(),
        Code::CheckpointUnavailable.as_str(),
        Code::Interrupted.as_str(),
        "killed",
    ] {
        assert!(tally.ends.contains_key(code), "no run ended with {code}");
    }
    assert!(tally.resumed > 20, "hardly a run went on from the middle");
    // Each call met some fault, and each fault some call.
    let total = |part: &str| {
        let fired = tally.fired.iter().filter(|(what, _)| what.split(": ").any(|half| half == part));
        fired.map(|(_, fired)| fired).sum::<u64>()
    };
    for what in tally.fired.keys().flat_map(|what| what.split(": ")) {
        assert!(total(what) > 0, "{what} never fired");
    }
    assert_eq!(tally.fired.keys().filter(|what| what.ends_with(": slow")).count(), Call::ALL.len());
}

struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed: EFT_SEED={}", self.0);
        }
    }
}

enum End {
    Ended(Result<Outcome, Stopped>),
    Killed,
}

/// One object, run until it is delivered or has failed for good.
async fn live(seed: u64, routes: &[Route], tally: &Mutex<Tally>) {
    let story = Story::of(seed, routes);
    let rig = Rig::new(&story);
    let mut dice = Dice::new(seed, story.rules.clone());
    for attempt in 0.. {
        let healed = attempt == story.faulty_attempts;
        if healed {
            note(tally, &story, &dice);
            dice = Dice::new(seed, Vec::new());
        }
        let end = once(&rig, &story, &dice, !healed).await;
        // Tasks of a killed run that still begin an upload.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let object = rig.sink.object();
        if let Some(object) = &object {
            assert!(*object == story.route.output, "{story:?}: other bytes are visible");
        }
        assert!(rig.sink.commits() <= 1, "{story:?}: published twice");
        rig.assert_paid(&story);
        count(tally, &end);
        let over = match end {
            End::Ended(Ok(outcome)) => {
                assert!(object.is_some() && outcome.deliveries[0].result.is_ok(), "{story:?}");
                assert_eq!(outcome.output.len(), story.route.output.len() as u64);
                tally.lock().unwrap().resumed += u64::from(outcome.resumed_from.is_some());
                assert_eq!(rig.sink.open_uploads(), 0, "{story:?}: an upload is left behind");
                if rig.shelf.get().is_some() {
                    assert!(story.removing_fails(), "{story:?}: the checkpoint of an ended run");
                    rig.discard().await;
                }
                true
            }
            End::Ended(Err(stopped)) => {
                assert!(!healed, "{story:?}: fails when healed: {}", stopped.failure);
                let allowed = story.codes();
                assert!(
                    allowed.contains(&stopped.failure.code),
                    "{story:?}: {}; allowed are {allowed:?}",
                    stopped.failure
                );
                assert!(
                    object.is_none() || story.loses_answers(),
                    "{story:?}: visible, but {}",
                    stopped.failure
                );
                rig.assert_left(&story, &stopped);
                !stopped.resumable || !story.goes_on
            }
            End::Killed => false,
        };
        // As the worker does when it finds its own object under the name.
        if over || object.is_some() {
            rig.discard().await;
            break;
        }
    }
    note(tally, &story, &dice);
    assert_eq!(rig.sink.open_uploads(), 0, "{story:?}: an upload is left behind at the end");
    assert!(rig.shelf.get().is_none(), "{story:?}");
}

/// One run, stopped in the middle where the story says so.
async fn once(rig: &Rig, story: &Story<'_>, dice: &Arc<Dice>, stops: bool) -> End {
    let cancel = tokio_util::sync::CancellationToken::new();
    let running = rig.run(story, dice, cancel.clone());
    match story.stop.filter(|_| stops) {
        None => End::Ended(running.await),
        Some(Stop::Cancel(calls)) => {
            let stop = async {
                dice.calls(calls).await;
                cancel.cancel();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = running => End::Ended(ended),
                () = stop => unreachable!("it only asks"),
            }
        }
        Some(Stop::Kill(calls)) => tokio::select! {
            biased;
            () = dice.calls(calls) => End::Killed,
            ended = running => End::Ended(ended),
        },
    }
}

fn count(tally: &Mutex<Tally>, end: &End) {
    let name = match end {
        End::Ended(Ok(_)) => "right bytes".to_owned(),
        End::Ended(Err(stopped)) => stopped.failure.code.as_str().to_owned(),
        End::Killed => "killed".to_owned(),
    };
    *tally.lock().unwrap().ends.entry(name).or_default() += 1;
}

fn note(tally: &Mutex<Tally>, story: &Story<'_>, dice: &Dice) {
    let mut tally = tally.lock().unwrap();
    for (rule, fired) in story.rules.iter().zip(dice.fired()) {
        let trouble = match rule.trouble {
            Trouble::Fails(_) => "fails",
            Trouble::DoneButFails(_) => "done, but fails",
            Trouble::Slow(_) => "slow",
            Trouble::Hangs(_) => "hangs",
            Trouble::DoneThenHangs(_) => "done, then hangs",
            Trouble::Cut(_) => "cut",
            Trouble::Short => "short",
            Trouble::Flip => "flipped",
            Trouble::Stall => "stalled",
        };
        *tally.fired.entry(format!("{:?}: {trouble}", rule.call)).or_default() += fired;
    }
}
