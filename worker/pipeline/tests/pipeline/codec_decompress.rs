//! `decompress` against files of other tools, cut, bent and lengthened in every way.

use crate::codec_support::{CODECS, compress, decompress, drive, fixture, noise, text};
use bytes::Bytes;
use eft_domain::route::{Codec, DecompressSpec, Limits};
use eft_domain::{ByteSize, Code};
use eft_pipeline::stage::decompress::{Decompress, MAX_DICTIONARY, MAX_TRAILING, MAX_WINDOW};
use eft_pipeline::stage::{Flow, Input, Output, Stage};
use proptest::prelude::*;

const SKIPPABLE: &[u8] = &[0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];

fn empty(codec: Codec) -> Vec<u8> {
    compress(codec, 1, b"")
}

/// Units to join: each with what it holds.
fn units(codec: Codec) -> Vec<(Vec<u8>, Vec<u8>)> {
    let small = fixture("small.csv");
    match codec {
        Codec::Bzip2 => vec![
            (compress(codec, 1, &small), small.clone()),
            (empty(codec), vec![]),
            (compress(codec, 9, b"x"), b"x".to_vec()),
        ],
        Codec::Xz => vec![
            (compress(codec, 0, &small), small.clone()),
            (empty(codec), vec![]),
            (compress(codec, 6, b"x"), b"x".to_vec()),
        ],
        Codec::Gzip => vec![
            (fixture("flags.gz"), small.clone()),
            (empty(codec), vec![]),
            (compress(codec, 6, &small), small),
        ],
        Codec::Zstd => vec![
            (fixture("single.zst"), small.clone()),
            (SKIPPABLE.to_vec(), vec![]),
            (fixture("stream.zst"), small.clone()),
            (empty(codec), vec![]),
            (compress(codec, 3, &small), small),
        ],
    }
}

fn joined(codec: Codec) -> (Vec<u8>, Vec<u8>) {
    let (files, contents): (Vec<_>, Vec<_>) = units(codec).into_iter().unzip();
    (files.concat(), contents.concat())
}

#[test]
fn files_of_other_tools() {
    let (small, large) = (fixture("small.csv"), fixture("large.csv"));
    let levels = [&small[..], b"abc", &large[400..900]].concat();
    let (twice, thrice) = (small.repeat(2), small.repeat(3));
    let cases = [
        (Codec::Bzip2, "levels.bz2", &twice, 3),
        (Codec::Bzip2, "large.bz2", &large, 1),
        (Codec::Xz, "checks.xz", &thrice, 4),
        (Codec::Xz, "blocks.xz", &large, 1),
        (Codec::Xz, "nine.xz", &large, 1),
        (Codec::Gzip, "flags.gz", &small, 1),
        (Codec::Gzip, "levels.gz", &levels, 4),
        (Codec::Gzip, "bgzip.gz", &large, 4),
        (Codec::Zstd, "single.zst", &small, 1),
        (Codec::Zstd, "stream.zst", &small, 1),
        (Codec::Zstd, "unchecked.zst", &small, 1),
        (Codec::Zstd, "large.zst", &large, 1),
    ];
    for (codec, name, expected, frames) in cases {
        let file = fixture(name);
        for (chunk, room) in [(usize::MAX, 1 << 20), (1, 1 << 20), (1000, 77)] {
            let chunks = file.chunks(chunk.min(file.len())).map(Bytes::copy_from_slice);
            let outcome = drive(codec, &Limits::default(), chunks, &[room]);
            assert_eq!((outcome.failure, outcome.frames), (None, frames), "{name}");
            assert!(outcome.bytes == *expected, "{name}");
        }
    }
}

#[test]
fn nothing_is_a_truncated_file() {
    for codec in CODECS {
        let outcome = decompress(codec, b"");
        assert_eq!(outcome.code(), Some(Code::FormatTruncated));
        assert!(outcome.message().contains("empty"));
        let outcome = decompress(codec, &empty(codec));
        assert_eq!((outcome.failure, outcome.bytes.len(), outcome.frames), (None, 0, 1));
    }
    let outcome = decompress(Codec::Zstd, SKIPPABLE);
    assert_eq!((outcome.failure, outcome.frames), (None, 0));
}

