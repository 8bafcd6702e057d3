//! `pgp_decrypt` and `pgp_verify` over messages made by GnuPG.

use std::time::{Duration, SystemTime};

use crate::pgp_support::{
    content, day_of_2020, decrypt, decrypt_by, folder, gpg, ring, ring_at, run, run_with, stages_with,
    unsigned, verify,
};
use bytes::Bytes;
use eft_domain::{
    ByteSize, Code, Failure,
    route::{CsvSpec, Limits, PgpVerify, StageSpec, ValidateSpec},
};
use eft_fakes::drive::{Arrival, Outcome, drive};
use proptest::prelude::*;

fn refusal(outcome: &Outcome) -> &Failure {
    outcome.verdict.as_ref().expect_err("it was taken")
}

fn refused(outcome: &Outcome, code: Code, message: &str) {
    let failure = refusal(outcome);
    assert_eq!(failure.code, code, "{failure}");
    assert!(failure.message.contains(message), "{failure}");
}

const UNPROVEN: &str = "the message cannot be decrypted, or its integrity or signature does not hold";

fn is_unproven(outcome: &Outcome) {
    assert_eq!(*refusal(outcome), Failure::new(Code::CryptoRefused, UNPROVEN));
}

/// Every key, compression and form GnuPG has, small and with partial lengths.
#[test]
fn messages_of_gnupg_are_read() {
    for lines in [0, 3, 40_000] {
        let content = content(lines);
        for key in ["ours", "large", "acme", "subkey", "locked"] {
            let made = gpg(&format!("--sign -u acme@ --encrypt -r {key}@"), &content);
            let outcome = run(&decrypt_by(&[key], PgpVerify::Required, &["acme"]), &made);
            assert_eq!(outcome.verdict, Ok(()), "{key}, {lines} lines");
            assert!(outcome.bytes == content, "{key}, {lines} lines");
        }
        for signer in ["ours", "large", "acme", "subkey", "locked"] {
            let made = gpg(&format!("--sign -u {signer}@ --encrypt -r ours@"), &content);
            let outcome = run(&decrypt_by(&["ours"], PgpVerify::Required, &[signer]), &made);
            assert_eq!(outcome.verdict, Ok(()), "signed by {signer}, {lines} lines");
            assert!(outcome.bytes == content, "signed by {signer}, {lines} lines");
        }
        for form in [
            "--compress-algo none",
            "--compress-algo zip",
            "--compress-algo zlib",
            "--compress-algo bzip2",
            "--armor",
            "--armor --comment several --comment headers",
            "--textmode",
            "--throw-keyids",
            "-r acme@ -r large@",
            "--cipher-algo AES128",
            "--cipher-algo CAMELLIA256",
            "--cipher-algo 3DES",
            "--digest-algo SHA256",
            "--digest-algo SHA512",
            "-u large@",
            "--rfc4880",
            "--set-filename name.csv",
        ] {
            let made = gpg(&format!("{form} --sign -u acme@ --encrypt -r ours@"), &content);
            let outcome = run(&decrypt(), &made);
            assert_eq!(outcome.verdict, Ok(()), "{form}, {lines} lines");
            // Text mode makes CRLF of line ends, and they stay what they are in the message.
            let expected = if form == "--textmode" { crlf(&content) } else { content.clone() };
            assert!(outcome.bytes == expected, "{form}, {lines} lines");
        }
    }
}

fn crlf(text: &[u8]) -> Vec<u8> {
    String::from_utf8(text.to_vec()).unwrap().replace('\n', "\r\n").into_bytes()
}

#[test]
fn signed_messages_are_unwrapped() {
    let content = content(1000);
    for form in ["", "--armor", "--compress-algo none", "--compress-algo bzip2", "-u large@", "--textmode"] {
        let made = gpg(&format!("{form} --sign -u acme@"), &content);
        let outcome = run(&verify(&["mallory", "acme"]), &made);
        assert_eq!(outcome.verdict, Ok(()), "{form}");
        let expected = if form == "--textmode" { crlf(&content) } else { content.clone() };
        assert!(outcome.bytes == expected, "{form}");
    }
    let plain = gpg("--store", &content);
    refused(&run(&verify(&["acme"]), &plain), Code::CryptoRefused, "the message is not signed");
    let encrypted = gpg("--sign -u acme@ --encrypt -r ours@", &content);
    refused(&run(&verify(&["acme"]), &encrypted), Code::CryptoRefused, "the message is encrypted");
}

