//! The operations. Each takes a [`Call`] and gives an [`Answer`] or an S3 error.

mod buckets;
mod copy;
mod delete;
mod list;
mod multipart;
mod parts;
mod put;
mod read;
mod tagging;

use std::fmt::Display;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;

use crate::{
    body::ResponseBody,
    checksum::{Algorithm, Checksum, Claims},
    config::Feature,
    error::{Code, S3Error},
    receive::Upload,
    router::{Op, Target},
    server::State,
    store::Meta,
};

/// One request on its way through an operation.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) target: &'a Target,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Upload<'a>,
    /// The upload id that was made, for the log.
    pub(crate) upload_id: Option<String>,
}

impl Call<'_> {
    /// A header as text; bytes that are not UTF-8 are replaced.
    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.target.query.text(name)
    }

    fn claims(&self) -> Result<Claims, S3Error> {
        Claims::from_headers(self.headers, |algorithm| self.knows(algorithm))
    }

    fn knows(&self, algorithm: Algorithm) -> bool {
        algorithm != Algorithm::Crc64Nvme || self.state.profile.crc64 == Feature::Supported
    }

    /// The checksum, unless the profile does not know its algorithm.
    fn shown(&self, checksum: Checksum) -> Option<Checksum> {
        self.knows(checksum.algorithm).then_some(checksum)
    }

    /// The headers that are stored with an object.
    fn meta(&self) -> Result<Meta, S3Error> {
        const KEPT: [&str; 6] = [
            "cache-control",
            "content-disposition",
            "content-encoding",
            "content-language",
            "content-type",
            "expires",
        ];
        let mut meta = Meta::default();
        for (name, value) in self.headers {
            let name = name.as_str();
            let mut value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            if name == "content-encoding" {
                // `aws-chunked` is of the transfer, not of the object.
                let kept = value
                    .split(',')
                    .map(str::trim)
                    .filter(|coding| *coding != "aws-chunked" && !coding.is_empty());
                value = kept.collect::<Vec<_>>().join(",");
            }
            if (KEPT.contains(&name) && !value.is_empty()) || name.starts_with("x-amz-meta-") {
                meta.headers.push((name.to_owned(), value));
            }
        }
        meta.storage_class = self.header("x-amz-storage-class").filter(|class| class != "STANDARD");
        meta.tags =
            self.header("x-amz-tagging").map_or(Ok(Vec::new()), |tags| tagging::parse_header(&tags))?;
        Ok(meta)
    }
}

/// A response in the making.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ResponseBody,
}

impl Answer {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: ResponseBody::empty() }
    }

    pub(crate) fn ok() -> Self {
        Self::empty(StatusCode::OK)
    }

    pub(crate) fn xml(document: String) -> Self {
        Self { body: ResponseBody::text(document), ..Self::ok() }.header("content-type", "application/xml")
    }

    /// Adds a header; a value that cannot be one is left out.
    pub(crate) fn header(mut self, name: &str, value: impl Display) -> Self {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::try_from(value.to_string().into_bytes()))
        {
            self.headers.append(name, value);
        }
        self
    }

    pub(crate) fn optional(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    fn etag(self, etag: &str) -> Self {
        self.header("etag", format_args!("\"{etag}\""))
    }

    fn checksum(self, checksum: Option<Checksum>) -> Self {
        match checksum {
            Some(checksum) => self
                .header(checksum.algorithm.header(), checksum.value)
                .header("x-amz-checksum-type", checksum.kind.name()),
            None => self,
        }
    }
}

/// `2026-01-31T23:59:59.000Z`, as in S3's documents.
fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// `Sat, 31 Jan 2026 23:59:59 GMT`, as in headers.
fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Runs the operation.
pub(crate) async fn dispatch(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    refuse_crc64(call)?;
    match call.target.op {
        Op::AbortMultipartUpload => multipart::abort(call),
        Op::CompleteMultipartUpload => multipart::complete(call).await,
        Op::CopyObject => copy::object(call),
        Op::CreateBucket => buckets::create(call).await,
        Op::CreateMultipartUpload => multipart::create(call),
        Op::DeleteBucket => buckets::delete(call),
        Op::DeleteObject => delete::one(call),
        Op::DeleteObjectTagging => tagging::delete(call),
        Op::DeleteObjects => delete::many(call).await,
        Op::GetBucketLocation => buckets::location(call),
        Op::GetBucketVersioning => buckets::versioning(call),
        Op::GetObject => read::get(call),
        Op::GetObjectAttributes => read::attributes(call),
        Op::GetObjectTagging => tagging::get(call),
        Op::HeadBucket => buckets::head(call),
        Op::HeadObject => read::head(call),
        Op::ListBuckets => buckets::list(call),
        Op::ListMultipartUploads => multipart::list(call),
        Op::ListObjectVersions => list::versions(call),
        Op::ListObjects => list::objects(call, list::Api::V1),
        Op::ListObjectsV2 => list::objects(call, list::Api::V2),
        Op::ListParts => parts::list(call),
        Op::PutBucketVersioning => buckets::set_versioning(call).await,
        Op::PutObject => put::object(call).await,
        Op::PutObjectTagging => tagging::put(call).await,
        Op::UploadPart => parts::upload(call).await,
        Op::UploadPartCopy => parts::copy(call),
        Op::Unknown => Err(Code::NotImplemented.into()),
    }
}

/// Under `no-crc64-strict`, any request that names the algorithm is refused.
fn refuse_crc64(call: &Call<'_>) -> Result<(), S3Error> {
    let algorithm = Algorithm::Crc64Nvme;
    let asked = || {
        let by_name = ["x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm"];
        call.headers.contains_key(algorithm.header())
            || by_name.iter().any(|name| call.header(name).is_some_and(|name| name == algorithm.name()))
            || call.header("x-amz-trailer").is_some_and(|names| names.contains(algorithm.header()))
    };
    if call.state.profile.crc64 == Feature::Refused && asked() {
        return Err(S3Error::new(Code::InvalidRequest, "Checksum algorithm provided is unsupported."));
    }
    Ok(())
}
