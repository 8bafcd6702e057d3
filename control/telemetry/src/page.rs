//! The page of all metrics.

use crate::metric::{Kind, Metrics};

const HEAD: &str = "\
# Metrics

Made from `control/telemetry/src/table.rs` by `EFT_BLESS=1 cargo test --workspace --lib the_page_says`.

`eft-worker serve` answers `GET /metrics` in Prometheus's text format. Worker and router write the same to standard
output in CloudWatch's embedded metric format: namespace `EFT`, dimensions `service`, `region` and the labels; counters as what was
added since the last line; a histogram as `_count`, `_sum` and `_max`. Gauges of a fleet add up by `Sum` over one period.
No label is a tenant, a key, a route or a job: those are in the logs.
The sweep writes its report in the same format: the counts of `control/sweep/src/report.rs` as `sweep_*` by `region`.
";

/// The page.
pub fn page(parts: &[(&str, &dyn Metrics)]) -> String {
    let mut page = HEAD.to_owned();
    for (title, metrics) in parts {
        page +=
            &format!("\n## {title}\n\n| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n");
        for family in metrics.families() {
            let labels: Vec<_> = family.labels.iter().map(|(name, _)| format!("`{name}`")).collect();
            page += &format!(
                "| `{}` | {} | {} | {} | {} |\n",
                family.name,
                family.kind.as_str(),
                family.unit.as_str(),
                labels.join(" "),
                family.doc.trim()
            );
        }
        let mut labels: Vec<_> =
            metrics.families().into_iter().flat_map(|family| family.labels.clone()).collect();
        labels.sort();
        labels.dedup();
        for (name, values) in labels {
            let shown = if values.len() > 20 {
                "a code of the [table of failures](../domain/JOBS.md), or `none`".to_owned()
            } else {
                values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" ")
            };
            page += &format!("\n`{name}`: {shown}\n");
        }
        let bounds = metrics.families().into_iter().find_map(|family| match family.kind {
            Kind::Histogram(bounds) => Some(bounds),
            _ => None,
        });
        if let Some(bounds) = bounds {
            let bounds: Vec<_> = bounds.iter().map(ToString::to_string).collect();
            page += &format!("\nBuckets end at {} s.\n", bounds.join(", "));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Router, Worker};

    #[test]
    fn the_page_says_what_the_code_does() {
        let (worker, router) = (Worker::default(), Router::default());
        let page = page(&[("Worker", &worker), ("Router", &router)]);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/METRICS.md");
        if std::env::var_os("EFT_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page, "EFT_BLESS=1 writes it anew");
    }
}
