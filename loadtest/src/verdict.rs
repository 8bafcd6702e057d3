//! What a run came to: its latencies, what every run promises, and the bounds of its scenario.
//!
//! Percentiles are exact: each latency is kept, and the nearest rank taken.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    aftermath::{Aftermath, Ended},
    arrivals::Arrival,
    record::{Check, Group, Latency, Record, Sample, Slice},
    scenario::{Scenario, Slower},
};

/// Slices of a run for latencies over time: as many as a plot shows apart.
const SLICES: usize = 60;
/// Files that a check names, of those that are wrong.
const NAMED: usize = 5;
/// What memory and descriptors may grow by and be called flat: pages and connections that were not needed before.
const FLAT_TIMES: f64 = 1.1;
const FLAT_PLUS: f64 = 8.0;
/// Values in a quarter, for its median to be one.
const LEAST: usize = 5;
/// The same of the median latency, which depends on what was drawn.
const FLAT_LATENCY: f64 = 1.5;

fn percentiles(mut millis: Vec<f64>) -> Latency {
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (share * millis.len() as f64).ceil() as usize;
        millis.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    };
    Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Latencies by phase and senders, and over time.
pub fn latencies(record: &mut Record, scenario: &Scenario, arrivals: &[Arrival], ended: &[Ended]) {
    for (phase, of) in scenario.phases.iter().enumerate() {
        for (senders, from) in scenario.tenants.iter().enumerate() {
            let arrived = |arrival: &&Arrival| (arrival.phase, arrival.senders) == (phase, senders);
            let jobs = arrivals.iter().filter(arrived).count() as u64;
            if jobs > 0 {
                let millis = latency_of(ended, phase, senders);
                record.groups.push(Group {
                    phase: of.name.clone(),
                    tenants: from.name.clone(),
                    jobs,
                    ended: millis.len() as u64,
                    latency: percentiles(millis),
                });
            }
        }
    }
    let width = record.totals.seconds / SLICES as f64;
    for slice in 0..SLICES {
        let (from, to) = (slice as f64 * width, (slice + 1) as f64 * width);
        let within = ended.iter().filter_map(|one| {
            let after = one.after?.as_secs_f64();
            let within = (from < after || slice == 0) && (after <= to || slice + 1 == SLICES);
            within.then_some(millis(one.latency?))
        });
        let within: Vec<f64> = within.collect();
        if !within.is_empty() {
            let (at, jobs) = ((from + to) / 2.0, within.len() as u64);
            record.slices.push(Slice { at, jobs, latency: percentiles(within) });
        }
    }
}

fn latency_of(ended: &[Ended], phase: usize, senders: usize) -> Vec<f64> {
    let of = ended.iter().filter(|one| (one.phase, one.senders) == (phase, senders));
    of.filter_map(|one| Some(millis(one.latency?))).collect()
}

/// What every run promises.
pub fn promises(record: &mut Record, found: &Aftermath) {
    let named = match &found.wrong[..] {
        [] => "none".to_owned(),
        wrong => format!("{}: {}", wrong.len(), wrong[..wrong.len().min(NAMED)].join("; ")),
    };
    let nothing = |what: &str, seen: u64| check(what, seen.to_string(), "0", seen == 0);
    let broken = found.broken.as_deref().unwrap_or("all jobs ended");
    record.checks.extend([
        check("files not delivered once and whole", named, "none", found.wrong.is_empty()),
        check("how it ended", broken, "all jobs ended", found.broken.is_none()),
        nothing("uploads left behind by workers and sweep", found.left_after_sweep as u64),
        nothing("slots busy when all jobs had ended", found.busy),
        nothing("bytes of budgets not given back", found.held),
    ]);
    // One that was killed leaves its upload to whoever goes on, or to the sweep.
    if record.totals.killed == 0 {
        record.checks.push(nothing("uploads left behind by workers", found.left as u64));
    }
}

