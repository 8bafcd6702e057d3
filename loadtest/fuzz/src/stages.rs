//! Stages: the first bytes of the data say how the stage is set up and how the rest arrives at it.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use eft_domain::{
    ByteSize, Code, Failure,
    route::{
        Charset, CharsetSpec, Codec, ColumnType, Columns, CompressSpec, CsvSpec, DecompressSpec, Limits,
        LineEnd, LoneCr, Malformed, NewlineSpec, RecordTerminator, StageSpec, ValidateSpec,
    },
};
use eft_fakes::{
    csv_oracle,
    drive::{Arrival, Outcome, drive},
};
use eft_pipeline::{
    given::Given,
    secrets::Secrets,
    stage::{AnyStage, BlockCompressor, Scratch},
};

/// Most bytes a target decompresses: larger than any block or window edge a small input reaches, and quick.
const MAX_OUTPUT: usize = 1 << 20;

/// Has every secret there may be.
#[derive(Debug)]
pub(crate) struct AnySecret;

impl Secrets for AnySecret {
    fn secret_bytes(&self, _: &str) -> Result<&[u8], Failure> {
        Ok(b"0123456789abcdef0123456789abcdef")
    }
}

/// The first `N` bytes, zeros where there are fewer, and the rest.
pub(crate) fn setup<const N: usize>(data: &[u8]) -> ([u8; N], Bytes) {
    let mut first = [0; N];
    let (head, rest) = data.split_at(data.len().min(N));
    first[..head.len()].copy_from_slice(head);
    (first, Bytes::copy_from_slice(rest))
}

/// One stage over the bytes: whole, byte by byte, and as the seed says. All must come to the same end.
pub(crate) fn any_arrival(spec: &StageSpec, limits: &Limits, bytes: &Bytes, seed: u8) -> Outcome {
    let run = |arrival: &Arrival| {
        let given = Given { secrets: Arc::new(AnySecret), ..Given::default() };
        let stage = AnyStage::with(spec, limits, &given).expect("a sound spec").expect("a stage");
        drive(vec![stage], arrival)
    };
    let whole = run(&Arrival::whole(bytes));
    // Little room makes as many steps as there are bytes.
    let least = 1 + whole.bytes.len() / 512;
    whole.assert_same(&run(&Arrival::bytewise(bytes)));
    whole.assert_same(&run(&Arrival::seeded(bytes, seed.into(), least)));
    whole
}

/// In any arrival; and again with an output limit.
fn decompress(codec: Codec, [seed, limit @ ..]: [u8; 3], file: &Bytes) -> Outcome {
    // How far a decoder has read when the ratio is looked at depends on the arrival, as the stage says of itself.
    let limited =
        |limit: u64| Limits { max_output_bytes: ByteSize(limit), max_ratio: u32::MAX, ..Limits::default() };
    let spec = StageSpec::Decompress(DecompressSpec { codec });
    let outcome = any_arrival(&spec, &limited(MAX_OUTPUT as u64), file, seed);
    let limit = u64::from(u16::from_le_bytes(limit));
    if outcome.verdict.is_ok() {
        let held = any_arrival(&spec, &limited(limit), file, seed);
        let code = held.verdict.err().map(|failure| failure.code);
        let over = outcome.bytes.len() as u64 > limit;
        assert_eq!(code, over.then_some(Code::LimitOutputBytes));
        assert!(held.bytes.len() as u64 <= limit, "more than the limit");
    }
    outcome
}

