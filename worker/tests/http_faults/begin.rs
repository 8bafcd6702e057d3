//! A create whose answer is lost: what it began is removed, and nothing else is.

use std::time::Duration;

use eft_domain::route::OnExisting;
use eft_pipeline::{
    concurrency::Concurrency,
    port::{ErrorKind, ObjectSink, Upload},
};
use eft_s3::{Action, Code as S3, Config, Fault, Op, Server};
use eft_worker::s3::{Attributes, Client, S3Sink, Target, Timeouts};

use tokio::time::Instant;

use crate::rig::part;

struct Bed {
    server: Server,
    timeouts: Timeouts,
}

impl Bed {
    fn new(denied: &[&str]) -> Self {
        let denied = denied.iter().map(|place| (*place).to_owned()).collect();
        let server = Server::start(Config { denied, ..Config::with_buckets(["target"]) }).unwrap();
        let timeouts = Timeouts { backoff: Duration::from_millis(1), ..Timeouts::DEFAULT };
        Self { server, timeouts }
    }

    fn sink(&self, key: &str) -> S3Sink {
        let window = Concurrency::new(1);
        let client = Client::for_endpoint_within(&self.server.endpoint(), window, self.timeouts);
        let target = Target {
            uri: format!("s3://target/{key}").parse().unwrap(),
            on_existing: OnExisting::Fail,
            delivery_id: "ours".to_owned(),
            attributes: Attributes::default(),
        };
        S3Sink::unchecked(client, target).unwrap()
    }

    /// Another run's upload of a key.
    async fn foreign(&self, key: &str) -> Box<dyn Upload> {
        self.sink(key).begin().await.unwrap()
    }

    fn lose(&self, action: Action, times: u64) {
        self.server.set_faults([Fault::on(Op::CreateMultipartUpload, action).times(times)]);
    }

    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.server.open_uploads().into_iter().map(|open| open.upload_id).collect();
        ids.sort();
        ids
    }
}

#[tokio::test]
async fn what_it_began_is_removed_before_it_is_sent_again() {
    let bed = Bed::new(&[]);
    let sink = bed.sink("key");
    for action in [Action::DoneThenClose, Action::DoneThenError { code: S3::InternalError }] {
        bed.server.reset_log();
        bed.lose(action, 1);
        let error = sink.begin().await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Transient, "{error}");
        assert!(!error.message.contains("left behind"), "{error}");
        assert_eq!(bed.ids(), [""; 0], "left by the one that was lost");
        // Sent once: the client below must not have sent it again either.
        assert_eq!(bed.server.count(Op::CreateMultipartUpload), 1);
        assert_eq!(bed.server.count(Op::ListMultipartUploads), 1);
        let upload = sink.begin().await.unwrap();
        assert_eq!(bed.ids(), [upload.id().unwrap()]);
        // A beginning that goes well is one request.
        assert_eq!(bed.server.count(Op::ListMultipartUploads), 1);
        upload.abort().await.unwrap();
    }
}

/// Times are said in whole seconds, and what is asked slowly may have happened at any of them. A test of what is begun at
/// the same time, or was begun before, is one only if it took less than this.
const QUICK: Duration = Duration::from_millis(900);

/// Begun earlier, or having a part, or of another key.
#[tokio::test]
async fn another_runs_upload_is_left_alone() {
    let bed = Bed::new(&[]);
    let earlier = bed.foreign("key").await;
    tokio::time::sleep(Duration::from_millis(3200)).await;
    let other_key = bed.foreign("key.2").await;
    let at_work = bed.foreign("key").await;
    at_work.write(part(1, 0, "some bytes".into())).await.unwrap();
    let mut foreign = [&earlier, &other_key, &at_work].map(|upload| upload.id().unwrap());
    foreign.sort();
    for action in [Action::DoneThenClose, Action::Close] {
        loop {
            bed.lose(action.clone(), 1);
            let asked = Instant::now();
            let error = bed.sink("key").begin().await.err().unwrap();
            if asked.elapsed() < QUICK {
                assert!(!error.message.contains("left behind"), "{error}");
                assert_eq!(bed.ids(), foreign);
                break;
            }
        }
    }
}

/// Two that could be it: neither is touched, and that is said until the other is known to be another's.
#[tokio::test]
async fn of_two_that_could_be_it_neither_is_removed() {
    loop {
        let bed = Bed::new(&[]);
        let sink = bed.sink("key");
        let began = Instant::now();
        let foreign = bed.foreign("key").await;
        bed.lose(Action::DoneThenClose, 1);
        let error = sink.begin().await.err().unwrap();
        if began.elapsed() >= QUICK {
            continue;
        }
        assert_eq!(error.kind, ErrorKind::Transient);
        assert!(error.message.contains("an upload may be left behind: one of the uploads"), "{error}");
        assert_eq!(bed.ids().len(), 2);
        // The other run sends a part: now it is plain which one is ours.
        foreign.write(part(1, 0, "some bytes".into())).await.unwrap();
        let upload = sink.begin().await.unwrap();
        let mut known = [foreign.id().unwrap(), upload.id().unwrap()];
        known.sort();
        assert_eq!(bed.ids(), known);
        return;
    }
}

#[tokio::test]
async fn what_may_not_be_looked_for_is_said() {
    let bed = Bed::new(&[]);
    let lost = Fault::on(Op::CreateMultipartUpload, Action::DoneThenClose).times(2);
    let refuse = |action| Fault::on(Op::ListMultipartUploads, action);
    let sink = bed.sink("key");
    bed.server.set_faults([lost.clone(), refuse(Action::Error { code: S3::AccessDenied })]);
    let error = sink.begin().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(
        error.message.contains("left behind: ListMultipartUploads s3://target/key: AccessDenied"),
        "{error}"
    );
    assert_eq!(bed.ids().len(), 1);
    // It is said again with whatever is wrong next, and removed as soon as that can be.
    bed.server.set_faults([
        Fault::on(Op::CreateMultipartUpload, Action::Error { code: S3::AccessDenied }),
        refuse(Action::Error { code: S3::AccessDenied }),
    ]);
    let error = sink.begin().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("left behind"), "{error}");
    bed.server.set_faults([lost]);
    sink.begin().await.err().unwrap();
    assert_eq!(bed.ids().len(), 0);

    // An upload that is given up says so of the one before it.
    let lost = Fault::on(Op::CreateMultipartUpload, Action::DoneThenClose).times(1);
    bed.server.set_faults([lost, refuse(Action::Error { code: S3::AccessDenied })]);
    sink.begin().await.err().unwrap();
    let upload = sink.begin().await.unwrap();
    let error = upload.abort().await.unwrap_err();
    assert!(error.message.starts_with("an upload may be left behind: ListMultipartUploads"), "{error}");
    assert_eq!(bed.ids().len(), 1);
    bed.server.set_faults([]);
    upload.abort().await.unwrap();
    assert_eq!(bed.ids().len(), 0);
}