/// What the scenario asks for. Without times: only what is the same on a slow machine.
pub fn bounds(record: &mut Record, scenario: &Scenario, ended: &[Ended], no_times: bool) {
    let expect = &scenario.expect;
    let mut checks = Vec::new();
    if let Some(most) = expect.rss_mib {
        let seen = record.totals.peak_rss_mib;
        checks.push(below("resident set of a worker, MiB", seen, most));
    }
    if expect.flat {
        checks.extend(flat(&record.samples, &record.slices, no_times));
    }
    if !no_times {
        for (tenants, most) in &expect.p99_ms {
            let last = record.groups.iter().rev().find(|group| group.tenants == *tenants);
            let seen = last.map_or(f64::NAN, p99);
            checks.push(below(&format!("p99 of {tenants}, ms"), seen, *most));
        }
        checks.extend(expect.slower.iter().map(|slower| slowed(&record.groups, slower)));
        checks.extend(
            expect.waiting.iter().map(|(phase, least)| waiting(&record.samples, scenario, phase, *least)),
        );
        if let Some(most) = expect.spread {
            checks.extend(spreads(scenario, ended, most));
        }
        if let Some(least) = expect.busy {
            let slots = (scenario.workers.count * scenario.workers.slots) as u64;
            let seen = busy(&record.samples, slots);
            checks.push(above("share of slots busy while files wait", seen, least));
        }
        if let Some(least) = expect.load {
            let slots = (scenario.workers.count * scenario.workers.slots) as f64;
            let busy = mean(&record.samples, 0.0, scenario.seconds(), |sample| sample.busy as f64);
            checks.push(above("share of slots busy while files arrive", busy / slots, least));
        }
        checks.extend(expect.idle.iter().map(|(phase, most)| idle(&record.samples, scenario, phase, *most)));
    }
    record.checks.extend(checks);
}

/// The slope of a series.
pub fn grows(record: &mut Record, most: f64) {
    let Some(growth) = &mut record.growth else { return };
    growth.exponent = slope(&growth.points);
    let (of, seen) = (&growth.of, growth.exponent);
    // A line through all of it hides a bend at its end.
    let last = slope(&growth.points[growth.points.len().saturating_sub(2)..]);
    let checks = [
        below(&format!("exponent of CPU in {of}"), seen, most),
        below(&format!("the same from the last but one to the last of {of}"), last, most),
    ];
    record.checks.extend(checks);
}

/// Of the line through the logarithms, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(|log| log.0), mean(|log| log.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>();
    sum(&|log| (log.0 - x) * (log.1 - y)) / sum(&|log| (log.0 - x).powi(2))
}

fn check(what: &str, seen: impl Into<String>, allowed: impl Into<String>, holds: bool) -> Check {
    Check { what: what.to_owned(), seen: seen.into(), allowed: allowed.into(), holds }
}

/// What is no number is below nothing.
fn below(what: &str, seen: f64, most: f64) -> Check {
    check(what, format!("{seen:.2}"), format!("≤ {most:.2}"), seen <= most)
}

fn above(what: &str, seen: f64, least: f64) -> Check {
    check(what, format!("{seen:.2}"), format!("≥ {least:.2}"), seen >= least)
}

/// Of jobs that have all ended: what has not would have taken longest.
fn p99(group: &Group) -> f64 {
    if group.ended == group.jobs { group.latency.p99 } else { f64::NAN }
}

fn slowed(groups: &[Group], slower: &Slower) -> Check {
    let of = |phase: &str| {
        let group = groups.iter().find(|group| (&*group.phase, &group.tenants) == (phase, &slower.tenants));
        group.map_or(f64::NAN, p99)
    };
    let (before, during) = (of(&slower.than), of(&slower.during));
    let what = format!("p99 of {} {} beside {}, times", slower.tenants, slower.during, slower.than);
    below(&what, during / before, slower.times)
}

