//! What an object carries besides its bytes, and how it is handed on.
//!
//! S3 keeps none of this by itself when an object is written in parts, so it is read once from the source and said again
//! in every request that makes an object, whether in one piece, in parts or by a copy: what arrives does not depend on
//! the size of the object.

use std::collections::HashMap;

use aws_sdk_s3::{
    operation::head_object::HeadObjectOutput,
    primitives::{DateTime, DateTimeFormat},
    types::{ServerSideEncryption, StorageClass, Tag},
};
use eft_domain::{
    ObjectUri,
    route::{Encryption, StorageOptions},
};
use eft_pipeline::port::{ErrorKind, PortError, PortResult};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Client, error::port_error, timeouts::within};

/// What stays as it is in a query: "unreserved characters" (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names of metadata that EFT writes; those of an earlier transfer say nothing of this one.
const OURS: &str = "eft-";

/// Headers, user metadata and tags of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    pub(super) cache_control: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) expires: Option<DateTime>,
    pub(super) metadata: HashMap<String, String>,
    /// As in the header `x-amz-tagging`; `None` when there are none.
    pub(super) tagging: Option<String>,
    /// What the route says of how the object is stored.
    pub(super) stored: Stored,
}

/// How an object is stored. What is not said is the bucket's own default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stored {
    pub(super) class: Option<StorageClass>,
    pub(super) encryption: Option<ServerSideEncryption>,
    pub(super) key: Option<String>,
    pub(super) bucket_key: Option<bool>,
    pub(super) owner: Option<String>,
}

impl Attributes {
    /// What a HEAD says, and the tags, which cost a request of their own where there are some. S3 counts tags only for those
    /// who may read them: to everybody else an object with tags looks like one without.
    ///
    /// # Errors
    /// `Denied` when the object has tags that may not be read: they would be lost in silence.
    pub(super) async fn of(client: &Client, uri: &ObjectUri, head: &HeadObjectOutput) -> PortResult<Self> {
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let metadata = head.metadata().cloned().unwrap_or_default();
        let expires = head.expires_string();
        Ok(Self {
            cache_control: owned(head.cache_control()),
            content_disposition: owned(head.content_disposition()),
            content_encoding: owned(head.content_encoding()),
            content_language: owned(head.content_language()),
            content_type: owned(head.content_type()),
            expires: expires.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok()),
            metadata: metadata.into_iter().filter(|(name, _)| !name.starts_with(OURS)).collect(),
            tagging: match head.tag_count() {
                Some(1..) => tagging(client, uri, head.version_id()).await?,
                _ => None,
            },
            stored: Stored::default(),
        })
    }

    /// As the route wants them: what it says of type, metadata and tags goes before what the source has.
    #[must_use]
    pub fn stored_as(mut self, options: &StorageOptions) -> Self {
        let (encryption, key) = match &options.encryption {
            None => (None, None),
            Some(Encryption::S3) => (Some(ServerSideEncryption::Aes256), None),
            Some(Encryption::Kms(key)) => (Some(ServerSideEncryption::AwsKms), Some(key.clone())),
        };
        self.stored = Stored {
            class: options.storage_class.map(|class| StorageClass::from(class.as_str())),
            bucket_key: key.is_some().then_some(true),
            encryption,
            key,
            owner: options.expected_owner.clone(),
        };
        if options.content_type.is_some() {
            self.content_type.clone_from(&options.content_type);
        }
        self.metadata.extend(options.metadata.clone());
        if !options.tags.is_empty() {
            let tags = options.tags.iter().map(|(name, value)| pair(name, value));
            self.tagging = Some(tags.collect::<Vec<_>>().join("&"));
        }
        self
    }

    /// What is still true of the object when a stage has made other bytes of it: what its owner said of it, and not what
    /// the headers say of the bytes.
    #[must_use]
    pub fn of_other_bytes(self) -> Self {
        Self { metadata: self.metadata, tagging: self.tagging, ..Self::default() }
    }
}

