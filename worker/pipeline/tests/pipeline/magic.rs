//! `validate.magic`: files made by other programs are what file(1) says they are, in any arrival.

use std::{fs, path::PathBuf};

use crate::records_support::{any_arrival, resumes_alike};
use eft_domain::{
    Code,
    route::{Limits, MagicSpec, MediaType, StageSpec, ValidateSpec},
};
use eft_fakes::drive::Outcome;
use eft_pipeline::stage::magic::SNIFF;
use proptest::prelude::*;

fn spec(types: &[MediaType]) -> StageSpec {
    StageSpec::Validate(ValidateSpec::Magic(MagicSpec { types: types.to_vec() }))
}

fn judge(types: &[MediaType], input: &[u8]) -> Outcome {
    any_arrival(&spec(types), &Limits::default(), input, 7)
}

fn message(types: &[MediaType], input: &[u8]) -> String {
    let failure = judge(types, input).verdict.unwrap_err();
    assert_eq!(failure.code, Code::FormatUnexpected);
    failure.message
}

/// What we call the types that file(1) names, by MIME type or, where it has none, in words.
fn ours(mime: &str, words: &str) -> MediaType {
    let begins = |start: &str| words.starts_with(start);
    match mime {
        "application/gzip" => MediaType::Gzip,
        "application/json" => MediaType::Json,
        "application/pdf" => MediaType::Pdf,
        "application/pgp-encrypted" => MediaType::Pgp,
        "application/x-7z-compressed" => MediaType::SevenZip,
        "application/x-bzip2" => MediaType::Bzip2,
        "application/x-lz4" => MediaType::Lz4,
        "application/x-ole-storage" => MediaType::Ole,
        "application/x-tar" => MediaType::Tar,
        "application/x-xz" => MediaType::Xz,
        "application/zip" => MediaType::Zip,
        "application/zstd" => MediaType::Zstd,
        "image/gif" => MediaType::Gif,
        "image/jpeg" => MediaType::Jpeg,
        "image/png" => MediaType::Png,
        "image/tiff" => MediaType::Tiff,
        "text/html" => MediaType::Html,
        "text/plain" => MediaType::Text,
        "text/xml" => MediaType::Xml,
        "application/octet-stream" if begins("Apache Avro") => MediaType::Avro,
        "application/octet-stream" if begins("Apache Parquet") => MediaType::Parquet,
        "application/octet-stream" if begins("PGP ") || begins("GPG ") => MediaType::Pgp,
        other => panic!("what is {other}, {words}?"),
    }
}

#[test]
fn files_of_other_programs() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/magic_fixtures");
    let expected = fs::read_to_string(folder.join("expected.txt")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for line in expected.lines() {
        let mut words = line.splitn(3, ' ');
        let (name, mime, words) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let file = fs::read(folder.join(format!("{name}.bin"))).unwrap();
        let kind = ours(mime, words);
        seen.insert(kind);
        let fitting: Vec<_> =
            MediaType::ALL.iter().copied().filter(|kind| judge(&[*kind], &file).verdict.is_ok()).collect();
        let mut wanted = vec![kind];
        if matches!(kind, MediaType::Json | MediaType::Xml | MediaType::Html) || name == "pgp-armored" {
            wanted.push(MediaType::Text);
        }
        // An HTML page looks like XML.
        if kind == MediaType::Html {
            wanted.push(MediaType::Xml);
        }
        if name == "pdf" {
            wanted.push(MediaType::Text);
        }
        wanted.sort();
        assert_eq!(fitting, wanted, "{name}, which file(1) calls {mime}");
        let other = if kind == MediaType::Gif { MediaType::Png } else { MediaType::Gif };
        let said = message(&[other], &file);
        assert!(said.starts_with(&format!("the file is {kind} (it begins with ")), "{name}: {said}");
    }
    assert_eq!(seen.len(), MediaType::ALL.len(), "types without a file: only {seen:?}");
}

