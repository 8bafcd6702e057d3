//! Where a route delivers to, and how the object is stored there.

use std::collections::BTreeMap;

use super::KeyTemplate;
use crate::BucketName;

/// One destination of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An S3 bucket.
    S3(S3Destination),
}

/// A destination in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Destination {
    /// The bucket.
    pub bucket: BucketName,
    /// The key, with placeholders; see [`KeyTemplate`].
    pub key: KeyTemplate,
    /// The bucket's region, where it is not the worker's.
    pub region: Option<String>,
    /// What to do when an object has that key already. Default [`OnExisting::Fail`].
    pub on_existing: OnExisting,
    /// How the object is stored.
    pub storage: StorageOptions,
}

/// How an object is stored. Whatever is not said is the bucket's own default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageOptions {
    /// The storage class.
    pub storage_class: Option<StorageClass>,
    /// Server-side encryption.
    pub encryption: Option<Encryption>,
    /// The `Content-Type`.
    pub content_type: Option<String>,
    /// User metadata, at most 2 KB in all (S3's bound). Names in lower case; `eft-` is ours.
    pub metadata: BTreeMap<String, String>,
    /// Tags, at most 10 (S3's bound).
    pub tags: BTreeMap<String, String>,
    /// The account that must own the bucket (12 digits).
    pub expected_owner: Option<String>,
}

/// Server-side encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// `encryption: s3`: SSE-S3 (AES-256).
    S3,
    /// `encryption: { kms: <key id, alias or ARN> }`: SSE-KMS with a bucket key.
    Kms(String),
}

words! {
    /// What to do when the destination name is taken.
    pub enum OnExisting {
        /// Refuse: `destination.exists`.
        Fail = "fail",
        /// Replace that very object (`If-Match`).
        Replace = "replace",
        /// Write a new version; the bucket must keep versions.
        Version = "version",
    }

    /// A storage class of S3.
    pub enum StorageClass {
        /// S3 Standard.
        Standard = "STANDARD",
        /// S3 Standard-Infrequent Access.
        StandardIa = "STANDARD_IA",
        /// S3 One Zone-Infrequent Access.
        OnezoneIa = "ONEZONE_IA",
        /// S3 Intelligent-Tiering.
        IntelligentTiering = "INTELLIGENT_TIERING",
        /// S3 Glacier Instant Retrieval.
        GlacierIr = "GLACIER_IR",
        /// S3 Glacier Flexible Retrieval.
        Glacier = "GLACIER",
        /// S3 Glacier Deep Archive.
        DeepArchive = "DEEP_ARCHIVE",
    }
}
