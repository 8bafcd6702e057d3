//! A run of a scenario: files arrive, workers work, everything is watched, and at the end every file is asked after.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use eft_domain::{Job, JobId, JobState, Millis};
use eft_s3::ObjectInfo;
use eft_store::faulty::Draws;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::{
    arrivals::{Arrival, content, schedule},
    fleet::Fleet,
    platform::{INGEST, Outcome, Platform},
    record::{Record, Sample, Totals},
    scenario::{OUT, Scenario},
    verdict::{self, Ended},
};

/// How often everything is looked at.
const TICK: Duration = Duration::from_secs(1);
/// As often as the schedule of the stack has it.
const SWEEP: Duration = Duration::from_secs(60);
/// A run in which nothing has moved for so long has stalled: twelve times a lease of its workers.
const STALL: Duration = Duration::from_secs(120);
/// Where what the tenants send lies beforehand, so that to arrive takes no time.
const GIVEN: &str = "given";
/// Events that a router is handed at once: the batch of the event source mapping.
const BATCH: usize = 10;
/// Batches that are routed at once. What is routed later than it arrived has waited since it arrived all the same.
const BATCHES: usize = 4;
/// Times that an event is told whose routing has failed, as its queue would tell it again.
const TELLS: usize = 5;
/// Rows asked for at once.
const ROWS: usize = 16;
/// Rows asked for in one look, those of the oldest first: whoever asks for all of a backlog measures that.
const LOOKED_AT: usize = 100;

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

/// One run on a platform without anybody on it.
pub async fn once(
    scenario: &Scenario,
    mut platform: Platform,
    options: &Options,
    live: &dyn Fn(&Sample),
) -> Outcome<Record> {
    onboard(scenario, &platform).await?;
    let mut sizes = Vec::new();
    for senders in &scenario.tenants {
        let content = content(senders)?;
        sizes.push(content.len() as u64);
        platform.s3.put_object(GIVEN, &senders.name, content);
    }
    let arrivals = schedule(scenario, options.seed);
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
    let (samples, stalled) = tokio::select! {
        watched = run.watch(&mut fleet, options.seed, live) => watched?,
        () = run.sweep() => unreachable!("it has no end"),
        result = run.feed() => return Err(result.err().unwrap_or_else(|| "it has no end".into())),
    };
    let used = tokio::task::block_in_place(|| fleet.usage());
    let killed = fleet.killed;
    let rows = run.rows().await?;
    let requests =
        platform.s3.counts().into_iter().map(|(op, count)| (op.name().to_owned(), count)).collect();
    platform.s3.set_faults([]);
    fleet.drain().await?;
    platform.end_uploads().await;

    let began = wall.duration_since(SystemTime::UNIX_EPOCH)?;
    let ended: Vec<Ended> =
        arrivals.iter().zip(rows).map(|(arrival, row)| ended(arrival, row, began, late)).collect();
    let last = ended.iter().filter_map(|one| one.after).max().unwrap_or_default();
    let mut record = Record {
        seed: options.seed,
        totals: Totals {
            seconds: last.as_secs_f64(),
            jobs: ended.iter().filter(|one| one.after.is_some()).count() as u64,
            bytes: arrivals.iter().map(|arrival| sizes[arrival.senders]).sum(),
            cpu_seconds: used.cpu - idle.cpu,
            peak_rss_mib: samples.iter().map(|sample| sample.rss_mib).fold(0.0, f64::max),
            killed,
            requests,
        },
        samples,
        ..Record::default()
    };
    verdict::latencies(&mut record, scenario, &arrivals, &ended);
    let stands = |arrival: &Arrival| {
        let versions = platform.s3.versions(OUT, &arrival.target());
        (versions.len(), platform.s3.object(OUT, &arrival.target()))
    };
    let wrong: Vec<String> = arrivals
        .iter()
        .zip(&ended)
        .filter_map(|(arrival, ended)| {
            let from = platform.s3.object(INGEST, &arrival.source());
            let kept = scenario.tenants[arrival.senders].stages.is_empty();
            is_wrong(ended, stands(arrival), from.filter(|_| kept))
                .map(|wrong| format!("{}: {wrong}", arrival.source()))
        })
        .collect();
    let uploads = platform.s3.open_uploads().len();
    verdict::promises(&mut record, &wrong, uploads, stalled);
    verdict::bounds(&mut record, scenario, &ended, options.no_times);
    Ok(record)
}

