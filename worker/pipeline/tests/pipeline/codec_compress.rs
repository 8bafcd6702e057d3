//! `compress`: standard files, whatever the cut, read back by libraries and tools that did not write them.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::codec_support::{CODECS, compress, decompress, noise, text};
use bytes::Bytes;
use eft_domain::route::{Codec, CompressSpec};
use eft_pipeline::stage::compress::{BlockCompressor, Scratch};
use proptest::prelude::*;

fn compressor(codec: Codec, level: i32) -> BlockCompressor {
    BlockCompressor::new(CompressSpec { codec, level })
}

/// Read with another library than the stage: flate2's reader, libzstd's one-shot function.
fn oracle(codec: Codec, file: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    match codec {
        Codec::Gzip => {
            let mut reader = flate2::bufread::MultiGzDecoder::new(file);
            reader.read_to_end(&mut bytes).expect("flate2 reads it");
        }
        // The same libraries as the stage, read through their own readers. Others read the file in
        // `commands_read_the_file`.
        Codec::Bzip2 => {
            bzip2::read::MultiBzDecoder::new(file).read_to_end(&mut bytes).expect("bzip2 reads it");
        }
        Codec::Xz => {
            liblzma::read::XzDecoder::new_multi_decoder(file)
                .read_to_end(&mut bytes)
                .expect("liblzma reads it");
        }
        Codec::Zstd => {
            let size =
                zstd::zstd_safe::get_frame_content_size(file).expect("a frame").expect("it says its size");
            bytes.reserve(size as usize);
            zstd::zstd_safe::decompress(&mut bytes, file).expect("libzstd reads it");
        }
    }
    bytes
}

const ALL: [(Codec, std::ops::RangeInclusive<i32>); 4] =
    [(Codec::Bzip2, 1..=9), (Codec::Gzip, 1..=9), (Codec::Xz, 0..=6), (Codec::Zstd, 1..=19)];

#[test]
fn every_level_round_trips_within_its_bound() {
    let incompressible = noise(300_000);
    for (codec, levels) in ALL {
        for level in levels {
            let compressor = compressor(codec, level);
            let mut scratch = Scratch::default();
            let samples = [
                text(7, 150_000),
                incompressible.clone(),
                vec![0; 100_000],
                vec![],
                vec![b'x'],
                text(3, 5_001),
            ];
            for sample in &samples {
                let segments = [Bytes::copy_from_slice(sample)];
                let file = compressor.compress(&mut scratch, &segments).unwrap().concat();
                assert!(file.len() <= compressor.bound(sample.len()), "{codec:?} {level}");
                assert!(oracle(codec, &file) == *sample, "{codec:?} {level}");
                let back = decompress(codec, &file);
                assert!(back.bytes == *sample && back.frames == 1, "{codec:?} {level}: {:?}", back.failure);
                assert!(file == compress(codec, level, sample), "a used context makes other bytes");
            }
        }
    }
}

#[test]
fn bounds_are_what_the_libraries_ask_for() {
    for len in [0, 1, 4_999, 5_000, 5_001, 65_535, 1 << 20, 3_000_001] {
        let asked = libdeflater::Compressor::default().gzip_compress_bound(len);
        assert!((asked..asked + 64).contains(&compressor(Codec::Gzip, 6).bound(len)), "{len}: {asked}");
    }
}

#[test]
fn headers_are_the_same_everywhere() {
    for level in 1..=9 {
        let file = compress(Codec::Gzip, level, b"abc");
        assert_eq!((&file[..8], file[9]), (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0][..], 255));
    }
    for content in [text(1, 100), text(1, 3 << 20), vec![]] {
        let file = compress(Codec::Zstd, 3, &content);
        assert_eq!(file[4] & 0x04, 0x04, "a content checksum");
        let size = zstd::zstd_safe::get_frame_content_size(&file).unwrap();
        assert_eq!(size, Some(content.len() as u64));
    }
}

#[test]
fn no_segments_make_an_empty_file() {
    for (codec, _) in ALL {
        let file = compressor(codec, 3).compress(&mut Scratch::default(), &[]).unwrap().concat();
        assert_eq!(file, compress(codec, 3, b""));
        assert!(oracle(codec, &file).is_empty());
    }
}

#[test]
fn levels_out_of_range_are_the_nearest() {
    assert_eq!(compressor(Codec::Gzip, 0), compressor(Codec::Gzip, 1));
    assert_eq!(compressor(Codec::Gzip, 10), compressor(Codec::Gzip, 9));
    assert_eq!(compressor(Codec::Zstd, -5), compressor(Codec::Zstd, 1));
    assert_eq!(compressor(Codec::Bzip2, 0), compressor(Codec::Bzip2, 1));
    assert_eq!(compressor(Codec::Xz, 9), compressor(Codec::Xz, 6));
    assert_eq!(compressor(Codec::Zstd, 22), compressor(Codec::Zstd, 19));
}

#[test]
fn a_scratch_may_change_its_compressor() {
    let (mut scratch, block) = (Scratch::default(), [Bytes::from(text(5, 50_000))]);
    for (codec, level) in [
        (Codec::Gzip, 6),
        (Codec::Xz, 1),
        (Codec::Bzip2, 9),
        (Codec::Zstd, 3),
        (Codec::Zstd, 9),
        (Codec::Gzip, 1),
    ] {
        let file = compressor(codec, level).compress(&mut scratch, &block).unwrap().concat();
        assert!(file == compress(codec, level, &block[0]));
    }
}