#[test]
fn every_prefix_is_whole_or_truncated() {
    for codec in CODECS {
        let (file, content) = joined(codec);
        let mut ends = std::collections::HashMap::new();
        let (mut read, mut made) = (0, 0);
        for (unit, content) in units(codec) {
            read += unit.len();
            made += content.len();
            ends.insert(read, made);
        }
        for len in 0..=file.len() {
            for rooms in [[1 << 20], [1]] {
                let outcome =
                    drive(codec, &Limits::default(), [Bytes::copy_from_slice(&file[..len])], &rooms);
                assert!(content.starts_with(&outcome.bytes));
                match ends.get(&len) {
                    Some(&made) => assert_eq!((outcome.failure, outcome.bytes.len()), (None, made), "{len}"),
                    None => assert_eq!(outcome.code(), Some(Code::FormatTruncated), "{codec:?} {len}"),
                }
            }
        }
    }
}

/// zlib-rs has two paths, the quick one for ample input and room, and names this fault differently on each.
#[test]
fn a_fault_has_one_name_however_it_is_come_upon() {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    // In the fixed code: the literal `a`, then a match that begins before the beginning.
    file.extend([0x4b, 0x04, 0x0f]);
    file.extend([0xff; 600]);
    let file = Bytes::from(file);
    for chunk in [1, 7, 300, file.len()] {
        let chunks = (0..file.len()).step_by(chunk).map(|at| file.slice(at..file.len().min(at + chunk)));
        let outcome = drive(Codec::Gzip, &Limits::default(), chunks, &[1 << 20]);
        assert_eq!(outcome.message(), "gzip member 1 (from byte 0): the deflate data is broken", "{chunk}");
    }
}

#[test]
fn a_truncated_file_says_where() {
    let file = [empty(Codec::Gzip), fixture("flags.gz")].concat();
    let outcome = decompress(Codec::Gzip, &file[..file.len() - 1]);
    let end = file.len() - 1;
    assert_eq!(
        outcome.message(),
        format!(
            "gzip member 2 (from byte {}): the file ends within it, at byte {end}",
            empty(Codec::Gzip).len()
        )
    );
}

#[test]
fn no_flipped_bit_changes_the_content() {
    for codec in CODECS {
        let (mut file, content) = joined(codec);
        let mut refused = 0;
        for bit in 0..file.len() * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            let outcome = decompress(codec, &file);
            match outcome.failure {
                Some(_) => refused += 1,
                None => assert!(outcome.bytes == content, "{codec:?}: bit {bit} changed the content"),
            }
            file[bit / 8] ^= 1 << (bit % 8);
        }
        // What may change unseen: header fields that say nothing of the content, and what a skippable frame holds.
        assert!(refused > file.len() * 8 * 9 / 10, "{codec:?}: {refused} of {}", file.len() * 8);
    }
}

#[test]
fn each_check_of_a_gzip_member_is_made() {
    let whole = fixture("flags.gz");
    let refused = |at: usize| {
        let mut file = whole.clone();
        file[at] ^= 1;
        let outcome = decompress(Codec::Gzip, &file);
        assert_eq!(outcome.code(), Some(Code::FormatCorrupt), "{at}");
        assert!(outcome.message().starts_with("gzip member 1 (from byte 0): "), "{}", outcome.message());
    };
    for at in 0..10 {
        refused(at); // The header CRC covers even the time.
    }
    for at in 1..=8 {
        refused(whole.len() - at); // ISIZE, then CRC-32.
    }
    assert_eq!(decompress(Codec::Gzip, b"id,carrier").code(), Some(Code::FormatCorrupt));
    assert_eq!(decompress(Codec::Zstd, &whole).code(), Some(Code::FormatCorrupt));
}

#[test]
fn trailing_bytes_are_counted() {
    for codec in CODECS {
        let (file, content) = joined(codec);
        let mut cases: Vec<(Vec<u8>, &str)> = vec![
            (vec![0], "1 zero bytes"),
            (b"\0\0more".to_vec(), "6 bytes"),
            (b"\0\0\0\0more".to_vec(), "8 bytes"),
            (vec![0x1f, 0], "2 bytes"),
        ];
        // Padding, for xz.
        cases.extend(match codec {
            Codec::Xz => vec![
                (vec![0; 513], "513 zero bytes"),
                ([0, 0, 0, 0, 0xfd, b'7', 0].to_vec(), "7 bytes"),
                (vec![0; MAX_TRAILING as usize + 1], "1048577 zero bytes"),
            ],
            _ => vec![
                (vec![0; 512], "512 zero bytes"),
                (vec![0; MAX_TRAILING as usize], "1048576 zero bytes"),
                (vec![0; MAX_TRAILING as usize + 1], "at least 1048576 zero bytes"),
            ],
        });
        for (tail, text) in cases {
            let all = Bytes::from([&file[..], &tail].concat());
            for cut in [file.len() - 1, file.len(), file.len() + 1, all.len()] {
                let chunks = [all.slice(..cut), all.slice(cut..)];
                let outcome = drive(codec, &Limits::default(), chunks, &[1 << 20]);
                assert_eq!(outcome.code(), Some(Code::FormatTrailing));
                assert!(outcome.message().starts_with(&format!("{text} follow")), "{}", outcome.message());
                assert!(outcome.message().ends_with(&format!("from byte {}", file.len())));
                assert!(outcome.bytes == content);
            }
        }
    }
}

