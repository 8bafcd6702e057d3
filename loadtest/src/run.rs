//! A run of a scenario: files arrive, workers work, everything is watched, and at the end every file is asked after.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use eft_domain::{Job, JobId};
use eft_s3::Fault;
use eft_store::faulty::Draws;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

use crate::{
    aftermath::{self, Aftermath},
    arrivals::{Arrival, content, schedule},
    fleet::{Fleet, Usage},
    platform::{INGEST, Outcome, Platform},
    record::{Record, Sample, Totals},
    scenario::{OUT, Scenario},
    verdict,
};

/// How often everything is looked at.
const TICK: Duration = Duration::from_secs(1);
/// As often as the schedule of the stack has it.
const SWEEP: Duration = Duration::from_secs(60);
/// A run in which nothing has moved for so long has stalled: twelve times a lease of its workers.
const STALL: Duration = Duration::from_secs(120);
/// The same where bytes are read, and no file arrives or ends: one is tried for ever.
const NO_END: Duration = Duration::from_secs(1_200);
/// Where what the tenants send lies beforehand, so that to arrive takes no time.
const GIVEN: &str = "given";
/// Events that a router is handed at once: the batch of the event source mapping.
const BATCH: usize = 10;
/// Batches that are routed at once. What is routed later than it arrived has waited since it arrived all the same.
const BATCHES: usize = 4;
/// Until an event whose routing has failed is told again, as its queue would.
const AGAIN: Duration = Duration::from_secs(1);
/// Rows asked for at once.
const ROWS: usize = 16;

/// What a run needs to know besides its scenario.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where arrivals, kills and faults are drawn from.
    pub seed: u64,
    /// Nothing is checked that depends on how quick the machine is.
    pub no_times: bool,
}

/// A run that is going on.
struct Run<'a> {
    scenario: &'a Scenario,
    platform: &'a Platform,
    arrivals: &'a [Arrival],
    /// Of each arrival, once its row stands.
    jobs: Mutex<Vec<Option<JobId>>>,
    arrived: AtomicUsize,
    begun: Instant,
}

/// What was watched, and why it was not watched to the end.
struct Watched {
    samples: Vec<Sample>,
    broken: Option<String>,
}

/// One run on a platform without anybody on it. Workers do not outlive it, however it ends.
///
/// # Errors
/// It could not be begun, or nobody can be asked how it ended. What breaks in between is a check that does not hold.
pub async fn once(
    scenario: &Scenario,
    mut platform: Platform,
    options: &Options,
    live: &dyn Fn(&Sample),
) -> Outcome<Record> {
    let arrivals = schedule(scenario, options.seed)?;
    let faults = scenario.phases.iter().map(|phase| phase.faults()).collect::<Outcome<Vec<_>>>()?;
    let sizes = prepare(scenario, &platform).await?;
    let mut fleet = Fleet::of(&scenario.workers);
    let late = Duration::from_secs_f64(scenario.workers.late_seconds);
    if late.is_zero() {
        fleet.start(&platform, scenario.workers.count)?;
        ready(&mut fleet).await?;
    }
    platform.s3.reset_log();
    let idle = tokio::task::block_in_place(|| fleet.usage());
    let (begun, wall) = (Instant::now(), SystemTime::now());
    let run = Run {
        scenario,
        platform: &platform,
        arrivals: &arrivals,
        jobs: Mutex::new(vec![None; arrivals.len()]),
        arrived: AtomicUsize::new(0),
        begun,
    };
    let watched = tokio::select! {
        watched = run.watch(&mut fleet, options.seed, live) => watched?,
        () = run.faults(faults) => unreachable!("it has no end"),
        () = run.sweep() => unreachable!("it has no end"),
        () = run.feed() => unreachable!("it has no end"),
    };
    platform.s3.set_faults([]);
    let used = settled(&mut fleet).await;
    let (killed, rows) = (fleet.killed, run.rows().await?);
    let requests =
        platform.s3.counts().into_iter().map(|(op, count)| (op.name().to_owned(), count)).collect();
    // One that hangs would not end when it is asked to.
    if watched.broken.is_some() {
        drop(fleet);
    } else {
        fleet.drain().await?;
    }
    let began = wall.duration_since(SystemTime::UNIX_EPOCH)?;
    let ended: Vec<_> =
        arrivals.iter().zip(rows).map(|(arrival, row)| aftermath::ended(arrival, row, began, late)).collect();
    let left = platform.s3.open_uploads().len();
    platform.end_uploads().await;
    let aftermath = Aftermath {
        wrong: aftermath::wrong(scenario, &platform.s3, &arrivals, &ended),
        left,
        left_after_sweep: platform.s3.open_uploads().len(),
        held: used.held,
        busy: used.busy,
        broken: watched.broken,
    };
    let last = ended.iter().filter_map(|one| one.after).max().unwrap_or_default();
    let over = arrivals.iter().zip(&ended).filter(|(_, one)| one.after.is_some());
    let mut record = Record {
        seed: options.seed,
        totals: Totals {
            seconds: last.as_secs_f64(),
            jobs: over.clone().count() as u64,
            bytes: over.map(|(arrival, _)| sizes[arrival.senders]).sum(),
            cpu_seconds: used.cpu - idle.cpu,
            peak_rss_mib: used.peak_mib,
            killed,
            requests,
        },
        samples: watched.samples,
        ..Record::default()
    };
    verdict::latencies(&mut record, scenario, &arrivals, &ended);
    verdict::promises(&mut record, &aftermath);
    verdict::bounds(&mut record, scenario, &ended, options.no_times);
    Ok(record)
}

