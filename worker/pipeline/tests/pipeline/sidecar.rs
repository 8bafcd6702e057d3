//! `validate.sidecar`: a file passes with the digest that other programs make of it, and with no other.

use bytes::Bytes;
use eft_domain::{
    Code,
    route::{Limits, SidecarDigest, SidecarSpec, StageSpec, ValidateSpec},
};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::{
    given::Given,
    sidecar::{Expected, expected},
    stage::AnyStage,
};
use proptest::prelude::*;

/// What md5sum, sha1sum, sha256sum and sha512sum of coreutils 9.1 write of `abc`.
const ABC: [(SidecarDigest, &str); 4] = [
    (SidecarDigest::Md5, "900150983cd24fb0d6963f7d28e17f72  abc\n"),
    (SidecarDigest::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d  abc\n"),
    (SidecarDigest::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc\n"),
    (
        SidecarDigest::Sha512,
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f  abc\n",
    ),
];

fn given(expected: Option<&Expected>) -> Given {
    Given { expected: expected.cloned(), ..Given::default() }
}

fn stage(expected: &Expected) -> AnyStage {
    let spec = SidecarSpec { object: "SUMS".to_owned(), digest: expected.digest };
    let spec = StageSpec::Validate(ValidateSpec::Sidecar(spec));
    AnyStage::with(&spec, &Limits::default(), &given(Some(expected))).unwrap().unwrap()
}

fn judge(expected: &Expected, input: &[u8], seed: u64) -> Outcome {
    let input = Bytes::copy_from_slice(input);
    let whole = drive(vec![stage(expected)], &Arrival::whole(&input));
    whole.assert_same(&drive(vec![stage(expected)], &Arrival::seeded(&input, seed, 1)));
    whole.assert_same(&drive(vec![stage(expected)], &Arrival::bytewise(&input)));
    assert!(resumed(|| vec![stage(expected)], &Arrival::bytewise(&input)).1 > 0 || input.is_empty());
    whole
}

#[test]
fn digests_of_other_programs() {
    for (digest, text) in ABC {
        let expected = expected(text.as_bytes(), "s3://in/SUMS", "abc", digest).unwrap();
        let passed = judge(&expected, b"abc", 1);
        assert_eq!((passed.verdict, &passed.bytes[..]), (Ok(()), &b"abc"[..]));
        let failure = judge(&expected, b"abd", 1).verdict.unwrap_err();
        assert_eq!(failure.code, Code::SidecarMismatch);
        let says = format!("s3://in/SUMS says {}", &text[..2 * digest.bytes()]);
        assert!(failure.message.ends_with(&says), "{failure}");
        assert!(
            failure.message.starts_with(&format!("the {} of the file is ", digest.as_str())),
            "{failure}"
        );
    }
}

#[test]
fn a_sidecar_that_was_not_read_is_no_sidecar() {
    let spec = StageSpec::Validate(ValidateSpec::Sidecar(SidecarSpec::default()));
    let other = Expected { digest: SidecarDigest::Md5, bytes: vec![0; 16], sidecar: String::new() };
    for expected in [None, Some(&other)] {
        let refused = AnyStage::with(&spec, &Limits::default(), &given(expected));
        assert_eq!(refused.err().unwrap().code, Code::Internal);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// One bit is enough.
    #[test]
    fn any_change_is_found(mut bytes in proptest::collection::vec(any::<u8>(), 1..300), at: proptest::sample::Index, bit in 0..8, seed: u64) {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(&bytes).to_vec();
        let expected = Expected { digest: SidecarDigest::Sha256, bytes: digest, sidecar: "s".to_owned() };
        prop_assert!(judge(&expected, &bytes, seed).verdict.is_ok());
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert_eq!(judge(&expected, &bytes, seed).verdict.unwrap_err().code, Code::SidecarMismatch);
    }
}
