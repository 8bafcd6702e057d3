//! A name that is taken, and to be replaced or to get a newer version; and another writer who comes in between.

use bytes::Bytes;
use eft_domain::{Code, route::OnExisting};
use eft_pipeline::{
    concurrency::Concurrency,
    port::{Committed, ObjectSink},
};
use eft_s3::{Action, Code as S3, Config, Fault, Op, Server};
use eft_worker::s3::{Attributes, Client, S3Sink, Target};

use crate::rig::{Case, Ended, Way, deliver, part};

const PUBLISHING: [(Way, Op); 4] = [
    (Way::Put, Op::PutObject),
    (Way::Parts, Op::CompleteMultipartUpload),
    (Way::Copy, Op::CopyObject),
    (Way::CopyParts, Op::CompleteMultipartUpload),
];

async fn upon(policy: OnExisting, way: Way, faults: impl Into<Vec<Fault>>) -> Ended {
    deliver(Case { policy, ..Case::new(way, faults) }).await
}

/// How many versions stand under the name.
fn versions(ended: &Ended) -> usize {
    ended.server.versions("target", "copy").len()
}

/// Done, with its answer lost: it is found, and not made twice.
#[tokio::test]
async fn it_comes_to_stand_once() {
    for policy in [OnExisting::Replace, OnExisting::Version] {
        for (way, op) in PUBLISHING {
            for action in [Action::DoneThenClose, Action::Close] {
                let ended = upon(policy, way, [Fault::on(op, action).times(1)]).await;
                ended.check();
                assert_eq!(
                    (ended.code(), versions(&ended)),
                    (None, 2),
                    "{policy:?} {way:?}: {}",
                    ended.said()
                );
            }
        }
    }
}

/// Somebody writes there after our first look.
fn meanwhile() -> Fault {
    Fault::on(Op::HeadObject, Action::ReplaceObject).bucket("target").times(1)
}

/// The outcome of our commit is not known, and somebody has written there after it, or before it where it was not done.
fn overtaken(op: Op, done: bool) -> [Fault; 2] {
    let code = S3::InternalError;
    match done {
        true => [Action::DoneThenError { code }, Action::ReplaceObject]
            .map(|action| Fault::on(op, action).times(1)),
        false => [meanwhile(), Fault::on(op, Action::Error { code }).times(1)],
    }
}

/// Ours may be the version before: it is found there, and made where it is not.
#[tokio::test]
async fn what_stands_under_anothers_version_is_not_made_again() {
    for (way, op) in PUBLISHING {
        for done in [true, false] {
            let ended = upon(OnExisting::Version, way, overtaken(op, done)).await;
            assert_eq!((ended.code(), versions(&ended)), (None, 3), "{way:?} {done}: {}", ended.said());
            let [delivery] = &ended.result.as_ref().unwrap().deliveries[..] else { panic!("one") };
            let ours = delivery.result.as_ref().unwrap().version.clone().unwrap();
            let newest = ended.server.object("target", "copy").unwrap().version_id;
            assert_eq!(ours == newest, !done, "{way:?}: what was done stands under another's");
        }
    }
}

/// Nobody may look through the versions: to make it again could make two.
#[tokio::test]
async fn what_may_stand_under_anothers_version_is_not_made_again() {
    for (way, op) in PUBLISHING {
        for done in [true, false] {
            let denied = Action::Error { code: S3::AccessDenied };
            let mut faults = overtaken(op, done).to_vec();
            faults.push(Fault::on(Op::ListObjectVersions, denied));
            let ended = upon(OnExisting::Version, way, faults).await;
            let code = Some(Code::DestinationIndeterminate);
            assert_eq!(ended.code(), code, "{way:?} {done}: {}", ended.said());
            assert_eq!(versions(&ended), 2 + usize::from(done), "{way:?} {done}");
        }
    }
}

/// Only what stood there when the run began may be replaced.
#[tokio::test]
async fn what_has_come_meanwhile_is_not_replaced() {
    for (way, op) in PUBLISHING {
        for faults in [overtaken(op, false).to_vec(), vec![meanwhile()]] {
            let ended = upon(OnExisting::Replace, way, faults).await;
            assert_eq!(ended.code(), Some(Code::DestinationExists), "{way:?}: {}", ended.said());
            assert_eq!((versions(&ended), ended.open()), (2, 0), "{way:?}");
        }
    }
}

/// Somebody has removed the upload, and what stood there stands there still.
#[tokio::test]
async fn an_upload_that_is_gone_is_no_name_that_is_taken() {
    for policy in [OnExisting::Replace, OnExisting::Version] {
        let gone = Fault::on(Op::CompleteMultipartUpload, Action::Error { code: S3::NoSuchUpload });
        let ended = upon(policy, Way::Parts, [gone]).await;
        assert!(ended.said().contains("somebody has removed it"), "{policy:?}: {}", ended.said());
        assert_eq!(versions(&ended), 1);
    }
}

const BYTES: Bytes = Bytes::from_static(b"the same bytes");

/// A name with an object of another's, and whoever delivers a version to it: what a worker finds, and the next one again.
async fn open(server: &Server) -> (S3Sink, Option<Committed>) {
    let target = Target {
        uri: "s3://target/copy".parse().unwrap(),
        on_existing: OnExisting::Version,
        delivery_id: "ours".to_owned(),
        attributes: Attributes::default(),
    };
    S3Sink::open(Client::for_endpoint(&server.endpoint(), Concurrency::new(1)), target).await.unwrap()
}

/// Its worker has died before it could say so, and another has written there since.
#[tokio::test]
async fn what_an_earlier_run_has_made_is_found_under_a_newer_version() {
    let server = Server::start(Config::with_buckets(["target"])).unwrap();
    server.put_object("target", "copy", "theirs");
    let (sink, found) = open(&server).await;
    assert_eq!(found, None);
    let ours = sink.put(part(1, 0, BYTES)).await.unwrap().version;
    server.put_object("target", "copy", "theirs, newer");
    let (sink, found) = open(&server).await;
    assert_eq!(found.map(|found| (found.version, found.already_there)), Some((ours.clone(), true)));
    // Of several objects each is only found when it is published.
    let again = sink.put(part(1, 0, BYTES)).await.unwrap();
    assert_eq!((again.version, again.already_there), (ours.clone(), true));
    let upload = sink.begin().await.unwrap();
    let ack = upload.write(part(1, 0, BYTES)).await.unwrap();
    let again = upload.commit(std::slice::from_ref(&ack), ack.crc).await.unwrap();
    assert_eq!((again.version, again.already_there), (ours, true));
    assert_eq!((server.versions("target", "copy").len(), server.open_uploads().len()), (3, 0));
    // Who may not look through versions delivers all the same.
    let denied = Action::Error { code: S3::AccessDenied };
    server.set_faults([Fault::on(Op::ListObjectVersions, denied)]);
    assert_eq!(open(&server).await.1, None);
}

/// What stood there is known by its version: by their bytes the two are the same.
#[tokio::test]
async fn equal_bytes_are_told_apart() {
    let server = Server::start(Config::with_buckets(["target"])).unwrap();
    server.put_object("target", "copy", BYTES);
    let (sink, found) = open(&server).await;
    assert_eq!(found, None);
    let code = S3::InternalError;
    let faults = [Action::DoneThenError { code }, Action::ReplaceObject];
    server.set_faults(faults.map(|action| Fault::on(Op::PutObject, action).times(1)));
    assert!(sink.put(part(1, 0, BYTES)).await.unwrap().resolved);
    assert_eq!(server.versions("target", "copy").len(), 3, "theirs, ours, and another upon it");
}
