//! Receiving a request body: frames kept as they come, hashed in the same pass, decoded when `aws-chunked`.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, sleep_until};

use crate::{
    aws_chunked::Decoder,
    body::flip,
    checksum::{Algorithm, Claims, Digests, Hashers},
    error::{Code, S3Error},
    faults::Plan,
    rope::{Rope, Segment},
    store::MD5_LIMIT,
};

/// Frames below this size are copied: a slice would keep hyper's whole read buffer alive.
const SMALL: usize = 4 << 10;

/// Largest request document (10,000 parts with checksums are about 2 MiB).
const DOCUMENT: u64 = 8 << 20;

/// A request body and how it is to be treated. Counts what arrived.
pub(crate) struct Upload<'a> {
    body: Incoming,
    headers: &'a HeaderMap,
    corrupt: bool,
    bytes_per_second: Option<u64>,
    pub(crate) received: u64,
}

/// A body that arrived whole, with its claims verified.
pub(crate) struct Received {
    pub(crate) body: Rope,
    pub(crate) size: u64,
    pub(crate) digests: Digests,
}

/// What to do with the bytes.
pub(crate) struct Wanted<'a> {
    /// Keep them, or only count and hash.
    pub(crate) keep: bool,
    /// Hash for these in any case.
    pub(crate) algorithm: Option<Algorithm>,
    /// Compute an MD5 even if none is claimed, when the body is short.
    pub(crate) md5: bool,
    pub(crate) claims: &'a mut Claims,
}

impl<'a> Upload<'a> {
    pub(crate) fn new(body: Incoming, headers: &'a HeaderMap, plan: &Plan) -> Self {
        let (corrupt, bytes_per_second) = (plan.corrupt_upload, plan.bytes_per_second);
        Self { body, headers, corrupt, bytes_per_second, received: 0 }
    }

    /// Streams the body in.
    pub(crate) async fn receive(&mut self, wanted: Wanted<'_>) -> Result<Received, S3Error> {
        let claims = wanted.claims;
        let chunked = self.is_aws_chunked();
        let announced = if chunked { self.decoded_length()? } else { self.body.size_hint().exact() };
        let short = announced.is_some_and(|length| length <= MD5_LIMIT);
        let md5 = claims.md5.is_some() || wanted.md5 && short;
        let algorithms: Vec<_> = claims.wanted().into_iter().chain(wanted.algorithm).collect();
        let mut hashers = Hashers::new(&algorithms, md5);
        let mut decoder = chunked.then(Decoder::new);
        let (mut rope, mut size) = (Rope::default(), 0);
        let mut corrupt = self.corrupt;
        let mut keep = |frame: Bytes| {
            let damage = !frame.is_empty() && std::mem::take(&mut corrupt);
            let frame = if damage { flip(&frame, 0) } else { frame };
            hashers.update(&frame);
            size += frame.len() as u64;
            if wanted.keep {
                let frame = if frame.len() < SMALL { Bytes::copy_from_slice(&frame) } else { frame };
                rope.push(Segment::Held(frame));
            }
        };
        while let Some(frame) = self.next().await? {
            match &mut decoder {
                Some(decoder) => decoder.push(frame, &mut keep)?,
                None => keep(frame),
            }
        }
        if let Some(decoder) = decoder {
            claims.add_trailers(decoder.finish()?);
        }
        self.received = size;
        if announced.is_some_and(|length| length != size) {
            return Err(Code::IncompleteBody.into());
        }
        let digests = hashers.finish();
        claims.verify(&digests)?;
        let body = if wanted.keep { rope } else { Segment::Dropped(size).into() };
        Ok(Received { body, size, digests })
    }

    /// Collects a short request document.
    pub(crate) async fn document(&mut self) -> Result<Vec<u8>, S3Error> {
        let mut decoder = self.is_aws_chunked().then(Decoder::new);
        let mut document = Vec::new();
        while let Some(frame) = self.next().await? {
            match &mut decoder {
                Some(decoder) => decoder.push(frame, |payload| document.extend_from_slice(&payload))?,
                None => document.extend_from_slice(&frame),
            }
            if document.len() as u64 > DOCUMENT {
                return Err(Code::EntityTooLarge.into());
            }
        }
        Ok(document)
    }

    /// Reads and drops what is left, so that a client that sends first and reads later sees the answer instead of a
    /// reset. A client that waits for `100 Continue` has sent nothing yet.
    pub(crate) async fn drain(&mut self) {
        if !self.headers.contains_key("expect") {
            while let Ok(Some(_)) = self.next().await {}
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        let started = Instant::now();
        loop {
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let Ok(frame) = frame.map_err(|_| S3Error::from(Code::IncompleteBody))?.into_data() else {
                continue;
            };
            self.received += frame.len() as u64;
            if let Some(rate) = self.bytes_per_second {
                sleep_until(started + Duration::from_secs_f64(frame.len() as f64 / rate as f64)).await;
            }
            return Ok(Some(frame));
        }
    }

    pub(crate) fn is_aws_chunked(&self) -> bool {
        let starts = |name: &str, prefix: &str| {
            self.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|value| value.starts_with(prefix))
        };
        starts("x-amz-content-sha256", "STREAMING-") || starts("content-encoding", "aws-chunked")
    }

    fn decoded_length(&self) -> Result<Option<u64>, S3Error> {
        let length = self.headers.get("x-amz-decoded-content-length").map(|value| {
            value
                .to_str()
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| S3Error::invalid("bad decoded length"))
        });
        length.transpose()
    }
}
