//! `csv_to_parquet` holds no more memory than it says: one test, in a process of its own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use bytes::Bytes;
use eft_domain::route::{ColumnType, Columns, CsvSpec, CsvToParquetSpec, Limits, OnError, StageSpec};
use eft_pipeline::stage::{AnyStage, Flow, Input, Output, Stage};

/// Most memory the process ever had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn it_holds_no_more_than_it_says() {
    let names = ["id", "word", "note", "amount"];
    let spec = CsvToParquetSpec {
        input: CsvSpec {
            columns: Columns::Named(names.map(str::to_owned).to_vec()),
            types: [("id".to_owned(), ColumnType::Integer), ("amount".to_owned(), ColumnType::Float)].into(),
            ..CsvSpec::default()
        },
        on_error: OnError::Fail,
        decimals: Default::default(),
        compression: Default::default(),
        row_group_rows: 1_000_000,
        row_group_bytes: eft_domain::ByteSize::mib(8),
    };
    let mut stage = AnyStage::new(&StageSpec::CsvToParquet(spec), &Limits::default()).unwrap().unwrap();
    let said = stage.info().memory;
    let before = peak();
    let (mut input, mut made, mut state) = (Input::default(), 0, 1_u64);
    for chunk in 0..400 {
        let mut text = String::new();
        for row in 0..4_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // One column compresses, one repeats, one is noise.
            text += &format!("{},w{},{state:x}{:x},{row}.5\n", chunk * row, row % 50, state.rotate_left(13));
        }
        input.push(Bytes::from(text));
        loop {
            let mut output = Output::with_room(64 << 10);
            let flow = stage.step(&mut input, &mut output).unwrap();
            made += output.take().concat().len();
            if flow == Flow::Hungry {
                break;
            }
        }
    }
    let held = peak().saturating_sub(before);
    println!("{} MiB said, {} MiB held at most, {made} bytes made", said >> 20, held >> 20);
    assert!(stage.report().frames.unwrap() > 5);
    assert!(held <= said, "{held} bytes held, {said} said");
}
