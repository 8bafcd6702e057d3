//! Stages that read records at fixed places.

use std::collections::BTreeMap;

use eft_domain::{
    ByteSize,
    route::{
        CodePage, ColumnType, Columns, CsvSpec, Decimal, EbcdicRecords, EbcdicSpec, EbcdicType, Limits,
        Placed, StageSpec, ValidateSpec, width,
    },
};
use eft_fakes::drive::{Arrival, drive};
use eft_pipeline::stage::AnyStage;

use crate::stages::{any_arrival, setup};

/// `ebcdic` in any arrival; what it makes is UTF-8, and with a layout CSV with its columns and types.
pub fn ebcdic(data: &[u8]) {
    let ([choice, seed, bounds, fields @ ..], file) = setup::<7>(data);
    let (spec, limits) = (ebcdic_spec(choice, &fields), ebcdic_limits(bounds));
    let layout = spec.layout.clone().unwrap_or_default();
    let header = spec.header;
    let outcome = any_arrival(&StageSpec::Ebcdic(spec), &limits, &file, seed);
    let text = std::str::from_utf8(&outcome.bytes).expect("UTF-8");
    if outcome.verdict.is_err() {
        return;
    }
    let report = outcome.report();
    let rows = report.records.unwrap_or_default() - report.errors;
    if layout.is_empty() {
        assert_eq!(text.matches(['\n', '\r']).count() as u64, rows, "not a line for each record");
        return;
    }
    // Code 00 is NUL, which `validate.csv` never takes for text.
    if text.contains('\0') {
        return;
    }
    let names: Vec<String> = layout.iter().map(|field| field.name.clone()).collect();
    let numbers = layout.iter().filter(|field| field.kind != EbcdicType::Text);
    let csv = CsvSpec {
        types: numbers.map(|field| (field.name.clone(), ColumnType::Decimal)).collect::<BTreeMap<_, _>>(),
        columns: if header { Columns::Header(names) } else { Columns::Named(names) },
        null_values: Vec::new(),
        ..CsvSpec::default()
    };
    let csv = AnyStage::new(&StageSpec::Validate(ValidateSpec::Csv(csv)), &Limits::default());
    let csv = csv.expect("a sound spec").expect("a stage");
    let checked = drive(vec![csv], &Arrival::whole(&outcome.bytes.clone().into()));
    assert_eq!(checked.verdict, Ok(()), "{text:?}");
    assert_eq!(checked.report().records, Some(rows));
}

/// Always a sound one.
fn ebcdic_spec(choice: u8, fields: &[u8]) -> EbcdicSpec {
    let records = choice & 3;
    let mut start = 1;
    let place = |(at, field): (usize, &u8)| {
        let decimal = Decimal { scale: field >> 3 & 1, signed: field & 16 == 0 };
        let (kind, length) = match field & 3 {
            1 if records != 2 => (EbcdicType::Packed(decimal), 1 + u32::from(field >> 5)),
            2 => (EbcdicType::Zoned(decimal), 1 + u32::from(field >> 5)),
            3 if records != 2 => (EbcdicType::Binary(decimal), [1, 2, 4, 8][usize::from(field >> 5 & 3)]),
            _ => (EbcdicType::Text, 1 + u32::from(field >> 5)),
        };
        start += u32::from(field >> 2 & 1);
        let placed = Placed { name: format!("c{at}"), start, length, kind };
        start += length;
        placed
    };
    let count = usize::from(choice >> 2 & 7).min(fields.len());
    let layout: Vec<_> = fields.iter().take(count).enumerate().map(place).collect();
    let fixed = u32::try_from(width(&layout)).unwrap_or(1).max(1);
    EbcdicSpec {
        from: CodePage::ALL[usize::from(choice >> 5) % CodePage::ALL.len()],
        records: match records {
            1 => EbcdicRecords::Rdw,
            2 => EbcdicRecords::Nel,
            _ => EbcdicRecords::Fixed(fixed + u32::from(records / 3)),
        },
        header: layout.is_empty() || choice & 32 == 0,
        layout: (!layout.is_empty()).then_some(layout),
        trim: choice & 64 == 0,
    }
}

fn ebcdic_limits(bounds: u8) -> Limits {
    Limits {
        max_errors: [0, 1000, 1, 2][usize::from(bounds & 3)],
        max_record_bytes: ByteSize([1 << 20, 64][usize::from(bounds >> 2 & 1)]),
        max_output_bytes: ByteSize([u64::MAX, 100][usize::from(bounds >> 3 & 1)]),
        ..Limits::default()
    }
}
