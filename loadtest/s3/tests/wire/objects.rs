//! Objects over the wire: put, get, head, ranges, conditions, versions, copy, delete, tags.

use crate::client::{crc64, get, send, server, server_with};
use eft_s3::{Config, Op};
use proptest::{
    prelude::{Strategy, any},
    test_runner::{Config as ProptestConfig, TestRunner},
};

#[tokio::test]
async fn what_is_put_is_got() {
    let server = server();
    let headers = [
        ("content-type", "text/csv"),
        ("cache-control", "no-store"),
        ("x-amz-meta-a", "b"),
        ("x-amz-tagging", "x=1&y=2%203"),
        ("x-amz-storage-class", "GLACIER_IR"),
    ];
    // Path characters: a space, a plus, a percent sign, UTF-8, an empty segment.
    let path = "/b/a%20b+c%2525/%C3%A9//x";
    let put = send(&server, "PUT", path, &headers, "hello").await.is(200);
    assert_eq!(put.header("etag"), "\"5d41402abc4b2a76b9719d911017c592\"");
    assert_eq!(put.header("x-amz-checksum-crc64nvme"), crc64(b"hello"));
    assert_eq!(put.header("x-amz-checksum-type"), "FULL_OBJECT");
    let got = get(&server, path, &[("x-amz-checksum-mode", "ENABLED")]).await.is(200);
    assert_eq!(got.body, "hello");
    for (name, value) in headers.iter().filter(|(name, _)| *name != "x-amz-tagging") {
        assert_eq!(got.header(name), *value);
    }
    assert_eq!(got.header("x-amz-tagging-count"), "2");
    assert_eq!(got.header("x-amz-checksum-crc64nvme"), crc64(b"hello"));
    assert_eq!(got.header("x-amz-version-id"), put.header("x-amz-version-id"));
    let head = send(&server, "HEAD", path, &[], "").await.is(200);
    assert_eq!((head.header("content-length"), head.body.len()), ("5", 0));
    assert_eq!(head.header("x-amz-checksum-crc64nvme"), "");
    let overridden = get(&server, &format!("{path}?response-content-type=a%2Fb"), &[]).await;
    assert_eq!(overridden.header("content-type"), "a/b");

    let object = server.object("b", "a b+c%25/é//x").unwrap();
    assert_eq!((object.size, object.tags.len(), object.parts), (5, 2, 0));
    assert_eq!(server.keys("b"), ["a b+c%25/é//x"]);
    assert_eq!(server.count(Op::GetObject), 2);
    let log = server.request_log();
    assert_eq!((log[0].op.as_str(), log[0].bytes_in, log[1].bytes_out), ("PutObject", 5, 5));
}

#[tokio::test]
async fn absent_things_have_their_errors() {
    let server = server();
    get(&server, "/b/none", &[]).await.fails(404, "NoSuchKey");
    get(&server, "/none/k", &[]).await.fails(404, "NoSuchBucket");
    get(&server, "/b/none?versionId=x", &[]).await.fails(404, "NoSuchVersion");
    get(&server, "/b/k?acl", &[]).await.fails(501, "NotImplemented");
    get(&server, "/b/%ff", &[]).await.fails(400, "InvalidURI");
    get(&server, &format!("/b/{}", "k".repeat(1025)), &[]).await.fails(400, "KeyTooLongError");
    send(&server, "PUT", "/none/k", &[], "x".repeat(1 << 20)).await.fails(404, "NoSuchBucket");
    send(&server, "HEAD", "/b/none", &[], "").await.is(404);
}

