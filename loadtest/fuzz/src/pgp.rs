//! `pgp_decrypt` and `pgp_verify`: any bytes as a message, in any arrival.

use std::{sync::LazyLock, time::SystemTime};

use bytes::Bytes;
use eft_domain::{
    ByteSize,
    route::{Limits, PgpDecryptSpec, PgpVerify, PgpVerifySpec, StageSpec},
};
use eft_fakes::{
    drive::{Arrival, Outcome, drive},
    keys::MemoryKeys,
};
use eft_pipeline::{given::Given, keys::Keyring, stage::AnyStage};
use futures::FutureExt;

/// Most bytes a message is read to.
const MAX_OUTPUT: u64 = 1 << 20;

/// The stages, by the first byte of the data.
fn specs() -> [StageSpec; 3] {
    let names = || vec!["acme".to_owned()];
    [
        StageSpec::PgpVerify(PgpVerifySpec { signers: names() }),
        StageSpec::PgpDecrypt(PgpDecryptSpec {
            keys: names(),
            verify: PgpVerify::Required,
            signers: names(),
        }),
        StageSpec::PgpDecrypt(PgpDecryptSpec { keys: names(), verify: PgpVerify::None, signers: Vec::new() }),
    ]
}

/// A test key of the pipeline's, unlocked once.
static KEYS: LazyLock<Keyring> = LazyLock::new(|| {
    let key = include_bytes!("../../../worker/pipeline/tests/pgp/acme.sec.asc");
    let keys = MemoryKeys::default().and("acme", &key[..]);
    let found = Keyring::resolve(&specs(), &keys, SystemTime::now()).now_or_never();
    found.expect("keys in memory are there at once").expect("a sound key")
});

/// No bytes make the library panic, and no arrival makes another end of them.
pub fn pgp(data: &[u8]) {
    let Some((&[kind, seed], message)) = data.split_first_chunk() else { return };
    let message = Bytes::copy_from_slice(message);
    let spec = &specs()[usize::from(kind) % 3];
    // How far a decompressor has read when the ratio is looked at is not what is looked for here.
    let limits = Limits { max_output_bytes: ByteSize(MAX_OUTPUT), max_ratio: u32::MAX, ..Limits::default() };
    let run = |arrival: &Arrival| -> Outcome {
        let given = Given { keys: KEYS.clone(), ..Given::default() };
        let stage = AnyStage::with(spec, &limits, &given).expect("its keys are there").expect("a stage");
        drive(vec![stage], arrival)
    };
    let whole = run(&Arrival::whole(&message));
    let least = 1 + whole.bytes.len() / 512;
    whole.assert_same(&run(&Arrival::seeded(&message, seed.into(), least)));
    if let Err(failure) = &whole.verdict {
        assert!(failure.code != eft_domain::Code::Internal, "{failure}");
        assert!(!failure.message.contains(char::is_control), "control characters: {:?}", failure.message);
    }
}
