//! Operations on buckets.

use http::StatusCode;

use super::{Answer, Call, iso};
use crate::{
    error::{Code, S3Error},
    store::Versioning,
    xml::{Element, Xml},
};

pub(super) async fn create(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    call.body.document().await?;
    let name = &call.target.bucket;
    let mut buckets = call.state.store.lock();
    if buckets.all.contains_key(name) {
        return Err(S3Error::from(Code::BucketAlreadyOwnedByYou).detail("BucketName", name));
    }
    // "Bucket naming rules", Amazon S3 User Guide.
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    if !(3..=63).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(S3Error::from(Code::InvalidBucketName).detail("BucketName", name));
    }
    buckets.create(name);
    Ok(Answer::ok().header("location", format_args!("/{name}")))
}

pub(super) fn head(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    call.state.store.lock().get(&call.target.bucket)?;
    Ok(Answer::ok().header("x-amz-bucket-region", &call.state.region))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let mut buckets = call.state.store.lock();
    if !buckets.get(&call.target.bucket)?.keys.is_empty() {
        return Err(S3Error::from(Code::BucketNotEmpty).detail("BucketName", &call.target.bucket));
    }
    buckets.all.remove(&call.target.bucket);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let mut xml = Xml::rooted("ListAllMyBucketsResult");
    xml.open("Owner").leaf("ID", "eft-s3").leaf("DisplayName", "eft-s3").close("Owner").open("Buckets");
    for bucket in call.state.store.lock().all.values() {
        xml.open("Bucket")
            .leaf("Name", &bucket.name)
            .leaf("CreationDate", iso(bucket.created))
            .close("Bucket");
    }
    xml.close("Buckets");
    Ok(Answer::xml(xml.end("ListAllMyBucketsResult")))
}

pub(super) fn location(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    call.state.store.lock().get(&call.target.bucket)?;
    let mut xml = Xml::document();
    // us-east-1 is the empty constraint.
    let region = if call.state.region == "us-east-1" { "" } else { &call.state.region };
    xml.leaf("LocationConstraint", region);
    Ok(Answer::xml(xml.finish()))
}

pub(super) fn versioning(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let status = match call.state.store.lock().get(&call.target.bucket)?.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some("Enabled"),
        Versioning::Suspended => Some("Suspended"),
    };
    let mut xml = Xml::rooted("VersioningConfiguration");
    xml.optional("Status", status);
    Ok(Answer::xml(xml.end("VersioningConfiguration")))
}

pub(super) async fn set_versioning(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let document = Element::parse(&call.body.document().await?)?;
    if call.state.profile.without_versions {
        return Err(Code::NotImplemented.into());
    }
    let versioning = match document.text_of("Status") {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => return Err(Code::MalformedXML.into()),
    };
    call.state.store.lock().get(&call.target.bucket)?.versioning = versioning;
    Ok(Answer::ok())
}