/// Gzip in any arrival, compared with the reader of `flate2` and, member for member, with libdeflate.
pub fn decompress_gzip(data: &[u8]) {
    let (control, file) = setup(data);
    let outcome = decompress(Codec::Gzip, control, &file);
    let mut read = Vec::new();
    let result = flate2::bufread::MultiGzDecoder::new(&file[..])
        .take(MAX_OUTPUT as u64 + 1)
        .read_to_end(&mut read)
        .map_err(|error| error.to_string());
    match &outcome.verdict {
        Ok(()) => {
            assert_eq!(result.map(|_| ()), Ok(()), "flate2 refuses it");
            assert!(read == outcome.bytes, "flate2 reads something else");
        }
        Err(failure) if failure.code == Code::LimitOutputBytes => {
            assert!(read.starts_with(&outcome.bytes), "flate2 reads something else");
        }
        // What flate2 lets pass: reserved flags, a wrong header CRC, and bytes after the last member.
        Err(failure) => assert!(
            result.is_err() || read.len() > MAX_OUTPUT || stricter(failure),
            "flate2 reads it: {failure:?}"
        ),
    }
    let mut member = vec![0; MAX_OUTPUT];
    let one = libdeflater::Decompressor::new().gzip_decompress(&file, &mut member);
    match (one, &outcome.verdict) {
        // It stops at the end of the first member.
        (Ok(len), Ok(())) => {
            assert!(outcome.bytes.starts_with(&member[..len]), "libdeflate reads something else")
        }
        (Err(error), Ok(())) => panic!("libdeflate refuses it: {error}"),
        (Ok(len), Err(failure)) => {
            let both = len.min(outcome.bytes.len());
            assert!(outcome.bytes[..both] == member[..both], "libdeflate reads something else");
            let enough = both == len || failure.code == Code::LimitOutputBytes;
            assert!(enough || stricter(failure), "libdeflate reads it: {failure:?}");
        }
        (Err(_), Err(_)) => {}
    }
}

/// Bzip2 in any arrival, compared with the library's own reader of several streams.
pub fn decompress_bzip2(data: &[u8]) {
    let (control, file) = setup(data);
    let outcome = decompress(Codec::Bzip2, control, &file);
    reads_alike(&outcome, bzip2::bufread::MultiBzDecoder::new(&file[..]));
}

/// Xz in any arrival, compared with liblzma's own decoder of several streams with padding between them.
pub fn decompress_xz(data: &[u8]) {
    let (control, file) = setup(data);
    let outcome = decompress(Codec::Xz, control, &file);
    // As much memory as the stage allows: it is the same figure in its message.
    let stream = liblzma::stream::Stream::new_stream_decoder(65 << 20, liblzma::stream::CONCATENATED);
    reads_alike(&outcome, liblzma::bufread::XzDecoder::new_stream(&file[..], stream.expect("memory")));
}

/// What a reader makes of the same bytes. Not the other way round: a reader may not look at what follows.
fn reads_alike(outcome: &Outcome, reader: impl Read) {
    let mut read = Vec::new();
    let result = reader.take(MAX_OUTPUT as u64 + 1).read_to_end(&mut read).map_err(|error| error.to_string());
    match &outcome.verdict {
        Ok(()) => {
            assert_eq!(result.map(|_| ()), Ok(()), "the library refuses it");
            assert!(read == outcome.bytes, "the library reads something else");
        }
        Err(failure) => {
            let both = read.len().min(outcome.bytes.len());
            assert!(read[..both] == outcome.bytes[..both], "the library reads something else");
            let ours = matches!(failure.code, Code::FormatTrailing | Code::LimitOutputBytes)
                || failure.message.contains("the file is empty")
                || failure.message.contains("made with a check");
            assert!(result.is_err() || ours, "the library reads it: {failure:?}");
        }
    }
}

fn stricter(failure: &Failure) -> bool {
    failure.code == Code::FormatTrailing
        || failure.message.contains("reserved flags")
        || failure.message.contains("header")
}

/// Zstd in any arrival, compared with libzstd's one-shot function, which takes other paths than the streaming one.
pub fn decompress_zstd(data: &[u8]) {
    let (control, file) = setup(data);
    let outcome = decompress(Codec::Zstd, control, &file);
    let mut read = Vec::with_capacity(MAX_OUTPUT);
    let result = zstd::zstd_safe::decompress(&mut read, &file).map_err(zstd::zstd_safe::get_error_name);
    match (&outcome.verdict, result) {
        (Ok(()), result) => {
            // At once it refuses a compressed block of no bytes; read in pieces, as every program does, it makes nothing
            // of it. The block's header is such a size and type, of the last block or of another.
            let empty_block = file.windows(3).any(|header| matches!(header, [4 | 5, 0, 0]));
            if result.is_err() && empty_block {
                read = zstd::stream::decode_all(&file[..]).expect("libzstd reads it in pieces");
            } else {
                assert_eq!(result, Ok(read.len()), "libzstd refuses it");
            }
            assert!(read == outcome.bytes, "libzstd reads something else");
        }
        (Err(failure), Ok(_)) => {
            assert!(read.starts_with(&outcome.bytes), "libzstd reads something else");
            // At once it takes longer blocks than the format allows; read in pieces it does not.
            let ours = matches!(failure.code, Code::LimitWindow | Code::LimitOutputBytes);
            assert!(ours || file.is_empty() || zstd_refuses(&file), "libzstd reads it: {failure:?}");
        }
        (Err(_), Err(_)) => {}
    }
}

