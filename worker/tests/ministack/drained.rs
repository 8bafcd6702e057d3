//! SIGTERM, as ECS sends it before it stops a task.

use std::time::Duration;

use eft_domain::JobState;
use eft_s3::{Action, Fault, Op};

use crate::platform::{Platform, content};

const MIB: usize = 64;
const INTERVAL: u64 = 32 << 20;
const ARGUMENTS: [&str; 8] =
    ["--slots", "2", "--memory", "32MiB", "--concurrency", "2", "--checkpoint-interval", "32MiB"];
/// `stopTimeout` is 120 s at most, and SEMANTICS leaves ten of them. A bound and not a measurement.
const STOP: Duration = Duration::from_secs(110);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn a_worker_that_is_asked_to_stop_hands_its_jobs_to_the_next() {
    let mut platform = Platform::new(5).await;
    let slow = Action::Bandwidth { bytes_per_second: 4 << 20 };
    platform.s3.set_faults([Fault::on(Op::GetObject, slow)]);
    let jobs = [platform.arrive(content(0, MIB)).await, platform.arrive(content(1, MIB)).await];
    let first = platform.start(&ARGUMENTS);
    let both_run = async |platform: &Platform| {
        let rows = platform.rows().await;
        rows.iter().all(|job| job.state.is_owned()) && platform.s3.count(Op::UploadPart) >= 4
    };
    platform.until("both jobs are being read", both_run).await;
    let took = first.drain().await.unwrap();
    assert!(took < STOP, "{took:?}");
    for job in platform.rows().await {
        assert_eq!(
            (job.state, job.lease.is_none(), job.fence),
            (JobState::Accepted, true, 1),
            "{:?}",
            job.failure
        );
        assert_eq!(job.strikes, 0, "to be stopped is no strike");
    }
    // Nothing has to lapse before the next can have them.
    let next = platform.start(&ARGUMENTS);
    for (number, job) in jobs.into_iter().enumerate() {
        platform.until("the next has done it", async |platform| platform.ended(job).await).await;
        platform.check(number, &content(number, MIB)).await;
        assert_eq!(platform.row(job).await.fence, 2);
        let (read, most) = (platform.read(number), ((MIB as u64) << 20) + INTERVAL);
        assert!(read <= most, "{read} bytes were read, {most} are the most");
    }
    next.drain().await.unwrap();
    assert!(platform.s3.open_uploads().is_empty(), "{:?}", platform.s3.open_uploads());
}