#[test]
fn any_range_is_that_slice() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server();
    let body: Vec<u8> = (0..2000u32).map(|n| (n * 7 % 251) as u8).collect();
    server.put_object("b", "k", body.clone());
    let ranges = (0usize..2200, 0usize..2200, 0..3u8);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
    let checked = runner.run(&(ranges, any::<bool>()).prop_map(|(ranges, _)| ranges), |(a, b, form)| {
        let (header, from, to) = match form {
            0 => (format!("bytes={}-{}", a.min(b), a.max(b)), a.min(b), a.max(b) + 1),
            1 => (format!("bytes={a}-"), a, body.len()),
            _ => (format!("bytes=-{a}"), body.len() - a.min(body.len()), body.len()),
        };
        let reply = runtime.block_on(get(&server, "/b/k", &[("range", &header)]));
        let (from, to) = (from, to.min(body.len()));
        if from >= to {
            assert_eq!(
                (reply.status.as_u16(), reply.element("ActualObjectSize").as_str()),
                (416, "2000"),
                "{header}"
            );
            assert_eq!(reply.header("content-range"), "bytes */2000");
        } else {
            assert_eq!(reply.status.as_u16(), 206, "{header}");
            assert_eq!(reply.header("content-range"), format!("bytes {from}-{}/2000", to - 1));
            assert_eq!(reply.body, &body[from..to]);
        }
        Ok(())
    });
    checked.unwrap();
}

#[tokio::test]
async fn conditions_of_reads() {
    let server = server();
    server.put_object("b", "k", "hello");
    let etag = format!("\"{}\"", server.object("b", "k").unwrap().etag);
    get(&server, "/b/k", &[("if-match", &etag)]).await.is(200);
    get(&server, "/b/k", &[("if-match", "\"0\"")]).await.fails(412, "PreconditionFailed");
    get(&server, "/b/k", &[("if-none-match", &etag)]).await.is(304);
    get(&server, "/b/k", &[("if-none-match", "\"0\"")]).await.is(200);
    let (past, future) = ("Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
    get(&server, "/b/k", &[("if-modified-since", future)]).await.is(304);
    get(&server, "/b/k", &[("if-modified-since", past)]).await.is(200);
    get(&server, "/b/k", &[("if-unmodified-since", past)]).await.is(412);
    // If-Match decides alone (RFC 9110, 13.2.2).
    get(&server, "/b/k", &[("if-unmodified-since", past), ("if-match", &etag)]).await.is(200);
}

#[tokio::test]
async fn conditions_of_writes() {
    let server = server();
    let none = [("if-none-match", "*")];
    let etag = send(&server, "PUT", "/b/k", &none, "1").await.is(200).header("etag").to_owned();
    send(&server, "PUT", "/b/k", &none, "2").await.fails(412, "PreconditionFailed");
    send(&server, "PUT", "/b/k", &[("if-match", &etag)], "2").await.is(200);
    send(&server, "PUT", "/b/k", &[("if-match", &etag)], "3").await.fails(412, "PreconditionFailed");
    send(&server, "PUT", "/b/none", &[("if-match", &etag)], "3").await.fails(404, "NoSuchKey");
    send(&server, "DELETE", "/b/k", &[], "").await.is(204);
    // A delete marker is no object.
    send(&server, "PUT", "/b/k", &none, "4").await.is(200);
    assert_eq!(server.get_object("b", "k").unwrap(), "4");
}

#[tokio::test]
async fn versions_and_markers() {
    let server = server();
    let first = server.put_object("b", "k", "1");
    server.put_object("b", "k", "2");
    let gone = send(&server, "DELETE", "/b/k", &[], "").await.is(204);
    assert_eq!(gone.header("x-amz-delete-marker"), "true");
    let marker = gone.header("x-amz-version-id").to_owned();
    let missing = get(&server, "/b/k", &[]).await.fails(404, "NoSuchKey");
    assert_eq!(missing.header("x-amz-delete-marker"), "true");
    assert_eq!(get(&server, &format!("/b/k?versionId={first}"), &[]).await.is(200).body, "1");
    get(&server, &format!("/b/k?versionId={marker}"), &[]).await.fails(405, "MethodNotAllowed");

    let all = get(&server, "/b?versions", &[]).await.is(200);
    assert_eq!((all.elements("Version"), all.elements("DeleteMarker")), (2, 1));
    let mut seen = 0;
    let mut page = get(&server, "/b?versions&max-keys=1", &[]).await;
    while page.element("IsTruncated") == "true" {
        seen += 1;
        let markers = (page.element("NextKeyMarker"), page.element("NextVersionIdMarker"));
        let path = format!("/b?versions&max-keys=1&key-marker={}&version-id-marker={}", markers.0, markers.1);
        page = get(&server, &path, &[]).await;
    }
    assert_eq!(seen + 1, 3);

    send(&server, "DELETE", &format!("/b/k?versionId={marker}"), &[], "").await.is(204);
    assert_eq!(get(&server, "/b/k", &[]).await.is(200).body, "2");
    let suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    send(&server, "PUT", "/b?versioning", &[], suspended).await.is(200);
    assert_eq!(get(&server, "/b?versioning", &[]).await.element("Status"), "Suspended");
    send(&server, "PUT", "/b/k", &[], "3").await.is(200);
    send(&server, "PUT", "/b/k", &[], "4").await.is(200);
    assert_eq!(server.versions("b", "k").len(), 3, "one null version beside the two old ones");
}

#[tokio::test]
async fn checksums_are_verified() {
    let server = server();
    let good = crc64(b"hello");
    send(&server, "PUT", "/b/k", &[("x-amz-checksum-crc64nvme", &good)], "hello").await.is(200);
    send(&server, "PUT", "/b/k", &[("x-amz-checksum-crc64nvme", &good)], "hellO")
        .await
        .fails(400, "BadDigest");
    send(&server, "PUT", "/b/k", &[("x-amz-checksum-crc32", "not base64!")], "x")
        .await
        .fails(400, "InvalidRequest");
    send(&server, "PUT", "/b/k", &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], "hello").await.is(200);
    send(&server, "PUT", "/b/k", &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], "hellO")
        .await
        .fails(400, "BadDigest");
    send(&server, "PUT", "/b/k", &[("content-md5", "AAAA")], "hello").await.fails(400, "InvalidDigest");
    let two = [("x-amz-checksum-crc64nvme", good.as_str()), ("x-amz-checksum-crc32", "AAAAAA==")];
    send(&server, "PUT", "/b/k", &two, "hello").await.fails(400, "InvalidRequest");
    assert_eq!(server.get_object("b", "k").unwrap(), "hello");
    // The CRC-32 of "hello".
    let put = send(&server, "PUT", "/b/k", &[("x-amz-checksum-crc32", "NhCmhg==")], "hello").await.is(200);
    assert_eq!(
        (put.header("x-amz-checksum-crc32"), put.header("x-amz-checksum-crc64nvme")),
        ("NhCmhg==", "")
    );
    assert_eq!(server.object("b", "k").unwrap().crc64, u64::from_be_bytes(decode(&good)));
}

