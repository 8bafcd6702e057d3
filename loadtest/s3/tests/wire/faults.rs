//! Every fault, every profile, and the admin endpoints.

use std::time::Duration;

use crate::client::{complete, crc64, create_upload, get, send, server, server_with, try_send, upload_parts};
use eft_s3::{Action, Code, Config, Fault, Op, Profile, Server};
use tokio::time::{Instant, timeout};

const BODY: &str = "0123456789";

fn with_object() -> Server {
    let server = server();
    server.put_object("b", "k", BODY);
    server
}

#[tokio::test]
async fn latency_and_bandwidth_take_time() {
    let server = with_object();
    server.set_faults([Fault::new(Action::Latency { ms: 120 })]);
    let started = Instant::now();
    get(&server, "/b/k", &[]).await.is(200);
    assert!(started.elapsed() >= Duration::from_millis(120));
    server.put_object("b", "large", vec![1; 60_000]);
    server.set_faults([Fault::new(Action::Bandwidth { bytes_per_second: 200_000 })]);
    let started = Instant::now();
    assert_eq!(get(&server, "/b/large", &[]).await.body.len(), 60_000);
    assert!(started.elapsed() >= Duration::from_millis(250));
    let started = Instant::now();
    send(&server, "PUT", "/b/large", &[], vec![1; 60_000]).await.is(200);
    assert!(started.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn what_is_held_waits_for_its_release() {
    let server = with_object();
    server.set_faults([Fault::on(Op::GetObject, Action::Hold).times(1)]);
    let held = async {
        while server.stats().held == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.count(Op::GetObject), 0);
        // The fault is spent: the next one passes, and lets nobody go.
        get(&server, "/b/k", &[]).await.is(200);
        assert_eq!((server.stats().held, server.count(Op::GetObject)), (1, 1));
        send(&server, "POST", "/_release", &[], "").await.is(200);
    };
    let (reply, ()) = tokio::join!(get(&server, "/b/k", &[]), held);
    reply.is(200);
    assert_eq!((server.stats().held, server.count(Op::GetObject)), (0, 2));

    // A release is for what is held then, and faults that are replaced hold nothing any more.
    server.set_faults([Fault::on(Op::GetObject, Action::Hold)]);
    server.release();
    let mut reply = std::pin::pin!(get(&server, "/b/k", &[]));
    assert!(timeout(Duration::from_millis(100), &mut reply).await.is_err(), "released beforehand");
    server.set_faults([]);
    reply.await.is(200);
}

#[tokio::test]
async fn refusals_do_nothing() {
    let server = server();
    for (code, status) in
        [(Code::SlowDown, 503), (Code::InternalError, 500), (Code::ConditionalRequestConflict, 409)]
    {
        server.set_faults([Fault::on(Op::PutObject, Action::Error { code }).times(1)]);
        // Large enough that an early answer would reset the connection.
        send(&server, "PUT", "/b/k", &[], vec![0; 3 << 20]).await.fails(status, &format!("{code:?}"));
        assert!(server.keys("b").is_empty());
        send(&server, "PUT", "/b/k", &[], "").await.is(200);
        let id = server.versions("b", "k").remove(0);
        send(&server, "DELETE", &format!("/b/k?versionId={id}"), &[], "").await.is(204);
    }
    server.set_faults([Fault::on(Op::PutObject, Action::Close)]);
    assert!(try_send(&server, "PUT", "/b/k", &[], "x").await.is_err());
    assert!(server.keys("b").is_empty());
    let log = server.request_log();
    let last = log.last().unwrap();
    assert_eq!((last.status, last.faults.as_slice()), (0, &["close".to_owned()][..]));
}

#[tokio::test]
async fn work_that_is_done_and_denied() {
    let server = server();
    server.set_faults([Fault::on(Op::PutObject, Action::DoneThenError { code: Code::InternalError })]);
    send(&server, "PUT", "/b/one", &[], "x").await.fails(500, "InternalError");
    server.set_faults([Fault::on(Op::PutObject, Action::DoneThenClose)]);
    assert!(try_send(&server, "PUT", "/b/two", &[], "x").await.is_err());
    server.set_faults([Fault::on(Op::PutObject, Action::DoneThenHang)]);
    let hanging = timeout(Duration::from_millis(200), try_send(&server, "PUT", "/b/three", &[], "x")).await;
    assert!(hanging.is_err());
    assert_eq!(server.keys("b"), ["one", "three", "two"]);
}

#[tokio::test]
async fn bodies_are_cut_stalled_and_bent() {
    let server = with_object();
    server.set_faults([Fault::on(Op::GetObject, Action::CutBody { after: 4 }).times(1)]);
    let cut = get(&server, "/b/k", &[]).await.is(200);
    assert_eq!((cut.text().as_str(), cut.cut, cut.header("content-length")), ("0123", true, "10"));
    assert_eq!(get(&server, "/b/k", &[]).await.text(), BODY);

    server.set_faults([Fault::on(Op::GetObject, Action::CutBody { after: 3 << 20 })]);
    let cut = get(&server, "/synthetic/s-8MiB", &[]).await;
    assert_eq!((cut.body.len(), cut.cut), (3 << 20, true));

    server.set_faults([Fault::on(Op::GetObject, Action::StallBody { after: 4, ms: Some(150) })]);
    let started = Instant::now();
    assert_eq!(get(&server, "/b/k", &[]).await.text(), BODY);
    assert!(started.elapsed() >= Duration::from_millis(150));
    server.set_faults([Fault::on(Op::GetObject, Action::StallBody { after: 4, ms: None })]);
    assert!(timeout(Duration::from_millis(200), get(&server, "/b/k", &[])).await.is_err());

    for (at, expected) in [(2, "0133456789"), (99, "0123456788")] {
        server.set_faults([Fault::on(Op::GetObject, Action::FlipBit { at })]);
        assert_eq!(get(&server, "/b/k", &[]).await.text(), expected);
    }
}

#[tokio::test]
async fn corrupt_uploads() {
    let server = server();
    server.set_faults([Fault::on(Op::PutObject, Action::CorruptUpload)]);
    let sum = crc64(BODY.as_bytes());
    send(&server, "PUT", "/b/k", &[("x-amz-checksum-crc64nvme", &sum)], BODY).await.fails(400, "BadDigest");
    send(&server, "PUT", "/b/k", &[], BODY).await.is(200);
    assert_eq!(server.get_object("b", "k").unwrap(), "1123456789");
}

#[tokio::test]
async fn completions_that_lie() {
    let server = server();
    for done in [false, true] {
        let key = format!("k-{done}");
        let id = create_upload(&server, &key, &[]).await;
        let document = upload_parts(&server, &key, &id, &["hello"]).await;
        let action = Action::ErrorIn200 { code: Code::InternalError, done };
        server.set_faults([Fault::on(Op::CompleteMultipartUpload, action).times(1)]);
        complete(&server, &key, &id, &[], document.clone()).await.fails(200, "InternalError");
        assert_eq!(server.get_object("b", &key).is_some(), done);
        assert_eq!(server.open_uploads().is_empty(), done);
        let retried = complete(&server, &key, &id, &[], document).await;
        assert_eq!(retried.status.as_u16(), if done { 404 } else { 200 });
    }
    for code in [Code::ConditionalRequestConflict, Code::PreconditionFailed] {
        let id = create_upload(&server, "c", &[]).await;
        let document = upload_parts(&server, "c", &id, &["hello"]).await;
        server.set_faults([Fault::on(Op::CompleteMultipartUpload, Action::Error { code })]);
        complete(&server, "c", &id, &[], document).await.fails(code.status(), &format!("{code:?}"));
        assert_eq!(server.get_object("b", "c"), None);
    }
}

#[tokio::test]
async fn objects_change_under_the_reader() {
    for (path, bucket, key) in [("/b/k", "b", "k"), ("/synthetic/s-4MiB", "synthetic", "s-4MiB")] {
        let server = with_object();
        server.set_faults([Fault::on(Op::GetObject, Action::ReplaceObject).skip(1).times(1)]);
        let first = get(&server, path, &[]).await.is(200);
        let (etag, version) = (first.header("etag"), first.header("x-amz-version-id"));
        get(&server, path, &[("if-match", etag)]).await.is(200);
        get(&server, path, &[("if-match", etag)]).await.fails(412, "PreconditionFailed");
        let changed = get(&server, path, &[]).await.is(200);
        assert_eq!(changed.body.len(), first.body.len());
        assert_ne!(changed.body, first.body);
        let pinned =
            get(&server, &format!("{path}?versionId={version}"), &[("if-match", etag)]).await.is(200);
        assert_eq!(pinned.body, first.body);
        assert_ne!(server.object(bucket, key).unwrap().version_id, version);
    }
}

#[tokio::test]
async fn profiles() {
    let profile =
        |name: &str| server_with(Config { profile: name.parse().expect("a profile"), ..Config::default() });
    let wrong = crc64(b"other");
    let crc = [("x-amz-checksum-crc64nvme", wrong.as_str())];
    let mode = [("x-amz-checksum-mode", "ENABLED")];

    let server = profile("no-crc64");
    let put = send(&server, "PUT", "/b/k", &crc, "x").await.is(200);
    assert_eq!(put.header("x-amz-checksum-crc64nvme"), "");
    assert_eq!(send(&server, "HEAD", "/b/k", &mode, "").await.header("x-amz-checksum-crc64nvme"), "");
    let id = create_upload(
        &server,
        "m",
        &[("x-amz-checksum-algorithm", "CRC64NVME"), ("x-amz-checksum-type", "FULL_OBJECT")],
    )
    .await;
    let document = upload_parts(&server, "m", &id, &["hello"]).await;
    complete(&server, "m", &id, &crc, document).await.is(200);

    let server = profile("no-crc64-strict");
    send(&server, "PUT", "/b/k", &crc, "x").await.fails(400, "InvalidRequest");
    let create = [("x-amz-checksum-algorithm", "CRC64NVME")];
    send(&server, "POST", "/b/k?uploads", &create, "").await.fails(400, "InvalidRequest");
    send(&server, "PUT", "/b/k", &[], "x").await.is(200);

    let none = [("if-none-match", "*")];
    let server = profile("no-conditional");
    send(&server, "PUT", "/b/k", &none, "x").await.fails(501, "NotImplemented");
    let server = profile("ignore-conditional");
    send(&server, "PUT", "/b/k", &none, "x").await.is(200);
    send(&server, "PUT", "/b/k", &none, "y").await.is(200);

    let server = profile("no-versions");
    assert_eq!(send(&server, "PUT", "/b/k", &[], "x").await.is(200).header("x-amz-version-id"), "");
    send(&server, "PUT", "/b/k", &[], "y").await.is(200);
    assert_eq!(server.versions("b", "k"), ["null"]);
    assert_eq!(
        send(&server, "HEAD", "/synthetic/1MiB", &[], "").await.is(200).header("x-amz-version-id"),
        ""
    );
    assert!("nope".parse::<Profile>().is_err());
}

#[tokio::test]
async fn admin_endpoints() {
    let server = with_object();
    let fault = r#"{"op":"GetObject","kind":"error","code":"SlowDown","times":1}"#;
    send(&server, "POST", "/_faults", &[], fault).await.is(200);
    get(&server, "/b/k", &[]).await.fails(503, "SlowDown");
    get(&server, "/b/k", &[]).await.is(200);
    create_upload(&server, "up", &[]).await;
    let log: serde_json::Value = serde_json::from_slice(&get(&server, "/_log", &[]).await.body).unwrap();
    assert_eq!(
        (&log[0]["op"], &log[0]["status"], &log[1]["bytes_out"]),
        (&"GetObject".into(), &503.into(), &10.into())
    );
    let stats: serde_json::Value = serde_json::from_slice(&get(&server, "/_stats", &[]).await.body).unwrap();
    assert_eq!(stats["counts"]["GetObject"], 2);
    let uploads: serde_json::Value =
        serde_json::from_slice(&get(&server, "/_uploads", &[]).await.body).unwrap();
    assert_eq!(uploads[0]["key"], "up");
    send(&server, "POST", "/_faults", &[], r#"{"kind":"nope"}"#).await.is(400);
    get(&server, "/_nope", &[]).await.is(404);
    send(&server, "POST", "/_reset", &[], "").await.is(200);
    assert!(server.request_log().is_empty());
    assert_eq!(server.get_object("b", "k").unwrap(), BODY);
}

#[tokio::test]
async fn gauges_remember_their_peak() {
    let server = with_object();
    server.set_faults([Fault::new(Action::Latency { ms: 150 })]);
    let (a, b, c) =
        tokio::join!(get(&server, "/b/k", &[]), get(&server, "/b/k", &[]), get(&server, "/b/k", &[]));
    assert!([a, b, c].iter().all(|reply| reply.status == 200));
    assert_eq!((server.peak_connections(), server.stats().peak_in_flight), (3, 3));
}