/// Zeros, 64 MiB for each part: in members of that, or in one frame.
fn bomb(codec: Codec, parts: u32) -> Vec<u8> {
    match codec {
        Codec::Bzip2 | Codec::Gzip | Codec::Xz => {
            compress(codec, 1, &vec![0; 64 << 20]).repeat(parts as usize)
        }
        Codec::Zstd => {
            // A window of 8 MiB, then run-length blocks of 128 KiB.
            let mut file = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3];
            let block = |last: u32| ((128 << 10) << 3 | 1 << 1 | last).to_le_bytes();
            for number in 1..=512 * parts {
                file.extend_from_slice(&block(u32::from(number == 512 * parts))[..3]);
                file.push(0);
            }
            file
        }
    }
}

#[test]
fn a_bomb_is_refused_early() {
    for codec in CODECS {
        let file = Bytes::from(bomb(codec, 16));
        assert!(file.len() < 2 << 20, "1 GiB in {}", file.len());
        for chunk in [100, file.len()] {
            let chunks = (0..file.len()).step_by(chunk).map(|at| file.slice(at..file.len().min(at + chunk)));
            let outcome = drive(codec, &Limits::default(), chunks, &[256 << 10]);
            assert_eq!(outcome.code(), Some(Code::LimitRatio), "{codec:?}");
            assert!(outcome.bytes.len() <= 2 << 20, "{codec:?}: {} bytes came out", outcome.bytes.len());
            assert!(outcome.message().ends_with("the route allows 200"), "{}", outcome.message());
        }
        let limits = Limits { max_ratio: u32::MAX, ..Limits::default() };
        let outcome = drive(codec, &limits, [Bytes::from(bomb(codec, 2))], &[8 << 20]);
        assert_eq!((outcome.failure, outcome.bytes.len()), (None, 128 << 20), "the bomb is sound");
    }
}

#[test]
fn the_ratio_counts_at_the_end_too() {
    // Random bytes up to the only place inside where the ratio is looked at, then a run that is nearly free.
    let content = [&noise(1 << 20)[..], &vec![0; 200 << 10]].concat();
    for codec in CODECS {
        let file = Bytes::from(compress(codec, 3, &content));
        for (max_ratio, code) in [(1, Some(Code::LimitRatio)), (2, None)] {
            let limits = Limits { max_ratio, ..Limits::default() };
            let outcome = drive(codec, &limits, [file.clone()], &[1 << 20]);
            assert_eq!((outcome.code(), outcome.bytes.len()), (code, content.len()), "{codec:?}");
        }
    }
}

#[test]
fn hungry_means_that_all_there_is_came_out() {
    let content = text(1, 100_000);
    for codec in CODECS {
        let file = Bytes::from(compress(codec, 3, &content));
        let mut stage = Decompress::new(DecompressSpec { codec }, &Limits::default());
        let (mut input, mut bytes) = (Input::default(), vec![]);
        input.push(file.slice(..file.len() - 4)); // Without the last of the checksums.
        loop {
            let mut output = Output::with_room(1_000);
            let flow = stage.step(&mut input, &mut output).unwrap();
            bytes.extend(output.take().concat());
            if flow == Flow::Hungry {
                break;
            }
        }
        assert!(bytes == content, "{codec:?}: {} bytes came out", bytes.len());
    }
}

#[test]
fn the_output_limit_is_exact() {
    for codec in CODECS {
        let (file, content) = joined(codec);
        let made = content.len() as u64;
        for (limit, code) in
            [(made, None), (made - 1, Some(Code::LimitOutputBytes)), (0, Some(Code::LimitOutputBytes))]
        {
            for room in [1, 1 << 20] {
                let limits = Limits { max_output_bytes: ByteSize(limit), ..Limits::default() };
                let outcome = drive(codec, &limits, [Bytes::from(file.clone())], &[room]);
                assert_eq!(outcome.code(), code);
                assert!(outcome.bytes.len() as u64 <= limit);
            }
        }
    }
}