/// The memory the planner is told of holds what libzstd allocates.
#[test]
fn contexts_are_no_larger_than_said() {
    use zstd::zstd_safe::{CCtx, CParameter};
    for level in 1..=19 {
        let compressor = compressor(Codec::Zstd, level);
        let len = compressor.block_bytes();
        let buffers = (len + compressor.bound(len)) as u64;
        let said = compressor.info().memory - buffers;
        let mut context = CCtx::create();
        context.set_parameter(CParameter::CompressionLevel(level)).unwrap();
        // Zeros: the quickest content, and tables are sized by the length alone.
        context.compress2(&mut Vec::with_capacity(compressor.bound(len)), &vec![0; len]).unwrap();
        let held = context.sizeof() as u64;
        assert!(held <= said && said < held + held / 8, "level {level} holds {held}, says {said}");
    }
}

/// What `xz -vv` says of a filter chain like ours. Prints whether it was there to be asked.
#[test]
fn xz_contexts_are_what_xz_says() {
    for (level, dictionary) in
        [(0, "256KiB"), (1, "1MiB"), (2, "2MiB"), (3, "2MiB"), (4, "2MiB"), (5, "2MiB"), (6, "2MiB")]
    {
        let chain = format!("--lzma2=preset={level},dict={dictionary}");
        let command =
            Command::new("xz").args(["-vv", "-c", &chain]).env("LC_ALL", "C").stdin(Stdio::null()).output();
        let Ok(output) = command else {
            println!("xz is not installed, and therefore not asked");
            return;
        };
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let words: Vec<_> = text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "MiB").expect("a figure");
        let mib: u64 = words[at - 1].replace(',', "").parse().expect("a figure");
        let compressor = compressor(Codec::Xz, level);
        let len = compressor.block_bytes();
        let said = compressor.info().memory - (len + compressor.bound(len)) as u64;
        assert_eq!(said, mib << 20, "level {level}: {text}");
    }
}

/// A stream holds one block of the format: a few bytes more would begin a second.
#[test]
fn a_bzip2_stream_is_one_block() {
    let blocks = |file: &[u8]| {
        // Blocks begin anywhere in a byte.
        let (mut bits, mut found) = (0_u64, 0);
        for byte in file {
            for bit in (0..8).rev() {
                bits = (bits << 1 | u64::from(byte >> bit & 1)) & 0xffff_ffff_ffff;
                found += usize::from(bits == 0x3141_5926_5359);
            }
        }
        found
    };
    for level in [1, 2, 9] {
        let len = compressor(Codec::Bzip2, level).block_bytes();
        assert_eq!(blocks(&compress(Codec::Bzip2, level, &noise(len))), 1, "level {level}");
        assert_eq!(blocks(&compress(Codec::Bzip2, level, &noise(len + 20))), 2, "level {level}");
    }
}

/// The commands people will use. Prints how many were not there.
#[test]
fn commands_read_the_file() {
    let content = text(11, 5 << 20);
    let mut missing = 0;
    for (codec, commands) in [
        (
            Codec::Bzip2,
            [
                ["bzip2", "-dc"],
                ["lbzip2", "-dc"],
                [
                    "python3",
                    "-cimport bz2,sys;sys.stdout.buffer.write(bz2.decompress(sys.stdin.buffer.read()))",
                ],
            ],
        ),
        (
            Codec::Xz,
            [
                ["xz", "-dc"],
                ["pixz", "-dt"],
                [
                    "python3",
                    "-cimport lzma,sys;sys.stdout.buffer.write(lzma.decompress(sys.stdin.buffer.read()))",
                ],
            ],
        ),
        (
            Codec::Gzip,
            [
                ["gzip", "-dc"],
                ["pigz", "-dc"],
                [
                    "python3",
                    "-cimport gzip,sys;sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))",
                ],
            ],
        ),
        (Codec::Zstd, [["zstd", "-dc"], ["zstd", "-dcq"], ["pzstd", "-dcq"]]),
    ] {
        let compressor = compressor(codec, 3);
        let blocks = content.chunks(compressor.block_bytes());
        let file: Vec<u8> = blocks.flat_map(|block| compress(codec, 3, block)).collect();
        for [program, option] in commands {
            let Ok(mut child) =
                Command::new(program).arg(option).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
            else {
                missing += 1;
                continue;
            };
            let (mut stdin, file) = (child.stdin.take().unwrap(), file.clone());
            let writer = std::thread::spawn(move || stdin.write_all(&file).unwrap());
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap();
            assert!(output.status.success() && output.stdout == content, "{program}");
        }
    }
    println!("commands not installed, and therefore not asked: {missing} of 12");
}

proptest! {
    #[test]
    fn segmentation_does_not_matter(
        codec in prop::sample::select(CODECS.to_vec()), level in 1i32..10, len in 0usize..200_000, seed: u64, cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let whole = Bytes::from(text(seed, len));
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (len + 1)).chain([0, len]).collect();
        cuts.sort_unstable();
        let segments: Vec<_> = cuts.windows(2).map(|pair| whole.slice(pair[0]..pair[1])).collect();
        let mut scratch = Scratch::default();
        let file = compressor(codec, level).compress(&mut scratch, &segments).unwrap().concat();
        prop_assert!(file == compressor(codec, level).compress(&mut scratch, &segments).unwrap().concat());
        prop_assert!(file == compress(codec, level, &whole));
        prop_assert!(oracle(codec, &file) == whole);
    }
}