/// Keys and packets of version 6, which GnuPG does not have.
#[test]
fn the_samples_of_the_standard_are_read() {
    let sample = |name: &str| Bytes::from(std::fs::read(folder().join("rfc9580").join(name)).unwrap());
    let sealed = run(&decrypt_by(&["rfc9580"], PgpVerify::None, &[]), &sample("a8.asc"));
    assert_eq!((sealed.verdict, &sealed.bytes[..]), (Ok(()), &b"Hello, world!"[..]));
    let signed = run(&verify(&["rfc9580"]), &sample("a7.asc"));
    let text = "What we need from the grocery store:\n\n- tofu\n- vegetables\n- noodles\n";
    assert_eq!((signed.verdict, &signed.bytes[..]), (Ok(()), text.as_bytes()));
    refused(
        &run(&verify(&["acme"]), &sample("a7.asc")),
        Code::CryptoRefused,
        "none of the route's `signers`",
    );
}

#[test]
fn who_signed_decides() {
    let content = content(20);
    let by = |signer: &str| gpg(&format!("--sign -u {signer}@ --encrypt -r ours@"), &content);
    let acme = by("acme");
    let none = gpg("--encrypt -r ours@", &content);
    let spec = |verify, signers: &[&str]| decrypt_by(&["ours"], verify, signers);

    for (verify, message) in
        [(PgpVerify::Required, &acme), (PgpVerify::Optional, &acme), (PgpVerify::Optional, &none)]
    {
        let outcome = run(&spec(verify, &["large", "acme"]), message);
        assert_eq!((outcome.verdict, outcome.bytes), (Ok(()), content.clone()), "{verify:?}");
    }
    for message in [&acme, &none, &by("mallory")] {
        assert_eq!(run(&unsigned(), message).verdict, Ok(()));
    }
    refused(&run(&decrypt(), &none), Code::CryptoRefused, "the message is not signed");
    for verify in [PgpVerify::Required, PgpVerify::Optional] {
        let outcome = run(&spec(verify, &["acme"]), &by("mallory"));
        refused(&outcome, Code::CryptoRefused, "which is none of the route's `signers`");
        let outcome = run(&spec(verify, &["revoked"]), &by("revoked"));
        refused(
            &outcome,
            Code::CryptoRefused,
            "the signature of `revoked` does not count: the key is revoked",
        );
    }
    let old = gpg("--faked-system-time 20200301T000000! --sign -u expired@", &content);
    let stages = [verify(&["expired"])];
    refused(&run(&stages[0], &old), Code::CryptoRefused, "does not count: the key is expired");
    let at = |stages: &[StageSpec], now, message| {
        drive(
            stages_with(stages, &Limits::default(), &ring_at(stages, now).unwrap()),
            &Arrival::whole(message),
        )
    };
    // When it was made it would have been good.
    assert_eq!(at(&stages, day_of_2020(61), &old).verdict, Ok(()));

    let weak = gpg("--digest-algo SHA1 --sign -u large@ --encrypt -r ours@", &content);
    let stages = [spec(PgpVerify::Required, &["large"])];
    refused(&run(&stages[0], &weak), Code::CryptoRefused, "uses a hash function that is broken");
    let short = gpg("--default-sig-expire 1d --sign -u large@ --encrypt -r ours@", &content);
    let in_days = |days: u64| SystemTime::now() + Duration::from_secs(days * 86_400);
    assert_eq!(at(&stages, in_days(0), &short).verdict, Ok(()));
    refused(
        &at(&stages, in_days(2), &short),
        Code::CryptoRefused,
        "does not count: the signature is expired",
    );
    let past = SystemTime::now() - Duration::from_secs(2 * 86_400);
    refused(&at(&stages, past, &short), Code::CryptoRefused, "the signature is dated in the future");
}

#[test]
fn keys_that_do_not_fit_are_named() {
    let made = gpg("--encrypt -r acme@ -r large@", b"hello");
    refused(&run(&unsigned(), &made), Code::CryptoNoKey, "and none of these is a key of the route");
    let hidden = gpg("--throw-keyids --encrypt -r acme@", b"hello");
    is_unproven(&run(&unsigned(), &hidden));
    let passphrase = gpg("--symmetric", b"hello");
    refused(&run(&unsigned(), &passphrase), Code::CryptoNoKey, "to a passphrase and to no key");
}

#[test]
fn what_is_missing_is_said_when_planning() {
    let stages = [
        decrypt_by(&["ours", "nobody"], PgpVerify::Required, &["acme", "none"]),
        decrypt_by(&["locked"], PgpVerify::None, &[]),
    ];
    let failure = ring(&stages).unwrap_err();
    assert_eq!(failure.code, Code::KeysUnusable);
    let expected = "secret key `nobody`: no file nobody.sec.asc; public key `none`: no file none.pub.asc";
    assert_eq!(failure.message, expected);
}

