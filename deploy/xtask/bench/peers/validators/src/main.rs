//! `check_records HOW FILE` reads a file's records with one library, on one thread, and prints how many there are. It fails
//! where the library finds one broken; of the CSV's rows that is one with another number of fields than the first.

use std::{error::Error, fs::File, io::Read};

use serde::de::IgnoredAny;
use simd_json::{Buffers, INPUT_PADDING, Tape};

type AnyError = Box<dyn Error + Send + Sync>;

/// Bytes read at once: they stay in a core's second-level cache. More than any line here has.
const BUFFER: usize = 1 << 20;

fn main() -> Result<(), AnyError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [how, path] = args.as_slice() else {
        return Err("usage: check_records csv|simd-csv|simd-csv-count|simd-json|sonic-rs FILE".into());
    };
    let file = File::open(path)?;
    let records = match how.as_str() {
        "csv" => with_csv(file)?,
        "simd-csv" => with_simd_csv(file)?,
        "simd-csv-count" => {
            simd_csv::SplitterBuilder::with_capacity(BUFFER).from_reader(file).count_records()?
        }
        "simd-json" => with_simd_json(file)?,
        "sonic-rs" => with_sonic_rs(file)?,
        _ => return Err(format!("{how} is no library here").into()),
    };
    println!("{records}");
    Ok(())
}

fn with_csv(file: File) -> Result<u64, AnyError> {
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(BUFFER).from_reader(file);
    let (mut record, mut records) = (csv::ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record)? {
        records += 1;
    }
    Ok(records)
}

fn with_simd_csv(file: File) -> Result<u64, AnyError> {
    let mut reader = simd_csv::ZeroCopyReaderBuilder::with_capacity(BUFFER).from_reader(file);
    let mut records = 0;
    while reader.read_byte_record()?.is_some() {
        records += 1;
    }
    Ok(records)
}

fn with_simd_json(file: File) -> Result<u64, AnyError> {
    let (mut buffers, mut kept) = (Buffers::new(BUFFER), Some(Tape::null()));
    lines(file, |bytes, len| {
        let mut tape = kept.take().unwrap_or_else(Tape::null);
        simd_json::fill_tape_padded(bytes, len, &mut buffers, &mut tape)?;
        kept = Some(tape.reset());
        Ok(())
    })
}

fn with_sonic_rs(file: File) -> Result<u64, AnyError> {
    lines(file, |bytes, len| {
        // What is ignored is validated all the same, and nothing is built of it.
        sonic_rs::from_slice::<IgnoredAny>(&bytes[..len])?;
        Ok(())
    })
}

/// Hands over each line in place: the bytes from its start on, at least `INPUT_PADDING` more than it has, and its length.
fn lines(
    mut file: File,
    mut check: impl FnMut(&mut [u8], usize) -> Result<(), AnyError>,
) -> Result<u64, AnyError> {
    let mut buffer = vec![0; BUFFER + INPUT_PADDING];
    let (mut filled, mut records) = (0, 0);
    loop {
        let read = file.read(&mut buffer[filled..BUFFER])?;
        if read == 0 {
            break;
        }
        filled += read;
        let mut start = 0;
        while let Some(len) = memchr::memchr(b'\n', &buffer[start..filled]) {
            check(&mut buffer[start..], len)?;
            start += len + 1;
            records += 1;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
    match filled {
        0 => Ok(records),
        BUFFER => Err("a line is longer than the buffer".into()),
        len => check(&mut buffer, len).map(|()| records + 1),
    }
}
