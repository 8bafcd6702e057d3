//! GnuPG and its keys, for tests of the OpenPGP stages.

use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use eft_domain::{
    Failure,
    route::{Limits, PgpDecryptSpec, PgpVerify, PgpVerifySpec, StageSpec},
};
use eft_fakes::drive::{Arrival, Outcome, drive};
use eft_pipeline::{
    given::Given,
    keys::{Keyring, Keys, SecretBytes},
    port::{ErrorKind, PortError, PortResult},
    stage::AnyStage,
};
use futures::{FutureExt, future::BoxFuture};

/// The committed keys.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pgp")
}

/// The committed keys as a place of keys.
pub(crate) struct Committed;

fn file(name: &str, half: &str) -> PortResult<Bytes> {
    if name == "rfc9580" {
        // It has no file of its public half.
        return Ok(fs::read(folder().join("rfc9580/rfc9580.sec.asc")).unwrap().into());
    }
    let name = format!("{name}.{half}.asc");
    let read = fs::read(folder().join(&name));
    read.map(Bytes::from).map_err(|_| PortError::new(ErrorKind::NotFound, format!("no file {name}")))
}

impl Keys for Committed {
    fn public<'a>(&'a self, name: &'a str) -> BoxFuture<'a, PortResult<Bytes>> {
        async move { file(name, "pub") }.boxed()
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, PortResult<SecretBytes>> {
        async move {
            let passphrase = (name == "locked").then(|| "sesame".to_owned());
            Ok(SecretBytes { key: file(name, "sec")?, passphrase })
        }
        .boxed()
    }
}

/// GnuPG with the committed keys, in a home of its own.
pub(crate) struct Gpg {
    home: PathBuf,
    /// Waits for the end of this process, however it ends, and takes the home away with the agent that GnuPG has left
    /// there: what a static holds is never dropped.
    _caretaker: Child,
}

/// One home for all tests of a program: making it takes a second.
pub(crate) static GPG: LazyLock<Gpg> = LazyLock::new(Gpg::new);

impl Gpg {
    fn new() -> Self {
        // The path of an agent's socket may not be long.
        let home = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").unwrap().keep();
        let caretaker = Command::new("sh")
            .args(["-c", r#"read _; gpgconf --homedir "$0" --kill all; rm -rf "$0""#])
            .arg(&home)
            // The other end is closed with this process.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // It outlives a signal to the group of the test.
            .process_group(0)
            .spawn()
            .unwrap();
        let gpg = Self { home, _caretaker: caretaker };
        fs::set_permissions(&gpg.home, PermissionsExt::from_mode(0o700)).unwrap();
        let mut keys: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
        keys.retain(|path| path.extension().is_some_and(|extension| extension == "asc"));
        keys.sort();
        for path in keys {
            // The revoked key still has to sign here.
            if !path.ends_with("revoked.pub.asc") {
                gpg.run(&["--import", path.to_str().unwrap()], b"");
            }
        }
        gpg
    }

    /// What gpg prints, of these arguments and this standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.attempt(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gpg {arguments:?}: {said}");
        output.stdout
    }

    /// As it ends.
    pub(crate) fn attempt(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(&self.home)
            .args(["--batch", "--no-tty", "--quiet", "--yes", "--trust-model", "always"])
            .args(["--pinentry-mode", "loopback", "--passphrase", "sesame"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg: apt-get install gnupg");
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        })
    }
}

/// A message of gpg's: `--encrypt -r ours@`, `--sign -u acme@` and so on, in one text.
pub(crate) fn gpg(arguments: &str, input: &[u8]) -> Bytes {
    GPG.run(&arguments.split_whitespace().collect::<Vec<_>>(), input).into()
}

pub(crate) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Decrypt with `ours`, signed by `acme`.
pub(crate) fn decrypt() -> StageSpec {
    decrypt_by(&["ours"], PgpVerify::Required, &["acme"])
}

pub(crate) fn decrypt_by(keys: &[&str], verify: PgpVerify, signers: &[&str]) -> StageSpec {
    StageSpec::PgpDecrypt(PgpDecryptSpec { keys: names(keys), verify, signers: names(signers) })
}

pub(crate) fn unsigned() -> StageSpec {
    decrypt_by(&["ours"], PgpVerify::None, &[])
}

pub(crate) fn verify(signers: &[&str]) -> StageSpec {
    StageSpec::PgpVerify(PgpVerifySpec { signers: names(signers) })
}

pub(crate) fn ring(stages: &[StageSpec]) -> Result<Keyring, Failure> {
    ring_at(stages, SystemTime::now())
}

pub(crate) fn ring_at(stages: &[StageSpec], now: SystemTime) -> Result<Keyring, Failure> {
    Keyring::resolve(stages, &Committed, now).now_or_never().unwrap()
}

/// The first of January 2020 and so many days.
pub(crate) fn day_of_2020(days: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800 + days * 86_400)
}

pub(crate) fn stages_with(specs: &[StageSpec], limits: &Limits, keys: &Keyring) -> Vec<AnyStage> {
    let given = Given { keys: keys.clone(), ..Given::default() };
    specs.iter().map(|spec| AnyStage::with(spec, limits, &given).unwrap().unwrap()).collect()
}

pub(crate) fn run_with(specs: &[StageSpec], limits: &Limits, arrival: &Arrival) -> Outcome {
    let keys = ring(specs).unwrap();
    drive(stages_with(specs, limits, &keys), arrival)
}

/// One stage over a message, whole.
pub(crate) fn run(spec: &StageSpec, message: &Bytes) -> Outcome {
    run_with(std::slice::from_ref(spec), &Limits::default(), &Arrival::whole(message))
}

/// Lines of a table that do not compress to nothing.
pub(crate) fn content(lines: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut line = |at: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{at},{:x},row {}\n", state, state % 1000)
    };
    (0..lines).flat_map(|at| line(at).into_bytes()).collect()
}