#[test]
fn a_zstd_window_has_a_cap() {
    let outcome = decompress(Codec::Zstd, &fixture("long.zst"));
    assert_eq!(outcome.code(), Some(Code::LimitWindow));
    assert!(outcome.message().contains("16777216"), "{}", outcome.message());
    // Exactly the cap, used: the stage keeps what it says of its memory.
    let mut compressor = zstd::zstd_safe::CCtx::create();
    compressor.set_parameter(zstd::zstd_safe::CParameter::WindowLog(23)).unwrap();
    let mut file = Vec::with_capacity(10 << 20);
    compressor.compress2(&mut file, &text(1, 9 << 20)).unwrap();
    let outcome = decompress(Codec::Zstd, &file);
    assert_eq!((outcome.failure, outcome.bytes.len()), (None, 9 << 20));
    let mut context = zstd::zstd_safe::DCtx::create();
    let mut out = vec![0; 1 << 20];
    let mut room = zstd::zstd_safe::OutBuffer::around(&mut out[..]);
    context.decompress_stream(&mut room, &mut zstd::zstd_safe::InBuffer::around(&file)).unwrap();
    let held = context.sizeof() as u64;
    let spec = DecompressSpec { codec: Codec::Zstd };
    let said = Decompress::new(spec, &Limits::default()).info().memory;
    assert!(held > MAX_WINDOW && held + (256 << 10) <= said, "holds {held}, says {said}");
}

#[test]
fn an_xz_dictionary_has_a_cap() {
    let outcome = decompress(Codec::Xz, &fixture("dictionary.xz"));
    assert_eq!(outcome.code(), Some(Code::LimitWindow));
    let message = outcome.message();
    let needed = message.strip_prefix("xz stream 1 (from byte 0): needs ").unwrap();
    let needed: u64 = needed.split(' ').next().unwrap().parse().unwrap();
    assert!((96 << 20..97 << 20).contains(&needed), "{message}");
    let said = Decompress::new(DecompressSpec { codec: Codec::Xz }, &Limits::default()).info().memory;
    assert!((MAX_DICTIONARY..MAX_DICTIONARY + (2 << 20)).contains(&said), "says {said}");
}

/// CRC32, CRC64 and SHA-256 of a block, the sizes and the CRC32 of index and footer: each is a verdict.
#[test]
fn each_check_of_an_xz_stream_is_made() {
    for check in
        [liblzma::stream::Check::Crc32, liblzma::stream::Check::Crc64, liblzma::stream::Check::Sha256]
    {
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&liblzma::stream::LzmaOptions::new_preset(0).unwrap());
        let mut stream = liblzma::stream::Stream::new_stream_encoder(&filters, check).unwrap();
        let mut file = Vec::with_capacity(1 << 10);
        stream.process_vec(&noise(64), &mut file, liblzma::stream::Action::Finish).unwrap();
        assert_eq!(decompress(Codec::Xz, &file).failure, None);
        for at in 0..file.len() {
            file[at] ^= 1;
            let outcome = decompress(Codec::Xz, &file);
            file[at] ^= 1;
            let code = outcome.code().unwrap_or_else(|| panic!("byte {at} is not checked by {check:?}"));
            assert!(
                matches!(code, Code::FormatCorrupt | Code::FormatTruncated | Code::LimitWindow),
                "{code}"
            );
        }
    }
}

#[test]
fn xz_padding_is_a_multiple_of_four() {
    let (one, two) = (compress(Codec::Xz, 0, b"one"), compress(Codec::Xz, 0, b"two"));
    for padding in 0..=12 {
        let file = Bytes::from([&one[..], &vec![0; padding], &two].concat());
        for chunk in [1, 3, file.len()] {
            let chunks = (0..file.len()).step_by(chunk).map(|at| file.slice(at..file.len().min(at + chunk)));
            let outcome = drive(Codec::Xz, &Limits::default(), chunks, &[1 << 20]);
            if padding % 4 == 0 {
                assert_eq!((outcome.failure, &outcome.bytes[..]), (None, &b"onetwo"[..]), "{padding}");
            } else {
                let bytes = padding + two.len();
                let expected =
                    format!("{bytes} bytes follow the end of xz stream 1, from byte {}", one.len());
                assert_eq!((outcome.code(), outcome.message()), (Some(Code::FormatTrailing), &expected[..]));
            }
        }
    }
    // Not before the first stream, as the format says.
    assert_eq!(decompress(Codec::Xz, &[&[0; 4], &one[..]].concat()).code(), Some(Code::FormatCorrupt));
}

