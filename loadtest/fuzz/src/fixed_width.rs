//! Records of a fixed length.

use eft_domain::{
    Code,
    route::{
        ColumnType, FixedColumn, FixedWidthSpec, Limits, LineTerminator, Placed, StageSpec, ValidateSpec,
    },
};

use crate::stages::{any_arrival, setup};

/// `validate.fixed_width` in any arrival, compared with records that were cut out of the whole file.
pub fn fixed_width(data: &[u8]) {
    let ([choice, seed], file) = setup(data);
    let terminator = [LineTerminator::Any, LineTerminator::Lf, LineTerminator::CrLf, LineTerminator::None]
        [usize::from(choice & 3)];
    let record = 1 + usize::from(choice >> 2 & 7);
    // Two columns: the first byte is there, the last is a digit or a blank.
    let column = |name: &str, start: usize, ty, not_null| Placed {
        name: name.to_owned(),
        start: start as u32,
        length: 1,
        kind: FixedColumn { ty, not_null },
    };
    let columns = match (choice & 32 == 0, record) {
        (true, _) => Vec::new(),
        (false, 1) => vec![column("a", 1, ColumnType::Text, true)],
        (false, _) => {
            vec![column("a", 1, ColumnType::Text, true), column("z", record, ColumnType::Integer, false)]
        }
    };
    let ruled = columns.len();
    let max_errors = if choice & 64 == 0 { 0 } else { u64::MAX };
    let spec = FixedWidthSpec { record: record as u32, terminator, columns };
    let limits = Limits { max_errors, ..Limits::default() };
    let outcome = any_arrival(&StageSpec::Validate(ValidateSpec::FixedWidth(spec)), &limits, &file, seed);

    let (records, cut) = cut_records(&file, record, terminator);
    let sound = |text: &[u8]| {
        let digit = |byte: &u8| byte.is_ascii_digit() || *byte == b' ';
        text.len() == record
            && (ruled < 1 || text.first() != Some(&b' '))
            && (ruled < 2 || text.last().is_some_and(digit))
    };
    let broken = records.iter().filter(|text| !text.is_some_and(sound)).count() as u64;
    let report = outcome.report();
    let code = outcome.verdict.as_ref().map_err(|failure| failure.code);
    if broken > max_errors {
        assert_eq!((code, report.errors), (Err(Code::Validation), 1));
        return;
    }
    assert_eq!((report.records, report.errors), (Some(records.len() as u64), broken));
    assert_eq!(code, if cut { Err(Code::FormatTruncated) } else { Ok(&()) });
}

/// The records of a file, `None` for one whose line end is wrong; and whether the file ends within one.
fn cut_records(file: &[u8], record: usize, terminator: LineTerminator) -> (Vec<Option<&[u8]>>, bool) {
    if terminator == LineTerminator::None {
        let records = file.chunks_exact(record);
        let cut = !records.remainder().is_empty();
        return (records.map(Some).collect(), cut);
    }
    let lines = file.split_inclusive(|byte| *byte == b'\n').map(|line| match line.strip_suffix(b"\n") {
        None => Some(line),
        Some(text) => match (terminator, text.strip_suffix(b"\r")) {
            (LineTerminator::Any | LineTerminator::CrLf, Some(text)) => Some(text),
            (LineTerminator::CrLf, None) => None,
            _ => Some(text),
        },
    });
    (lines.collect(), false)
}
