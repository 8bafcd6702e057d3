//! What is there when a run is over, file by file.

use std::{collections::BTreeSet, time::Duration};

use eft_domain::{Job, JobState, Millis, receipt::FailureNote};
use eft_s3::{ObjectInfo, Server};

use crate::{
    arrivals::Arrival,
    platform::INGEST,
    scenario::{OUT, Scenario},
};

/// What came of an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The phase it arrived in.
    pub phase: usize,
    /// Who sent it.
    pub senders: usize,
    /// When its job ended, since the run had begun; none if it has not.
    pub after: Option<Duration>,
    /// From when it was to arrive until its job had ended.
    pub latency: Option<Duration>,
    /// The same from when there were workers on.
    pub worked: Option<Duration>,
    /// How it ended.
    pub state: Option<JobState>,
    /// Why it failed.
    pub failure: Option<FailureNote>,
}

/// What there is besides files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// What is wrong, by file.
    pub wrong: Vec<String>,
    /// Uploads that are open when all workers have ended.
    pub left: usize,
    /// The same when the sweep was there.
    pub left_after_sweep: usize,
    /// Bytes of their budgets that idle workers had not given back.
    pub held: u64,
    /// Slots that still ran something.
    pub busy: u64,
    /// Why nobody waited for the end.
    pub broken: Option<String>,
}

/// How it ended, and how long after the run had begun, whose workers were so late.
pub(crate) fn ended(arrival: &Arrival, row: Option<Job>, began: Duration, late: Duration) -> Ended {
    let since = |at: Millis| Duration::from_millis(at.0).saturating_sub(began);
    let over = row.filter(|row| row.state.is_terminal());
    let after = over.as_ref().map(|row| since(row.changed_at));
    Ended {
        phase: arrival.phase,
        senders: arrival.senders,
        after,
        latency: after.map(|after| after.saturating_sub(arrival.at)),
        worked: after.map(|after| after.saturating_sub(arrival.at.max(late))),
        state: over.as_ref().map(|row| row.state),
        failure: over.and_then(|row| row.failure),
    }
}

/// Whatever is not there once and whole, and whatever is there and nobody has sent.
pub(crate) fn wrong(scenario: &Scenario, s3: &Server, arrivals: &[Arrival], ended: &[Ended]) -> Vec<String> {
    let mut strays: BTreeSet<String> = s3.keys(OUT).into_iter().collect();
    let mut wrong = Vec::new();
    // What is made of equal files is equal.
    let mut made: Vec<Option<(u64, u64)>> = vec![None; scenario.tenants.len()];
    for (arrival, ended) in arrivals.iter().zip(ended) {
        let target = arrival.target();
        strays.remove(&target);
        let stands = s3.object(OUT, &target);
        let bytes = |object: &ObjectInfo| (object.size, object.crc64);
        let whole = if scenario.tenants[arrival.senders].leaves_bytes() {
            s3.object(INGEST, &arrival.source()).map(|object| bytes(&object))
        } else {
            let made = &mut made[arrival.senders];
            *made = made.or(stands.as_ref().map(bytes));
            *made
        };
        if let Some(why) =
            why_wrong(ended, stands.as_ref().map(bytes), s3.versions(OUT, &target).len(), whole)
        {
            wrong.push(format!("{}: {why}", arrival.source()));
        }
    }
    wrong.extend(strays.into_iter().map(|key| format!("{key} stands there, and nobody has sent it")));
    wrong
}

/// Of a file that was to be delivered once and whole.
fn why_wrong(
    ended: &Ended,
    stands: Option<(u64, u64)>,
    versions: usize,
    whole: Option<(u64, u64)>,
) -> Option<String> {
    match (ended.state, stands) {
        (None, _) => Some("its job has not ended".to_owned()),
        (Some(JobState::Succeeded), None) => Some("it was delivered, and nothing stands there".to_owned()),
        (Some(JobState::Succeeded), Some(_)) if versions != 1 => {
            Some(format!("it came to stand {versions} times"))
        }
        (Some(JobState::Succeeded), stands) => {
            (stands != whole).then(|| "other bytes stand there".to_owned())
        }
        (Some(state), _) => Some(match &ended.failure {
            Some(FailureNote { code, message, .. }) => format!("it ended {state:?}: {code}: {message}"),
            None => format!("it ended {state:?}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use eft_domain::{Code, Failure};
    use eft_s3::Config;

    use super::*;
    use crate::arrivals::schedule;

    #[test]
    fn whatever_is_not_once_and_whole_is_named() {
        let scenario = Scenario::parse(
            "
about: Deliveries.
tenants:
  - {name: same, burst: 2, mib: 0.1, stages: [{validate: {utf8: {}}}]}
  - {name: packed, burst: 3, mib: 0.1, stages: [{compress: {codec: zstd, level: 3}}]}
phases: [{name: one, seconds: 1}]
",
        )
        .unwrap();
        let arrivals = schedule(&scenario, 1).unwrap();
        let s3 = Server::start(Config::with_buckets([INGEST])).unwrap();
        for arrival in &arrivals {
            s3.put_object(INGEST, &arrival.source(), "as it was sent");
            s3.put_object(
                OUT,
                &arrival.target(),
                if arrival.senders == 0 { "as it was sent" } else { "packed" },
            );
        }
        let succeeded = |arrival: &Arrival| Ended {
            phase: 0,
            senders: arrival.senders,
            after: None,
            latency: None,
            worked: None,
            state: Some(JobState::Succeeded),
            failure: None,
        };
        let mut ended: Vec<Ended> = arrivals.iter().map(succeeded).collect();
        assert_eq!(wrong(&scenario, &s3, &arrivals, &ended), [""; 0]);
        let of = |senders: usize, nth: usize| {
            let mut of = (0..arrivals.len()).filter(|number| arrivals[*number].senders == senders);
            of.nth(nth).unwrap()
        };
        // One twice, one with other bytes than were sent, one with others than the rest, one that has not ended, a stray.
        s3.put_object(OUT, &arrivals[of(0, 0)].target(), "as it was sent");
        s3.put_object(OUT, "stray", "");
        s3.put_object(INGEST, &arrivals[of(0, 1)].source(), "something else");
        ended[of(1, 1)].state = None;
        ended[of(1, 2)].state = Some(JobState::Failed);
        ended[of(1, 2)].failure =
            Some(FailureNote::from(&Failure::new(Code::IntegritySource, "not what was stored")));
        let said = wrong(&scenario, &s3, &arrivals, &ended).join("\n");
        for part in [
            "came to stand 2 times",
            "other bytes",
            "has not ended",
            "it ended Failed: integrity.source: not what",
            "nobody has sent",
        ] {
            assert_eq!(said.matches(part).count(), 1, "{part} in:\n{said}");
        }
        let whole = Some((6, 1));
        assert_eq!(why_wrong(&ended[0], whole, 1, Some((6, 2))), Some("other bytes stand there".to_owned()));
        assert_eq!(
            why_wrong(&ended[0], None, 0, whole),
            Some("it was delivered, and nothing stands there".to_owned())
        );
    }
}
