//! SIGKILL at random.

use std::time::{Duration, SystemTime};

use eft_s3::{Action, Fault, Op};
use eft_store::faulty::Draws;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, content, sized};

/// As CI has the time for; `EFT_KILLS=100 EFT_JOBS=50` for all.
const KILLS: usize = 16;
const JOBS: usize = 8;
const MIB: usize = 64;
const WORKERS: usize = 3;
/// Two slots share 32 MiB, and a run with 16 MiB can keep an interval of 32.
const ARGUMENTS: [&str; 8] =
    ["--slots", "2", "--memory", "32MiB", "--concurrency", "2", "--checkpoint-interval", "32MiB"];
const INTERVAL: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn workers_that_are_killed_lose_nothing_and_deliver_once() {
    let (kills, jobs) = (sized("EFT_KILLS", KILLS), sized("EFT_JOBS", JOBS));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = sized("EFT_SEED", since.subsec_nanos() as usize);
    println!("EFT_SEED={seed}: the moments of the kills; what was running in each is the machine's");
    let draws = Draws::new(seed as u64);
    let mut platform = Platform::new(0).await;
    // A network that is slow enough for runs to be killed in their middle.
    let slow = Action::Bandwidth { bytes_per_second: 4 << 20 };
    platform.s3.set_faults([Fault::on(Op::GetObject, slow)]);
    for number in 0..jobs {
        platform.arrive(content(number, MIB)).await;
    }
    platform.sweep().await;
    let mut workers: Vec<_> = (0..WORKERS).map(|_| platform.start(&ARGUMENTS)).collect();
    let begun = Instant::now();
    let mut killed = 0;
    let mut open = jobs;
    while open > 0 {
        assert!(begun.elapsed() < Duration::from_secs(900), "{open} jobs are open after {killed} kills");
        let kill_in = Duration::from_millis(500 + draws.below(1_500));
        tokio::join!(sleep(kill_in), platform.sweep());
        if killed < kills {
            drop(workers.swap_remove(draws.below(WORKERS as u64) as usize));
            workers.push(platform.start(&ARGUMENTS));
            killed += 1;
        }
        let rows = platform.rows().await;
        open = rows.iter().filter(|job| !job.state.is_terminal() || !job.outbox.is_empty()).count();
    }
    let time = begun.elapsed();
    assert_eq!(killed, kills, "the jobs have ended before all kills were made");
    let (mut again, mut owners) = (0, 0);
    for (number, job) in platform.rows().await.iter().enumerate() {
        platform.check(number, &content(number, MIB)).await;
        // Every owner but the last was killed, and the next may read an interval again.
        let (read, size) = (platform.read(number), (MIB as u64) << 20);
        let most = size + (job.fence - 1) * INTERVAL;
        assert!(
            read <= most,
            "job {number}: {read} bytes were read by {} owners, {most} are the most",
            job.fence
        );
        again += read.saturating_sub(size);
        owners += job.fence;
    }
    drop(workers);
    platform.end_uploads().await;
    assert!(platform.s3.open_uploads().is_empty(), "{:?}", platform.s3.open_uploads());
    let lost = owners - jobs as u64;
    assert!(lost > 0, "nobody was killed while he had a job: the test shows nothing");
    println!(
        "{jobs} jobs of {MIB} MiB, {killed} workers killed in {time:.0?}, {lost} runs cut off, every object once; \
         {} MiB read again for each, {} allowed",
        (again >> 20) / lost,
        INTERVAL >> 20,
    );
}
