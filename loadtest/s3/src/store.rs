//! What is stored: buckets, versions of keys, open uploads. One short-held lock around plain data.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use jiff::Timestamp;

use crate::{
    checksum::{Algorithm, Checksum, ChecksumType, crc64, hex},
    error::{Code, S3Error},
    rope::{Rope, Segment},
    synthetic::{self, Synthetic, mix},
};

/// The bucket that keeps sizes and checksums but no bytes.
pub const DISCARD: &str = "discard";

/// Headers and tags that are stored with an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meta {
    /// `content-type` and its kin, and `x-amz-meta-*`, in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) storage_class: Option<String>,
}

/// One part of a completed multipart object.
#[derive(Clone, Debug)]
pub(crate) struct PartInfo {
    pub(crate) number: u32,
    pub(crate) size: u64,
    pub(crate) checksum: Option<Checksum>,
}

/// One version of an object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) version_id: String,
    pub(crate) modified: Timestamp,
    pub(crate) body: Rope,
    /// Without quotes.
    pub(crate) etag: String,
    /// CRC-64 of the full object, whatever checksum the client chose; computed when first asked for.
    crc64: OnceLock<u64>,
    /// The checksum the client chose, when that is not the CRC-64 of the full object.
    pub(crate) chosen: Option<Checksum>,
    pub(crate) meta: Meta,
    pub(crate) parts: Vec<PartInfo>,
}

impl Object {
    pub(crate) fn size(&self) -> u64 {
        self.body.len()
    }

    pub(crate) fn crc64(&self) -> u64 {
        *self.crc64.get_or_init(|| self.body.crc64())
    }

    /// The one checksum that responses show.
    pub(crate) fn checksum(&self) -> Checksum {
        self.chosen.clone().unwrap_or_else(|| Checksum::crc64(self.crc64()))
    }

    /// An object whose checksum is its CRC-64 (computed later when `None`); the store gives it its version id.
    pub(crate) fn new(body: Rope, etag: String, crc64: Option<u64>) -> Self {
        Self {
            version_id: String::new(),
            modified: Timestamp::now(),
            body,
            etag,
            crc64: crc64.map(OnceLock::from).unwrap_or_default(),
            chosen: None,
            meta: Meta::default(),
            parts: Vec::new(),
        }
    }

    fn synthetic(object: Synthetic, version_id: String) -> Self {
        let size = object.size();
        let body = Segment::Made { object, range: 0..size }.into();
        Self { version_id, ..Self::new(body, object.etag(), None) }
    }
}

/// One entry in a key's history.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Object(Arc<Object>),
    Marker { version_id: String, modified: Timestamp },
}

impl Entry {
    pub(crate) fn version_id(&self) -> &str {
        match self {
            Self::Object(object) => &object.version_id,
            Self::Marker { version_id, .. } => version_id,
        }
    }
}

/// A part that was uploaded.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) body: Rope,
    pub(crate) etag: String,
    pub(crate) crc64: u64,
    /// Raw, of the upload's algorithm.
    pub(crate) raw: Vec<u8>,
    pub(crate) modified: Timestamp,
}

/// A multipart upload in progress.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) initiated: Timestamp,
    pub(crate) meta: Meta,
    /// The checksum the client chose; CRC-64 when it did not.
    pub(crate) chosen: Option<Algorithm>,
    pub(crate) kind: ChecksumType,
    pub(crate) parts: BTreeMap<u32, Part>,
}

impl Upload {
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.chosen.unwrap_or(Algorithm::Crc64Nvme)
    }
}

/// A bucket's versioning state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versioning {
    Off,
    Enabled,
    Suspended,
}

#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) versioning: Versioning,
    /// Histories, oldest entry first.
    pub(crate) keys: BTreeMap<String, Vec<Entry>>,
    /// By upload id.
    pub(crate) uploads: BTreeMap<String, Upload>,
}

impl Bucket {
    /// The current object, unless there is none or a delete marker.
    pub(crate) fn current(&self, key: &str) -> Option<Arc<Object>> {
        match self.keys.get(key).and_then(|history| history.last()) {
            Some(Entry::Object(object)) => Some(object.clone()),
            Some(Entry::Marker { .. }) => None,
            None => self.implied(key),
        }
    }

    /// What a read of `key`, perhaps of one version, finds.
    pub(crate) fn find(&self, key: &str, version_id: Option<&str>) -> Result<Arc<Object>, S3Error> {
        let history = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let Some(version_id) = version_id else {
            return self.current(key).ok_or_else(|| {
                let error = S3Error::from(Code::NoSuchKey).detail("Key", key);
                match history.last() {
                    Some(marker) => error
                        .header("x-amz-delete-marker", true)
                        .header("x-amz-version-id", marker.version_id()),
                    None => error,
                }
            });
        };
        match history.iter().find(|entry| entry.version_id() == version_id) {
            Some(Entry::Object(object)) => Ok(object.clone()),
            Some(Entry::Marker { .. }) => Err(S3Error::from(Code::MethodNotAllowed)
                .header("x-amz-delete-marker", true)
                .header("allow", "DELETE")),
            None => self.implied(key).filter(|object| object.version_id == version_id).ok_or_else(|| {
                S3Error::from(Code::NoSuchVersion).detail("Key", key).detail("VersionId", version_id)
            }),
        }
    }