async fn tagging(client: &Client, uri: &ObjectUri, version: Option<&str>) -> PortResult<Option<String>> {
    let ObjectUri::S3 { bucket, key, .. } = uri else { return Ok(None) };
    let what = format!("GetObjectTagging {uri}");
    let request = client.sdk.get_object_tagging().bucket(bucket.as_str()).key(key.as_str());
    let request = request.set_version_id(version.filter(|id| *id != "null").map(ToOwned::to_owned));
    match within(client.timeouts.answer, &what, request.send()).await? {
        Ok(answer) => Ok(header(answer.tag_set())),
        Err(error) => {
            let error = port_error(what, &error);
            match error.kind {
                ErrorKind::Denied => Err(PortError::new(
                    error.kind,
                    format!("{}; the object has tags, which would be lost", error.message),
                )),
                // An endpoint that counts tags and does not give them.
                ErrorKind::Unsupported => Ok(None),
                _ => Err(error),
            }
        }
    }
}

/// Tags as the header `x-amz-tagging` writes them.
fn header(tags: &[Tag]) -> Option<String> {
    let tags: Vec<_> = tags.iter().map(|tag| pair(tag.key(), tag.value())).collect();
    (!tags.is_empty()).then(|| tags.join("&"))
}

fn pair(name: &str, value: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    format!("{}={}", encode(name), encode(value))
}

/// Say them in a request. `PutObject`, `CopyObject` and `CreateMultipartUpload` have the same setters and no trait in
/// common.
macro_rules! carry {
    ($request:expr, $attributes:expr) => {{
        let attributes: &$crate::s3::attributes::Attributes = $attributes;
        $request
            .set_cache_control(attributes.cache_control.clone())
            .set_content_disposition(attributes.content_disposition.clone())
            .set_content_encoding(attributes.content_encoding.clone())
            .set_content_language(attributes.content_language.clone())
            .set_content_type(attributes.content_type.clone())
            .set_expires(attributes.expires)
            .set_metadata(Some(attributes.metadata.clone()))
            .set_tagging(attributes.tagging.clone())
            .set_storage_class(attributes.stored.class.clone())
            .set_server_side_encryption(attributes.stored.encryption.clone())
            .set_ssekms_key_id(attributes.stored.key.clone())
            .set_bucket_key_enabled(attributes.stored.bucket_key)
            .set_expected_bucket_owner(attributes.stored.owner.clone())
    }};
}
pub(super) use carry;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_encoded_as_a_query() {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
        assert_eq!(header(&[]), None);
        let tags = [tag("owner", "acme & sons"), tag("ключ", "a=b+c/~")];
        assert_eq!(header(&tags).unwrap(), "owner=acme%20%26%20sons&%D0%BA%D0%BB%D1%8E%D1%87=a%3Db%2Bc%2F~");
    }

    #[test]
    fn the_route_goes_before_the_source() {
        let source = Attributes {
            content_type: Some("text/plain".to_owned()),
            metadata: [("batch".to_owned(), "7".to_owned()), ("kept".to_owned(), "1".to_owned())].into(),
            tagging: Some("a=b".to_owned()),
            ..Attributes::default()
        };
        let options = StorageOptions {
            storage_class: Some(eft_domain::route::StorageClass::GlacierIr),
            encryption: Some(Encryption::Kms("alias/eft".to_owned())),
            content_type: Some("text/csv".to_owned()),
            metadata: [("batch".to_owned(), "8".to_owned())].into(),
            tags: [("team".to_owned(), "a&b".to_owned())].into(),
            expected_owner: Some("111122223333".to_owned()),
        };
        let stored = source.clone().stored_as(&options);
        assert_eq!(stored.content_type.as_deref(), Some("text/csv"));
        assert_eq!((stored.metadata["batch"].as_str(), stored.metadata["kept"].as_str()), ("8", "1"));
        assert_eq!(stored.tagging.as_deref(), Some("team=a%26b"));
        assert_eq!(stored.stored.class, Some(StorageClass::GlacierIr));
        assert_eq!(stored.stored.encryption, Some(ServerSideEncryption::AwsKms));
        assert_eq!(source.clone().stored_as(&StorageOptions::default()), source);
    }

    #[test]
    fn other_bytes_keep_what_the_owner_said() {
        let all = Attributes {
            content_type: Some("text/csv".to_owned()),
            content_encoding: Some("gzip".to_owned()),
            metadata: [("batch".to_owned(), "7".to_owned())].into(),
            tagging: Some("a=b".to_owned()),
            ..Attributes::default()
        };
        let kept = all.clone().of_other_bytes();
        assert_eq!((kept.content_type, kept.content_encoding), (None, None));
        assert_eq!((kept.metadata, kept.tagging), (all.metadata, all.tagging));
    }
}
