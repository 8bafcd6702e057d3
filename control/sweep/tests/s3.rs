//! The ports of router and sweep over S3's own protocol.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use eft_domain::BucketName;
use eft_router::lookup::{Objects, S3Objects};
use eft_s3::{Config, Server};
use eft_store::{StoreErrorKind, aws::http_client};
use eft_sweep::{Listing, Uploads, s3::S3};

fn served() -> (Server, Client, BucketName) {
    let server = Server::start(Config::with_buckets(["ingest"])).unwrap();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(server.endpoint())
        .http_client(http_client())
        .force_path_style(true)
        .build();
    (server, Client::from_conf(config), "ingest".parse().unwrap())
}

#[tokio::test]
async fn a_version_is_looked_at_and_what_is_gone_is_none() {
    let (server, client, bucket) = served();
    let old = server.put_object("ingest", "a b+ä", "one");
    let new = server.put_object("ingest", "a b+ä", "three");
    let objects = S3Objects(client.clone());
    let key = "a b+ä".parse().unwrap();
    let latest = objects.head(&bucket, &key, None).await.unwrap().unwrap();
    assert_eq!((latest.version_id.as_str(), latest.size), (new.as_str(), 5));
    assert!(latest.etag.is_some_and(|etag| !etag.contains('"')));
    let first = objects.head(&bucket, &key, Some(&old.parse().unwrap())).await.unwrap().unwrap();
    assert_eq!((first.version_id.as_str(), first.size), (old.as_str(), 3));
    let other = "b".parse().unwrap();
    assert_eq!(objects.head(&bucket, &other, None).await, Ok(None));
    client.delete_object().bucket("ingest").key("a b+ä").send().await.unwrap();
    assert_eq!(objects.head(&bucket, &key, None).await, Ok(None), "a delete marker");
    let marker = server.versions("ingest", "a b+ä").pop().unwrap();
    assert_eq!(objects.head(&bucket, &key, Some(&marker.parse().unwrap())).await, Ok(None));
}

#[tokio::test]
async fn every_version_is_listed_once_whatever_the_pages_and_no_delete_marker() {
    let (server, client, bucket) = served();
    for key in ["in/a", "in/b", "in/c", "out/d"] {
        for at in 0..3 {
            server.put_object("ingest", key, vec![0; at]);
        }
    }
    client.delete_object().bucket("ingest").key("in/b").send().await.unwrap();
    let listing = S3(client);
    for limit in [1, 2, 4, 1_000] {
        let (mut all, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = listing.versions(&bucket, "in/", after.as_deref(), limit).await.unwrap();
            assert!(page.items.len() <= limit.into());
            all.extend(page.items);
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
            assert!(pages < 20, "the listing has no end");
        }
        let sizes: Vec<_> = all.iter().map(|entry| (entry.key.as_str(), entry.size)).collect();
        let newest_first = ["in/a", "in/b", "in/c"].map(|key| [(key, 2), (key, 1), (key, 0)]);
        assert_eq!(sizes, newest_first.concat(), "pages of {limit}");
        assert!(all.iter().all(|entry| entry.last_modified.0 > 1_700_000_000_000));
    }
}

#[tokio::test]
async fn uploads_are_listed_and_aborted_and_aborting_twice_is_fine() {
    let (server, client, bucket) = served();
    for key in ["a", "b"] {
        client.create_multipart_upload().bucket("ingest").key(key).send().await.unwrap();
    }
    let uploads = S3(client);
    let listed = uploads.list(&bucket, None).await.unwrap().items;
    assert_eq!(listed.iter().map(|upload| upload.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    for _ in 0..2 {
        uploads.abort(&bucket, &listed[0]).await.unwrap();
    }
    assert_eq!(server.open_uploads().into_iter().map(|upload| upload.key).collect::<Vec<_>>(), ["b"]);
    let missing: BucketName = "missing".parse().unwrap();
    assert_eq!(uploads.list(&missing, None).await.unwrap_err().kind, StoreErrorKind::Permanent);
}
