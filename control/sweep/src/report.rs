//! What a sweep has done.

use eft_domain::Millis;
use serde::Serialize;
use serde_json::{Map, Value, json};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident: $unit:literal,)*) => {
        /// What a sweep has done.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Report {
            $($(#[$doc])* pub $name: u64,)*
            /// A part has stopped before its end because its time was over; the next sweep goes on.
            pub out_of_time: bool,
        }

        impl Report {
            /// Every count, with its name and the unit CloudWatch knows.
            fn counts(&self) -> [(&'static str, &'static str, u64); [$($unit),*].len()] {
                [$((stringify!($name), $unit, self.$name)),*]
            }
        }
    };
}

counts! {
    /// Rows that were due.
    due: "Count",
    /// Jobs that were put into a queue again: the message, or its owner, was lost.
    resent: "Count",
    /// Jobs that were put into a queue for the first time.
    released: "Count",
    /// Jobs that were tried again after a wait.
    resumed: "Count",
    /// Jobs that were looked at again and are whole.
    completed: "Count",
    /// Jobs that were looked at again and are not whole.
    incomplete: "Count",
    /// Records that a route has taken since.
    rerouted: "Count",
    /// Records that still no route takes.
    unrouted: "Count",
    /// Jobs that have waited for a week for their tenant's share: it is paused, is no tenant any more, or its quota is too
    /// small.
    long_waits: "Count",
    /// Jobs whose changes were told late.
    told: "Count",
    /// Rows that were removed because their time was over.
    expired: "Count",
    /// Object versions that were listed.
    listed: "Count",
    /// Object versions whose event was lost.
    found: "Count",
    /// Bytes of them.
    found_bytes: "Bytes",
    /// Listings that came to their end.
    listings_ended: "Count",
    /// Uploads that were not ended and were looked at.
    uploads: "Count",
    /// Uploads that were aborted.
    aborted: "Count",
    /// Facts that had expired and were removed.
    forgotten: "Count",
    /// What could not be done; the next sweep tries again.
    errors: "Count",
    /// How long it took.
    millis: "Milliseconds",
}

impl Report {
    /// The line of the log, which CloudWatch makes metrics of (embedded metric format).
    pub fn to_line(&self, region: &str, at: Millis) -> Value {
        let metrics: Vec<_> = self
            .counts()
            .iter()
            .map(|(name, unit, _)| json!({ "Name": format!("sweep_{name}"), "Unit": unit }))
            .collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": at.0,
                "CloudWatchMetrics": [{ "Namespace": "EFT", "Dimensions": [["region"]], "Metrics": metrics }],
            }),
        );
        line.insert("region".to_owned(), region.into());
        line.insert("level".to_owned(), "INFO".into());
        line.insert("event".to_owned(), "sweep".into());
        line.insert("out_of_time".to_owned(), self.out_of_time.into());
        for (name, _, count) in self.counts() {
            line.insert(format!("sweep_{name}"), count.into());
        }
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_is_a_metric() {
        let line = Report { found: 3, ..Report::default() }.to_line("eu-west-1", Millis(7));
        assert_eq!(line["sweep_found"], 3);
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        assert_eq!(metrics.len(), 20);
        assert!(metrics.len() <= 100, "CloudWatch takes 100 metrics a line");
        for metric in metrics {
            assert!(line[metric["Name"].as_str().unwrap()].is_u64(), "{metric}");
        }
    }
}
