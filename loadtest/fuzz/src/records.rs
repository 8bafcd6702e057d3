//! Stages that tell records or types of file apart.

use std::collections::BTreeSet;

use bytes::Bytes;
use eft_domain::{
    ByteSize, Code,
    route::{
        ColumnRef, CountSpec, Counted, DialectSpec, DropSpec, HeadSpec, Limits, MagicSpec, MediaType, Place,
        RecordsSpec, SplitSpec, StageSpec, SumSpec, TrailerSpec, UniqueSpec, ValidateSpec,
    },
};
use eft_fakes::drive::{Arrival, resumed};
use eft_pipeline::stage::{AnyStage, Splitter};

use crate::stages::{any_arrival, setup};

/// `validate.magic` in any arrival. A type alone decides as it does in company.
pub fn magic(data: &[u8]) {
    let ([seed, first, second], file): ([u8; 3], Bytes) = setup(data);
    let kind = |byte: u8| MediaType::ALL[usize::from(byte) % MediaType::ALL.len()];
    let judge = |types: &[MediaType]| {
        let spec = StageSpec::Validate(ValidateSpec::Magic(MagicSpec { types: types.to_vec() }));
        let outcome = any_arrival(&spec, &Limits::default(), &file, seed);
        match &outcome.verdict {
            Ok(()) => assert!(outcome.bytes == file, "a tap changed the bytes"),
            Err(failure) => {
                assert_eq!(failure.code, Code::FormatUnexpected);
                assert!(outcome.bytes.is_empty(), "bytes passed before they were judged");
            }
        }
        outcome.verdict.is_ok()
    };
    let (one, two) = (kind(first), kind(second));
    assert_eq!(judge(&[one, two]), judge(&[one]) || judge(&[two]));
}

/// The dialects that records are told apart by.
pub(crate) fn records_spec(choice: u8) -> RecordsSpec {
    let dialect = |delimiter, quote, escape| RecordsSpec::Csv(DialectSpec { delimiter, quote, escape });
    match choice % 5 {
        0 => RecordsSpec::Lines,
        1 => dialect(b',', Some(b'"'), None),
        2 => dialect(b',', Some(b'"'), Some(b'\\')),
        3 => dialect(b';', Some(b'\''), None),
        _ => dialect(b'|', None, None),
    }
}

/// The records of a file, read a byte at a time.
fn records(spec: RecordsSpec, input: &[u8]) -> Vec<&[u8]> {
    #[derive(PartialEq)]
    enum At {
        Start,
        Text,
        Quoted,
        Escaped,
        Closing,
    }
    let (delimiter, quote, escape) = match spec {
        RecordsSpec::Lines => (None, None, None),
        RecordsSpec::Csv(spec) => (Some(spec.delimiter), spec.quote, spec.escape),
    };
    let (mut found, mut from, mut at) = (Vec::new(), 0, At::Start);
    for (place, byte) in input.iter().enumerate() {
        let byte = Some(*byte);
        at = match at {
            At::Quoted if byte == quote => At::Closing,
            At::Quoted if byte == escape => At::Escaped,
            At::Quoted | At::Escaped => At::Quoted,
            At::Start | At::Closing if byte == quote => At::Quoted,
            _ if byte == delimiter => At::Start,
            _ if byte == Some(b'\n') => {
                found.push(&input[from..=place]);
                from = place + 1;
                At::Start
            }
            _ => At::Text,
        };
    }
    if from < input.len() {
        found.push(&input[from..]);
    }
    found
}

/// `head`, `drop` and `split` in any arrival, the first two from any place, compared with a plain reading.
pub fn slices(data: &[u8]) {
    let ([seed, dialect, first, last], file): ([u8; 4], Bytes) = setup(data);
    let spec = records_spec(dialect);
    let (first, last) = (u64::from(first % 8), u64::from(last % 8));
    let all = records(spec, &file);
    let limits = Limits::default();
    let judge = |spec: StageSpec, expected: &[&[u8]]| {
        let outcome = any_arrival(&spec, &limits, &file, seed);
        assert_eq!(outcome.verdict, Ok(()));
        assert!(outcome.bytes == expected.concat(), "other records");
        from_any_place(&spec, &limits, &file, seed);
    };
    let upto = |n: u64| all.len().min(n as usize);
    judge(StageSpec::Head(HeadSpec { first: first + 1, records: spec }), &all[..upto(first + 1)]);
    if first + last > 0 {
        let rest = &all[upto(first)..];
        let kept = rest.len().saturating_sub(last as usize);
        judge(StageSpec::Drop(DropSpec { first, last, records: spec }), &rest[..kept]);
    }
    let each = first as usize + 1;
    let starts = all.iter().scan(0, |at, record| Some(std::mem::replace(at, *at + record.len() as u64)));
    let expected: Vec<_> = starts.step_by(each).skip(1).collect();
    assert_eq!(cuts(spec, each as u64, [file.clone()]), expected);
    assert_eq!(cuts(spec, each as u64, file.chunks(1).map(Bytes::copy_from_slice)), expected);
}

