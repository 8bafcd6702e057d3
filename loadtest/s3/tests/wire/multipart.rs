//! Multipart uploads over the wire.

use crate::client::{complete, crc64, create_upload, get, send, server, upload_parts};
use eft_s3::Op;

#[tokio::test]
async fn parts_become_an_object() {
    let server = server();
    let headers = [("content-type", "text/csv"), ("x-amz-meta-a", "b"), ("x-amz-tagging", "t=1")];
    let id = create_upload(&server, "k", &headers).await;
    let document = upload_parts(&server, "k", &id, &["hello ", "wide ", "world"]).await;
    assert_eq!(server.open_uploads()[0].parts, [(1, 6), (2, 5), (3, 5)]);
    let whole = crc64(b"hello wide world");
    let checks = [
        ("x-amz-checksum-crc64nvme", whole.as_str()),
        ("x-amz-checksum-type", "FULL_OBJECT"),
        ("x-amz-mp-object-size", "16"),
        ("if-none-match", "*"),
    ];
    let done = complete(&server, "k", &id, &checks, document.clone()).await.is(200);
    assert_eq!(
        (done.element("ChecksumCRC64NVME"), done.element("ChecksumType")),
        (whole, "FULL_OBJECT".to_owned())
    );
    assert!(done.element("ETag").ends_with("-3\""));
    assert_eq!(server.get_object("b", "k").unwrap(), "hello wide world");
    assert!(server.open_uploads().is_empty());
    let second = get(&server, "/b/k?partNumber=2", &[]).await.is(206);
    assert_eq!((second.text().as_str(), second.header("x-amz-mp-parts-count")), ("wide ", "3"));
    assert_eq!(second.header("content-type"), "text/csv");
    get(&server, "/b/k?partNumber=4", &[]).await.fails(416, "InvalidPartNumber");
    complete(&server, "k", &id, &[], document).await.fails(404, "NoSuchUpload");
    assert_eq!(server.count(Op::UploadPart), 3);
    let attributes =
        get(&server, "/b/k?attributes", &[("x-amz-object-attributes", "ObjectParts,ObjectSize")]).await;
    assert_eq!(
        (attributes.element("PartsCount"), attributes.element("ObjectSize")),
        ("3".to_owned(), "16".to_owned())
    );
}

#[tokio::test]
async fn wrong_completions_leave_the_upload() {
    let server = server();
    let id = create_upload(&server, "k", &[]).await;
    let document = upload_parts(&server, "k", &id, &["hello", "x", "world"]).await;
    complete(&server, "k", &id, &[], document).await.fails(400, "EntityTooSmall");
    let document = upload_parts(&server, "k", &id, &["hello", "there", "world"]).await;
    let wrong = crc64(b"other");
    for (name, value, code) in [
        ("x-amz-checksum-crc64nvme", wrong.as_str(), "BadDigest"),
        ("x-amz-mp-object-size", "14", "InvalidRequest"),
        ("x-amz-checksum-type", "COMPOSITE", "InvalidRequest"),
        ("x-amz-checksum-sha256", "AAAA", "InvalidRequest"),
    ] {
        complete(&server, "k", &id, &[(name, value)], document.clone()).await.fails(400, code);
    }
    server.put_object("b", "k", "first");
    complete(&server, "k", &id, &[("if-none-match", "*")], document.clone())
        .await
        .fails(412, "PreconditionFailed");
    complete(&server, "k", &id, &[("if-match", "\"0\"")], document.clone())
        .await
        .fails(412, "PreconditionFailed");
    complete(&server, "k", &id, &[], "<x>").await.fails(400, "MalformedXML");
    complete(&server, "k", &id, &[], "<CompleteMultipartUpload/>").await.fails(400, "MalformedXML");
    let swapped = document.replace("<PartNumber>1<", "<PartNumber>4<");
    complete(&server, "k", &id, &[], swapped).await.fails(400, "InvalidPartOrder");
    let absent = document.replace("<PartNumber>3<", "<PartNumber>4<");
    complete(&server, "k", &id, &[], absent).await.fails(400, "InvalidPart");
    complete(&server, "other", &id, &[], document.clone()).await.fails(404, "NoSuchUpload");
    assert_eq!(server.open_uploads().len(), 1);
    complete(&server, "k", &id, &[], document).await.is(200);
}

