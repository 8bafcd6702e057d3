//! The part of a report that shows how a run went over time.

use crate::{
    plot::{Axis, Line, Mark, Plot},
    record::{Latency, Record, Sample},
};

/// A figure of a slice of the run, by its name.
type Percentile = (&'static str, fn(&Latency) -> f64);
/// A figure of a sample, by its name.
type Reading = (&'static str, fn(&Sample) -> f64);

const PERCENTILES: [Percentile; 3] = [("p50", |l| l.p50), ("p90", |l| l.p90), ("p99", |l| l.p99)];
const OPEN: Reading = ("open files", |sample| sample.open as f64);
const BUSY: Reading = ("busy slots", |sample| sample.busy as f64);

/// The section of the plots over the time of a run.
pub(crate) fn section(record: &Record) -> String {
    let clock = Clock::of(record);
    let marks = phases(&record.samples, &clock);
    let plot = |title: &str, unit: &str, log, lines| {
        let up = Axis { label: unit.to_owned(), log, ..Axis::default() };
        let across = Axis { label: clock.label.to_owned(), log: false, reach: clock.end };
        Plot { title: title.to_owned(), across, up, lines, marks: marks.clone() }.figure()
    };
    let sampled = |title, unit, readings: &[Reading]| {
        let line = |(name, reading): &Reading| Line {
            name: (*name).to_owned(),
            points: record.samples.iter().map(|sample| (clock.at(sample.at), reading(sample))).collect(),
            dots: false,
        };
        plot(title, unit, false, readings.iter().map(line).collect())
    };

    let mut plots = String::new();
    if !record.slices.is_empty() {
        plots += &plot("Latency", "ms", true, percentiles(record, &clock));
    }
    if !record.samples.is_empty() {
        plots += &sampled("Throughput", "MiB/s", &[("read", |sample| sample.read_mib)]);
        if readable_together(&record.samples) {
            plots += &sampled("Queue depth", "files and slots", &[OPEN, BUSY]);
        } else {
            plots += &sampled("Queue depth", "open files", &[OPEN]);
            plots += &sampled("Slots", "busy slots", &[BUSY]);
        }
        plots += &sampled("CPU", "processors busy", &[("CPU", |sample| sample.cpu)]);
        plots += &sampled("Resident set of the largest worker", "MiB", &[("RSS", |sample| sample.rss_mib)]);
        plots +=
            &sampled("Requests in flight", "requests", &[("in flight", |sample| sample.in_flight as f64)]);
        plots += &sampled(
            "File descriptors of the worker that has most",
            "descriptors",
            &[("descriptors", |sample| sample.descriptors as f64)],
        );
    }
    let mut text = "<h2>Over time</h2>".to_owned();
    if record.slices.is_empty() {
        text += r#"<p class="quiet">No job ended, so there are no latencies.</p>"#;
    }
    if record.samples.is_empty() {
        text += r#"<p class="quiet">No samples were taken.</p>"#;
    }
    text + &format!(r#"<div class="plots">{plots}</div>"#)
}

fn percentiles(record: &Record, clock: &Clock) -> Vec<Line> {
    let line = |(name, percentile): Percentile| {
        let points = record.slices.iter().map(|slice| {
            // A slice in which no job ended is a gap.
            (clock.at(slice.at), if slice.jobs > 0 { percentile(&slice.latency) } else { f64::NAN })
        });
        Line { name: name.to_owned(), points: points.collect(), dots: false }
    };
    PERCENTILES.map(line).into()
}

/// Slots can be told from zero beside the files that wait for them.
fn readable_together(samples: &[Sample]) -> bool {
    let most = |reading: fn(&Sample) -> u64| samples.iter().map(reading).max().unwrap_or(0);
    most(|sample| sample.open) <= most(|sample| sample.busy).saturating_mul(10)
}

/// From where on each phase is.
fn phases(samples: &[Sample], clock: &Clock) -> Vec<Mark> {
    let begins = samples.chunk_by(|a, b| a.phase == b.phase).filter_map(<[_]>::first);
    let mut marks: Vec<_> =
        begins.map(|sample| Mark { at: clock.at(sample.at), name: sample.phase.clone() }).collect();
    if let Some(first) = marks.first_mut() {
        // The first sample is taken a while after the first arrival, and its phase began with that.
        first.at = first.at.min(0.0);
    }
    marks
}

/// The unit of the times of a run, and the last of them in it.
struct Clock {
    seconds: f64,
    label: &'static str,
    end: f64,
}

impl Clock {
    fn of(record: &Record) -> Self {
        let times = record.samples.iter().map(|sample| sample.at).chain(record.slices.iter().map(|s| s.at));
        let last = times.filter(|at| at.is_finite()).fold(0.0, f64::max);
        let (seconds, label) = match last {
            ..=600.0 => (1.0, "seconds since the first arrival"),
            ..=36_000.0 => (60.0, "minutes since the first arrival"),
            _ => (3600.0, "hours since the first arrival"),
        };
        Self { seconds, label, end: last / seconds }
    }

    fn at(&self, seconds: f64) -> f64 {
        seconds / self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Slice;

    fn sample(at: f64, phase: &str) -> Sample {
        Sample { at, phase: phase.to_owned(), open: 5, busy: 2, ..Sample::default() }
    }

    #[test]
    fn phases_begin_where_the_phase_changes() {
        let samples = ["warm", "warm", "burst", "warm"];
        let samples: Vec<_> = samples.iter().zip(1_u32..).map(|(name, at)| sample(at.into(), name)).collect();
        let clock = Clock { seconds: 1.0, label: "seconds", end: 4.0 };
        let mark = |at, name: &str| Mark { at, name: name.to_owned() };
        assert_eq!(phases(&samples, &clock), [mark(0.0, "warm"), mark(3.0, "burst"), mark(4.0, "warm")]);
        assert_eq!(phases(&[], &clock), []);
    }

    #[test]
    fn a_long_run_is_told_in_minutes() {
        let page =
            section(&Record { samples: vec![sample(0.0, "a"), sample(1200.0, "a")], ..Record::default() });
        assert!(page.contains(">minutes since the first arrival</text>"));
        // The last tick of twenty minutes, at the right end.
        assert!(page.contains(r#"text-anchor="middle">20</text>"#));
    }

    #[test]
    fn all_plots_have_the_same_time() {
        let slice = Slice { at: 40.0, jobs: 1, latency: Latency { p50: 1.0, p90: 2.0, p99: 3.0, max: 4.0 } };
        let samples = vec![sample(1.0, "a"), sample(100.0, "a")];
        let text = section(&Record { samples, slices: vec![slice], ..Record::default() });
        let last = r#"text-anchor="middle">100</text>"#;
        assert_eq!(text.matches(last).count(), text.matches("<svg").count(), "{text}");
    }

    #[test]
    fn slots_have_their_own_plot_where_files_would_hide_them() {
        let mut record = Record { samples: vec![sample(1.0, "a")], ..Record::default() };
        assert!(!section(&record).contains("<figcaption>Slots<"));
        record.samples[0].open = 5000;
        assert!(section(&record).contains("<figcaption>Slots<"));
    }

    #[test]
    fn a_slice_without_jobs_is_a_gap() {
        let latency = Latency { p50: 1.0, p90: 1.0, p99: 1.0, max: 1.0 };
        let slice = |at, jobs| Slice { at, jobs, latency };
        let record =
            Record { slices: vec![slice(1.0, 4), slice(2.0, 0), slice(3.0, 4)], ..Record::default() };
        let lines = percentiles(&record, &Clock::of(&record));
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.points[1].1.is_nan() && line.points[2].1 == 1.0));
    }
}