/// Where `split` begins objects of `each` records of a file that comes in these pieces.
fn cuts(records: RecordsSpec, each: u64, pieces: impl IntoIterator<Item = Bytes>) -> Vec<u64> {
    let (after_records, after_bytes, header, max_outputs) = (Some(each), None, false, u64::MAX);
    let spec = SplitSpec { after_records, after_bytes, header, max_outputs, records };
    let (mut splitter, mut from, mut found) = (Splitter::new(spec, &Limits::default()), 0, Vec::new());
    for piece in pieces {
        let cuts = splitter.cuts(std::slice::from_ref(&piece)).expect("no limit is near");
        found.extend(cuts.into_iter().map(|cut| from + cut));
        from += piece.len() as u64;
    }
    found
}

/// Saved wherever a chunk ends, the stage goes on from there to the same end.
pub(crate) fn from_any_place(spec: &StageSpec, limits: &Limits, file: &Bytes, seed: u8) {
    let stages = || vec![AnyStage::new(spec, limits).expect("a sound spec").expect("a stage")];
    resumed(stages, &Arrival::seeded(file, seed.into(), 1));
}

/// `validate.trailer` in any arrival and from any place; what is counted is what a plain reading counts.
pub fn trailer(data: &[u8]) {
    let ([seed, dialect, what, place], file): ([u8; 4], Bytes) = setup(data);
    let records = records_spec(dialect);
    let header = what & 1 != 0;
    let place = |shift: u8| {
        let number = u32::from(place >> shift & 3) + 1;
        if records == RecordsSpec::Lines { Place::Bytes(number, number + 2) } else { Place::Field(number) }
    };
    let of = if what & 2 == 0 { Counted::Data } else { Counted::All };
    let spec = TrailerSpec {
        records,
        header,
        prefix: (what & 4 != 0).then(|| "T".to_owned()),
        count: (what & 8 != 0).then(|| CountSpec { field: place(0), of }),
        sum: (what & 16 != 0).then(|| {
            let named = header && records != RecordsSpec::Lines && what & 32 != 0;
            let column = if named { ColumnRef::Name("amount".to_owned()) } else { ColumnRef::At(place(2)) };
            SumSpec { column, field: place(4) }
        }),
    };
    let all = self::records(records, &file).len() as u64;
    let spec = StageSpec::Validate(ValidateSpec::Trailer(spec));
    let outcome = any_arrival(&spec, &Limits::default(), &file, seed);
    from_any_place(&spec, &Limits::default(), &file, seed);
    match &outcome.verdict {
        Ok(()) => {
            assert!(outcome.bytes == file, "a tap changed the bytes");
            assert_eq!(outcome.report().records, Some(all - 1 - u64::from(header)));
        }
        Err(failure) => {
            assert_eq!(failure.code, Code::Validation);
            assert!(!failure.message.contains(char::is_control), "control characters: {:?}", failure.message);
        }
    }
}

/// `validate.unique` in any arrival; by whole records, compared with a set.
pub fn unique(data: &[u8]) {
    let ([seed, dialect, what], file): ([u8; 3], Bytes) = setup(data);
    let records = records_spec(dialect);
    let header = what & 1 != 0;
    let place = |number| match records {
        RecordsSpec::Lines => Place::Bytes(number, number + 1),
        RecordsSpec::Csv(_) => Place::Field(number),
    };
    let columns = [1, 2].into_iter().filter(|number| what >> number & 1 != 0);
    let columns: Vec<_> = columns.map(|number| ColumnRef::At(place(number))).collect();
    let whole = columns.is_empty();
    let spec = UniqueSpec { records, header, columns, memory: ByteSize::mib(1) };
    let spec = StageSpec::Validate(ValidateSpec::Unique(spec));
    let limits = Limits { max_errors: [0, u64::MAX][usize::from(what >> 3 & 1)], ..Limits::default() };
    let outcome = any_arrival(&spec, &limits, &file, seed);
    match &outcome.verdict {
        Ok(()) => assert!(outcome.bytes == file, "a tap changed the bytes"),
        Err(failure) => {
            assert_eq!(failure.code, Code::Validation);
            assert!(!failure.message.contains(char::is_control), "control characters: {:?}", failure.message);
        }
    }
    let all = self::records(records, &file);
    let headless = header && all.is_empty();
    if whole && !headless {
        let content = |record: &&[u8]| {
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            record.strip_suffix(b"\r").unwrap_or(record).to_vec()
        };
        let mut contents: Vec<_> = all.iter().map(content).collect();
        if let Some(first) = contents.first_mut().filter(|first| first.starts_with(b"\xef\xbb\xbf")) {
            first.drain(..3);
        }
        let data = &contents[usize::from(header)..];
        let twice = data.len() - data.iter().collect::<BTreeSet<_>>().len();
        let expected = if limits.max_errors == 0 { twice.min(1) } else { twice };
        assert_eq!(outcome.report().errors, expected as u64);
    }
}