/// Of the jobs of each phase and senders, the last beside the first. Where one has not ended, or is alone, there is none.
fn spreads(scenario: &Scenario, ended: &[Ended], most: f64) -> Vec<Check> {
    let groups: BTreeSet<(usize, usize)> = ended.iter().map(|one| (one.phase, one.senders)).collect();
    let spread = |(phase, senders): (usize, usize)| {
        let of = ended.iter().filter(|one| (one.phase, one.senders) == (phase, senders));
        let worked: Option<Vec<f64>> = of.map(|one| Some(millis(one.worked?))).collect();
        let seen = worked.filter(|worked| worked.len() > 1).map_or(f64::NAN, |worked| {
            let (least, most) = (f64::min, f64::max);
            worked.iter().copied().fold(0.0, most) / worked.iter().copied().fold(f64::INFINITY, least)
        });
        let (tenants, phase) = (&scenario.tenants[senders].name, &scenario.phases[phase].name);
        below(&format!("the last of {tenants} in {phase} beside the first, times"), seen, most)
    };
    groups.into_iter().map(spread).collect()
}

/// The least that was open in a phase, after its first quarter and until no more arrive in it: the last phase goes on until
/// the run ends.
fn waiting(samples: &[Sample], scenario: &Scenario, phase: &str, least: u64) -> Check {
    let (_, ends) = span(scenario, phase);
    let of: Vec<u64> = samples
        .iter()
        .filter(|sample| sample.phase == phase && sample.at < ends)
        .map(|sample| sample.open)
        .collect();
    let seen = of[of.len() / 4..].iter().min().copied();
    let text = seen.map_or("no moment of it".to_owned(), |seen| seen.to_string());
    let holds = seen.is_some_and(|seen| seen >= least);
    check(&format!("files open all through {phase}"), text, format!("≥ {least}"), holds)
}

/// When a phase begins and ends, in seconds; the last goes on until the run ends.
fn span(scenario: &Scenario, phase: &str) -> (f64, f64) {
    let at = scenario.phases.iter().position(|of| of.name == phase).unwrap_or(0);
    let begins: f64 = scenario.phases[..at].iter().map(|of| of.seconds).sum();
    (begins, begins + scenario.phases[at].seconds)
}

