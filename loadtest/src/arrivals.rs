//! When which file arrives: drawn beforehand, so that a slow platform delays no arrival (an open loop). The moment a file was
//! to arrive is what its latency is counted from, whatever the feeder was doing then.

use std::{io::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use eft_store::faulty::Draws;
use flate2::{Compression, write::GzEncoder};

use crate::{
    platform::Outcome,
    scenario::{Content, Scenario, Senders},
};

/// A file that is to arrive.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// How long after the beginning of the run.
    pub at: Duration,
    /// Which phase.
    pub phase: usize,
    /// Which of the scenario's tenants.
    pub senders: usize,
    /// The tenant.
    pub tenant: Arc<str>,
    /// Its name among all files of the run.
    pub name: String,
}

impl Arrival {
    /// Where it arrives.
    pub fn source(&self) -> String {
        format!("tenants/{}/in/{}", self.tenant, self.name)
    }

    /// Where it is delivered to.
    pub fn target(&self) -> String {
        format!("{}/{}", self.tenant, self.name)
    }
}

/// All arrivals of a scenario, in their order.
///
/// # Errors
/// Some of those who send have nothing to send in it: it would promise nothing of them.
pub fn schedule(scenario: &Scenario, seed: u64) -> Outcome<Vec<Arrival>> {
    let draws = Draws::new(seed);
    let mut arrivals = Vec::new();
    let mut begins = 0.0;
    for (phase, of) in scenario.phases.iter().enumerate() {
        for (senders, from) in scenario.tenants.iter().enumerate().filter(|(_, from)| of.has(from)) {
            for tenant in from.ids() {
                let tenant: Arc<str> = tenant.into();
                let moments = moments(from, of.seconds, &draws);
                arrivals.extend(moments.into_iter().map(|moment| Arrival {
                    at: Duration::from_secs_f64(begins + moment),
                    phase,
                    senders,
                    tenant: Arc::clone(&tenant),
                    name: String::new(),
                }));
            }
        }
        begins += of.seconds;
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    for (number, arrival) in arrivals.iter_mut().enumerate() {
        arrival.name = format!("{number:06}");
    }
    for (senders, from) in scenario.tenants.iter().enumerate() {
        if !arrivals.iter().any(|arrival| arrival.senders == senders) {
            return Err(format!("tenants `{}` send nothing in so short a time", from.name).into());
        }
    }
    Ok(arrivals)
}

/// The burst, and a Poisson process after it: the times between two are exponential.
fn moments(senders: &Senders, seconds: f64, draws: &Draws) -> Vec<f64> {
    let mut moments = vec![0.0; usize::try_from(senders.burst).unwrap_or(usize::MAX)];
    let mut at = 0.0;
    if senders.rate == 0.0 {
        return moments;
    }
    loop {
        // 53 bits are the precision of an f64; one is added so that the logarithm is of no zero.
        let uniform = (draws.below(1 << 53) + 1) as f64 / (1_u64 << 53) as f64;
        at -= uniform.ln() / senders.rate;
        if at >= seconds {
            return moments;
        }
        moments.push(at);
    }
}

/// What is in the files of these senders: the same bytes for each, which are in memory once.
pub fn content(senders: &Senders) -> Outcome<Bytes> {
    let size = (senders.mib * f64::from(1 << 20)) as usize;
    Ok(match senders.content {
        Content::Text => {
            let line = b"A line of a file that somebody sends, as long as lines of text are.\n";
            line.iter().copied().cycle().take(size.max(1)).collect::<Vec<_>>().into()
        }
        Content::CsvGzip => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(b"id,carrier,minutes,at\n")?;
            let (mut written, mut id) = (0, 0_u64);
            while written < size {
                // Digits that gzip cannot guess, as a file has them.
                let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                let row = format!("{id},C{},{},2013-01-{:02}\n", mixed % 17, mixed % 1_000, 1 + id % 31);
                packed.write_all(row.as_bytes())?;
                written += row.len();
                id += 1;
            }
            packed.finish()?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        Scenario::parse(
            "
about: Arrivals.
tenants:
  - {name: many, count: 4, rate: 50, mib: 0.1}
  - {name: few, burst: 3, mib: 0.1, content: csv-gzip}
phases:
  - {name: one, seconds: 10, tenants: [many]}
  - {name: two, seconds: 10}
",
        )
        .unwrap()
    }

    #[test]
    fn arrivals_are_drawn_in_their_phases() {
        let (scenario, seed) = (scenario(), 3);
        let arrivals = schedule(&scenario, seed).unwrap();
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        for arrival in &arrivals {
            let begins = Duration::from_secs(10 * arrival.phase as u64);
            assert!((begins..begins + Duration::from_secs(10)).contains(&arrival.at), "{arrival:?}");
        }
        let of = |phase, senders| {
            arrivals.iter().filter(|arrival| (arrival.phase, arrival.senders) == (phase, senders)).count()
        };
        assert_eq!((of(0, 1), of(1, 1)), (0, 3));
        // 2,000 are expected; five standard deviations of a Poisson process are 224.
        assert!((1_776..2_224).contains(&of(0, 0)), "{}", of(0, 0));
        let again = schedule(&scenario, seed).unwrap();
        assert!(arrivals.iter().zip(&again).all(|(one, two)| (one.at, &one.name) == (two.at, &two.name)));
        let names: std::collections::BTreeSet<_> = arrivals.iter().map(Arrival::target).collect();
        assert_eq!(names.len(), arrivals.len());
        assert_ne!(schedule(&scenario, seed + 1).unwrap().len(), arrivals.len());
        assert!(schedule(&scenario.stretched(1e-6).unwrap(), seed).unwrap_err().to_string().contains("many"));
    }

    #[test]
    fn files_are_what_they_are_said_to_be() {
        let scenario = scenario();
        assert_eq!(content(&scenario.tenants[0]).unwrap().len(), (1 << 20) / 10);
        let packed = content(&scenario.tenants[1]).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed), &mut text).unwrap();
        assert!(text.len() >= (1 << 20) / 10 && text.lines().all(|line| line.matches(',').count() == 3));
    }
}