#[test]
fn a_saved_stage_goes_on_between_units() {
    for codec in CODECS {
        let (one, two) = (compress(codec, 1, &text(1, 3_000)), compress(codec, 1, &text(2, 3_000)));
        let stage = || Decompress::new(DecompressSpec { codec }, &Limits::default());
        let (mut first, mut input) = (stage(), Input::default());
        input.push(Bytes::from([&one[..], &two].concat()));
        input.want_save(true);
        let mut output = Output::with_room(1 << 20);
        assert_eq!(first.step(&mut input, &mut output).unwrap(), Flow::Boundary);
        assert_eq!(input.offset(), one.len() as u64, "{codec:?}");
        let mut second = stage();
        second.restore(first.save().unwrap()).unwrap();
        let mut rest = Input::resumed(one.len() as u64, 0);
        rest.push(Bytes::from([&two[..], b"garbage"].concat()));
        rest.end();
        let failure = second.step(&mut rest, &mut output).unwrap_err();
        let unit = format!("2, from byte {}", one.len() + two.len());
        assert!(failure.message.ends_with(&unit), "{failure}");
        assert!(output.take().concat() == [text(1, 3_000), text(2, 3_000)].concat());
    }
}

#[test]
fn a_zstd_dictionary_is_refused() {
    let outcome = decompress(Codec::Zstd, &fixture("dictionary.zst"));
    assert_eq!(outcome.code(), Some(Code::FormatCorrupt));
    assert!(outcome.message().contains("dictionary 77"), "{}", outcome.message());
}

/// Pieces of `bytes`, cut at the (unordered, repeated) places.
fn cut(bytes: &Bytes, places: &[usize]) -> Vec<Bytes> {
    let mut places: Vec<_> =
        places.iter().map(|place| place % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| bytes.slice(pair[0]..pair[1])).collect()
}

proptest! {
    /// The same bytes give the same output and the same verdict, however they arrive and however little room there is.
    #[test]
    fn arrival_does_not_matter(
        codec in prop::sample::select(CODECS.to_vec()),
        sizes in prop::collection::vec(prop_oneof![0usize..3, 0usize..3_000, 60_000usize..140_000], 1..5),
        seed: u64,
        damage in prop::option::of((any::<usize>(), 0u8..4, any::<u8>())),
        places in prop::collection::vec(any::<usize>(), 0..40),
        rooms in prop::collection::vec(prop_oneof![Just(1usize), 1usize..100, 1usize..400_000], 1..6),
        max_output in prop_oneof![Just(u64::MAX), 0u64..200_000],
    ) {
        let mut content = vec![];
        let mut file = vec![];
        for (at, &size) in sizes.iter().enumerate() {
            let unit = text(seed.wrapping_add(at as u64), size);
            file.extend(compress(codec, 1 + (seed % if codec == Codec::Xz { 2 } else { 9 }) as i32, &unit));
            content.extend(unit);
        }
        if let Some((at, kind, value)) = damage {
            let at = at % file.len();
            match kind {
                0 => file[at] ^= value,
                1 => file.truncate(at),
                2 => file.extend(std::iter::repeat_n(value, at % 50)),
                _ => file.insert(at, value),
            }
        }
        let limits = Limits { max_output_bytes: ByteSize(max_output), ..Limits::default() };
        let file = Bytes::from(file);
        let whole = drive(codec, &limits, [file.clone()], &[8 << 20]);
        // A room of 1 byte is slow: only for small files.
        let rooms: Vec<_> = rooms.iter().map(|&room| if content.len() > 5_000 { room.max(500) } else { room }).collect();
        let pieces = drive(codec, &limits, cut(&file, &places), &rooms);
        prop_assert_eq!(&whole.failure, &pieces.failure);
        prop_assert_eq!(whole.frames, pieces.frames);
        if whole.failure.is_none() {
            prop_assert!(whole.bytes == pieces.bytes);
        }
        if damage.is_none() {
            let over = content.len() as u64 > max_output;
            prop_assert_eq!(whole.code(), over.then_some(Code::LimitOutputBytes));
            prop_assert!(over || whole.bytes == content);
            prop_assert!(over || whole.frames == sizes.len() as u64);
        }
        prop_assert!(whole.failure.is_some() || content.starts_with(&whole.bytes));
        prop_assert!(pieces.bytes.len() as u64 <= max_output);
    }
}