/// Over the seconds in between; where nothing was seen, it is no number.
fn mean(samples: &[Sample], from: f64, to: f64, of: impl Fn(&Sample) -> f64) -> f64 {
    let values: Vec<f64> = samples.iter().filter(|sample| (from..to).contains(&sample.at)).map(of).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// What workers use without files, after the first quarter of the phase: what came before has its end in that.
fn idle(samples: &[Sample], scenario: &Scenario, phase: &str, most: f64) -> Check {
    let (begins, ends) = span(scenario, phase);
    let alive: Vec<Sample> = samples.iter().filter(|sample| sample.rss_mib > 0.0).cloned().collect();
    let seen = 100.0 * mean(&alive, begins + (ends - begins) / 4.0, ends, |sample| sample.cpu);
    check(&format!("CPU in {phase}, % of a core"), format!("{seen:.3}"), format!("≤ {most}"), seen <= most)
}

/// The share of all slots that is busy while workers run and at least as many files wait as there are slots.
fn busy(samples: &[Sample], slots: u64) -> f64 {
    let full: Vec<f64> = samples
        .windows(2)
        .filter(|pair| pair.iter().all(|sample| sample.open >= slots && sample.rss_mib > 0.0))
        .map(|pair| pair[1].busy as f64 / slots as f64)
        .collect();
    if full.is_empty() { f64::NAN } else { full.iter().sum::<f64>() / full.len() as f64 }
}

/// The last quarter beside the second; the first is for what fills up once. Of a worker that was not killed, where there are
/// several: it is the largest if anything grows.
fn flat(samples: &[Sample], slices: &[Slice], no_times: bool) -> Vec<Check> {
    let memory: Vec<f64> = samples.iter().map(|sample| sample.rss_mib).collect();
    let descriptors: Vec<f64> = samples.iter().map(|sample| sample.descriptors as f64).collect();
    let mut checks = vec![
        level("resident set in the last quarter, MiB", &memory, FLAT_TIMES, FLAT_PLUS),
        level("file descriptors in the last quarter", &descriptors, FLAT_TIMES, FLAT_PLUS),
    ];
    if !no_times {
        let latency: Vec<f64> = slices.iter().map(|slice| slice.latency.p50).collect();
        checks.push(level("median latency in the last quarter, ms", &latency, FLAT_LATENCY, 0.0));
    }
    checks
}

fn level(what: &str, values: &[f64], times: f64, plus: f64) -> Check {
    let quarter = values.len() / 4;
    let median = |from: usize, to: usize| percentiles(values[from..to].to_vec()).p50;
    if quarter < LEAST {
        return below(what, f64::NAN, f64::NAN);
    }
    let (before, last) = (median(quarter, 2 * quarter), median(values.len() - quarter, values.len()));
    below(what, last, before * times + plus)
}

#[cfg(test)]
mod tests {
    use eft_domain::JobState;

    use super::*;

    fn scenario(expect: &str) -> Scenario {
        Scenario::parse(&format!(
            "
about: A verdict.
tenants: [{{name: a, burst: 2, mib: 1}}]
phases: [{{name: one, seconds: 1}}, {{name: two, seconds: 1}}]
expect: {{{expect}}}
"
        ))
        .unwrap()
    }

    fn ended(phase: usize, after: u64, latency: u64) -> Ended {
        let millis = |millis| Some(Duration::from_millis(millis));
        Ended {
            phase,
            senders: 0,
            after: millis(after),
            latency: millis(latency),
            worked: millis(latency),
            state: Some(JobState::Succeeded),
            failure: None,
        }
    }

    fn judged(expect: &str, ended: &[Ended], samples: Vec<Sample>, no_times: bool) -> Vec<Check> {
        let scenario = scenario(expect);
        let arrivals = crate::arrivals::schedule(&scenario, 1).unwrap();
        let mut record = Record { samples, ..Record::default() };
        record.totals.seconds = 2.0;
        latencies(&mut record, &scenario, &arrivals, ended);
        bounds(&mut record, &scenario, ended, no_times);
        record.checks
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let hundred = percentiles((1..=100).rev().map(f64::from).collect());
        assert_eq!(hundred, Latency { p50: 50.0, p90: 90.0, p99: 99.0, max: 100.0 });
        assert_eq!(percentiles(vec![7.0]), Latency { p50: 7.0, p90: 7.0, p99: 7.0, max: 7.0 });
        assert_eq!(percentiles(Vec::new()), Latency::default());
    }

    #[test]
    fn a_slope_is_the_power() {
        let of = |power: f64| [1.0, 10.0, 100.0].map(|x: f64| (x, 3.0 * x.powf(power)));
        assert!((slope(&of(1.0)) - 1.0).abs() < 1e-9);
        assert!((slope(&of(2.0)) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn bounds_hold_and_break() {
        let ended = [ended(0, 100, 100), ended(0, 110, 100), ended(1, 1_400, 400), ended(1, 1_600, 600)];
        let holds = |expect: &str| {
            let checks = judged(expect, &ended, Vec::new(), false);
            assert!(!checks.is_empty(), "{expect}");
            checks.iter().all(|check| check.holds)
        };
        assert!(holds("p99_ms: {a: 600}") && !holds("p99_ms: {a: 599}"));
        let slower = |times| format!("slower: [{{tenants: a, than: one, during: two, times: {times}}}]");
        assert!(holds(&slower("6")) && !holds(&slower("5.9")));
        assert!(holds("spread: 1.5") && !holds("spread: 1.4"));
        assert!(judged("p99_ms: {a: 1}", &ended, Vec::new(), true).is_empty(), "no times are asked for");
        // What was not seen does not hold.
        assert!(!holds("flat: true") && !holds("busy: 0.1"));
    }

    #[test]
    fn growth_is_seen_after_the_first_quarter() {
        let rss = |of: fn(usize) -> f64| {
            let sample = |at| Sample { rss_mib: of(at), open: 8, busy: 3, ..Sample::default() };
            (0..100).map(sample).collect::<Vec<_>>()
        };
        let memory = |samples| judged("flat: true", &[], samples, true)[0].holds;
        assert!(memory(rss(|at| if at < 20 { 5.0 * at as f64 } else { 100.0 })));
        assert!(!memory(rss(|at| 100.0 + at as f64)));
        assert_eq!(busy(&rss(|at| if at < 50 { 0.0 } else { 9.0 }), 4), 0.75);
        assert!(busy(&rss(|_| 9.0), 9).is_nan() && busy(&rss(|_| 0.0), 4).is_nan());
    }

    #[test]
    fn promises_name_what_is_wrong() {
        let holds = |found: &Aftermath, killed: u64| {
            let mut record = Record::default();
            record.totals.killed = killed;
            promises(&mut record, found);
            record.checks.iter().map(|check| check.holds).collect::<Vec<_>>()
        };
        assert_eq!(holds(&Aftermath::default(), 0), [true; 6]);
        let wrong = vec!["x: gone".to_owned()];
        let all = Aftermath {
            wrong,
            left: 1,
            left_after_sweep: 1,
            held: 1,
            busy: 1,
            broken: Some("stalled".to_owned()),
        };
        assert_eq!(holds(&all, 0), [false; 6]);
        assert_eq!(holds(&Aftermath { left: 1, ..Aftermath::default() }, 1), [true; 5]);
    }

    #[test]
    fn what_has_not_ended_is_not_left_out() {
        let mut all = [ended(0, 100, 100), ended(0, 110, 110), ended(1, 1_400, 100), ended(1, 1_600, 100)];
        let expect = "p99_ms: {a: 1000}, spread: 2, slower: [{tenants: a, than: one, during: two, times: 9}]";
        let holds =
            |all: &[Ended]| judged(expect, all, Vec::new(), false).iter().filter(|check| check.holds).count();
        assert_eq!(holds(&all), 4);
        all[3] = Ended { after: None, latency: None, worked: None, state: None, ..all[3].clone() };
        assert_eq!(holds(&all), 1, "only the spread of the first phase is known");
    }

    #[test]
    fn load_and_idleness_are_of_their_time() {
        let samples = |of: fn(f64) -> (u64, f64)| {
            let sample = |at: usize| {
                let at = at as f64 / 10.0;
                let (busy, cpu) = of(at);
                Sample { at, busy, cpu, rss_mib: 1.0, ..Sample::default() }
            };
            (0..40).map(sample).collect::<Vec<_>>()
        };
        let holds = |expect, samples| judged(expect, &[], samples, false)[0].holds;
        // Four slots; no file arrives after the second second.
        let half = |at| (if at < 2.0 { 2 } else { 4 }, 1.0);
        assert!(holds("load: 0.5", samples(half)) && !holds("load: 0.51", samples(half)));
        assert!(!holds("load: 0.1", Vec::new()));
        // The second phase is from the first second to the second.
        let rests = |at| (0, if (1.25..2.0).contains(&at) { 0.002 } else { 1.0 });
        assert!(holds("idle: {two: 0.21}", samples(rests)) && !holds("idle: {two: 0.19}", samples(rests)));
        assert!(!holds("idle: {one: 1}", samples(rests)) && !holds("idle: {two: 1}", Vec::new()));
        let mut nobody = samples(rests);
        nobody.iter_mut().for_each(|sample| sample.rss_mib = 0.0);
        assert!(!holds("idle: {two: 1}", nobody), "no worker runs");
    }

    #[test]
    fn a_backlog_that_is_over_is_seen() {
        let samples = |open: fn(usize) -> u64| {
            let sample = |at: usize| Sample {
                at: 1.0 + at as f64 / 8.0,
                open: open(at),
                phase: "two".to_owned(),
                ..Sample::default()
            };
            (0..16).map(sample).collect::<Vec<_>>()
        };
        let holds = |samples| judged("waiting: {two: 3}", &[], samples, false)[0].holds;
        // The phase is over with the eighth, and the run is not.
        assert!(holds(samples(|at| if (2..8).contains(&at) { 3 } else { 0 })));
        assert!(!holds(samples(|at| if at == 7 { 2 } else { 3 })));
        assert!(!holds(Vec::new()));
    }
}
