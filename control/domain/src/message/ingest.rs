//! Events of `ingest.fifo`: an object was created, or an SFTP upload ended.

use serde_json::{Value, json};

use super::{MessageError, bytes, needed, parse, parsed, text, version};
use crate::{BucketName, ObjectKey, VersionId};

/// An event of `ingest.fifo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ingest {
    /// S3: an object version is there.
    Created(Created),
    /// Transfer Family: an upload has ended.
    Uploaded(Uploaded),
}

/// An object version is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The bucket, by the name S3 has for it.
    pub bucket: BucketName,
    /// The key. EventBridge, unlike S3's own notifications, does not URL-encode it.
    pub key: ObjectKey,
    /// The version; none in a bucket without versions, and in events of some S3 that are not Amazon's.
    pub version_id: Option<VersionId>,
    /// The ETag, without quotes as events have it.
    pub etag: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// Orders the versions of one key; never identity.
    pub sequencer: Option<String>,
    /// `PutObject`, `POST Object`, `CopyObject` or `CompleteMultipartUpload`.
    pub reason: Option<String>,
}

/// An SFTP upload has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Bytes the server took.
    pub bytes: Option<u64>,
    /// The object's ETag.
    pub etag: Option<String>,
    /// It came to its end; else the session broke before.
    pub complete: bool,
}

impl Ingest {
    /// Read an event: the envelope of EventBridge, or the canonical form that the rule's transformer makes of it.
    ///
    /// # Errors
    /// It is no such event; nothing can be done with it.
    pub fn parse(message: &str) -> Result<Self, MessageError> {
        let value = parse(message)?;
        match (value.get("detail-type").and_then(Value::as_str), value.get("source").and_then(Value::as_str))
        {
            (Some("Object Created"), Some("aws.s3")) => envelope(&value).map(Self::Created),
            (Some("SFTP Server File Upload Completed"), Some("aws.transfer")) => {
                uploaded(&value, true).map(Self::Uploaded)
            }
            (Some("SFTP Server File Upload Failed"), Some("aws.transfer")) => {
                uploaded(&value, false).map(Self::Uploaded)
            }
            (Some(kind), _) => Err(MessageError::Kind(crate::text::shown(kind, 80))),
            (None, _) => canonical(&value).map(Self::Created),
        }
    }
}

fn envelope(value: &Value) -> Result<Created, MessageError> {
    Ok(Created {
        bucket: parsed(needed(value, "detail.bucket.name")?, "detail.bucket.name")?,
        key: parsed(needed(value, "detail.object.key")?, "detail.object.key")?,
        version_id: version_id(text(value, "detail.object.version-id"), "detail.object.version-id")?,
        etag: etag(value, "detail.object.etag"),
        size: bytes(value, "detail.object.size")?,
        sequencer: text(value, "detail.object.sequencer").map(ToOwned::to_owned),
        reason: text(value, "detail.reason").map(ToOwned::to_owned),
    })
}

fn canonical(value: &Value) -> Result<Created, MessageError> {
    version(value)?;
    Ok(Created {
        bucket: parsed(needed(value, "bucket")?, "bucket")?,
        key: parsed(needed(value, "key")?, "key")?,
        version_id: version_id(text(value, "version_id"), "version_id")?,
        etag: etag(value, "etag"),
        size: bytes(value, "size")?,
        sequencer: text(value, "sequencer").map(ToOwned::to_owned),
        reason: text(value, "reason").map(ToOwned::to_owned),
    })
}

fn uploaded(value: &Value, complete: bool) -> Result<Uploaded, MessageError> {
    let path = needed(value, "detail.file-path")?;
    let (bucket, key) = path.trim_start_matches('/').split_once('/').ok_or_else(|| MessageError::Field {
        field: "detail.file-path",
        problem: "is no `/bucket/key`".to_owned(),
    })?;
    Ok(Uploaded {
        bucket: parsed(bucket, "detail.file-path")?,
        key: parsed(key, "detail.file-path")?,
        bytes: bytes(value, "detail.bytes")?,
        etag: etag(value, "detail.etag"),
        complete,
    })
}

/// `null` is what S3 calls the version of an object in a bucket without versions.
fn version_id(text: Option<&str>, field: &'static str) -> Result<Option<VersionId>, MessageError> {
    text.map(|text| parsed(text, field)).transpose()
}

/// Without its quotes; none where there is nothing between them.
fn etag(value: &Value, path: &str) -> Option<String> {
    let etag = text(value, path)?.trim_matches('"');
    (!etag.is_empty()).then(|| etag.to_owned())
}

