//! Metrics in CloudWatch's embedded metric format: lines of JSON on standard output, which the log agent or Lambda
//! hands to CloudWatch.
//!
//! Counters are written as what was added since the last time. A histogram is three metrics, `_count` and `_sum` since the
//! last time and the `_max` among them: percentiles are asked of Prometheus. Gauges of a fleet add up (`Sum` over one
//! period), because every process writes each once a period.

use serde_json::{Map, Value, json};

use crate::{
    metric::{Family, Kind, Metrics, Series, Unit},
    prometheus::sum,
};

/// Where the metrics stand in CloudWatch.
pub const NAMESPACE: &str = "EFT";

/// Metrics of one directive (CloudWatch, "Embedded metric format specification").
pub const MAX_METRICS: usize = 100;

/// What was written last of each series, and what all of them have in common.
#[derive(Debug)]
pub struct Emf {
    dimensions: Vec<(&'static str, String)>,
    before: Vec<(usize, Vec<u64>)>,
}

struct Datum {
    name: String,
    unit: Unit,
    value: Value,
}

impl Emf {
    /// Of this service in this region.
    pub fn new(service: &str, region: &str) -> Self {
        let dimensions = vec![("service", service.to_owned()), ("region", region.to_owned())];
        Self { dimensions, before: Vec::new() }
    }

    /// Everything since the last time, a line for each set of labels. `millis` is the time since 1970.
    pub fn lines(&mut self, metrics: &dyn Metrics, millis: u64) -> Vec<Value> {
        type Labels = Vec<(&'static str, &'static str)>;
        let mut sets: Vec<(Labels, Vec<Datum>)> = vec![(Labels::new(), Vec::new())];
        for (index, family) in metrics.families().into_iter().enumerate() {
            for series in family.series() {
                let key = index << 32 | series.at;
                let before = self.remember(key, &series.cells);
                let data = data(family, &series, &before);
                match sets.iter_mut().find(|(labels, _)| *labels == series.labels) {
                    Some((_, all)) => all.extend(data),
                    None => sets.push((series.labels, data)),
                }
            }
        }
        let sets = sets.iter().filter(|(_, data)| !data.is_empty());
        sets.flat_map(|(labels, data)| {
            data.chunks(MAX_METRICS).map(|data| self.line(labels, data, millis)).collect::<Vec<_>>()
        })
        .collect()
    }

    fn remember(&mut self, key: usize, cells: &[u64]) -> Vec<u64> {
        match self.before.iter_mut().find(|(known, _)| *known == key) {
            Some((_, before)) => std::mem::replace(before, cells.to_vec()),
            None => {
                self.before.push((key, cells.to_vec()));
                vec![0; cells.len()]
            }
        }
    }

    fn line(&self, labels: &[(&'static str, &'static str)], data: &[Datum], millis: u64) -> Value {
        let names: Vec<_> = self
            .dimensions
            .iter()
            .map(|(name, _)| *name)
            .chain(labels.iter().map(|(name, _)| *name))
            .collect();
        let metrics: Vec<_> =
            data.iter().map(|datum| json!({ "Name": datum.name, "Unit": datum.unit.as_str() })).collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": millis,
                "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": metrics }],
            }),
        );
        for (name, value) in &self.dimensions {
            line.insert((*name).to_owned(), value.as_str().into());
        }
        for (name, value) in labels {
            line.insert((*name).to_owned(), (*value).into());
        }
        for datum in data {
            line.insert(datum.name.clone(), datum.value.clone());
        }
        Value::Object(line)
    }
}

/// Of a series with labels only what has changed: a metric that says nothing costs as much as one that does.
fn data(family: &Family, series: &Series, before: &[u64]) -> Vec<Datum> {
    let datum = |end: &str, unit, value: Value| Datum { name: format!("{}{end}", family.name), unit, value };
    let more = |at: usize| series.cells[at].saturating_sub(before[at]);
    let is_plain = series.labels.is_empty();
    match family.kind {
        Kind::Gauge => vec![datum("", family.unit, series.cells[0].into())],
        Kind::Counter if is_plain || more(0) > 0 => vec![datum("", family.unit, more(0).into())],
        Kind::Counter => Vec::new(),
        Kind::Histogram(bounds) => {
            let count: u64 = (0..=bounds.len()).map(more).sum();
            if count == 0 {
                return Vec::new();
            }
            vec![
                datum("_count", Unit::Count, count.into()),
                datum("_sum", family.unit, sum(more(bounds.len() + 1)).into()),
                datum("_max", family.unit, sum(family.take_largest(series.at)).into()),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::table::Worker;

    fn read(lines: &[Value]) -> Vec<Value> {
        lines
            .iter()
            .map(|line| {
                assert!(!line.to_string().contains('\n'));
                let value = line.clone();
                for directive in value["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
                    let metrics = directive["Metrics"].as_array().unwrap();
                    assert!((1..=MAX_METRICS).contains(&metrics.len()));
                    for set in directive["Dimensions"].as_array().unwrap() {
                        assert!(set.as_array().unwrap().len() <= 30);
                        for name in set.as_array().unwrap() {
                            assert!(value[name.as_str().unwrap()].is_string(), "{name}");
                        }
                    }
                    for metric in metrics {
                        assert!(value[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
                        assert!(["Count", "Bytes", "Seconds"].contains(&metric["Unit"].as_str().unwrap()));
                    }
                }
                value
            })
            .collect()
    }

    #[test]
    fn counters_are_what_was_added_since_the_last_line() {
        let worker = Worker::default();
        let mut emf = Emf::new("eft-worker", "eu-west-1");
        worker.bytes_read.add(7);
        worker.runs.count(["SUCCEEDED", "none"]);
        worker.runs.count(["REJECTED", "validation"]);
        worker.run_seconds.took(Duration::from_millis(1_500));
        worker.slots.set(4);
        let first = read(&emf.lines(&worker, 9));
        assert_eq!(first.len(), 3);
        assert_eq!(
            (&first[0]["eft_worker_read_bytes_total"], &first[0]["_aws"]["Timestamp"]),
            (&json!(7), &json!(9))
        );
        assert_eq!(first[0]["eft_worker_run_seconds_max"], 1.5);
        let of = |lines: &[Value], state: &str| {
            lines.iter().find(|line| line["state"] == state).map(|line| line["eft_worker_runs_total"].clone())
        };
        assert_eq!(of(&first, "REJECTED"), Some(json!(1)));
        worker.bytes_read.add(5);
        worker.runs.count(["REJECTED", "validation"]);
        worker.runs.count(["REJECTED", "validation"]);
        let second = read(&emf.lines(&worker, 10));
        assert_eq!(second[0]["eft_worker_read_bytes_total"], 5);
        assert_eq!(second[0]["eft_worker_slots"], 4, "a gauge is what it is");
        assert_eq!((of(&second, "REJECTED"), of(&second, "SUCCEEDED")), (Some(json!(2)), None));
        assert_eq!(second[0].get("eft_worker_run_seconds_count"), None, "none ended");
    }
}