fn zstd_refuses(file: &[u8]) -> bool {
    let Ok(mut decoder) = zstd::stream::write::Decoder::new(Vec::new()) else { return false };
    file.iter().any(|byte| decoder.write_all(&[*byte]).is_err())
}

/// Blocks in any segmentation, read back by the stage and by other libraries.
pub fn compress(data: &[u8]) {
    let ([choice, seed], block) = setup(data);
    let (codec, levels) =
        [(Codec::Gzip, 9), (Codec::Zstd, 19), (Codec::Bzip2, 9), (Codec::Xz, 6)][usize::from(choice & 3)];
    let level = 1 + i32::from(choice >> 2) % levels;
    let compressor = BlockCompressor::new(CompressSpec { codec, level });
    let mut scratch = Scratch::default();
    let mut file =
        |segments: &[Bytes]| compressor.compress(&mut scratch, segments).expect("it compresses").concat();
    let whole = file(std::slice::from_ref(&block));
    let cut = file(&Arrival::seeded(&block, seed.into(), 1).chunks);
    assert!(whole == cut, "the output depends on the segmentation");
    assert!(whole.len() <= compressor.bound(block.len()), "longer than its bound");

    // Two blocks, as a file of several is made: one after the other.
    let control = [seed, 0, 0];
    let twice = Bytes::from([&whole[..], &cut].concat());
    let back = decompress(codec, control, &twice);
    assert_eq!((&back.verdict, back.report().frames), (&Ok(()), Some(2)));
    assert!(back.bytes == [&block[..], &block].concat(), "not what was compressed");
    let framed = [&control[..], &twice].concat();
    match codec {
        Codec::Bzip2 => decompress_bzip2(&framed),
        Codec::Gzip => decompress_gzip(&framed),
        Codec::Xz => decompress_xz(&framed),
        Codec::Zstd => decompress_zstd(&framed),
    }
}

/// `charset` in any arrival, compared with its decoder called once over all bytes.
pub fn charset(data: &[u8]) {
    let ([choice, seed], text) = setup(data);
    let all: Vec<Charset> = Charset::all().collect();
    let from = all[usize::from(choice & 0x7f) % all.len()];
    let malformed = if choice & 0x80 == 0 { Malformed::Reject } else { Malformed::Replace };
    let spec = StageSpec::Charset(CharsetSpec { from, malformed });
    let outcome = any_arrival(&spec, &Limits::default(), &text, seed);
    let encoding = encoding_rs::Encoding::for_label(from.name().as_bytes()).expect("a decoder");
    let (expected, broken) = encoding.decode_with_bom_removal(&text);
    let foreign = encoding_rs::Encoding::for_bom(&text).is_some_and(|(of, _)| of != encoding);
    match outcome.verdict {
        Ok(()) => {
            assert!(!foreign && (malformed == Malformed::Replace || !broken), "it is not text");
            assert!(outcome.bytes == expected.as_bytes(), "another text than the decoder's");
        }
        Err(_) => assert!(foreign || (malformed == Malformed::Reject && broken), "it is text"),
    }
}

/// `newline` in any arrival, compared with the same done by text replacement.
pub fn newline(data: &[u8]) {
    let ([choice, seed], text) = setup(data);
    let to = if choice & 1 == 0 { LineEnd::Lf } else { LineEnd::CrLf };
    let lone_cr = if choice & 2 == 0 { LoneCr::Keep } else { LoneCr::LineEnd };
    let spec = StageSpec::Newline(NewlineSpec { to, lone_cr });
    let outcome = any_arrival(&spec, &Limits::default(), &text, seed);
    // ISO-8859-1: every byte is a character.
    let mut unix = text.iter().copied().map(char::from).collect::<String>().replace("\r\n", "\n");
    if lone_cr == LoneCr::LineEnd {
        unix = unix.replace('\r', "\n");
    }
    let expected = if to == LineEnd::Lf { unix } else { unix.replace('\n', "\r\n") };
    assert_eq!(outcome.verdict, Ok(()));
    assert!(outcome.bytes.iter().copied().map(char::from).eq(expected.chars()), "other lines");
}

