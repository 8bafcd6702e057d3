//! SIGSTOP, and SIGCONT when it is too late.

use std::time::Duration;

use eft_s3::{Action, Fault, Op};
use tokio::time::sleep;

use crate::platform::{Platform, content, metric_of};

const MIB: usize = 64;
const ARGUMENTS: [&str; 8] =
    ["--slots", "1", "--memory", "16MiB", "--concurrency", "2", "--checkpoint-interval", "32MiB"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn a_stopped_worker_that_wakes_too_late_is_fenced_and_works_on() {
    let mut platform = Platform::new(1).await;
    let slow = Action::Bandwidth { bytes_per_second: 8 << 20 };
    platform.s3.set_faults([Fault::on(Op::GetObject, slow)]);
    let first = platform.arrive(content(0, MIB)).await;
    let mut sleeper = platform.start(&ARGUMENTS);
    platform.until("parts are written", async |platform| platform.s3.count(Op::UploadPart) >= 2).await;
    sleeper.stop().unwrap();
    let owner = platform.row(first).await;
    assert!(owner.state.is_owned() && owner.fence == 1, "{:?}", owner.state);
    let other = platform.start(&ARGUMENTS);
    platform.until("another has done it", async |platform| platform.ended(first).await).await;
    assert_eq!(platform.row(first).await.fence, 2);
    drop(other);
    let written = platform.s3.count(Op::CompleteMultipartUpload);
    sleeper.wake().unwrap();
    platform
        .until("its writes are refused", async |_| metric_of(&sleeper, "eft_worker_fenced_writes_total") > 0)
        .await;
    sleep(Duration::from_secs(3)).await;
    assert!(sleeper.is_alive());
    platform.check(0, &content(0, MIB)).await;
    assert_eq!(platform.s3.count(Op::CompleteMultipartUpload), written, "it has not published");
    assert_eq!(platform.row(first).await.fence, 2);
    // It is the only one that is left, and takes the next.
    let next = platform.arrive(content(1, 8)).await;
    platform.until("it has done the next", async |platform| platform.ended(next).await).await;
    platform.check(1, &content(1, 8)).await;
    assert!(sleeper.is_alive());
    drop(sleeper);
    platform.end_uploads().await;
    assert!(platform.s3.open_uploads().is_empty(), "{:?}", platform.s3.open_uploads());
}