fn decode(text: &str) -> [u8; 8] {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.decode(text).expect("base64").try_into().expect("8 bytes")
}

#[tokio::test]
async fn chunked_bodies_with_trailers() {
    let server = server();
    let put = |trailer: &str, length: &'static str| {
        let body = format!(
            "5;chunk-signature=00\r\nhello\r\n6\r\n world\r\n0;chunk-signature=00\r\nx-amz-checksum-crc64nvme:{trailer}\r\n\r\n"
        );
        let headers = [
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
            ("content-encoding", "aws-chunked,gzip"),
            ("x-amz-decoded-content-length", length),
            ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
        ];
        let server = &server;
        async move { send(server, "PUT", "/b/k", &headers, body).await }
    };
    put(&crc64(b"hello world"), "11").await.is(200);
    assert_eq!(server.get_object("b", "k").unwrap(), "hello world");
    assert_eq!(get(&server, "/b/k", &[]).await.header("content-encoding"), "gzip");
    put(&crc64(b"other"), "11").await.fails(400, "BadDigest");
    put(&crc64(b"hello world"), "12").await.fails(400, "IncompleteBody");
}

#[tokio::test]
async fn copies() {
    let server = server();
    server.create_bucket("other");
    let put = [("x-amz-meta-a", "b"), ("x-amz-tagging", "t=1")];
    let old = send(&server, "PUT", "/b/a%20%2Bb", &put, "one").await.header("x-amz-version-id").to_owned();
    server.put_object("b", "a +b", "two");
    let source = format!("/b/a%20%2Bb?versionId={old}");
    let copied = send(&server, "PUT", "/other/k", &[("x-amz-copy-source", &source)], "").await.is(200);
    assert_eq!(copied.header("x-amz-copy-source-version-id"), old);
    assert_eq!(copied.element("ChecksumCRC64NVME"), crc64(b"one"));
    assert_eq!(server.get_object("other", "k").unwrap(), "one");
    let object = server.object("other", "k").unwrap();
    assert_eq!((object.headers, object.tags.len()), (vec![("x-amz-meta-a".to_owned(), "b".to_owned())], 1));

    let replace = [
        ("x-amz-copy-source", source.as_str()),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-meta-c", "d"),
    ];
    send(&server, "PUT", "/other/k", &replace, "").await.is(200);
    assert_eq!(get(&server, "/other/k", &[]).await.header("x-amz-meta-c"), "d");
    let refused = |name: &'static str, value: &'static str| {
        let headers = [("x-amz-copy-source", source.as_str().to_owned()), (name, value.to_owned())];
        let server = &server;
        async move {
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            send(server, "PUT", "/other/k", &headers, "").await
        }
    };
    refused("x-amz-copy-source-if-match", "\"0\"").await.fails(412, "PreconditionFailed");
    refused("if-none-match", "*").await.fails(412, "PreconditionFailed");
    refused("x-amz-checksum-algorithm", "SHA256").await.is(200);
    let head = send(&server, "HEAD", "/other/k", &[("x-amz-checksum-mode", "ENABLED")], "").await;
    assert!(!head.header("x-amz-checksum-sha256").is_empty());
    send(&server, "PUT", "/b/k", &[("x-amz-copy-source", "/b/none")], "").await.fails(404, "NoSuchKey");
    let huge = [("x-amz-copy-source", "synthetic/x-6GiB")];
    send(&server, "PUT", "/b/k", &huge, "").await.fails(400, "InvalidRequest");
}

