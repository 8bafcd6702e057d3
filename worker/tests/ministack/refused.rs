//! A checkpoint that the next owner cannot go on from.

use eft_domain::JobState;
use eft_s3::{Action, Fault, Op};

use crate::platform::{Platform, content};

const MIB: usize = 64;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn a_run_whose_checkpoint_is_of_a_worker_of_another_size_begins_anew() {
    let mut platform = Platform::new(2).await;
    let slow = Action::Bandwidth { bytes_per_second: 8 << 20 };
    platform.s3.set_faults([Fault::on(Op::GetObject, slow)]);
    let job = platform.arrive(content(0, MIB)).await;
    let arguments = |memory| ["--slots", "1", "--concurrency", "2", "--memory", memory];
    let small = platform.start(&arguments("16MiB"));
    platform
        .until("a part is in the checkpoint", async |platform| {
            platform.row(job).await.checkpoint.is_some() && platform.s3.count(Op::UploadPart) >= 2
        })
        .await;
    drop(small);
    assert_eq!(platform.row(job).await.state, JobState::Running);
    let large = platform.start(&arguments("64MiB"));
    platform.until("another has done it", async |platform| platform.ended(job).await).await;
    drop(large);
    platform.check(0, &content(0, MIB)).await;
    assert_eq!(platform.row(job).await.fence, 2, "it did not need a third");
    assert_eq!(platform.s3.count(Op::CreateMultipartUpload), 2, "it was begun anew");
    platform.end_uploads().await;
    assert!(platform.s3.open_uploads().is_empty(), "{:?}", platform.s3.open_uploads());
}