#[test]
fn messages() {
    let types = [MediaType::Pdf, MediaType::Zip];
    assert_eq!(
        message(&types, b"\x89PNG\r\n\x1a\n"),
        "the file is png (it begins with 89 50 4e 47 0d 0a 1a 0a), the route takes pdf, zip"
    );
    assert_eq!(
        message(&types, b"\xde\xad\xbe\xef\0"),
        "the file is of no known type (it begins with de ad be ef 00), the route takes pdf, zip"
    );
    let long = message(&types, &[b'a'; 100]);
    assert_eq!(
        long,
        format!("the file is text (it begins with {}), the route takes pdf, zip", ["61"; 16].join(" "))
    );
    assert_eq!(message(&types, b""), "the file is empty, the route takes pdf, zip");
}

#[test]
fn text_and_its_kin() {
    use MediaType::{Html, Json, Text, Xml};
    for (input, kinds) in [
        (&b""[..], &[Text][..]),
        (b"a,b\r\n\x0c\x1b[0m\t", &[Text]),
        (b"a\0b", &[]),
        (b"\xff\xfea\0", &[Text]),
        (b"\xff\xfe<\0", &[Text, Xml]),
        (b"\xfe\xff\0<", &[Text, Xml]),
        (b"\xef\xbb\xbf {\n\"a\"", &[Json, Text]),
        (b"{}", &[Json, Text]),
        (b"{a", &[Text]),
        (b"[ -1", &[Json, Text]),
        (b"[true", &[Json, Text]),
        (b"[tru", &[Text]),
        (b"[INFO] x", &[Text]),
        (b"{\"a\0", &[]),
        (b"<a", &[Text, Xml]),
        (b"\xef\xbb\xbf\n<!-- -->", &[Text, Xml]),
        (b"< a", &[Text]),
        (b"<1", &[Text]),
        (b"<html", &[Text, Xml]),
        (b"<html>", &[Html, Text, Xml]),
        (b"<HtmL lang", &[Html, Text, Xml]),
        (b"<htmlx>", &[Text, Xml]),
        (b"<!doctype html>", &[Html, Text, Xml]),
        (b"<!doctype note>", &[Text, Xml]),
        (b"\xc3\xa9t\xc3\xa9", &[Text]),
    ] {
        for kind in [Html, Json, Text, Xml] {
            let fits = judge(&[kind], input).verdict.is_ok();
            assert_eq!(fits, kinds.contains(&kind), "{kind}: {:?}", input.escape_ascii().to_string());
        }
    }
}

/// Only the first 4 KiB decide, and all of them do.
#[test]
fn the_edge_of_what_is_looked_at() {
    for at in [0, SNIFF - 1, SNIFF, SNIFF + 1] {
        let mut text = vec![b'a'; SNIFF + 100];
        text[at] = 0;
        let outcome = judge(&[MediaType::Text], &text);
        assert_eq!(outcome.verdict.is_ok(), at >= SNIFF, "NUL at {at}");
    }
}

#[test]
fn nothing_passes_before_it_is_judged() {
    let outcome = judge(&[MediaType::Pdf], &[b'a'; 2 * SNIFF]);
    assert!(outcome.verdict.is_err() && outcome.bytes.is_empty());
}

/// Asked for once it was judged, the state is there; before it is not, and the mark waits.
#[test]
fn state() {
    let input = [b'a'; SNIFF + 50];
    for seed in 0..20 {
        let places = resumes_alike(&spec(&[MediaType::Text]), &Limits::default(), &input, seed);
        assert!(places > 0, "it was never saved");
        resumes_alike(&spec(&[MediaType::Pdf]), &Limits::default(), &input, seed);
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_arrival(
        input in prop::collection::vec(any::<u8>(), 0..600), pad in 0usize..8_000, seed: u64,
        types in prop::sample::subsequence(MediaType::ALL, 1..4),
    ) {
        let mut file = input;
        file.resize(file.len() + pad, b' ');
        let outcome = any_arrival(&spec(&types), &Limits::default(), &file, seed);
        match &outcome.verdict {
            Ok(()) => prop_assert!(outcome.bytes == file),
            Err(failure) => prop_assert_eq!(failure.code, Code::FormatUnexpected),
        }
    }
}
