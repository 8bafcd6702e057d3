//! One pass to several sinks: each ends as it ends, also when runs are killed and gone on with.

mod rig;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use eft_domain::Code;
use eft_fakes::{
    Fault, MemorySource, Pattern, SinkFaults, SourceFaults,
    faulty::{Call, Dice, FaultySink, Rule, Trouble},
};
use eft_pipeline::{
    checksum::Crc64,
    port::{ErrorKind, ObjectSink, SinkLimits},
};

use rig::{HOUR, LIMITS, MIB, Mute, Rig, SIZE, failing, faulty, port, sink};

#[tokio::test(start_paused = true)]
async fn all_get_the_object_from_one_pass() {
    let rig = Rig::new([sink("a"), sink("b"), sink("c")]);
    let outcome = rig.run().await.unwrap();
    assert!(outcome.deliveries.len() == 3 && outcome.deliveries.iter().all(|one| one.result.is_ok()));
    rig.assert_ended(&[true, true, true]);
    assert_eq!(rig.bytes_read(), SIZE as u64);
}

/// It is given up when its retries are spent, once for all of its parts, and the others have what they would have had.
#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_costs_the_others_its_retries_once() {
    let rig = Rig::new([sink("good"), sink("down")]);
    let down = faulty(&rig.sinks[1], failing(Call::Write, Trouble::Fails(ErrorKind::Transient)));
    let started = tokio::time::Instant::now();
    let outcome = rig.run_to(vec![port(&rig.sinks[0]), down]).await.unwrap();
    // Eight attempts with pauses of at most 100 ms, doubled each time: 12.7 s.
    assert!(started.elapsed() < Duration::from_secs(16), "{:?}", started.elapsed());
    assert!(outcome.deliveries[0].result.is_ok());
    assert_eq!(outcome.deliveries[1].result.as_ref().unwrap_err().code, Code::DestinationUnavailable);
    rig.assert_ended(&[true, false]);
}

/// Parts that are still under way to a sink that was given up are not waited for, and their memory comes back.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_to_a_sink_that_was_given_up_is_dropped() {
    let rig = Rig::new([sink("good"), sink("mute")]);
    let mute = Arc::new(Mute { inner: rig.sinks[1].clone(), commit: false, refuses: true });
    let run = rig.run_to(vec![port(&rig.sinks[0]), mute]);
    let outcome = tokio::time::timeout(HOUR, run).await.expect("it waits for a sink it gave up").unwrap();
    assert_eq!(outcome.deliveries[1].result.as_ref().unwrap_err().code, Code::DestinationAccess);
    rig.assert_ended(&[true, false]);
}

