//! `validate: { magic: … }`: which types of file a route takes, told by their first bytes.

use serde_json::{Value, json};

use super::super::{
    Codec,
    cursor::At,
    errors::{Report, join},
};

/// Parameters of `validate.magic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MagicSpec {
    /// The types that are taken, each once, in the order of [`MediaType::ALL`]. Not empty.
    pub types: Vec<MediaType>,
}

words! {
    /// A type of file, as far as its first 4 KiB tell.
    pub enum MediaType {
        /// Apache Avro object container.
        Avro = "avro",
        /// bzip2.
        Bzip2 = "bzip2",
        /// GIF.
        Gif = "gif",
        /// gzip (RFC 1952).
        Gzip = "gzip",
        /// HTML, which is what a login or error page is.
        Html = "html",
        /// JPEG.
        Jpeg = "jpeg",
        /// A JSON object or array, or lines of them.
        Json = "json",
        /// LZ4 frame.
        Lz4 = "lz4",
        /// Microsoft compound file: `.doc`, `.xls`, `.msg`.
        Ole = "ole",
        /// Apache Parquet.
        Parquet = "parquet",
        /// PDF.
        Pdf = "pdf",
        /// OpenPGP: armored, or an encrypted message.
        Pgp = "pgp",
        /// PNG.
        Png = "png",
        /// 7-Zip.
        SevenZip = "7z",
        /// tar (POSIX ustar, pax and GNU).
        Tar = "tar",
        /// Text of any encoding, JSON, XML and HTML included; an empty file too.
        Text = "text",
        /// TIFF.
        Tiff = "tiff",
        /// XML.
        Xml = "xml",
        /// xz.
        Xz = "xz",
        /// ZIP, and what is made of it: `.docx`, `.xlsx`, `.jar`.
        Zip = "zip",
        /// Zstandard (RFC 8878).
        Zstd = "zstd",
    }
}

impl MediaType {
    /// The type of what a codec writes.
    pub fn of_codec(codec: Codec) -> Option<Self> {
        codec.as_str().parse().ok()
    }
}

impl MagicSpec {
    /// The types, for a message.
    pub fn list(&self) -> String {
        self.types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
    }
}

pub(in super::super) const FIELDS: &[&str] = &["types"];

pub(in super::super) fn decode(at: &At<'_>, report: &mut Report) -> Option<MagicSpec> {
    let types = at.fields(report, FIELDS)?;
    let types = types.need(report, "types")?;
    let items = types.list(report)?;
    if items.is_empty() {
        return types.fault(report, "must name at least one type");
    }
    let (mut found, mut faulty) = (Vec::new(), false);
    for item in items {
        match item.word(report) {
            Some(kind) if found.contains(&kind) => {
                report.add(item.path, format!("`{kind}` stands here a second time"));
            }
            Some(kind) => found.push(kind),
            None => faulty = true,
        }
    }
    found.sort();
    (!faulty).then_some(MagicSpec { types: found })
}

pub(in super::super) fn encode(spec: &MagicSpec) -> Value {
    json!({ "types": spec.types })
}

/// `codec`: what the bytes are here, as far as the route knows, and who says so.
pub(in super::super) fn check(
    spec: &MagicSpec,
    codec: Option<(Codec, String)>,
    path: &str,
    report: &mut Report,
) {
    let Some((codec, by)) = codec else { return };
    if MediaType::of_codec(codec).is_some_and(|kind| !spec.types.contains(&kind)) {
        let (takes, codec) = (spec.list(), codec.as_str());
        report.add(
            join(path, "types"),
            format!("takes {takes}, but {by} {codec} here; add `{codec}`, or put this stage elsewhere"),
        );
    }
}
