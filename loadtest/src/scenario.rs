//! A scenario: who sends what, when, to how many workers, and what must hold. One file says it all.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use eft_domain::{Route, Tenant, route::Profile};
use eft_s3::Fault;
use serde::Deserialize;

use crate::platform::{Outcome, Platform};

/// Where what arrives goes: S3 keeps its size and CRC, and no bytes.
pub const OUT: &str = eft_s3::DISCARD;

/// A scenario's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The question it answers.
    pub about: String,
    /// Who works.
    #[serde(default)]
    pub workers: Workers,
    /// Who sends.
    pub tenants: Vec<Senders>,
    /// One after the other.
    pub phases: Vec<Phase>,
    /// Run once for each, on a platform of its own.
    pub series: Option<Series>,
    /// What must hold besides: nothing is lost, nothing comes to stand twice, no upload is left.
    #[serde(default)]
    pub expect: Expect,
}

/// Workers, all alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// How many.
    pub count: usize,
    /// `--slots` of each.
    pub slots: usize,
    /// `--memory` of each.
    pub memory: String,
    /// They start so long after the first file has arrived, as after an outage.
    pub late_seconds: f64,
    /// One is killed so often, drawn, and another started.
    pub kill_every_seconds: Option<f64>,
}

impl Default for Workers {
    fn default() -> Self {
        Self { count: 1, slots: 4, memory: "256MiB".to_owned(), late_seconds: 0.0, kill_every_seconds: None }
    }
}

/// Tenants that all do the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Senders {
    /// Their name; with a number behind it where there are several.
    pub name: String,
    /// How many.
    #[serde(default = "one")]
    pub count: u64,
    /// Files of each in a second, at moments drawn as those of strangers are (Poisson).
    #[serde(default)]
    pub rate: f64,
    /// Files of each at once, when the phase begins.
    #[serde(default)]
    pub burst: u64,
    /// What is in a file.
    #[serde(default)]
    pub content: Content,
    /// Bytes of a file, before it is packed.
    pub mib: f64,
    /// The stages of their route; none: as it is.
    #[serde(default)]
    pub stages: Vec<serde_json::Value>,
    /// Most of their jobs in queues and in workers at once; none: what a tenant has by default.
    pub max_jobs: Option<u32>,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Lines of text.
    #[default]
    Text,
    /// A CSV of four columns with a header, by gzip.
    CsvGzip,
}

/// A part of the run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How long files arrive, and how long it lasts at least; what has arrived is waited for at the end of the last phase.
    pub seconds: f64,
    /// The names of those who send; none: all.
    pub tenants: Option<Vec<String>>,
    /// Faults of S3 in it, as `eft-s3 --fault` takes them.
    #[serde(default)]
    pub faults: Vec<serde_json::Value>,
}

/// What grows from run to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Of what there is more.
    pub of: Of,
    /// How many of it, one after the other.
    pub values: Vec<u64>,
}

/// What a series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// The burst of each sender.
    Jobs,
    /// The count of each sender; each tenant sends what it sent.
    Tenants,
    /// The length of each phase; its growth is shown over the jobs there were.
    Seconds,
}

impl Of {
    /// As the file has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Tenants => "tenants",
            Self::Seconds => "seconds",
        }
    }

    /// What its growth is shown over: a name, and how many of it there were.
    pub fn across(self, value: u64, jobs: u64) -> (&'static str, f64) {
        match self {
            Self::Jobs | Self::Tenants => (self.name(), value as f64),
            Self::Seconds => (Self::Jobs.name(), jobs as f64),
        }
    }
}

/// Bounds. Those of time are of this machine, and left out where `--no-times` asks for that.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The largest resident set of a worker, MiB.
    pub rss_mib: Option<f64>,
    /// Latency of senders, the 99th percentile in their last phase, ms.
    pub p99_ms: BTreeMap<String, f64>,
    /// Latency of senders beside that in an earlier phase.
    pub slower: Vec<Slower>,
    /// Memory, descriptors and latency of the last quarter are those of the second.
    pub flat: bool,
    /// The slope of a series.
    pub exponent: Option<f64>,
    /// Of jobs that are there at once: how much longer the last takes than the first, from its queue or the start of the
    /// workers to its end.
    pub spread: Option<f64>,
    /// Files that wait or are worked at in every moment of a phase, but for its first seconds.
    pub waiting: BTreeMap<String, u64>,
    /// Share of the slots that are busy while files wait.
    pub busy: Option<f64>,
    /// Share of the slots that are busy on average while files arrive: how much of what the workers can take they are given.
    pub load: Option<f64>,
    /// CPU of all workers in a phase without files, in percent of a core.
    pub idle: BTreeMap<String, f64>,
}

/// How much longer it may take than in another phase, by the 99th percentile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slower {
    /// Whose latency.
    pub tenants: String,
    /// The phase it is compared with.
    pub than: String,
    /// The phase looked at.
    pub during: String,
    /// As many times as long, at most.
    pub times: f64,
}

fn one() -> u64 {
    1
}