/// `strip_bom` in any arrival.
pub fn strip_bom(data: &[u8]) {
    let ([seed], text) = setup(data);
    let outcome = any_arrival(&StageSpec::StripBom, &Limits::default(), &text, seed);
    assert_eq!(outcome.verdict, Ok(()));
    assert!(outcome.bytes == text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text), "other bytes");
}

/// `validate.utf8` in any arrival, compared with the standard library.
pub fn utf8(data: &[u8]) {
    let ([seed], text) = setup(data);
    let spec = StageSpec::Validate(ValidateSpec::Utf8);
    let outcome = any_arrival(&spec, &Limits::default(), &text, seed);
    let expected = match csv_oracle::bad_utf8(&text).into_iter().next() {
        None => Ok(()),
        Some((_, message)) => Err(Failure::new(Code::Validation, message)),
    };
    assert_eq!(outcome.verdict, expected);
    assert_eq!(outcome.verdict.is_ok(), std::str::from_utf8(&text).is_ok());
    if outcome.verdict.is_ok() {
        assert!(outcome.bytes == text, "a tap changed the bytes");
    }
}

/// `validate.csv` in any arrival, compared with its oracle.
pub fn csv(data: &[u8]) {
    let ([seed, dialect, columns, bounds, rules @ ..], text) = setup::<10>(data);
    let (spec, limits) = (csv_spec(dialect, columns, &rules), csv_limits(bounds));
    let (verdict, report) = csv_oracle::judge(&spec, &limits, &text);
    let stage = StageSpec::Validate(ValidateSpec::Csv(spec));
    let outcome = any_arrival(&stage, &limits, &text, seed);
    assert_eq!(outcome.verdict, verdict);
    assert_eq!(outcome.report(), &report);
    if let Err(failure) = &verdict {
        assert!(!failure.message.contains(char::is_control), "control characters: {:?}", failure.message);
    }
    if verdict.is_ok() {
        assert!(outcome.bytes == text, "a tap changed the bytes");
    }
}

/// Always a sound one: rules for the columns `c0`, `c1`, …, and of these at most as many as there are `rules`.
pub(crate) fn csv_spec(dialect: u8, columns: u8, rules: &[u8]) -> CsvSpec {
    const TYPES: [ColumnType; 8] = [
        ColumnType::Text,
        ColumnType::Integer,
        ColumnType::Decimal,
        ColumnType::Float,
        ColumnType::Boolean,
        ColumnType::Date,
        ColumnType::Timestamp,
        ColumnType::Uuid,
    ];
    let pick = |shift: u32, of: u8| usize::from((dialect >> shift) % of);
    let (quote, escape) =
        [(Some(b'"'), None), (Some(b'"'), Some(b'\\')), (Some(b'\''), None), (None, None)][pick(2, 4)];
    let nulls: &[&str] = [&[""][..], &[], &["NA"], &["", "NA", "0", "x"]][pick(4, 4)];
    let count = 1 + usize::from(columns >> 4) % rules.len();
    let names: Vec<String> = (0..count).map(|at| format!("c{at}")).collect();
    let kind = columns & 3;
    let ruled = || names.iter().zip(rules).filter(|_| kind != 3);
    CsvSpec {
        delimiter: b",;\t|"[pick(0, 4)],
        quote,
        escape,
        terminator: [
            RecordTerminator::Any,
            RecordTerminator::Any,
            RecordTerminator::Lf,
            RecordTerminator::CrLf,
        ][pick(6, 4)],
        types: ruled()
            .map(|(name, rule)| (name.clone(), TYPES[usize::from(rule & 7)]))
            .collect::<BTreeMap<_, _>>(),
        not_null: ruled().filter(|(_, rule)| *rule & 8 != 0).map(|(name, _)| name.clone()).collect(),
        null_values: nulls.iter().map(|&null| null.to_owned()).collect(),
        utf8: columns & 4 == 0,
        columns: match kind {
            0 => Columns::Header(names),
            1 => Columns::FromFile,
            2 => Columns::Named(names),
            _ => Columns::Unnamed,
        },
    }
}

pub(crate) fn csv_limits(bounds: u8) -> Limits {
    let record = [1 << 20, 400, 64, u64::from(bounds) + 1][usize::from(bounds & 3)];
    Limits {
        max_errors: [0, 1000, 1, 2][usize::from(bounds >> 2 & 3)],
        max_record_bytes: ByteSize(record),
        max_fields: if bounds & 16 == 0 { 4_096 } else { 7 },
        ..Limits::default()
    }
}
