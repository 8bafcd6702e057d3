//! S3's error codes: name, status, default message, and the XML document that carries them.

use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::xml::Xml;

macro_rules! codes {
    ($($name:ident $status:literal $message:literal;)*) => {
        /// An S3 error code. `Debug` prints the name as it goes over the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the names are S3's, and their messages are below")]
        pub enum Code { $($name,)* }

        impl Code {
            /// The HTTP status S3 gives with this code.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// S3's usual text for this code.
            pub fn message(self) -> &'static str {
                match self { $(Code::$name => $message,)* }
            }
        }
    };
}

// "Error responses", Amazon S3 API Reference.
codes! {
    AccessDenied 403 "Access Denied";
    BadDigest 400 "The Content-MD5 or checksum value that you specified did not match what the server received.";
    BucketAlreadyOwnedByYou 409 "Your previous request to create the named bucket succeeded and you already own it.";
    BucketNotEmpty 409 "The bucket you tried to delete is not empty.";
    ConditionalRequestConflict 409 "A conflicting operation occurred during the request to this resource.";
    EntityTooLarge 400 "Your proposed upload exceeds the maximum allowed object size.";
    EntityTooSmall 400 "Your proposed upload is smaller than the minimum allowed size";
    IncompleteBody 400 "You did not provide the number of bytes specified by the Content-Length HTTP header";
    InternalError 500 "We encountered an internal error. Please try again.";
    InvalidArgument 400 "Invalid Argument";
    InvalidBucketName 400 "The specified bucket is not valid.";
    InvalidDigest 400 "The Content-MD5 or checksum value that you specified is not valid.";
    InvalidObjectState 403 "The operation is not valid for the object's storage class";
    InvalidPart 400 "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartNumber 416 "The requested partnumber is not satisfiable";
    InvalidPartOrder 400 "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidRange 416 "The requested range is not satisfiable";
    InvalidRequest 400 "Invalid Request";
    InvalidURI 400 "Couldn't parse the specified URI.";
    KeyTooLongError 400 "Your key is too long";
    MalformedXML 400 "The XML you provided was not well-formed or did not validate against our published schema";
    MethodNotAllowed 405 "The specified method is not allowed against this resource.";
    MissingContentLength 411 "You must provide the Content-Length HTTP header.";
    NoSuchBucket 404 "The specified bucket does not exist";
    NoSuchKey 404 "The specified key does not exist.";
    NoSuchUpload 404 "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NoSuchVersion 404 "The specified version does not exist.";
    NotImplemented 501 "A header you provided implies functionality that is not implemented";
    OperationAborted 409 "A conflicting conditional operation is currently in progress against this resource. Please try again.";
    PreconditionFailed 412 "At least one of the pre-conditions you specified did not hold";
    RequestTimeout 400 "Your socket connection to the server was not read from or written to within the timeout period.";
    RequestTimeTooSkewed 403 "The difference between the request time and the current time is too large.";
    ExpiredToken 400 "The provided token has expired.";
    ServiceUnavailable 503 "Service is unable to handle request.";
    SlowDown 503 "Please reduce your request rate.";
}

/// An error answer: becomes a status and an XML body.
#[derive(Clone, Debug)]
pub(crate) struct S3Error {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// Replaces the code's own status (injected faults, 304).
    pub(crate) status: Option<u16>,
    /// More elements of the document, such as `ActualObjectSize`.
    pub(crate) detail: Vec<(&'static str, String)>,
    /// More headers of the response, such as `x-amz-delete-marker`.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl S3Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: None, detail: Vec::new(), headers: Vec::new() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    pub(crate) fn detail(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.detail.push((name, value.to_string()));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        let status = self.status.unwrap_or_else(|| self.code.status());
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn document(&self, resource: &str, request_id: &str) -> String {
        let mut xml = Xml::document();
        xml.open("Error").leaf("Code", format_args!("{:?}", self.code)).leaf("Message", &self.message);
        for (name, value) in &self.detail {
            xml.leaf(name, value);
        }
        xml.leaf("Resource", resource).leaf("RequestId", request_id).close("Error");
        xml.finish()
    }
}

impl From<Code> for S3Error {
    fn from(code: Code) -> Self {
        Self::new(code, code.message())
    }
}