impl Senders {
    /// The names of its tenants.
    pub fn ids(&self) -> Vec<String> {
        if self.count == 1 {
            return vec![self.name.clone()];
        }
        (1..=self.count).map(|number| format!("{}-{number}", self.name)).collect()
    }

    /// Their route delivers the bytes that arrived.
    pub fn leaves_bytes(&self) -> bool {
        self.stages.iter().all(|stage| stage.get("validate").is_some())
    }

    /// One of its tenants, and what is done with its files.
    pub fn onboarded(&self, id: &str) -> Outcome<(Tenant, Route)> {
        let mut tenant = Platform::tenant(id, OUT)?;
        tenant.max_jobs = self.max_jobs.unwrap_or(tenant.max_jobs);
        let route = serde_json::json!({
            "id": format!("{id}-files"),
            "tenant": id,
            "match": { "prefix": format!("tenants/{id}/in/") },
            "executor": "worker",
            "stages": self.stages,
            "destinations": [{ "s3": { "bucket": OUT, "key": format!("{id}/{{name}}"), "on_existing": "fail" } }],
        });
        let route = Route::parse_yaml(&route.to_string(), Profile::Platform);
        Ok((tenant, route.map_err(|error| format!("the route of {id}: {error:?}"))?))
    }
}

impl Scenario {
    /// Reads a file, and says where it contradicts itself.
    pub fn parse(text: &str) -> Outcome<Self> {
        let scenario: Self = serde_saphyr::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Reads the file at this path.
    pub fn read(path: &Path) -> Outcome<(Self, String)> {
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        Ok((Self::parse(&text).map_err(|error| wrong(&error))?, text))
    }

    fn check(&self) -> Outcome<()> {
        let tenants: Vec<&str> = self.tenants.iter().map(|senders| senders.name.as_str()).collect();
        let phases: Vec<&str> = self.phases.iter().map(|phase| phase.name.as_str()).collect();
        let known = |names: &[&str], name: &str, what: &str| match names.contains(&name) {
            true => Ok(()),
            false => Err(format!("{what} `{name}`: there are {}", names.join(", "))),
        };
        if self.tenants.is_empty() || self.phases.is_empty() || self.workers.count * self.workers.slots == 0 {
            return Err("a scenario has a tenant, a phase and a worker with a slot at least".into());
        }
        let numbers = self.tenants.iter().flat_map(|senders| [senders.mib, senders.rate]);
        let numbers = numbers.chain(self.phases.iter().map(|phase| phase.seconds));
        if numbers.chain([self.workers.late_seconds]).any(|number| !number.is_finite() || number < 0.0) {
            return Err("sizes, rates and times are numbers of 0 and above".into());
        }
        if self.workers.kill_every_seconds.is_some_and(|every| !every.is_finite() || every < 1.0) {
            return Err("`kill_every_seconds` is 1 at least".into());
        }
        self.once_each(&phases)?;
        for senders in &self.tenants {
            if !self.phases.iter().any(|phase| phase.has(senders)) {
                return Err(format!("tenants `{}` are in no phase", senders.name).into());
            }
            if senders.count == 0 || senders.mib == 0.0 {
                return Err(format!("tenants `{}`: count and mib are above 0", senders.name).into());
            }
            if senders.rate == 0.0 && senders.burst == 0 {
                return Err(format!(
                    "tenants `{}` send nothing: they have neither `rate` nor `burst`",
                    senders.name
                )
                .into());
            }
            senders.onboarded(&senders.ids()[0])?;
        }
        for phase in &self.phases {
            phase.tenants.iter().flatten().try_for_each(|name| known(&tenants, name, "tenants"))?;
            phase.faults()?;
        }
        for slower in &self.expect.slower {
            known(&tenants, &slower.tenants, "tenants")?;
            known(&phases, &slower.than, "phase")?;
            known(&phases, &slower.during, "phase")?;
        }
        let mut named = self.expect.waiting.keys().chain(self.expect.idle.keys());
        named.try_for_each(|name| known(&phases, name, "phase"))?;
        self.expect.p99_ms.keys().try_for_each(|name| known(&tenants, name, "tenants"))?;
        if self.expect.exponent.is_some() != self.series.is_some() {
            return Err("a series has an `exponent`, and nothing else has one".into());
        }
        if self.series.as_ref().is_some_and(|series| series.values.len() < 2 || series.values.contains(&0)) {
            return Err("a series has two values at least, and none of them is 0".into());
        }
        Ok(())
    }

    /// Two of one name would be one.
    fn once_each(&self, phases: &[&str]) -> Outcome<()> {
        let tenants = self.tenants.iter().flat_map(Senders::ids);
        let mut seen = BTreeSet::new();
        for name in tenants
            .map(|name| format!("tenant {name}"))
            .chain(phases.iter().map(|name| format!("phase {name}")))
        {
            if let Some(twice) = seen.replace(name) {
                return Err(format!("there are two of the name: {twice}").into());
            }
        }
        Ok(())
    }

    /// How long files may arrive, in seconds.
    pub fn seconds(&self) -> f64 {
        self.phases.iter().map(|phase| phase.seconds).sum()
    }

    /// The same with this many of what the series is of.
    pub fn with(&self, of: Of, value: u64) -> Self {
        let mut this = self.clone();
        match of {
            Of::Jobs => this.tenants.iter_mut().for_each(|senders| senders.burst = value),
            Of::Tenants => this.tenants.iter_mut().for_each(|senders| senders.count = value),
            Of::Seconds => this.phases.iter_mut().for_each(|phase| phase.seconds = value as f64),
        }
        this
    }

    /// The same for so many times as long.
    pub fn stretched(mut self, times: f64) -> Outcome<Self> {
        if !times.is_finite() || times <= 0.0 {
            return Err("`--stretch` is a number above 0".into());
        }
        for phase in &mut self.phases {
            phase.seconds *= times;
        }
        if let Some(series) = self.series.as_mut().filter(|series| series.of == Of::Seconds) {
            let stretched = |value: &u64| ((*value as f64 * times).round() as u64).max(1);
            series.values = series.values.iter().map(stretched).collect();
        }
        Ok(self)
    }
}

impl Phase {
    /// The faults in it.
    pub fn faults(&self) -> Outcome<Vec<Fault>> {
        Ok(self.faults.iter().cloned().map(Fault::from_json).collect::<Result<_, _>>()?)
    }