    /// Stores a new version and makes it current; gives its id.
    pub(crate) fn insert(&mut self, key: &str, mut object: Object, fresh_id: String) -> Arc<Object> {
        let history = self.keys.entry(key.to_owned()).or_default();
        object.version_id = if self.versioning == Versioning::Enabled { fresh_id } else { "null".to_owned() };
        history.retain(|entry| entry.version_id() != object.version_id);
        let object = Arc::new(object);
        history.push(Entry::Object(object.clone()));
        object
    }

    /// The version id a response shows: none for a bucket that never had versions.
    pub(crate) fn shown<'a>(&self, version_id: &'a str) -> Option<&'a str> {
        (self.versioning != Versioning::Off).then_some(version_id)
    }

    pub(crate) fn keeps_bytes(&self) -> bool {
        self.name != DISCARD
    }

    /// The upload, which must be for this key.
    pub(crate) fn upload(&mut self, key: &str, upload_id: &str) -> Result<&mut Upload, S3Error> {
        self.uploads
            .get_mut(upload_id)
            .filter(|upload| upload.key == key)
            .ok_or_else(|| S3Error::from(Code::NoSuchUpload).detail("UploadId", upload_id))
    }

    /// The synthetic object behind a key that was never written.
    fn implied(&self, key: &str) -> Option<Arc<Object>> {
        let object = (self.name == synthetic::BUCKET).then(|| Synthetic::from_key(key)).flatten()?;
        let mut implied = Object::synthetic(object, object.version_id());
        implied.modified = self.created;
        Some(Arc::new(implied))
    }
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Buckets {
    pub(crate) all: BTreeMap<String, Bucket>,
    /// Counts up; mixed into ids.
    serial: u64,
    /// What a new bucket gets.
    versioning: Versioning,
}

impl Buckets {
    pub(crate) fn get(&mut self, name: &str) -> Result<&mut Bucket, S3Error> {
        self.all.get_mut(name).ok_or_else(|| S3Error::from(Code::NoSuchBucket).detail("BucketName", name))
    }

    pub(crate) fn create(&mut self, name: &str) -> &mut Bucket {
        let versioning = self.versioning;
        self.all.entry(name.to_owned()).or_insert_with(|| Bucket {
            name: name.to_owned(),
            created: Timestamp::now(),
            versioning,
            keys: BTreeMap::new(),
            uploads: BTreeMap::new(),
        })
    }

    /// An opaque id, unique in this server.
    pub(crate) fn fresh_id(&mut self) -> String {
        self.serial += 1;
        format!("{:016x}{:016x}", mix(self.serial), mix(!self.serial))
    }

    /// Makes a version with other bytes of the same size current: what a writer elsewhere might do.
    pub(crate) fn replace(&mut self, bucket: &str, key: &str) -> Result<(), S3Error> {
        let (id, serial) = (self.fresh_id(), self.serial);
        let bucket = self.get(bucket)?;
        let old = bucket.find(key, None)?;
        let stand_in = Synthetic::from_key(&format!("{key}-{}", old.size()))
            .ok_or_else(|| S3Error::from(Code::InternalError))?
            .replaced(serial);
        let object = Object { meta: old.meta.clone(), ..Object::synthetic(stand_in, String::new()) };
        bucket.insert(key, object, id);
        Ok(())
    }
}

/// The lock.
#[derive(Debug)]
pub(crate) struct Store(Mutex<Buckets>);

impl Store {
    pub(crate) fn new(versioned: bool) -> Self {
        let versioning = if versioned { Versioning::Enabled } else { Versioning::Off };
        let mut buckets = Buckets { all: BTreeMap::new(), serial: 0, versioning };
        buckets.create(synthetic::BUCKET);
        buckets.create(DISCARD);
        Self(Mutex::new(buckets))
    }

    /// Never held across an await. A panic elsewhere leaves plain data behind: carry on with it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An ETag that costs nothing: from length and CRC, 32 hex digits like S3's.
pub(crate) fn cheap_etag(crc64: u64, len: u64) -> String {
    hex(&[crc64.to_be_bytes(), mix(len ^ crc64).to_be_bytes()].concat())
}

/// The ETag of a body in one piece: its MD5 when that is known, else in the multipart form, which clients know
/// not to be an MD5.
pub(crate) fn etag(md5: Option<[u8; 16]>, crc64: u64, len: u64) -> String {
    md5.map_or_else(|| format!("{}-1", cheap_etag(crc64, len)), |md5| hex(&md5))
}

/// An object held in one piece, as the test handles put it.
pub(crate) fn plain(bytes: bytes::Bytes) -> Object {
    let crc = crc64(&bytes);
    let md5 = (bytes.len() as u64 <= MD5_LIMIT).then(|| crate::checksum::md5(&bytes));
    let etag = etag(md5, crc, bytes.len() as u64);
    Object::new(bytes.into(), etag, Some(crc))
}

/// Bodies up to this size get the MD5 ETag real S3 gives; beyond, MD5 (0.6 GB/s) would be what is measured.
pub(crate) const MD5_LIMIT: u64 = 8 << 20;
