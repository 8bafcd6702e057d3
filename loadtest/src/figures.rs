//! What is worked out from the sums of a run. A figure is missing where what it is divided by is zero.

use crate::record::Totals;

const MIB: f64 = 1024.0 * 1024.0;

/// GiB of sources.
pub(crate) fn gib(totals: &Totals) -> f64 {
    totals.bytes as f64 / MIB / 1024.0
}

/// Jobs a second.
pub(crate) fn jobs_per_second(totals: &Totals) -> Option<f64> {
    per(totals.jobs as f64, totals.seconds)
}

/// MiB of sources a second.
pub(crate) fn mib_per_second(totals: &Totals) -> Option<f64> {
    per(totals.bytes as f64 / MIB, totals.seconds)
}

/// CPU seconds for a GiB of sources.
pub(crate) fn cpu_per_gib(totals: &Totals) -> Option<f64> {
    per(totals.cpu_seconds, gib(totals))
}

/// CPU milliseconds for a job.
pub(crate) fn cpu_millis_per_job(totals: &Totals) -> Option<f64> {
    per(totals.cpu_seconds * 1000.0, totals.jobs as f64)
}

/// Requests of all operations for a job.
pub(crate) fn requests_per_job(totals: &Totals) -> Option<f64> {
    per(requests(totals) as f64, totals.jobs as f64)
}

/// Requests of all operations.
pub(crate) fn requests(totals: &Totals) -> u64 {
    totals.requests.values().fold(0, |sum, requests| sum.saturating_add(*requests))
}

/// How much of something there is for one of something else.
pub(crate) fn per(amount: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| amount / of).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_their_units() {
        let totals = Totals {
            seconds: 8.0,
            jobs: 16,
            bytes: 2 << 30,
            cpu_seconds: 4.0,
            requests: [("GetObject".to_owned(), 32), ("PutObject".to_owned(), 16)].into(),
            ..Totals::default()
        };
        assert_eq!(gib(&totals), 2.0);
        assert_eq!(jobs_per_second(&totals), Some(2.0));
        assert_eq!(mib_per_second(&totals), Some(256.0));
        assert_eq!(cpu_per_gib(&totals), Some(2.0));
        assert_eq!(cpu_millis_per_job(&totals), Some(250.0));
        assert_eq!(requests_per_job(&totals), Some(3.0));
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let totals = Totals { cpu_seconds: 1.0, ..Totals::default() };
        assert_eq!(jobs_per_second(&totals), None);
        assert_eq!(mib_per_second(&totals), None);
        assert_eq!(cpu_per_gib(&totals), None);
        assert_eq!(cpu_millis_per_job(&totals), None);
        assert_eq!(requests_per_job(&totals), None);
        assert_eq!(per(f64::NAN, 1.0), None);
        assert_eq!(per(1.0, f64::NAN), None);
    }
}