#[tokio::test]
async fn deletes_of_many_and_tags() {
    let server = server_with(Config { denied: vec!["b/secret".to_owned()], ..Config::default() });
    for key in ["x", "a&b<c>", "secret-1"] {
        server.put_object("b", key, "1");
    }
    let keys = "<Object><Key>x</Key></Object><Object><Key>a&amp;b&lt;c&gt;</Key></Object><Object><Key>none</Key></Object><Object><Key>secret-1</Key></Object>";
    let reply = send(&server, "POST", "/b?delete", &[], format!("<Delete>{keys}</Delete>")).await.is(200);
    assert_eq!((reply.elements("Deleted"), reply.elements("Error")), (3, 1));
    assert_eq!(server.keys("b"), ["secret-1"]);
    get(&server, "/b/secret-1", &[]).await.fails(403, "AccessDenied");
    send(&server, "POST", "/b?delete", &[], "<Delete>").await.fails(400, "MalformedXML");

    server.put_object("b", "t", "1");
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>&lt;1&gt;</Value></Tag></TagSet></Tagging>";
    send(&server, "PUT", "/b/t?tagging", &[], tags).await.is(200);
    assert_eq!(get(&server, "/b/t?tagging", &[]).await.element("Value"), "<1>");
    send(&server, "DELETE", "/b/t?tagging", &[], "").await.is(204);
    assert!(server.object("b", "t").unwrap().tags.is_empty());
}

#[tokio::test]
async fn buckets() {
    let server = server();
    send(&server, "PUT", "/made", &[], "").await.is(200);
    send(&server, "PUT", "/made", &[], "").await.fails(409, "BucketAlreadyOwnedByYou");
    send(&server, "PUT", "/UPPER", &[], "").await.fails(400, "InvalidBucketName");
    assert_eq!(get(&server, "/made?versioning", &[]).await.element("Status"), "Enabled");
    get(&server, "/made?location", &[]).await.is(200);
    send(&server, "HEAD", "/made", &[], "").await.is(200);
    assert_eq!(get(&server, "/", &[]).await.elements("Bucket"), 4, "b, made, discard, synthetic");
    server.put_object("made", "k", "1");
    send(&server, "DELETE", "/made", &[], "").await.fails(409, "BucketNotEmpty");
    let id = server.versions("made", "k").remove(0);
    send(&server, "DELETE", &format!("/made/k?versionId={id}"), &[], "").await.is(204);
    send(&server, "DELETE", "/made", &[], "").await.is(204);
}

