//! Metrics: numbers that are counted without a lock.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The value of a label that was given none of those it knows: the number of series stays bounded.
pub const OTHER: &str = "other";

/// Where the buckets of a time end, in seconds: from a request to S3 up to the 12 h a message may be held.
pub const SECONDS: &[f64] =
    &[0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0];

/// What is counted, as CloudWatch calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// CloudWatch's word (`StandardUnit`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Bytes => "Bytes",
            Self::Seconds => "Seconds",
        }
    }
}

/// How numbers of a metric go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How many were at most so much, for each of these bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Prometheus's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    /// Numbers of a series: of a histogram one a bucket, one for what is above all of them, the sum in millionths, and the
    /// largest since it was last taken, in millionths.
    const fn width(self) -> usize {
        match self {
            Self::Counter | Self::Gauge => 1,
            Self::Histogram(bounds) => bounds.len() + 3,
        }
    }
}

/// A label, and the values it may have. Never a tenant's, a key's or a job's name.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// The values.
    pub values: fn() -> Vec<&'static str>,
}

/// A metric and its numbers.
#[derive(Debug)]
pub struct Family {
    /// Its name, as Prometheus names them: base units, `_total` for what only grows.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// How it goes on.
    pub kind: Kind,
    /// Its labels and their values.
    pub labels: Vec<(&'static str, Vec<&'static str>)>,
    cells: Box<[AtomicU64]>,
}

/// The numbers of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Which of its metric's series it is.
    pub at: usize,
    /// Its labels.
    pub labels: Vec<(&'static str, &'static str)>,
    /// Its numbers, as [`Kind`] has them.
    pub cells: Vec<u64>,
}

impl Family {
    /// A metric of which nothing was counted.
    pub fn new(name: &'static str, doc: &'static str, unit: Unit, kind: Kind, labels: &[Label]) -> Self {
        let labels: Vec<_> = labels
            .iter()
            .map(|label| (label.name, (label.values)().into_iter().chain([OTHER]).collect::<Vec<_>>()))
            .collect();
        let series: usize = labels.iter().map(|(_, values)| values.len()).product();
        let cells = (0..series * kind.width()).map(|_| AtomicU64::new(0)).collect();
        Self { name, doc, unit, kind, labels, cells }
    }

    fn cells(&self, values: &[&str]) -> &[AtomicU64] {
        let at = self.labels.iter().zip(values).fold(0, |at, ((_, known), value)| {
            let place = known.iter().position(|one| one == value).unwrap_or(known.len() - 1);
            at * known.len() + place
        });
        let width = self.kind.width();
        &self.cells[at * width..][..width]
    }

    /// Every series, the ones of which nothing was counted left out where there are labels.
    pub fn series(&self) -> Vec<Series> {
        let all = self.cells.chunks(self.kind.width()).enumerate();
        let all =
            all.map(|(at, cells)| (at, cells.iter().map(|cell| cell.load(Relaxed)).collect::<Vec<_>>()));
        all.filter(|(_, cells)| self.labels.is_empty() || cells.iter().any(|number| *number > 0))
            .map(|(at, cells)| Series { at, labels: self.labels_of(at), cells })
            .collect()
    }

    fn labels_of(&self, at: usize) -> Vec<(&'static str, &'static str)> {
        let mut rest = at;
        let mut labels: Vec<_> = self
            .labels
            .iter()
            .rev()
            .map(|(name, values)| {
                let value = values[rest % values.len()];
                rest /= values.len();
                (*name, value)
            })
            .collect();
        labels.reverse();
        labels
    }

    /// The largest of a histogram's series since this was last asked, in millionths.
    pub(crate) fn take_largest(&self, at: usize) -> u64 {
        let width = self.kind.width();
        self.cells[at * width + width - 1].swap(0, Relaxed)
    }
}

/// What only grows.
#[derive(Debug)]
pub struct Counter<const LABELS: usize = 0>(pub Family);

impl<const LABELS: usize> Counter<LABELS> {
    /// As a metric.
    pub fn new(name: &'static str, doc: &'static str, unit: Unit, labels: [Label; LABELS], _: ()) -> Self {
        Self(Family::new(name, doc, unit, Kind::Counter, &labels))
    }

    /// So many more of these.
    pub fn add_to(&self, labels: [&str; LABELS], more: u64) {
        self.0.cells(&labels)[0].fetch_add(more, Relaxed);
    }

    /// One more of these.
    pub fn count(&self, labels: [&str; LABELS]) {
        self.add_to(labels, 1);
    }
}

