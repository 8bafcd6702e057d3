//! Metrics in the text format of Prometheus 0.0.4.

use std::fmt::Write as _;

use crate::metric::{Family, Kind, Metrics, Series};

/// The format's media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a table.
pub fn text(metrics: &dyn Metrics) -> String {
    let mut text = String::new();
    for family in metrics.families() {
        write_family(&mut text, family);
    }
    text
}

fn write_family(text: &mut String, family: &Family) {
    let (name, kind) = (family.name, family.kind);
    let doc = family.doc.trim().replace('\\', "\\\\").replace('\n', "\\n");
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a String does not fail.
        let _written = text.write_fmt(line);
    };
    line(format_args!("# HELP {name} {doc}\n# TYPE {name} {}\n", kind.as_str()));
    for series in family.series() {
        match kind {
            Kind::Counter | Kind::Gauge => {
                line(format_args!("{name}{} {}\n", labels(&series, None), series.cells[0]));
            }
            Kind::Histogram(bounds) => {
                let ends = bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
                let mut count = 0;
                for (end, more) in ends.zip(&series.cells) {
                    count += more;
                    line(format_args!("{name}_bucket{} {count}\n", labels(&series, Some(&end))));
                }
                let (sum, plain) = (sum(series.cells[bounds.len() + 1]), labels(&series, None));
                line(format_args!("{name}_sum{plain} {sum}\n{name}_count{plain} {count}\n"));
            }
        }
    }
}

/// A sum of a histogram, from its millionths.
pub(crate) fn sum(millionths: u64) -> f64 {
    millionths as f64 / 1e6
}

/// Values are words of ours and need no escapes.
fn labels(series: &Series, end: Option<&str>) -> String {
    let all: Vec<_> = series
        .labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .chain(end.map(|end| format!("le=\"{end}\"")))
        .collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        time::Duration,
    };

    use super::*;
    use crate::table::Worker;

    type Samples = BTreeMap<String, f64>;

    /// Reads the format as its specification has it, and refuses everything else.
    fn parse(text: &str) -> Result<Samples, String> {
        let wrong = |line: &str| format!("`{line}`");
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|first: char| first.is_ascii_digit())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
        };
        let (mut samples, mut known) = (Samples::new(), BTreeSet::new());
        let mut family = (String::new(), String::new());
        for line in text.strip_suffix('\n').ok_or("no end of line")?.split('\n') {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, doc) = help.split_once(' ').ok_or_else(|| wrong(line))?;
                if !is_name(name) || doc.is_empty() || !known.insert(name.to_owned()) {
                    return Err(wrong(line));
                }
                family = (name.to_owned(), String::new());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').ok_or_else(|| wrong(line))?;
                if name != family.0 || !["counter", "gauge", "histogram"].contains(&kind) {
                    return Err(wrong(line));
                }
                family.1 = kind.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').ok_or_else(|| wrong(line))?;
                let (name, labels) =
                    series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
                let end = name.strip_prefix(family.0.as_str()).ok_or_else(|| wrong(line))?;
                let ends: &[&str] =
                    if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                if !is_name(name) || !ends.contains(&end) {
                    return Err(wrong(line));
                }
                for label in labels.into_iter().flat_map(|labels| labels.trim_end_matches('}').split(',')) {
                    let (name, value) = label.split_once('=').ok_or_else(|| wrong(line))?;
                    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                    if !is_name(name) || value.is_none_or(|value| value.contains(['"', '\\'])) {
                        return Err(wrong(line));
                    }
                }
                let value = value.parse().map_err(|_| wrong(line))?;
                if samples.insert(series.to_owned(), value).is_some() {
                    return Err(wrong(line));
                }
            }
        }
        Ok(samples)
    }

    #[test]
    fn what_is_written_is_read_by_a_strict_reader() {
        let worker = Worker::default();
        worker.bytes_read.add(7);
        worker.runs.count(["FAILED", "source.gone"]);
        worker.runs.add_to(["SUCCEEDED", "none"], 2);
        worker.phase_seconds.took_of(["claim"], Duration::from_millis(50));
        worker.phase_seconds.took_of(["claim"], Duration::from_secs(100_000));
        let text = text(&worker);
        let samples = parse(&text).unwrap();
        let of = |series: &str| samples.get(series).copied();
        assert_eq!(of("eft_worker_read_bytes_total"), Some(7.0));
        assert_eq!(of("eft_worker_runs_total{state=\"SUCCEEDED\",code=\"none\"}"), Some(2.0));
        let bucket =
            |end: &str| of(&format!("eft_worker_phase_seconds_bucket{{phase=\"claim\",le=\"{end}\"}}"));
        assert_eq!(
            (bucket("0.02"), bucket("0.1"), bucket("43200"), bucket("+Inf")),
            (Some(0.0), Some(1.0), Some(1.0), Some(2.0))
        );
        assert_eq!(of("eft_worker_phase_seconds_count{phase=\"claim\"}"), Some(2.0));
        assert_eq!(of("eft_worker_phase_seconds_sum{phase=\"claim\"}"), Some(100_000.05));
        assert_eq!(of("eft_worker_run_seconds_count"), Some(0.0), "what is without labels is always there");
        for metric in worker.families() {
            assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.as_str())));
        }
        for broken in
            ["eft_x 1\n", "# HELP a b\n# TYPE a counter\na{b=c} 1\n", "# HELP a b\n# TYPE a counter\na x\n"]
        {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }
}
