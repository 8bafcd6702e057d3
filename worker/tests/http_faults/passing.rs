//! Parts that are sent while they are read: with their checksum behind them, and from memory where that is not taken.

use eft_s3::{Action, Code as S3, Fault, Op, Profile};

use crate::rig::{Case, Ended, Way, deliver};

/// Of each `UploadPart`, in their order: the part, whether it was sent while it was read, and the answer's status.
fn parts(ended: &Ended) -> Vec<(u32, bool, u16)> {
    let of_parts = |record: &eft_s3::Record| record.op == Op::UploadPart.name();
    let log = ended.server.request_log();
    let parts = log.iter().filter(|record| of_parts(record));
    parts.map(|record| (record.part_number.unwrap(), record.chunked, record.status)).collect()
}

async fn with(faults: impl Into<Vec<Fault>>) -> Ended {
    let ended = deliver(Case::new(Way::Parts, faults)).await;
    ended.check();
    assert_eq!(ended.code(), None, "{}", ended.said());
    ended
}

#[tokio::test]
async fn an_endpoint_that_keeps_our_checksums_gets_parts_while_they_are_read() {
    let mut sent = parts(&with([]).await);
    sent.sort_unstable();
    assert_eq!(sent, [1, 2, 3, 4].map(|number| (number, true, 200)));
}

/// One that takes the encoding for bytes, or keeps no checksum, would not be found out before all is sent.
#[tokio::test]
async fn others_get_them_from_memory() {
    for name in ["no-crc64", "no-crc64-strict"] {
        let profile: Profile = name.parse().unwrap();
        let ended = deliver(Case { profile, ..Case::new(Way::Parts, []) }).await;
        assert_eq!(ended.code(), None, "{name}: {}", ended.said());
        assert!(parts(&ended).iter().all(|(_, chunked, _)| !chunked), "{name}: {:?}", parts(&ended));
    }
}

/// A stream has no size, and a part of it no length before it ends.
#[tokio::test]
async fn what_is_a_stream_is_held() {
    let ended = deliver(Case::new(Way::Stream, [])).await;
    assert_eq!(ended.code(), None, "{}", ended.said());
    assert!(parts(&ended).iter().all(|(_, chunked, _)| !chunked), "{:?}", parts(&ended));
}

#[tokio::test]
async fn a_part_that_is_damaged_or_refused_is_sent_again_from_memory() {
    let refused = |code| Action::Error { code };
    let actions = [
        (Action::CorruptUpload, 400),
        (refused(S3::InternalError), 500),
        (refused(S3::SlowDown), 503),
        (refused(S3::NotImplemented), 501),
        (Action::Close, 0),
        (Action::DoneThenClose, 0),
    ];
    for (action, status) in actions {
        let ended = with([Fault::on(Op::UploadPart, action.clone()).times(1)]).await;
        let sent = parts(&ended);
        let hit = sent.iter().find(|(_, _, answered)| *answered != 200).copied();
        let (number, chunked, answered) = hit.unwrap_or_else(|| panic!("{action:?}: {sent:?}"));
        assert!(chunked && answered == status, "{action:?}: {sent:?}");
        let again: Vec<_> = sent.iter().filter(|(part, ..)| *part == number).skip(1).collect();
        assert_eq!(again, [&(number, false, 200)], "{action:?}: {sent:?}");
        assert_eq!(sent.len(), 5, "{action:?}: {sent:?}");
    }
}

/// A body that breaks on the way in goes on, and the request that carries it out does not notice.
#[tokio::test]
async fn a_source_that_breaks_costs_no_part() {
    let cut = Fault::on(Op::GetObject, Action::CutBody { after: 400_000 }).times(2);
    let ended = with([cut]).await;
    let mut sent = parts(&ended);
    sent.sort_unstable();
    assert_eq!(sent, [1, 2, 3, 4].map(|number| (number, true, 200)));
    assert_eq!(ended.server.count(Op::GetObject), 6);
}
