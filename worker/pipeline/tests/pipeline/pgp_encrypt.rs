//! `pgp_encrypt` and `pgp_sign`: GnuPG reads and verifies what they write, and so do our own stages.

use crate::pgp_support::{
    GPG, content, day_of_2020, decrypt_by, names, ring, ring_at, run, run_with, stages_with, verify,
};
use bytes::Bytes;
use eft_domain::{
    Code,
    route::{
        Limits, PgpCipher, PgpCompression, PgpEncryptSpec, PgpIntegrity, PgpSignSpec, PgpVerify, StageSpec,
    },
};
use eft_fakes::drive::{Arrival, drive};
use eft_pipeline::stage::{Flow, Output};
use proptest::prelude::*;

fn encrypt(recipients: &[&str]) -> PgpEncryptSpec {
    PgpEncryptSpec {
        recipients: names(recipients),
        sign_with: None,
        armor: false,
        cipher: PgpCipher::Aes256,
        integrity: PgpIntegrity::Mdc,
        compression: PgpCompression::None,
    }
}

fn sign(name: &str) -> PgpSignSpec {
    PgpSignSpec { sign_with: name.to_owned(), armor: false, compression: PgpCompression::None }
}

const COMPRESSIONS: [PgpCompression; 4] =
    [PgpCompression::None, PgpCompression::Zip, PgpCompression::Zlib, PgpCompression::Bzip2];

/// What gpg decrypts, and what it says of the signature on its status lines.
fn read_by_gpg(message: &[u8]) -> (Vec<u8>, String) {
    let read = GPG.attempt(&["--status-fd", "2", "--decrypt"], message);
    let said = String::from_utf8_lossy(&read.stderr).into_owned();
    assert!(read.status.success(), "{said}");
    (read.stdout, said)
}

#[test]
fn gnupg_reads_and_verifies() {
    for lines in [0, 5, 40_000] {
        let content = content(lines);
        for (at, compression) in COMPRESSIONS.into_iter().enumerate() {
            for armor in [false, true] {
                let signer = ["ours", "acme", "subkey", "locked"][at];
                let cipher = [PgpCipher::Aes256, PgpCipher::Aes128][at % 2];
                let spec = PgpEncryptSpec {
                    sign_with: Some(signer.to_owned()),
                    armor,
                    cipher,
                    compression,
                    ..encrypt(&[["ours", "large"][at % 2], "acme"])
                };
                let made = run(&StageSpec::PgpEncrypt(spec), &content.clone().into());
                assert_eq!(made.verdict, Ok(()));
                assert_eq!(made.bytes.starts_with(b"-----BEGIN PGP MESSAGE-----"), armor);
                let (read, said) = read_by_gpg(&made.bytes);
                assert!(read == content, "{signer}, {compression:?}, {lines} lines");
                for status in ["GOODSIG", "DECRYPTION_OKAY", "GOODMDC"] {
                    assert!(said.contains(status), "{signer}, {compression:?}: {said}");
                }

                let spec = PgpSignSpec { armor, compression, ..sign(signer) };
                let made = run(&StageSpec::PgpSign(spec), &content.clone().into());
                let (read, said) = read_by_gpg(&made.bytes);
                assert!(read == content && said.contains("GOODSIG"), "{signer}, {compression:?}: {said}");
            }
        }
    }
}

#[test]
fn what_is_encrypted_is_decrypted() {
    let content = content(20_000);
    for integrity in [PgpIntegrity::Mdc, PgpIntegrity::Aead] {
        for cipher in [PgpCipher::Aes128, PgpCipher::Aes256] {
            for compression in COMPRESSIONS {
                let spec = PgpEncryptSpec {
                    sign_with: Some("acme".to_owned()),
                    cipher,
                    integrity,
                    compression,
                    ..encrypt(&["ours", "large"])
                };
                let back = decrypt_by(&["large"], PgpVerify::Required, &["acme"]);
                let made = run(&StageSpec::PgpEncrypt(spec), &content.clone().into());
                let outcome = run(&back, &made.bytes.into());
                assert_eq!(outcome.verdict, Ok(()), "{integrity:?} {cipher:?} {compression:?}");
                assert!(outcome.bytes == content);
            }
        }
    }
}

