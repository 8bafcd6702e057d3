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