#[tokio::test]
async fn checksum_types() {
    let server = server();
    for (algorithm, kind, ok) in [
        ("CRC64NVME", "FULL_OBJECT", true),
        ("CRC64NVME", "COMPOSITE", false),
        ("CRC32C", "FULL_OBJECT", true),
        ("SHA256", "FULL_OBJECT", false),
        ("SHA1", "COMPOSITE", true),
    ] {
        let headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)];
        let created = send(&server, "POST", "/b/k?uploads", &headers, "").await;
        if !ok {
            created.fails(400, "InvalidRequest");
            continue;
        }
        let id = created.is(200).element("UploadId");
        let document = upload_parts(&server, "k", &id, &["hello", "world"]).await;
        let done = complete(&server, "k", &id, &[], document).await.is(200);
        let value = done.element(&format!("Checksum{algorithm}"));
        assert_eq!(
            (done.element("ChecksumType").as_str(), value.ends_with("-2")),
            (kind, kind == "COMPOSITE")
        );
        assert_eq!(server.object("b", "k").unwrap().crc64.to_be_bytes(), crc(b"helloworld"));
    }
    let id = create_upload(&server, "k", &[("x-amz-checksum-algorithm", "CRC64NVME")]).await;
    let path = format!("/b/k?partNumber=1&uploadId={id}");
    send(&server, "PUT", &path, &[("x-amz-checksum-crc32", "NhCmhg==")], "hello")
        .await
        .fails(400, "InvalidRequest");
    send(&server, "PUT", &path, &[("x-amz-checksum-crc64nvme", &crc64(b"other"))], "hello")
        .await
        .fails(400, "BadDigest");
    send(&server, "PUT", &path, &[("x-amz-checksum-crc64nvme", &crc64(b"hello"))], "hello").await.is(200);
}

fn crc(bytes: &[u8]) -> [u8; 8] {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes()
}

#[tokio::test]
async fn parts_are_listed_replaced_and_aborted() {
    let server = server();
    let id = create_upload(&server, "k", &[]).await;
    upload_parts(&server, "k", &id, &["first", "second", "third"]).await;
    upload_parts(&server, "k", &id, &["newer"]).await;
    let page = get(&server, &format!("/b/k?uploadId={id}&max-parts=2"), &[]).await.is(200);
    assert_eq!((page.elements("Part"), page.element("NextPartNumberMarker").as_str()), (2, "2"));
    assert_eq!(page.element("ChecksumCRC64NVME"), crc64(b"newer"));
    let rest = get(&server, &format!("/b/k?uploadId={id}&part-number-marker=2"), &[]).await;
    assert_eq!((rest.element("PartNumber").as_str(), rest.element("IsTruncated").as_str()), ("3", "false"));
    for bad in ["0", "10001", "x"] {
        let path = format!("/b/k?partNumber={bad}&uploadId={id}");
        send(&server, "PUT", &path, &[], "x").await.fails(400, "InvalidArgument");
    }
    let other = create_upload(&server, "k", &[]).await;
    let listed = get(&server, "/b?uploads&max-uploads=1", &[]).await.is(200);
    assert_eq!((listed.elements("Upload"), listed.element("IsTruncated").as_str()), (1, "true"));
    let next = format!("/b?uploads&key-marker=k&upload-id-marker={}", listed.element("NextUploadIdMarker"));
    assert_eq!(get(&server, &next, &[]).await.elements("Upload"), 1);
    for upload in [&id, &other] {
        send(&server, "DELETE", &format!("/b/k?uploadId={upload}"), &[], "").await.is(204);
    }
    send(&server, "DELETE", &format!("/b/k?uploadId={id}"), &[], "").await.fails(404, "NoSuchUpload");
    assert!(server.open_uploads().is_empty());
}

#[tokio::test]
async fn parts_are_copied() {
    let server = server();
    let version = server.put_object("b", "from", "0123456789");
    server.put_object("b", "from", "newer bytes");
    let id = create_upload(&server, "k", &[]).await;
    let source = format!("b/from?versionId={version}");
    let mut document = String::new();
    for (number, range, source) in
        [(1, "bytes=5-9", &source), (2, "bytes=0-4194303", &"synthetic/s-4MiB".to_owned())]
    {
        let headers = [("x-amz-copy-source", source.as_str()), ("x-amz-copy-source-range", range)];
        let path = format!("/b/k?partNumber={number}&uploadId={id}");
        let etag = send(&server, "PUT", &path, &headers, "").await.is(200).element("ETag");
        document.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    let path = format!("/b/k?partNumber=3&uploadId={id}");
    let outside = [("x-amz-copy-source", source.as_str()), ("x-amz-copy-source-range", "bytes=5-10")];
    send(&server, "PUT", &path, &outside, "").await.fails(400, "InvalidArgument");
    let changed = [("x-amz-copy-source", "b/from"), ("x-amz-copy-source-if-match", "\"0\"")];
    send(&server, "PUT", &path, &changed, "").await.fails(412, "PreconditionFailed");
    let document = format!("<CompleteMultipartUpload>{document}</CompleteMultipartUpload>");
    let done = complete(&server, "k", &id, &[], document).await.is(200);
    let bytes = server.get_object("b", "k").unwrap();
    assert_eq!((bytes.len(), &bytes[..5]), (5 + (4 << 20), &b"56789"[..]));
    assert_eq!(done.element("ChecksumCRC64NVME"), crc64(&bytes));
    let log = server.request_log();
    let copy = log.iter().find(|record| record.op == "UploadPartCopy").unwrap();
    assert_eq!((copy.range.as_deref(), copy.part_number), (Some("bytes=5-9"), Some(1)));
}