/// In an authenticated message too, not a bit is taken that was changed, and not a chunk that is missing.
#[test]
fn changed_authenticated_messages_are_refused() {
    let spec = PgpEncryptSpec { integrity: PgpIntegrity::Aead, ..encrypt(&["ours"]) };
    let made = run(&StageSpec::PgpEncrypt(spec), &content(6).into()).bytes;
    let stages = [decrypt_by(&["ours"], PgpVerify::None, &[])];
    let keys = ring(&stages).unwrap();
    let read = |message: Vec<u8>| {
        drive(stages_with(&stages, &Limits::default(), &keys), &Arrival::whole(&message.into())).verdict
    };
    let length = made.len();
    for at in length - 120..length {
        let mut broken = made.clone();
        broken[at] ^= 1;
        assert_eq!(read(broken).unwrap_err().code, Code::CryptoRefused, "byte {at} of {length}");
        let failure = read(made[..at].to_vec()).unwrap_err();
        assert_eq!(failure.code, Code::FormatTruncated, "{at} of {length}: {failure}");
    }
}

#[test]
fn keys_that_cannot_are_refused_when_planning() {
    let fault = |stage: StageSpec| ring(&[stage]).unwrap_err().message;
    let to = |name| StageSpec::PgpEncrypt(encrypt(&[name]));
    assert_eq!(fault(to("revoked")), "public key `revoked`: is revoked");
    assert_eq!(fault(to("expired")), "public key `expired`: is expired");
    assert_eq!(fault(StageSpec::PgpSign(sign("expired"))), "secret key `expired`: is expired");
    assert!(ring_at(&[StageSpec::PgpSign(sign("expired"))], day_of_2020(61)).is_ok());
    assert_eq!(fault(to("nobody")), "public key `nobody`: no file nobody.pub.asc");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_arrival_is_there_again(seed: u64, lines in 0..8_000_usize, aead: bool, armor: bool, kind in 0..4_usize) {
        let content = Bytes::from(content(lines));
        let integrity = if aead { PgpIntegrity::Aead } else { PgpIntegrity::Mdc };
        let spec = PgpEncryptSpec {
            sign_with: Some("acme".to_owned()),
            armor,
            integrity,
            compression: COMPRESSIONS[kind],
            ..encrypt(&["acme"])
        };
        let stages = [StageSpec::PgpEncrypt(spec), decrypt_by(&["acme"], PgpVerify::Required, &["acme"])];
        let outcome = run_with(&stages, &Limits::default(), &Arrival::seeded(&content, seed, 64));
        prop_assert_eq!(&outcome.verdict, &Ok(()));
        prop_assert!(outcome.bytes == content);
        let signed = [StageSpec::PgpSign(PgpSignSpec { armor, ..sign("acme") }), verify(&["acme"])];
        let outcome = run_with(&signed, &Limits::default(), &Arrival::seeded(&content, seed, 64));
        prop_assert!(outcome.verdict.is_ok() && outcome.bytes == content);
    }
}

/// A message of 256 MiB there and back; prints what it took. Larger than any buffer on the way.
#[test]
fn a_large_message_is_not_held() {
    const CHUNK: usize = 1 << 20;
    let chunk = eft_fakes::pattern(3, CHUNK);
    let megabytes = 256;
    let spec = PgpEncryptSpec { sign_with: Some("acme".to_owned()), ..encrypt(&["ours"]) };
    let stages = [StageSpec::PgpEncrypt(spec), decrypt_by(&["ours"], PgpVerify::Required, &["acme"])];
    let keys = ring(&stages).unwrap();
    let mut chain = eft_pipeline::chain::Chain::new(stages_with(&stages, &Limits::default(), &keys));
    let (mut sent, mut got, mut flow) = (0, 0, Flow::Hungry);
    while flow != Flow::Done {
        if flow == Flow::Hungry {
            if sent < megabytes {
                chain.input().push(chunk.clone())
            } else {
                chain.input().end()
            }
            sent += 1;
        }
        let mut output = Output::with_room(CHUNK);
        flow = chain.step(&mut output).unwrap();
        got += output.len();
    }
    assert_eq!(got, megabytes * CHUNK);
    for stage in chain.totals() {
        println!("{}: {:?} for {megabytes} MiB", stage.info.name, stage.busy);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak of the process: {}", peak.trim());
    let kib: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    // Other tests of the program run beside it.
    assert!(kib < 200 << 10, "{kib} KiB at the peak");
}