    /// Whether they send in it.
    pub fn has(&self, senders: &Senders) -> bool {
        self.tenants.as_ref().is_none_or(|names| names.contains(&senders.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "
about: Whether it is read.
workers: {count: 2}
tenants:
  - {name: quiet, count: 3, rate: 0.5, mib: 0.1}
  - {name: loud, burst: 12, mib: 1, content: csv-gzip, stages: [{decompress: {codec: gzip}}], max_jobs: 4}
phases:
  - {name: alone, seconds: 1, tenants: [quiet]}
  - {name: together, seconds: 2, faults: [{op: GetObject, kind: latency, ms: 5}]}
expect: {slower: [{tenants: quiet, than: alone, during: together, times: 3}]}
";

    #[test]
    fn a_file_says_it_all() {
        let scenario = Scenario::parse(WHOLE).unwrap();
        assert_eq!((scenario.workers.count, scenario.workers.slots), (2, 4));
        assert_eq!(scenario.tenants[0].ids(), ["quiet-1", "quiet-2", "quiet-3"]);
        assert_eq!(scenario.tenants[1].ids(), ["loud"]);
        assert!(
            !scenario.phases[0].has(&scenario.tenants[1]) && scenario.phases[1].has(&scenario.tenants[1])
        );
        let (tenant, route) = scenario.tenants[1].onboarded("loud").unwrap();
        assert_eq!((tenant.max_jobs, route.stages.len()), (4, 1));
        let more = scenario.with(Of::Tenants, 4);
        assert_eq!((more.tenants[1].count, more.tenants[1].burst), (4, 12));
        let longer = scenario.with(Of::Seconds, 7);
        assert_eq!((longer.seconds(), Of::Seconds.across(7, 30)), (14.0, ("jobs", 30.0)));
        assert_eq!(scenario.stretched(2.0).unwrap().phases[1].seconds, 4.0);
    }

    #[test]
    fn every_file_of_the_folder_is_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 13, "{files:?}");
        for path in files {
            Scenario::read(&path).unwrap();
        }
    }

    #[test]
    fn contradictions_are_told() {
        let parse = |from: &str, to: &str| {
            assert!(WHOLE.contains(from), "{from}");
            Scenario::parse(&WHOLE.replace(from, to)).unwrap_err().to_string()
        };
        assert!(parse("than: alone", "than: alnoe").contains("phase `alnoe`: there are alone, together"));
        assert!(parse("tenants: [quiet]", "tenants: [quite]").contains("tenants `quite`"));
        assert!(parse("rate: 0.5, ", "").contains("neither `rate` nor `burst`"));
        assert!(parse("mib: 0.1", "mib: 0").contains("above 0"));
        assert!(parse("kind: latency", "kind: lateness").contains("lateness"));
        assert!(parse("decompress: {", "decompres: {").contains("the route of loud"));
        assert!(parse("expect: {", "expect: {exponent: 1.1, ").contains("exponent"));
        assert!(parse("count: 2", "cuont: 2").contains("cuont"));
        assert!(parse("name: loud", "name: quiet-2").contains("two of the name: tenant quiet-2"));
        assert!(parse("name: together", "name: alone").contains("two of the name: phase alone"));
        assert!(parse("seconds: 2", "seconds: -2").contains("0 and above"));
        assert!(parse("rate: 0.5", "rate: .nan").contains("0 and above"));
        assert!(parse("count: 2", "kill_every_seconds: 0").contains("1 at least"));
        assert!(parse("count: 2", "slots: 0").contains("a slot at least"));
        assert!(parse("seconds: 2", "seconds: 2, tenants: [quiet]").contains("`loud` are in no phase"));
    }
}