/// Tenants with their routes.
async fn onboard(scenario: &Scenario, platform: &Platform) -> Outcome<()> {
    let mut all = Vec::new();
    for senders in &scenario.tenants {
        for id in senders.ids() {
            all.push(senders.onboarded(&id)?);
        }
    }
    let catalog = &platform.desk.catalog;
    stream::iter(all)
        .map(async |(tenant, route)| -> Outcome<()> {
            catalog.put_tenant(&tenant).await?;
            Ok(catalog.put_route(&route, None).await.map(drop)?)
        })
        .buffer_unordered(ROWS)
        .try_collect()
        .await
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

impl Run<'_> {
    fn jobs(&self) -> MutexGuard<'_, Vec<Option<JobId>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything arrives when it is to arrive; then never ends, as whoever watches knows the end.
    async fn feed(&self) -> Outcome<()> {
        stream::iter(self.arrivals.iter().enumerate())
            .then(async |(number, arrival)| {
                sleep_until(self.begun + arrival.at).await;
                let (given, key) = (&self.scenario.tenants[arrival.senders].name, arrival.source());
                self.platform.s3.copy_object((GIVEN, given), (INGEST, &key));
                (number, key)
            })
            .ready_chunks(BATCH)
            .map(Ok)
            .try_for_each_concurrent(BATCHES, |batch| self.tell(batch))
            .await?;
        std::future::pending().await
    }

    async fn tell(&self, mut batch: Vec<(usize, String)>) -> Outcome<()> {
        for tried in 1.. {
            let keys: Vec<&str> = batch.iter().map(|(_, key)| key.as_str()).collect();
            let told = self.platform.tell_all(&keys).await;
            let mut again = Vec::new();
            for ((number, key), told) in batch.into_iter().zip(told) {
                match told {
                    Ok(job) => {
                        self.jobs()[number] = Some(job);
                        self.arrived.fetch_add(1, Relaxed);
                    }
                    Err(error) if tried == TELLS => return Err(format!("{key}: {error}").into()),
                    Err(_) => again.push((number, key)),
                }
            }
            batch = again;
            if batch.is_empty() {
                break;
            }
        }
        Ok(())
    }

    async fn sweep(&self) {
        loop {
            sleep(SWEEP).await;
            self.platform.sweep.run().await;
        }
    }

    /// Looks at everything once a second until all jobs have ended, or nothing has moved for long; which of them.
    async fn watch(
        &self,
        fleet: &mut Fleet,
        seed: u64,
        live: &dyn Fn(&Sample),
    ) -> Outcome<(Vec<Sample>, bool)> {
        let draws = Draws::new(seed ^ 1);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut samples: Vec<Sample> = Vec::new();
        let mut before = tokio::task::block_in_place(|| fleet.usage());
        let (mut phase, mut kill) = (None, self.next_kill(&draws));
        let (mut moved, mut last) = (Instant::now(), (0, 0, 0.0));
        let (mut open, mut ended): (BTreeSet<usize>, _) = ((0..self.arrivals.len()).collect(), 0);
        let mut late = Some(self.scenario.workers.late_seconds).filter(|late| *late > 0.0);
        loop {
            ticks.tick().await;
            if late.take_if(|late| self.begun.elapsed().as_secs_f64() >= *late).is_some() {
                fleet.start(self.platform, self.scenario.workers.count)?;
            }
            let now = self.phase();
            if phase.replace(now) != Some(now) {
                self.platform.s3.set_faults(self.scenario.phases[now].faults()?);
            }
            if let Some(log) = fleet.fallen() {
                return Err(format!("a worker has ended by itself:\n{log}").into());
            }
            let usage = tokio::task::block_in_place(|| fleet.usage());
            let arrived = self.arrived.load(Relaxed);
            let runs = usize::try_from(usage.runs).unwrap_or(usize::MAX).max(ended);
            let at = self.begun.elapsed().as_secs_f64();
            let passed = samples.last().map_or(TICK.as_secs_f64(), |sample| at - sample.at).max(1e-3);
            let sample = Sample {
                at,
                phase: self.scenario.phases[now].name.clone(),
                cpu: (usage.cpu - before.cpu).max(0.0) / passed,
                rss_mib: usage.rss_mib,
                descriptors: usage.descriptors,
                open: arrived.saturating_sub(runs) as u64,
                busy: usage.busy,
                read_mib: (usage.read - before.read).max(0.0) / passed / f64::from(1 << 20),
                in_flight: self.platform.s3.stats().in_flight,
            };
            live(&sample);
            samples.push(sample);
            before = usage;
            if arrived == self.arrivals.len() {
                open = self.still_open(open).await?;
                ended = self.arrivals.len() - open.len();
                if open.is_empty() {
                    return Ok((samples, false));
                }
            }
            let state = (arrived, runs, usage.read);
            if state != last || arrived == runs {
                (moved, last) = (Instant::now(), state);
            } else if late.is_none() && moved.elapsed() > STALL {
                return Ok((samples, true));
            }
            if kill.is_some_and(|at| Instant::now() >= at) && arrived < self.arrivals.len() {
                tokio::task::block_in_place(|| fleet.replace(draws.below(1 << 16) as usize, self.platform))?;
                kill = self.next_kill(&draws);
            }
        }
    }

    fn phase(&self) -> usize {
        let at = self.begun.elapsed().as_secs_f64();
        let mut ends = 0.0;
        let phase = self.scenario.phases.iter().position(|phase| {
            ends += phase.seconds;
            at < ends
        });
        phase.unwrap_or(self.scenario.phases.len() - 1)
    }

    /// Half the time between two, and as much again at most.
    fn next_kill(&self, draws: &Draws) -> Option<Instant> {
        let every = self.scenario.workers.kill_every_seconds?;
        Some(Instant::now() + Duration::from_secs_f64(every * (0.5 + draws.below(1_000) as f64 / 1_000.0)))
    }

    /// Without those that have ended, as far as it looked.
    async fn still_open(&self, mut open: BTreeSet<usize>) -> Outcome<BTreeSet<usize>> {
        let ids: Vec<(usize, Option<JobId>)> = {
            let jobs = self.jobs();
            open.iter().take(LOOKED_AT).map(|number| (*number, jobs[*number])).collect()
        };
        let rows = stream::iter(ids).map(async |(number, id)| -> Outcome<Option<usize>> {
            let Some(id) = id else { return Ok(None) };
            Ok(self.platform.ended(id).await?.then_some(number))
        });
        let ended: Vec<usize> =
            rows.buffer_unordered(ROWS).try_filter_map(async |ended| Ok(ended)).try_collect().await?;
        for number in ended {
            open.remove(&number);
        }
        Ok(open)
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

/// How it ended, and how long after the run had begun, whose workers were so late.
fn ended(arrival: &Arrival, row: Option<Job>, began: Duration, late: Duration) -> Ended {
    let since = |at: Millis| Duration::from_millis(at.0).saturating_sub(began);
    let over = row.filter(|row| row.state.is_terminal());
    let after = over.as_ref().map(|row| since(row.changed_at));
    let sent = over.as_ref().and_then(|row| row.sent_at).map(since);
    Ended {
        phase: arrival.phase,
        senders: arrival.senders,
        after,
        latency: after.map(|after| after.saturating_sub(arrival.at)),
        worked: after.zip(sent).map(|(after, sent)| after.saturating_sub(sent.max(late))),
        state: over.map(|row| row.state),
    }
}

/// What is wrong with a file that was to be delivered once and whole. `from` is its source where what is delivered is that.
fn is_wrong(
    ended: &Ended,
    (versions, stands): (usize, Option<ObjectInfo>),
    from: Option<ObjectInfo>,
) -> Option<String> {
    match (ended.state, stands) {
        (None, _) => Some("its job has not ended".to_owned()),
        (Some(JobState::Succeeded), None) => Some("it was delivered, and nothing stands there".to_owned()),
        (Some(JobState::Succeeded), Some(_)) if versions != 1 => {
            Some(format!("it came to stand {versions} times"))
        }
        (Some(JobState::Succeeded), Some(stands)) => from
            .filter(|from| (from.size, from.crc64) != (stands.size, stands.crc64))
            .map(|_| "other bytes stand there".to_owned()),
        (Some(state), _) => Some(format!("it ended {state:?}")),
    }
}
