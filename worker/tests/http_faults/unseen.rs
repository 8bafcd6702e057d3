//! What may not be looked at is never said to be absent.

use eft_domain::Code;
use eft_s3::{Action, Code as S3, Fault, Op};

use crate::rig::{Case, Ended, Way, deliver};

const PUBLISHING: [(Way, Op); 4] = [
    (Way::Put, Op::PutObject),
    (Way::Parts, Op::CompleteMultipartUpload),
    (Way::Copy, Op::CopyObject),
    (Way::CopyParts, Op::CompleteMultipartUpload),
];

/// Meets this fault where it publishes, and may not look but before it begins.
async fn blindly(way: Way, fault: Fault) -> Ended {
    let denied = Action::Error { code: S3::AccessDenied };
    let blind = Fault::on(Op::HeadObject, denied).bucket("target").skip(1);
    let ended = deliver(Case::new(way, [fault, blind])).await;
    ended.check();
    assert_eq!(ended.open(), 0, "{way:?}");
    ended
}

#[tokio::test]
async fn done_and_the_answer_lost() {
    for (way, op) in PUBLISHING {
        let lost = Fault::on(op, Action::DoneThenClose);
        for lost in [lost.clone().times(1), lost] {
            let ended = blindly(way, lost).await;
            assert_eq!(ended.code(), Some(Code::DestinationIndeterminate), "{way:?}: {}", ended.said());
            assert!(ended.server.object("target", "copy").is_some(), "{way:?}");
        }
    }
}

#[tokio::test]
async fn not_done() {
    for (way, op) in PUBLISHING {
        let ended = blindly(way, Fault::on(op, Action::Close).times(1)).await;
        assert_eq!(ended.code(), None, "{way:?}: {}", ended.said());
        // Whoever only asks for time has done nothing.
        let ended = blindly(way, Fault::on(op, Action::Error { code: S3::SlowDown })).await;
        assert_eq!(ended.code(), Some(Code::DestinationUnavailable), "{way:?}: {}", ended.said());
    }
}
