//! Checksums as S3 has them: the algorithms, hashing while bytes arrive, claims to verify, and what a stored
//! object carries.

use base64::{Engine, prelude::BASE64_STANDARD};
use crc_fast::CrcAlgorithm;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use crate::error::{Code, S3Error};

/// A checksum algorithm of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name as a header value: `CRC64NVME`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The name as an XML element: `ChecksumCRC64NVME`.
    pub(crate) fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, S3Error> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| S3Error::new(Code::InvalidRequest, "Checksum algorithm provided is unsupported."))
    }

    fn crc(self) -> Option<(CrcAlgorithm, usize)> {
        match self {
            Self::Crc32 => Some((CrcAlgorithm::Crc32IsoHdlc, 4)),
            Self::Crc32c => Some((CrcAlgorithm::Crc32Iscsi, 4)),
            Self::Crc64Nvme => Some((CrcAlgorithm::Crc64Nvme, 8)),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// The raw checksum of the whole from those of its pieces; `None` for hashes, which do not combine.
    pub(crate) fn combine<'a>(self, pieces: impl Iterator<Item = (&'a [u8], u64)>) -> Option<Vec<u8>> {
        let (crc, width) = self.crc()?;
        let whole = pieces.fold(0, |left, (raw, len)| {
            let right = raw.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            crc_fast::checksum_combine(crc, left, right, len)
        });
        Some(whole.to_be_bytes()[8 - width..].to_vec())
    }

    /// The raw checksum of a short piece.
    pub(crate) fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Whether a stored checksum is of the bytes or of the parts' checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChecksumType {
    FullObject,
    Composite,
}

impl ChecksumType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// S3's default for a multipart upload: only CRC-64 is of the full object.
    pub(crate) fn default_of(algorithm: Algorithm) -> Self {
        if algorithm == Algorithm::Crc64Nvme { Self::FullObject } else { Self::Composite }
    }

    pub(crate) fn parse(name: &str, algorithm: Algorithm) -> Result<Self, S3Error> {
        let sha = matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256);
        match name {
            "FULL_OBJECT" if !sha => Ok(Self::FullObject),
            "COMPOSITE" if algorithm != Algorithm::Crc64Nvme => Ok(Self::Composite),
            "FULL_OBJECT" | "COMPOSITE" => Err(S3Error::new(
                Code::InvalidRequest,
                format!(
                    "The {name} checksum type cannot be used with the {} checksum algorithm.",
                    algorithm.name()
                ),
            )),
            _ => Err(S3Error::invalid("unknown checksum type")),
        }
    }
}

/// The checksum an object or part carries and shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    pub(crate) kind: ChecksumType,
    /// Base64, with `-N` behind it when composite.
    pub(crate) value: String,
}

impl Checksum {
    pub(crate) fn full(algorithm: Algorithm, raw: &[u8]) -> Self {
        Self { algorithm, kind: ChecksumType::FullObject, value: BASE64_STANDARD.encode(raw) }
    }

    pub(crate) fn crc64(value: u64) -> Self {
        Self::full(Algorithm::Crc64Nvme, &value.to_be_bytes())
    }
}

/// CRC-64/NVME of one slice.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// CRC-64/NVME of a left piece and a right piece of `len` bytes.
pub(crate) fn combine(left: u64, right: u64, len: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, left, right, len)
}

enum Hasher {
    Crc(crc_fast::Digest, usize),
    Sha(Context),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm.crc() {
            Some((crc, width)) => Self::Crc(crc_fast::Digest::new(crc), width),
            None if algorithm == Algorithm::Sha1 => Self::Sha(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            None => Self::Sha(Context::new(&SHA256)),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(digest, _) => digest.update(bytes),
            Self::Sha(context) => context.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(digest, width) => digest.finalize().to_be_bytes()[8 - width..].to_vec(),
            Self::Sha(context) => context.finish().as_ref().to_vec(),
        }
    }
}

/// Hashes a body while it arrives: CRC-64 always, the rest as asked.
pub(crate) struct Hashers {
    crc64: crc_fast::Digest,
    others: Vec<(Algorithm, Hasher)>,
    md5: Option<Md5>,
}

