//! A conflict on completing: the upload is begun anew, unless the matter is settled.

use eft_domain::Code;
use eft_s3::{Action, Code as S3, Fault, Op};

use crate::rig::{Case, Way, deliver};

fn conflict() -> Fault {
    Fault::on(Op::CompleteMultipartUpload, Action::Error { code: S3::ConditionalRequestConflict })
}

#[tokio::test]
async fn everything_is_sent_again_into_a_new_upload() {
    for (way, op) in [(Way::Parts, Op::UploadPart), (Way::CopyParts, Op::UploadPartCopy)] {
        let ended = deliver(Case::new(way, [conflict().times(1)])).await;
        ended.check();
        assert_eq!(ended.code(), None, "{}", ended.said());
        let server = &ended.server;
        assert_eq!((server.count(Op::CreateMultipartUpload), server.count(op)), (2, 8), "{way:?}");
        let log = server.request_log();
        let of = |op: &str| {
            let ids = log.iter().filter(move |record| record.op == op);
            ids.filter_map(|record| record.upload_id.clone()).collect::<Vec<_>>()
        };
        let completes = of("CompleteMultipartUpload");
        assert_ne!(completes[0], completes[1], "{way:?}");
        assert!(of("AbortMultipartUpload").contains(&completes[0]), "{way:?}");
    }
}

#[tokio::test]
async fn it_is_given_up_when_it_stays() {
    for (way, sends) in [(Way::Parts, 2), (Way::CopyParts, 2), (Way::Stream, 1)] {
        let ended = deliver(Case::new(way, [conflict()])).await;
        ended.check();
        assert_eq!(ended.code(), Some(Code::DestinationUnavailable), "{}", ended.said());
        assert!(ended.said().contains("ConditionalRequestConflict"), "{}", ended.said());
        let server = &ended.server;
        assert_eq!(server.count(Op::CompleteMultipartUpload), sends, "{way:?}");
        assert_eq!(ended.open(), 0, "{way:?}");
    }
}

/// It took effect after all.
#[tokio::test]
async fn what_stands_there_is_looked_at_first() {
    let done = Action::DoneThenError { code: S3::ConditionalRequestConflict };
    let ended = deliver(Case::new(Way::Parts, [Fault::on(Op::CompleteMultipartUpload, done)])).await;
    ended.check();
    assert_eq!(ended.code(), None, "{}", ended.said());
    assert!(ended.result.as_ref().unwrap().deliveries[0].result.as_ref().unwrap().resolved);
    assert_eq!(ended.server.count(Op::CreateMultipartUpload), 1);
}