#[test]
fn without_integrity_protection_nothing_is_read() {
    let made = gpg("--encrypt -r ours@", &content(3));
    // An encrypted session key with a length of two bytes, and a packet of the old kind instead of the one behind it.
    assert_eq!(made[0], 0x85);
    let session_key = &made[..3 + usize::from(u16::from_be_bytes([made[1], made[2]]))];
    let old = Bytes::from([session_key, &[0xc9, 40], &[7; 40]].concat());
    refused(&run(&unsigned(), &old), Code::CryptoRefused, "the message has no integrity protection");
}

#[test]
fn other_files_are_refused() {
    let store = gpg("--store", b"hello");
    refused(&run(&unsigned(), &store), Code::CryptoRefused, "the message is not encrypted");
    refused(&run(&unsigned(), &Bytes::new()), Code::FormatTruncated, "the file is empty");
    let text = Bytes::from_static(b"id,sku\n1,2\n");
    refused(
        &run(&unsigned(), &text),
        Code::FormatCorrupt,
        "neither a binary OpenPGP message nor an armored one",
    );
    let key = std::fs::read(folder().join("acme.pub.asc")).unwrap();
    refused(&run(&unsigned(), &key.into()), Code::FormatCorrupt, "neither a binary");
    refused(&run(&unsigned(), &Bytes::from_static(b"\x9f\x8b\x08")), Code::FormatCorrupt, "");
    let made = gpg("--encrypt -r ours@", b"hello");
    let twice = Bytes::from([&made[..], &made].concat());
    refused(&run(&unsigned(), &twice), Code::FormatTrailing, "follow");
    let armored = gpg("--armor --encrypt -r ours@", b"hello");
    let twice = Bytes::from([&armored[..], &armored].concat());
    refused(&run(&unsigned(), &twice), Code::FormatTrailing, "follow the end of the armored message");
    let spaced = Bytes::from([b"Dear partner,\n\n", &armored[..], b"\r\n\n"].concat());
    assert_eq!(run(&unsigned(), &spaced).bytes, b"hello");
}

/// Whatever is flipped behind the session keys: one failure, nothing else. In front of it: never the content.
#[test]
fn no_flipped_bit_is_taken() {
    let content = content(6);
    for form in ["--compress-algo none", "--compress-algo zlib"] {
        let made = gpg(&format!("{form} --sign -u acme@ --encrypt -r ours@"), &content);
        let keys = ring(&[decrypt()]).unwrap();
        let body = 3 + 3 * 128 + 20;
        for at in (0..body).step_by(7).chain(body..made.len()) {
            let mut broken = made.to_vec();
            broken[at] ^= 1 << (at % 8);
            let stages = stages_with(&[decrypt()], &Limits::default(), &keys);
            let outcome = drive(stages, &Arrival::whole(&broken.into()));
            let failure = outcome.verdict.expect_err("it was taken");
            if at >= body {
                assert_eq!(failure.code, Code::CryptoRefused, "{form}: byte {at}: {failure}");
                assert_eq!(failure.message, UNPROVEN, "{form}: byte {at}");
            }
        }
    }
}

#[test]
fn no_flipped_bit_of_a_signed_message_is_taken() {
    let content = content(6);
    let made = gpg("--compress-algo none --sign -u acme@", &content);
    let keys = ring(&[verify(&["acme"])]).unwrap();
    let mut taken = 0;
    for at in 0..made.len() {
        let mut broken = made.to_vec();
        broken[at] ^= 0x10;
        let stages = stages_with(&[verify(&["acme"])], &Limits::default(), &keys);
        let outcome = drive(stages, &Arrival::whole(&broken.into()));
        // Name and date of the literal packet, and unhashed subpackets, are not signed.
        if outcome.verdict.is_ok() {
            taken += 1;
            assert!(outcome.bytes == content, "byte {at}");
        }
    }
    assert!(taken < 40, "{taken} flips changed nothing");
}