impl Created {
    /// The canonical form, which [`Ingest::parse`] reads: the same text for the same object version, so that the
    /// queue can tell duplicates by their content.
    pub fn to_message(&self) -> String {
        json!({
            "v": 1,
            "bucket": self.bucket,
            "key": self.key,
            "version_id": self.version_id,
            "etag": self.etag,
            "size": self.size,
            "sequencer": self.sequencer,
            "reason": self.reason,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(object: Value) -> String {
        json!({
            "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
            "source": "aws.s3", "account": "111122223333", "time": "2026-11-12T00:00:00Z", "region": "eu-west-1",
            "resources": ["arn:aws:s3:::ingest-bucket"],
            "detail": { "version": "0", "bucket": { "name": "ingest-bucket" }, "object": object,
                "request-id": "N4N7GDK58NMKJ12R", "requester": "123456789012", "source-ip-address": "1.2.3.4",
                "reason": "PutObject" }
        })
        .to_string()
    }

    fn created(message: &str) -> Created {
        match Ingest::parse(message).unwrap() {
            Ingest::Created(created) => created,
            Ingest::Uploaded(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_of_s3_is_read_as_it_stands() {
        let message =
            event(json!({ "key": "in/a b+ä%20.csv", "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184",
            "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", "sequencer": "617f08299329d189" }));
        let read = created(&message);
        assert_eq!(read.key.as_str(), "in/a b+ä%20.csv");
        assert_eq!(read.size, Some(5));
        assert_eq!(read.version_id.as_ref().map(VersionId::as_str), Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"));
        assert_eq!(created(&read.to_message()), read, "the canonical form says the same");
    }

    #[test]
    fn what_is_missing_is_missing() {
        let read = created(&event(json!({ "key": "k" })));
        assert_eq!((read.version_id, read.etag, read.size), (None, None, None));
        let read = created(r#"{"v":1,"bucket":"bucket","key":"k","version_id":"","etag":"","size":""}"#);
        assert_eq!((read.version_id, read.etag, read.size), (None, None, None));
        let read = created(&event(json!({ "key": "k", "etag": "\"\"" })));
        assert_eq!(read.etag, None);
        let read = created(r#"{"v":1,"bucket":"bucket","key":"k","size":"12","new":{"a":1}}"#);
        assert_eq!(read.size, Some(12));
    }

    #[test]
    fn an_upload_over_sftp_names_its_object() {
        let message = json!({ "detail-type": "SFTP Server File Upload Completed", "source": "aws.transfer",
            "detail": { "username": "acme", "file-path": "/ingest-bucket/tenants/acme/in/a.csv", "bytes": 7,
                "etag": "\"x\"", "status-code": "COMPLETED" } })
        .to_string();
        let Ok(Ingest::Uploaded(read)) = Ingest::parse(&message) else { panic!() };
        assert_eq!((read.key.as_str(), read.bytes, read.complete), ("tenants/acme/in/a.csv", Some(7), true));
        assert_eq!(read.etag.as_deref(), Some("x"));
        let Ok(Ingest::Uploaded(read)) = Ingest::parse(&message.replace("Completed", "Failed")) else {
            panic!()
        };
        assert!(!read.complete);
    }

    #[test]
    fn what_is_no_event_is_refused_with_a_code() {
        for (message, code) in [
            ("", "message.malformed"),
            ("[]", "message.malformed"),
            ("{", "message.malformed"),
            ("{}", "message.version"),
            (r#"{"v":2,"bucket":"bucket","key":"k"}"#, "message.version"),
            (r#"{"v":1,"bucket":"bucket"}"#, "message.field"),
            (r#"{"v":1,"bucket":"B","key":"k"}"#, "message.field"),
            (r#"{"v":1,"bucket":"bucket","key":"k","size":-1}"#, "message.field"),
            (r#"{"v":1,"bucket":"bucket","key":"k","size":"many"}"#, "message.field"),
            (r#"{"detail-type":"Object Deleted","source":"aws.s3"}"#, "message.kind"),
            (r#"{"detail-type":"Object Created","source":"me"}"#, "message.kind"),
            (
                r#"{"detail-type":"SFTP Server File Upload Failed","source":"aws.transfer","detail":{"file-path":"/x"}}"#,
                "message.field",
            ),
        ] {
            assert_eq!(Ingest::parse(message).unwrap_err().code(), code, "{message}");
        }
        let long = event(json!({ "key": "ä".repeat(513) }));
        assert!(Ingest::parse(&long).unwrap_err().to_string().contains("1,024"));
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_read_back(key in ".{1,200}", version in proptest::option::of("[!->@-~]{1,40}"),
            size in proptest::option::of(0..u64::MAX), etag in proptest::option::of("[0-9a-f-]{1,40}")) {
            let event = Created {
                bucket: "bucket".parse().unwrap(), key: key.parse().unwrap(),
                version_id: version.map(|version| version.parse().unwrap()), etag, size,
                sequencer: None, reason: Some("PutObject".to_owned()),
            };
            prop_assert_eq!(created(&event.to_message()), event);
        }
    }
}