/// Tenants with their routes, and what they will send. How large a file of each is.
async fn prepare(scenario: &Scenario, platform: &Platform) -> Outcome<Vec<u64>> {
    let mut all = Vec::new();
    let mut sizes = Vec::new();
    for senders in &scenario.tenants {
        for id in senders.ids() {
            all.push(senders.onboarded(&id)?);
        }
        let content = content(senders)?;
        sizes.push(content.len() as u64);
        platform.s3.put_object(GIVEN, &senders.name, content);
    }
    let catalog = &platform.desk.catalog;
    stream::iter(all)
        .map(async |(tenant, route)| -> Outcome<()> {
            catalog.put_tenant(&tenant).await?;
            Ok(catalog.put_route(&route, None).await.map(drop)?)
        })
        .buffer_unordered(ROWS)
        .try_collect::<()>()
        .await?;
    Ok(sizes)
}

/// Waits until every worker answers.
async fn ready(fleet: &mut Fleet) -> Outcome<()> {
    let end = Instant::now() + STALL;
    while !tokio::task::block_in_place(|| fleet.answers()) {
        if let Some(log) = fleet.fallen() {
            return Err(format!("a worker has ended:\n{log}").into());
        }
        if Instant::now() > end {
            return Err("the workers do not answer".into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// What they use once they have nothing to do any more: a job has ended a moment before its slot is free. What is taken for as
/// long as a run may stand still is not given back.
async fn settled(fleet: &mut Fleet) -> Usage {
    let end = Instant::now() + STALL;
    loop {
        let usage = tokio::task::block_in_place(|| fleet.usage());
        if (usage.busy, usage.held) == (0, 0) || Instant::now() > end {
            return usage;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

impl Run<'_> {
    fn jobs(&self) -> MutexGuard<'_, Vec<Option<JobId>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything arrives when it is to arrive, whatever became of what arrived before.
    async fn feed(&self) {
        // As much room as there are files: to arrive never waits.
        let (arrived, events) = mpsc::channel(self.arrivals.len());
        let arrive = async {
            for (number, arrival) in self.arrivals.iter().enumerate() {
                sleep_until(self.begun + arrival.at).await;
                let (given, key) = (&self.scenario.tenants[arrival.senders].name, arrival.source());
                let stands = self.platform.s3.copy_object((GIVEN, given), (INGEST, &key));
                assert!(stands.is_some(), "{given} was put there before");
                assert!(arrived.send((number, key)).await.is_ok(), "its receiver lives as long");
            }
            std::future::pending::<()>().await;
        };
        let batches = stream::unfold(events, async |mut events| {
            let mut batch = Vec::new();
            (events.recv_many(&mut batch, BATCH).await > 0).then_some((batch, events))
        });
        tokio::join!(arrive, batches.for_each_concurrent(BATCHES, |batch| self.tell(batch)));
    }

    /// Until all of them have a row.
    async fn tell(&self, mut batch: Vec<(usize, String)>) {
        loop {
            let keys: Vec<&str> = batch.iter().map(|(_, key)| key.as_str()).collect();
            let told = self.platform.tell_all(&keys).await;
            let mut again = Vec::new();
            for ((number, key), told) in batch.into_iter().zip(told) {
                match told {
                    Ok(job) => {
                        self.jobs()[number] = Some(job);
                        self.arrived.fetch_add(1, Relaxed);
                    }
                    Err(error) => {
                        eprintln!("{key}: {error}");
                        again.push((number, key));
                    }
                }
            }
            if again.is_empty() {
                return;
            }
            batch = again;
            sleep(AGAIN).await;
        }
    }

    /// Those of a phase from its beginning on; those of the last until the run ends.
    async fn faults(&self, lists: Vec<Vec<Fault>>) {
        let mut begins = self.begun;
        for (list, phase) in lists.into_iter().zip(&self.scenario.phases) {
            sleep_until(begins).await;
            self.platform.s3.set_faults(list);
            begins += Duration::from_secs_f64(phase.seconds);
        }
        std::future::pending().await
    }

    async fn sweep(&self) {
        loop {
            sleep(SWEEP).await;
            self.platform.sweep.run().await;
        }
    }

    /// Looks at everything once a second until all jobs have ended, or it is no use to wait.
    async fn watch(&self, fleet: &mut Fleet, seed: u64, live: &dyn Fn(&Sample)) -> Outcome<Watched> {
        let draws = Draws::new(seed ^ 1);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut samples: Vec<Sample> = Vec::new();
        let mut before = tokio::task::block_in_place(|| fleet.usage());
        let mut late = Some(self.scenario.workers.late_seconds).filter(|late| *late > 0.0);
        let mut kill = self.next_kill(&draws);
        let mut open: BTreeSet<usize> = (0..self.arrivals.len()).collect();
        let (mut read, mut moved) = ((0.0, Instant::now()), ((0, 0, 0), Instant::now()));
        loop {
            ticks.tick().await;
            if late.take_if(|late| self.begun.elapsed().as_secs_f64() >= *late).is_some() {
                fleet.start(self.platform, self.scenario.workers.count)?;
            }
            if let Some(log) = fleet.fallen() {
                let broken = Some(format!("a worker has ended by itself: {log}"));
                return Ok(Watched { samples, broken });
            }
            let usage = tokio::task::block_in_place(|| fleet.usage());
            let due = self.arrivals.partition_point(|arrival| arrival.at <= self.begun.elapsed());
            let stand = self.platform.s3.keys(OUT).len();
            let at = self.begun.elapsed().as_secs_f64();
            let passed = (at - samples.last().map_or(0.0, |sample| sample.at)).max(1e-3);
            let sample = Sample {
                at,
                phase: self.phase(at).to_owned(),
                cpu: (usage.cpu - before.cpu).max(0.0) / passed,
                rss_mib: usage.rss_mib,
                descriptors: usage.descriptors,
                open: due.saturating_sub(stand) as u64,
                busy: usage.busy,
                read_mib: (usage.read - before.read).max(0.0) / passed / f64::from(1 << 20),
                in_flight: self.platform.s3.stats().in_flight,
            };
            live(&sample);
            samples.push(sample);
            before = usage;
            self.forget_ended(&mut open).await?;
            let arrived = self.arrived.load(Relaxed);
            if open.is_empty() && at >= self.scenario.seconds() {
                return Ok(Watched { samples, broken: None });
            }
            let nothing_to_do = late.is_some() || open.first().is_none_or(|first| *first >= due);
            let (now, state) = (Instant::now(), (arrived, stand, open.len()));
            if nothing_to_do || state != moved.0 {
                moved = (state, now);
            }
            if nothing_to_do || usage.read != read.0 || moved.1 == now {
                read = (usage.read, now);
            }
            if read.1.elapsed() > STALL || moved.1.elapsed() > NO_END {
                let broken =
                    Some(format!("stalled with {} of {} files open", open.len(), self.arrivals.len()));
                return Ok(Watched { samples, broken });
            }
            if kill.is_some_and(|at| now >= at) && arrived < self.arrivals.len() {
                tokio::task::block_in_place(|| fleet.replace(draws.below(1 << 16) as usize, self.platform))?;
                kill = self.next_kill(&draws);
            }
        }
    }

    /// The name of the phase; the last does not end.
    fn phase(&self, at: f64) -> &str {
        let (mut ends, phases) = (0.0, &self.scenario.phases);
        let phase = phases.iter().find(|phase| {
            ends += phase.seconds;
            at < ends
        });
        phase.or(phases.last()).map_or("", |phase| &phase.name)
    }

    /// Half the time between two, and as much again at most.
    fn next_kill(&self, draws: &Draws) -> Option<Instant> {
        let every = self.scenario.workers.kill_every_seconds?;
        Some(Instant::now() + Duration::from_secs_f64(every * (0.5 + draws.below(1_000) as f64 / 1_000.0)))
    }

    /// Takes out whatever has ended, from the oldest on until it meets one that has not: whoever asks for all of a backlog
    /// measures that.
    async fn forget_ended(&self, open: &mut BTreeSet<usize>) -> Outcome<()> {
        loop {
            let ids: Vec<(usize, JobId)> = {
                let jobs = self.jobs();
                open.iter().filter_map(|number| Some((*number, jobs[*number]?))).take(ROWS).collect()
            };
            let all = ids.len();
            let ended: Vec<usize> = stream::iter(ids)
                .map(async |(number, id)| -> Outcome<Option<usize>> {
                    Ok(self.platform.ended(id).await?.then_some(number))
                })
                .buffer_unordered(ROWS)
                .try_filter_map(async |ended| Ok(ended))
                .try_collect()
                .await?;
            for number in &ended {
                open.remove(number);
            }
            if all == 0 || ended.len() < all {
                return Ok(());
            }
        }
    }

    /// The row of each arrival that has one.
    async fn rows(&self) -> Outcome<Vec<Option<Job>>> {
        let ids = self.jobs().clone();
        let rows = stream::iter(ids).map(async |id| -> Outcome<Option<Job>> {
            Ok(match id {
                Some(id) => Some(self.platform.row(id).await?),
                None => None,
            })
        });
        rows.buffered(ROWS).try_collect().await
    }
}