#[test]
fn no_truncated_message_is_taken() {
    let content = content(800);
    for form in ["", "--armor", "--compress-algo none"] {
        let made = gpg(&format!("{form} --sign -u acme@ --encrypt -r ours@"), &content);
        let keys = ring(&[decrypt()]).unwrap();
        let ends =
            (1..60).chain((60..made.len()).step_by(made.len() / 60)).chain(made.len() - 40..made.len());
        for end in ends {
            // The last line end of armor may be missing.
            if form == "--armor" && end + 1 == made.len() {
                continue;
            }
            let stages = stages_with(&[decrypt()], &Limits::default(), &keys);
            let outcome = drive(stages, &Arrival::whole(&made.slice(..end)));
            let failure = outcome.verdict.expect_err("it was taken");
            let codes = [Code::FormatTruncated, Code::FormatCorrupt];
            assert!(codes.contains(&failure.code), "{form}: {end} of {}: {failure}", made.len());
        }
    }
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 8 << 20];
    for algorithm in ["zip", "zlib", "bzip2"] {
        let made = gpg(&format!("--compress-algo {algorithm} --sign -u acme@ --encrypt -r ours@"), &zeros);
        let limits =
            |max_ratio, output| Limits { max_ratio, max_output_bytes: ByteSize(output), ..Limits::default() };
        let run = |limits: &Limits| run_with(&[decrypt()], limits, &Arrival::whole(&made));
        refused(&run(&limits(100, u64::MAX)), Code::LimitRatio, "the route allows 100");
        let over = run(&limits(u32::MAX, (8 << 20) - 1));
        refused(&over, Code::LimitOutputBytes, "the route allows 8388607");
        assert!(over.bytes.len() < 8 << 20);
        assert_eq!(run(&limits(u32::MAX, 8 << 20)).verdict, Ok(()));
    }
}

/// A check behind decryption says nothing of what was changed on the way, and nothing was counted.
#[test]
fn later_failures_wait_for_the_verdict() {
    let content = content(9_000);
    let mut bad = content.clone();
    let line = bad.iter().position(|&byte| byte == b'\n').unwrap();
    bad[line] = b',';
    let made = |content: &[u8]| gpg("--compress-algo none --sign -u acme@ --encrypt -r ours@", content);
    let stages = [decrypt(), StageSpec::Validate(ValidateSpec::Csv(CsvSpec::default()))];
    let run = |message: &Bytes, limits: &Limits| run_with(&stages, limits, &Arrival::whole(message));

    let genuine = run(&made(&bad), &Limits::default());
    assert_eq!(refusal(&genuine).code, Code::Validation);
    assert_eq!(genuine.stages[1].report.errors, 1);
    for limits in [Limits::default(), Limits { max_errors: 5, ..Limits::default() }] {
        let mut changed = made(&bad).to_vec();
        let last = changed.len() - 100;
        changed[last] ^= 1;
        let forged = run(&changed.into(), &limits);
        is_unproven(&forged);
        assert_eq!(forged.stages[1].report, eft_pipeline::stage::StageReport::default());
    }
}

/// A stage that is dropped before its end takes its thread with it.
#[test]
fn threads_end_with_their_stage() {
    let threads = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("Threads:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    let made = gpg("--sign -u acme@ --encrypt -r ours@", &content(40_000));
    let keys = ring(&[decrypt()]).unwrap();
    let before = threads();
    for at in 0..200 {
        let mut stage = stages_with(&[decrypt()], &Limits::default(), &keys).remove(0);
        let mut input = eft_pipeline::stage::Input::default();
        input.push(made.slice(..at * 997));
        let mut output = eft_pipeline::stage::Output::with_room(1 + at * 100);
        eft_pipeline::stage::Stage::step(&mut stage, &mut input, &mut output).unwrap();
    }
    assert!(threads() <= before + 4, "threads were left behind");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_arrival_gives_the_same_end(
        seed: u64,
        lines in 0..6_000_usize,
        form in 0..4_usize,
        flip in proptest::option::of(any::<u32>()),
    ) {
        let form = ["", "--armor", "--compress-algo none", "--armor --compress-algo bzip2"][form];
        let mut made = gpg(&format!("{form} --sign -u acme@ --encrypt -r ours@"), &content(lines)).to_vec();
        if let Some(at) = flip {
            let at = at as usize % made.len();
            made[at] ^= 4;
        }
        let made = Bytes::from(made);
        let keys = ring(&[decrypt()]).unwrap();
        let run = |arrival: &Arrival| {
            drive(stages_with(&[decrypt()], &Limits::default(), &keys), arrival)
        };
        let whole = run(&Arrival::whole(&made));
        whole.assert_same(&run(&Arrival::seeded(&made, seed, 1 + whole.bytes.len() / 64)));
        if made.len() < 4_000 {
            whole.assert_same(&run(&Arrival::bytewise(&made)));
        }
    }
}