/// The others' success ends the run, and with it what a later run could have gone on from.
#[tokio::test(start_paused = true)]
async fn an_upload_that_cannot_be_published_is_not_left_behind() {
    for keeps in [true, false] {
        let commit = vec![Some(Fault::Fails(ErrorKind::Transient)); 20].into();
        let bad = sink("bad").faults(SinkFaults { commit, ..SinkFaults::default() });
        let rig = Rig { keeps, ..Rig::new([sink("good"), bad]) };
        let outcome = rig.run().await.unwrap();
        assert_eq!(outcome.deliveries[1].result.as_ref().unwrap_err().code, Code::DestinationUnavailable);
        rig.assert_ended(&[true, false]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_leaves_nothing_visible_anywhere() {
    let flip = vec![Some(99); 1000].into();
    let faults = SourceFaults { flip, ..SourceFaults::default() };
    let mut rig = Rig::new([sink("a"), sink("b")]);
    rig.source = Arc::new(MemorySource::new(rig.content.clone()).with_checksum().faults(faults));
    let stopped = rig.run().await.unwrap_err();
    assert!(stopped.failure.code == Code::IntegritySource && stopped.lost.is_empty());
    rig.assert_ended(&[false, false]);
}

/// Killed when the first sink has the object and the second has not: noted in the checkpoint, and where that was not
/// noted any more, found by looking.
#[tokio::test(start_paused = true)]
async fn a_crash_between_two_commits_delivers_nothing_twice() {
    for noted in [true, false] {
        let rig = Rig::new([sink("first"), sink("second")]);
        let second = Arc::new(Mute { inner: rig.sinks[1].clone(), commit: true, refuses: false });
        let first = rig.sinks[0].clone();
        let is_noted = || {
            let saved = rig.shelf.get();
            saved.is_some_and(|saved| saved.sinks.iter().any(|sink| sink.delivered().is_some()))
        };
        let when = || first.object().is_some() && (!noted || is_noted());
        rig.kill(vec![port(&first), second], when).await;
        assert_eq!(is_noted(), noted);
        assert_eq!((rig.sinks[1].object(), rig.sinks[1].open_uploads()), (None, 1));
        if noted {
            // Its reader has taken it away: it is not delivered again for that.
            rig.sinks[0].take();
        }
        let outcome = rig.run().await.unwrap();
        assert!(outcome.resumed_from.is_some_and(|from| from.source_offset > SIZE as u64 / 2));
        assert_eq!(outcome.deliveries.len(), 1);
        if noted {
            assert_eq!((rig.sinks[0].object(), rig.sinks[0].commits()), (None, 1));
            assert_eq!(rig.sinks[0].open_uploads() + rig.sinks[1].open_uploads(), 0);
            assert_eq!(rig.sinks[1].object().as_ref(), Some(&rig.content));
        } else {
            rig.assert_ended(&[true, true]);
        }
        assert!(rig.bytes_read() <= SIZE as u64 + 6 * MIB, "{} bytes read", rig.bytes_read());
    }
}

/// Behind one part, or one save of the checkpoint, that takes long, no more is read than a crash may cost.
#[tokio::test(start_paused = true)]
async fn what_is_slow_to_be_stored_costs_a_crash_no_more_than_the_interval() {
    for (part, passes) in [(true, false), (false, false), (true, true), (false, true)] {
        let rig = Rig::new([sink("slow").limits(SinkLimits { passes, ..LIMITS })]);
        let call = if passes { Call::Pass } else { Call::Write };
        let rule = Rule { call, trouble: Trouble::Slow(HOUR / 2), per_mille: 1000, times: 1 };
        let rules = if part { vec![rule] } else { Vec::new() };
        let slow = Arc::new(FaultySink { inner: port(&rig.sinks[0]), dice: Dice::new(1, rules) });
        let minute = tokio::time::Instant::now() + Duration::from_secs(60);
        let when = || {
            rig.shelf.stuck.fetch_or(!part && rig.done(), Relaxed);
            tokio::time::Instant::now() > minute
        };
        rig.kill(vec![slow], when).await;
        let stored = rig.shelf.get().and_then(|saved| saved.done).map_or(0, |done| done.mark.source.len());
        assert_eq!(stored == 0, part);
        let lost = rig.bytes_read() - stored;
        assert!(lost > 4 * MIB && lost <= 6 * MIB, "{lost} bytes read after {stored}");

        rig.shelf.stuck.store(false, Relaxed);
        assert_eq!(rig.run().await.unwrap().resumed_from.is_none(), part);
        rig.assert_ended(&[true]);
    }
}

/// A sink that was given up before the run was killed stays so: the others go on from where they were.
#[tokio::test(start_paused = true)]
async fn a_sink_that_was_given_up_does_not_cost_a_resumed_run_its_place() {
    let rig = Rig::new([sink("good"), sink("bad")]);
    let denied = faulty(&rig.sinks[1], failing(Call::Write, Trouble::Fails(ErrorKind::Denied)));
    rig.kill(vec![port(&rig.sinks[0]), denied], || rig.done()).await;
    assert_eq!(rig.sinks[1].open_uploads(), 1, "it is removed with the end of the run");
    let outcome = rig.run().await.unwrap();
    assert!(outcome.resumed_from.is_some_and(|from| from.source_offset > 0));
    assert!(outcome.deliveries[0].result.is_ok());
    let failure = outcome.deliveries[1].result.as_ref().unwrap_err();
    assert_eq!(failure.code, Code::DestinationAccess, "{failure}");
    rig.assert_ended(&[true, false]);
}

/// What of it is there is of no use without the rest: all of it is sent anew.
#[tokio::test(start_paused = true)]
async fn a_lost_upload_of_one_sink_is_begun_anew_with_all() {
    for part in [true, false] {
        let rig = Rig::new([sink("a"), sink("b")]);
        rig.kill(rig.sinks.iter().map(port).collect(), || rig.done()).await;
        rig.sinks[1].lose(part);
        let outcome = rig.run().await.unwrap();
        assert_eq!(outcome.resumed_from, None);
        rig.assert_ended(&[true, true]);
    }
}

/// Whoever was stopped while publishing makes the object after the next run has looked for it, and before that looks for
/// the upload: it looks for the object once more instead of reading everything again.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_made_behind_the_look_for_it_is_looked_for_again() {
    let rig = Rig::new([sink("first"), sink("second")]);
    rig.kill_publishing().await;
    let (before, saved) = (rig.bytes_read(), rig.shelf.get().unwrap());
    let upload = rig.sinks[0].reopen(saved.sinks[0].upload.as_ref().unwrap()).await.unwrap();
    let whole = Crc64::of(&rig.content);
    let parts = Rig::new([sink("undisturbed")]).run().await.unwrap().deliveries[0].parts;
    let parts = upload.parts(parts, whole).await.unwrap();
    upload.commit(&parts.unwrap(), whole).await.unwrap();

    let stopped = rig.run_to(rig.sinks.iter().map(port).collect()).await.unwrap_err();
    assert_eq!((stopped.failure.code, stopped.look_again), (Code::DestinationIndeterminate, true));
    assert_eq!((rig.bytes_read(), rig.sinks[1].open_uploads()), (before, 1));
    let outcome = rig.run().await.unwrap();
    assert_eq!(outcome.deliveries.len(), 1);
    assert!(rig.bytes_read() <= before + 6 * MIB, "{} bytes read, {before} before", rig.bytes_read());
    rig.assert_ended(&[true, true]);
}

/// The same where somebody has removed the upload: the look costs a run, and then all of it is sent anew.
#[tokio::test(start_paused = true)]
async fn an_upload_that_is_removed_before_it_is_published_is_begun_anew() {
    for sinks in [vec![sink("a")], vec![sink("a"), sink("b")]] {
        let rig = Rig::new(sinks);
        rig.kill_publishing().await;
        rig.sinks[0].lose(false);
        let stopped = rig.run().await.unwrap_err();
        assert_eq!((stopped.failure.code, stopped.look_again), (Code::DestinationIndeterminate, true));
        let outcome = rig.run().await.unwrap();
        assert_eq!((outcome.resumed_from, outcome.deliveries.len()), (None, rig.sinks.len()));
        rig.assert_ended(&vec![true; rig.sinks.len()]);
    }
}

/// What one run has given up and the next begins is the next one's: a third goes on with it as with the others.
#[tokio::test(start_paused = true)]
async fn a_sink_that_was_given_up_is_begun_where_all_is_begun_anew() {
    let rig = Rig::new([sink("a"), sink("b")]);
    let denied = faulty(&rig.sinks[0], failing(Call::Begin, Trouble::Fails(ErrorKind::Denied)));
    rig.kill(vec![denied, rig.mute(1)], || rig.is_publishing()).await;
    rig.sinks[1].lose(false);
    assert!(rig.run().await.unwrap_err().look_again);
    rig.kill(rig.sinks.iter().map(port).collect(), || rig.done() && !rig.is_publishing()).await;
    let outcome = rig.run().await.unwrap();
    assert!(outcome.resumed_from.is_some());
    rig.assert_ended(&[true, true]);
}

/// A sink that cannot even be asked for its upload costs the others nothing.
#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_when_a_run_is_resumed_is_given_up() {
    let rig = Rig::new([sink("good"), sink("down")]);
    rig.kill(rig.sinks.iter().map(port).collect(), || rig.done()).await;
    let down = faulty(&rig.sinks[1], failing(Call::Reopen, Trouble::Fails(ErrorKind::Transient)));
    let outcome = rig.run_to(vec![port(&rig.sinks[0]), down]).await.unwrap();
    assert!(outcome.resumed_from.is_some() && outcome.deliveries[0].result.is_ok());
    let failure = outcome.deliveries[1].result.as_ref().unwrap_err();
    assert!(failure.message.contains("an upload may be left behind"), "{failure}");
    assert_eq!((rig.sinks[0].open_uploads(), rig.sinks[1].open_uploads()), (0, 1));
}

/// All were lost, one after the other: the next run tries each of them.
#[tokio::test(start_paused = true)]
async fn sinks_that_were_all_down_are_all_tried_again() {
    let rig = Rig::new([sink("a"), sink("b")]);
    let down = |at: usize| faulty(&rig.sinks[at], failing(Call::Write, Trouble::Fails(ErrorKind::Transient)));
    let stopped = rig.run_to(vec![down(0), down(1)]).await.unwrap_err();
    assert_eq!((stopped.failure.code, stopped.resumable), (Code::DestinationUnavailable, true));
    assert_eq!(stopped.lost.len(), 2);
    let outcome = rig.run().await.unwrap();
    assert_eq!(outcome.deliveries.len(), 2);
    rig.assert_ended(&[true, true]);
}

/// One sink suffers whatever a seed says, and runs are killed where it says: the other has the object in the end, once.
#[tokio::test(start_paused = true)]
async fn whatever_happens_to_one_sink_the_other_has_the_object() {
    const SEEDS: u64 = 80;
    const TROUBLES: [Trouble; 6] = [
        Trouble::Fails(ErrorKind::Transient),
        Trouble::Fails(ErrorKind::Denied),
        Trouble::Fails(ErrorKind::Spent),
        Trouble::DoneButFails(ErrorKind::Transient),
        Trouble::Slow(Duration::from_secs(5)),
        Trouble::Hangs(Duration::from_secs(60)),
    ];
    const CALLS: [Call; 5] = [Call::Begin, Call::Write, Call::Commit, Call::Parts, Call::Reopen];
    let (mut given_up, mut kills) = (0, 0);
    for seed in 0..SEEDS {
        let mut words = Pattern::new(seed);
        let mut below = |bound: usize| (words.word() % bound as u64) as usize;
        let rule = Rule {
            call: CALLS[below(CALLS.len())],
            trouble: TROUBLES[below(TROUBLES.len())],
            per_mille: [200, 1000][below(2)],
            times: [1, 3, u64::MAX][below(3)],
        };
        let dice = Dice::new(seed, vec![rule]);
        let rig = Rig::new([sink("good"), sink("bad")]);
        let mut killed = 0;
        let deliveries = loop {
            let left = rig.left().into_iter().map(|sink| match sink.uri().ends_with("bad") {
                true => Arc::new(FaultySink { inner: port(&sink), dice: Arc::clone(&dice) }) as _,
                false => port(&sink),
            });
            let left: Vec<_> = left.collect();
            if left.is_empty() {
                break Ok(0);
            }
            let run = rig.run_to(left);
            // Only the first few attempts, so that it comes to an end.
            let patience = if killed == 3 { HOUR } else { Duration::from_millis(below(250) as u64) };
            match tokio::time::timeout(patience, run).await {
                Ok(ended) => break ended.map(|outcome| outcome.deliveries.len()),
                Err(_) => killed += 1,
            }
            tokio::time::sleep(HOUR).await;
        };
        let good = &rig.sinks[0];
        assert!(good.object().as_ref() == Some(&rig.content), "seed {seed}, {rule:?}: {deliveries:?}");
        assert_eq!((good.commits(), good.open_uploads()), (1, 0), "seed {seed}, {rule:?}");
        let bad = &rig.sinks[1];
        assert!(bad.object().is_none_or(|object| object == rig.content), "seed {seed}, {rule:?}");
        assert!(bad.commits() <= 1, "seed {seed}, {rule:?}");
        // One that may not even be opened cannot be removed, and an end that could not be told is gone on from.
        let is_kept = rig.shelf.get().is_some();
        assert!(
            bad.open_uploads() == 0 || is_kept || rule.call == Call::Reopen,
            "seed {seed}, {rule:?}: an upload is left behind"
        );
        given_up += u64::from(bad.commits() == 0);
        kills += killed;
    }
    println!("{SEEDS} seeds, {kills} kills, the other sink given up {given_up} times");
    assert!(kills > SEEDS / 2 && given_up > 10, "{kills} kills, {given_up} given up");
}