impl Counter {
    /// So many more.
    pub fn add(&self, more: u64) {
        self.add_to([], more);
    }

    /// There were so many in all: somebody else counts them.
    pub fn raise(&self, all: u64) {
        self.0.cells(&[])[0].fetch_max(all, Relaxed);
    }
}

/// What is now.
#[derive(Debug)]
pub struct Gauge(pub Family);

impl Gauge {
    /// As a metric.
    pub fn new(name: &'static str, doc: &'static str, unit: Unit, labels: [Label; 0], _: ()) -> Self {
        Self(Family::new(name, doc, unit, Kind::Gauge, &labels))
    }

    /// It is so much now.
    pub fn set(&self, now: u64) {
        self.0.cells(&[])[0].store(now, Relaxed);
    }
}

/// How many were at most so much.
#[derive(Debug)]
pub struct Histogram<const LABELS: usize = 0>(pub Family);

impl<const LABELS: usize> Histogram<LABELS> {
    /// As a metric with these bounds.
    pub fn new(
        name: &'static str,
        doc: &'static str,
        unit: Unit,
        labels: [Label; LABELS],
        bounds: &'static [f64],
    ) -> Self {
        Self(Family::new(name, doc, unit, Kind::Histogram(bounds), &labels))
    }

    /// One that took so long.
    pub fn took_of(&self, labels: [&str; LABELS], time: Duration) {
        let Kind::Histogram(bounds) = self.0.kind else { return };
        let cells = self.0.cells(&labels);
        let seconds = time.as_secs_f64();
        let at = bounds.iter().position(|bound| seconds <= *bound).unwrap_or(bounds.len());
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        cells[at].fetch_add(1, Relaxed);
        cells[bounds.len() + 1].fetch_add(micros, Relaxed);
        cells[bounds.len() + 2].fetch_max(micros, Relaxed);
    }
}

impl Histogram {
    /// One that took so long.
    pub fn took(&self, time: Duration) {
        self.took_of([], time);
    }
}

/// Metrics that are written down together.
pub trait Metrics: Send + Sync {
    /// Each of them.
    fn families(&self) -> Vec<&Family>;
}

/// Makes a table of metrics: a struct with a field each.
macro_rules! metrics {
    ($(#[$meta:meta])* $table:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $kind:ident $(<$n:literal>)? = $name:literal, $unit:ident,
            [$($label:expr),*] $(, $bounds:expr)?;)*
    }) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $table { $($(#[doc = $doc])+ pub $field: $crate::metric::$kind $(<$n>)?,)* }

        impl Default for $table {
            fn default() -> Self {
                Self { $($field: $crate::metric::$kind::new(
                    $name,
                    concat!($($doc),+),
                    $crate::metric::Unit::$unit,
                    [$($label),*],
                    metrics!(@bounds $($bounds)?),
                ),)* }
            }
        }

        impl $crate::metric::Metrics for $table {
            fn families(&self) -> Vec<&$crate::metric::Family> {
                vec![$(&self.$field.0),*]
            }
        }
    };
    (@bounds) => { () };
    (@bounds $bounds:expr) => { $bounds };
}

pub(crate) use metrics;

#[cfg(test)]
mod tests {
    use super::*;

    fn colours() -> Vec<&'static str> {
        vec!["red", "blue"]
    }

    const COLOUR: Label = Label { name: "colour", values: colours };

    #[test]
    fn series_are_told_apart_and_unknown_values_are_one() {
        let counter = Counter::<2>::new("c_total", "d", Unit::Count, [COLOUR, COLOUR], ());
        counter.count(["red", "blue"]);
        counter.add_to(["blue", "red"], 5);
        counter.count(["tenants/acme/secret", "red"]);
        counter.count(["another", "red"]);
        let series = counter.0.series();
        let found: Vec<_> =
            series.iter().map(|one| (one.labels[0].1, one.labels[1].1, one.cells[0])).collect();
        assert_eq!(found, [("red", "blue", 1), ("blue", "red", 5), (OTHER, "red", 2)]);
    }

    #[test]
    fn a_time_falls_into_one_bucket() {
        let histogram = Histogram::<0>::new("h_seconds", "d", Unit::Seconds, [], &[1.0, 2.0]);
        for millis in [1_000, 1_001, 9_000] {
            histogram.took(Duration::from_millis(millis));
        }
        assert_eq!(histogram.0.series()[0].cells, [1, 1, 1, 11_001_000, 9_000_000]);
        assert_eq!((histogram.0.take_largest(0), histogram.0.take_largest(0)), (9_000_000, 0));
    }
}