impl Hashers {
    pub(crate) fn new(wanted: &[Algorithm], md5: bool) -> Self {
        let mut others: Vec<(Algorithm, Hasher)> = Vec::new();
        for algorithm in wanted.iter().copied().filter(|algorithm| *algorithm != Algorithm::Crc64Nvme) {
            if others.iter().all(|(have, _)| *have != algorithm) {
                others.push((algorithm, Hasher::new(algorithm)));
            }
        }
        Self { crc64: crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme), others, md5: md5.then(Md5::new) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc64.update(bytes);
        for (_, hasher) in &mut self.others {
            hasher.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Digests {
        Digests {
            crc64: self.crc64.finalize(),
            others: self.others.into_iter().map(|(algorithm, hasher)| (algorithm, hasher.finish())).collect(),
            md5: self.md5.map(|md5| md5.finalize().into()),
        }
    }
}

/// The hashes of a received body.
#[derive(Clone, Debug)]
pub(crate) struct Digests {
    pub(crate) crc64: u64,
    others: Vec<(Algorithm, Vec<u8>)>,
    pub(crate) md5: Option<[u8; 16]>,
}

impl Digests {
    /// The raw checksum, when it was computed.
    pub(crate) fn raw(&self, algorithm: Algorithm) -> Option<Vec<u8>> {
        if algorithm == Algorithm::Crc64Nvme {
            return Some(self.crc64.to_be_bytes().to_vec());
        }
        self.others.iter().find(|(have, _)| *have == algorithm).map(|(_, raw)| raw.clone())
    }
}

/// What a request says about its body's checksums.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Values sent in headers, later also in trailers.
    pub(crate) values: Vec<(Algorithm, String)>,
    /// Algorithms announced for a trailer or for the server to compute.
    announced: Vec<Algorithm>,
    pub(crate) md5: Option<String>,
}

impl Claims {
    /// Reads the headers. `known` leaves out what the profile does not know.
    pub(crate) fn from_headers(
        headers: &HeaderMap,
        known: impl Fn(Algorithm) -> bool,
    ) -> Result<Self, S3Error> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut claims = Self { md5: text("content-md5").map(str::to_owned), ..Self::default() };
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| known(*algorithm)) {
            if let Some(value) = text(algorithm.header()) {
                claims.values.push((algorithm, value.to_owned()));
            }
            let trails = text("x-amz-trailer").is_some_and(|names| {
                names.split(',').any(|name| name.trim().eq_ignore_ascii_case(algorithm.header()))
            });
            let asked = ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"]
                .into_iter()
                .any(|name| text(name).is_some_and(|name| name.eq_ignore_ascii_case(algorithm.name())));
            if trails || asked {
                claims.announced.push(algorithm);
            }
        }
        if claims.values.len() > 1 {
            return Err(S3Error::new(
                Code::InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        Ok(claims)
    }

    /// The one algorithm the client chose, if any.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.values.first().map(|(algorithm, _)| *algorithm).or(self.announced.first().copied())
    }

    /// Everything to hash for.
    pub(crate) fn wanted(&self) -> Vec<Algorithm> {
        self.values.iter().map(|(algorithm, _)| *algorithm).chain(self.announced.iter().copied()).collect()
    }

    /// Takes checksums from trailers.
    pub(crate) fn add_trailers(&mut self, trailers: Vec<(String, String)>) {
        for (name, value) in trailers {
            let known = self.announced.iter().copied().find(|algorithm| algorithm.header() == name);
            if let Some(algorithm) = known {
                self.values.push((algorithm, value));
            }
        }
    }

    /// Compares every claim with what arrived.
    pub(crate) fn verify(&self, digests: &Digests) -> Result<(), S3Error> {
        for (algorithm, claimed) in &self.values {
            let actual = digests.raw(*algorithm).map(|raw| BASE64_STANDARD.encode(raw));
            if BASE64_STANDARD.decode(claimed).is_err() {
                return Err(S3Error::new(
                    Code::InvalidRequest,
                    format!("Value for {} header is invalid.", algorithm.header()),
                ));
            }
            if actual.as_deref() != Some(claimed.as_str()) {
                return Err(S3Error::new(
                    Code::BadDigest,
                    format!("The {} you specified did not match the calculated checksum.", algorithm.name()),
                ));
            }
        }
        if let (Some(claimed), Some(md5)) = (&self.md5, &digests.md5) {
            let raw = BASE64_STANDARD.decode(claimed).map_err(|_| S3Error::from(Code::InvalidDigest))?;
            if raw.len() != md5.len() {
                return Err(Code::InvalidDigest.into());
            }
            if raw != md5 {
                return Err(S3Error::new(
                    Code::BadDigest,
                    "The Content-MD5 you specified did not match what we received.",
                ));
            }
        }
        Ok(())
    }
}

/// The MD5 of some bytes.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // The check values of the CRC catalogue for "123456789".
        assert_eq!(Algorithm::Crc32.of(b"123456789"), 0xcbf4_3926_u32.to_be_bytes());
        assert_eq!(Algorithm::Crc32c.of(b"123456789"), 0xe306_9283_u32.to_be_bytes());
        assert_eq!(Algorithm::Crc64Nvme.of(b"123456789"), 0xae8b_1486_0a79_9888_u64.to_be_bytes());
        assert_eq!(hex(&Algorithm::Sha1.of(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(&Algorithm::Sha256.of(b"abc"))[..8], *"ba7816bf");
        assert_eq!(hex(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn pieces_combine() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let pieces = [&b"one "[..], b"", b"two three"];
            let raw: Vec<_> = pieces.iter().map(|piece| (algorithm.of(piece), piece.len() as u64)).collect();
            let whole = algorithm.combine(raw.iter().map(|(raw, len)| (&raw[..], *len)));
            assert_eq!(whole, Some(algorithm.of(&pieces.concat())));
        }
        assert_eq!(Algorithm::Sha256.combine([].into_iter()), None);
    }
}