#[tokio::test]
async fn listings_page_and_fold() {
    let server = server();
    for key in ["a/1", "a/2", "b", "c/d/1", "c/e", "z +é"] {
        server.put_object("b", key, "1");
    }
    server.put_object("b", "gone", "1");
    send(&server, "DELETE", "/b/gone", &[], "").await.is(204);
    for (form, next, marker) in
        [("list-type=2&", "NextContinuationToken", "continuation-token"), ("", "NextMarker", "marker")]
    {
        for page in 1..=5 {
            let (mut keys, mut prefixes, mut after) = (0, 0, String::new());
            loop {
                let path = format!("/b?{form}delimiter=%2F&encoding-type=url&max-keys={page}{after}");
                let reply = get(&server, &path, &[]).await.is(200);
                keys += reply.elements("Key");
                prefixes += reply.elements("CommonPrefixes");
                assert!(!reply.text().contains("z +é"), "encoded");
                if reply.element("IsTruncated") != "true" {
                    break;
                }
                after = format!("&{marker}={}", reply.element(next));
            }
            assert_eq!((keys, prefixes), (2, 2), "{form} {page}");
        }
    }
    assert_eq!(get(&server, "/b?list-type=2&prefix=c%2F&delimiter=%2F", &[]).await.element("Key"), "c/e");
    assert_eq!(get(&server, "/b?list-type=2&start-after=c%2Fe", &[]).await.element("Key"), "z +é");
}

#[tokio::test]
async fn synthetic_and_discard() {
    let server = server();
    let whole: Vec<u8> =
        eft_s3::synthetic::read("s-3000000", 0..u64::MAX).unwrap().flat_map(|frame| frame.to_vec()).collect();
    let got = get(&server, "/synthetic/s-3000000", &[("x-amz-checksum-mode", "ENABLED")]).await.is(200);
    assert_eq!(got.body, whole);
    assert_eq!(got.header("x-amz-checksum-crc64nvme"), crc64(&whole));
    let piece = get(&server, "/synthetic/s-3000000", &[("range", "bytes=1048000-1049999")]).await.is(206);
    assert_eq!(piece.body, &whole[1_048_000..1_050_000]);
    let big =
        send(&server, "HEAD", "/synthetic/x-2TiB", &[("x-amz-checksum-mode", "ENABLED")], "").await.is(200);
    assert_eq!(big.header("content-length"), (2_u64 << 40).to_string());
    assert!(!big.header("x-amz-checksum-crc64nvme").is_empty());
    get(
        &server,
        &format!("/synthetic/x-2TiB?versionId={}", big.header("x-amz-version-id")),
        &[("range", "bytes=-10")],
    )
    .await
    .is(206);
    get(&server, "/synthetic/none", &[]).await.fails(404, "NoSuchKey");

    let put = send(&server, "PUT", "/discard/k", &[], whole.clone()).await.is(200);
    assert_eq!(put.header("x-amz-checksum-crc64nvme"), crc64(&whole));
    assert_eq!(
        send(&server, "HEAD", "/discard/k", &[], "").await.is(200).header("content-length"),
        "3000000"
    );
    get(&server, "/discard/k", &[]).await.fails(403, "InvalidObjectState");
    assert_eq!(server.get_object("discard", "k"), None);
}

#[tokio::test]
async fn shutdown_and_drop_free_the_port() {
    let first = server();
    let config = Config { listen: first.addr(), ..Config::default() };
    assert!(eft_s3::Server::start(config.clone()).is_err());
    first.shutdown().await;
    drop(eft_s3::Server::start(config.clone()).unwrap());
    eft_s3::Server::start(config).unwrap().shutdown().await;
}

#[tokio::test]
async fn what_stands_is_stored_elsewhere_at_once() {
    let server = server();
    assert_eq!(server.copy_object(("b", "from"), ("c", "to")), None);
    server.put_object("b", "from", "the bytes");
    let version = server.copy_object(("b", "from"), ("c", "to")).unwrap();
    let (from, to) = (server.object("b", "from").unwrap(), server.object("c", "to").unwrap());
    assert_eq!((to.version_id, to.size, to.etag, to.crc64), (version, from.size, from.etag, from.crc64));
    assert_eq!(&*get(&server, "/c/to", &[]).await.is(200).body, b"the bytes");
}
