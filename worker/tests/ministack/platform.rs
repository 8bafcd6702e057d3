//! The platform of the load tests with one route of one tenant, whose jobs are counted and checked.

use std::time::Duration;

use bytes::Bytes;
use eft_domain::{Job, JobId, JobState, Route, invariant, route::Profile};
use eft_loadtest::platform::{self, Ground, Worker, metric};
use eft_s3::Op;
use tokio::time::{Instant, sleep};

const OUT: &str = "acme-out";
/// Anything takes less, on any machine; this is a bound and not a measurement.
const PATIENCE: Duration = Duration::from_secs(600);

#[expect(clippy::disallowed_methods, reason = "where the tests are told their endpoint and their size")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number that may be made larger.
pub(crate) fn sized(name: &str, default: usize) -> usize {
    variable(name).map_or(default, |text| text.parse().unwrap())
}

/// A metric of a worker, by its name in the text that it answers; 0 while it answers nothing.
pub(crate) fn metric_of(worker: &Worker, name: &str) -> u64 {
    let Some(text) = worker.metrics() else { return 0 };
    metric(&text, name).unwrap_or_else(|| panic!("{name} is in:\n{text}")) as u64
}

/// Everything there is.
pub(crate) struct Platform {
    pub(crate) rig: platform::Platform,
    pub(crate) jobs: Vec<JobId>,
}

impl std::ops::Deref for Platform {
    type Target = platform::Platform;

    fn deref(&self) -> &Self::Target {
        &self.rig
    }
}

impl Platform {
    /// In an account of its own, with one route of one tenant.
    pub(crate) async fn new(number: u64) -> Self {
        let ground = Ground {
            emulator: variable("EFT_TEST_ENDPOINT").expect("EFT_TEST_ENDPOINT is set by `cargo xtask test`"),
            worker: env!("CARGO_BIN_EXE_eft-worker").into(),
            account: format!("{:012}", 200_000_000_000 + 10 * u64::from(std::process::id()) + number),
        };
        let rig = platform::Platform::new(ground, &[OUT]).await.unwrap();
        let tenant = platform::Platform::tenant("acme", OUT).unwrap();
        rig.desk.catalog.put_tenant(&tenant).await.unwrap();
        let route = "{id: orders, tenant: acme, match: {prefix: tenants/acme/in/}, executor: worker, \
                     stages: [{validate: {utf8: {}}}], \
                     destinations: [{s3: {bucket: acme-out, key: \"out/{name}\", on_existing: fail}}]}";
        let route = Route::parse_yaml(route, Profile::Platform).unwrap();
        rig.desk.catalog.put_route(&route, None).await.unwrap();
        Self { rig, jobs: Vec::new() }
    }

    /// An object arrives, and its event comes twice.
    pub(crate) async fn arrive(&mut self, content: Bytes) -> JobId {
        let key = format!("tenants/acme/in/{}", self.jobs.len());
        let id = self.rig.arrive(&key, content).await.unwrap();
        assert_eq!(self.rig.tell(&key).await.unwrap(), id);
        self.jobs.push(id);
        id
    }

    /// A worker, with these arguments besides its own.
    pub(crate) fn start(&mut self, arguments: &[&str]) -> Worker {
        self.rig.start(&[&["--lease", "3"], arguments].concat()).unwrap()
    }

    /// The rows now.
    pub(crate) async fn rows(&self) -> Vec<Job> {
        let mut rows = Vec::new();
        for id in &self.jobs {
            rows.push(self.row(*id).await);
        }
        rows
    }

    pub(crate) async fn row(&self, id: JobId) -> Job {
        self.rig.row(id).await.unwrap()
    }

    pub(crate) async fn ended(&self, id: JobId) -> bool {
        self.rig.ended(id).await.unwrap()
    }

    /// What the scheduled sweep does.
    pub(crate) async fn sweep(&self) {
        self.sweep.run().await;
    }

    /// The same when no upload is so young that it is left alone.
    pub(crate) async fn end_uploads(&mut self) {
        self.rig.end_uploads().await;
    }

    /// Wait, and sweep meanwhile.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self).await {
            assert!(Instant::now() < end, "waited in vain until {what}\n{}", self.logs());
            self.sweep().await;
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Bytes that were read of the source of the job with this number.
    pub(crate) fn read(&self, number: usize) -> u64 {
        let key = format!("tenants/acme/in/{number}");
        let log = self.s3.request_log();
        let of = |record: &&eft_s3::Record| record.op == Op::GetObject.name() && record.key == key;
        log.iter().filter(of).map(|record| record.bytes_out).sum()
    }

    /// The job with this number was delivered, once and whole, and its history is as it has to be.
    pub(crate) async fn check(&self, number: usize, content: &Bytes) {
        let job = self.row(self.jobs[number]).await;
        let logs = || self.logs();
        assert_eq!(job.state, JobState::Succeeded, "job {number}: {:?}\n{}", job.failure, logs());
        let receipt = self.desk.receipt(&job).await.unwrap();
        assert!(receipt.is_some_and(|receipt| receipt.contains("Ed25519")), "job {number}");
        let key = format!("out/{number}");
        assert!(self.s3.get_object(OUT, &key).unwrap() == *content, "job {number} has other bytes");
        assert_eq!(self.s3.versions(OUT, &key).len(), 1, "job {number} came to stand once");
        let history = self.desk.runs.history(job.id).await.unwrap();
        for promise in invariant::ALL {
            promise.holds_of_history.map_or(Ok(()), |holds| holds(&history)).unwrap();
        }
    }
}

/// Text of this many MiB; the number is in it.
pub(crate) fn content(number: usize, mib: usize) -> Bytes {
    format!("{number:07}\n").into_bytes().repeat((mib << 20) / 8).into()
}
