//! Whole transfers over memory.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::SystemTime};

use bytes::Bytes;
use eft_domain::{
    ByteSize,
    route::{
        Change, Codec, ColumnSource, ColumnType, CompressSpec, CsvOutput, CsvProjectSpec, CsvSpec,
        CsvToJsonlSpec, CsvToParquetSpec, DecimalSize, DecompressSpec, Limits, OnError, OutputColumn,
        ParquetCompression, PgpCipher, PgpCompression, PgpDecryptSpec, PgpEncryptSpec, PgpIntegrity,
        PgpVerify, StageSpec, ValidateSpec,
    },
};
use eft_fakes::{
    MemorySource,
    drive::{Arrival, drive},
    keys::MemoryKeys,
};
use eft_pipeline::{
    budget::Budget,
    concurrency::Concurrency,
    given::Given,
    keys::Keyring,
    plan::{Plan, Request},
    pool::Pool,
    port::{ObjectSink, SinkLimits},
    progress::{Progress, Snapshot},
    retry::RetryPolicy,
    secrets::HeldSecrets,
    stage::AnyStage,
    transfer::Transfer,
};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::{data, sink::Discard};

/// The worker's defaults: what it has where nobody says otherwise.
const MEMORY: ByteSize = ByteSize::mib(64);
const CONCURRENCY: usize = 8;

/// Bytes of a frame. Below 16 KiB the pipeline joins frames, which is a copy; above it their number is all that matters.
const FRAME: usize = 64 << 10;

/// A route, and an object to send through it.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name in tables.
    pub name: &'static str,
    /// The object as the source has it.
    pub source: Bytes,
    /// Bytes of the object with compression undone: what throughput is counted in.
    pub plain: u64,
    stages: Vec<StageSpec>,
    keys: Keyring,
    sha256: bool,
    sinks: usize,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The pipeline's counters.
    pub progress: Snapshot,
    /// What each sink saw.
    pub sinks: Vec<Discard>,
}

/// Threads and a runtime, which outlive a run.
pub struct Machine {
    pool: Pool,
    runtime: tokio::runtime::Runtime,
}

impl Route {
    fn over(name: &'static str, source: Bytes) -> Self {
        let plain = source.len() as u64;
        let keys = Keyring::default();
        Self { name, source, plain, stages: Vec::new(), keys, sha256: false, sinks: 1 }
    }

    /// Bytes pass as they are; of `len` bytes.
    pub fn identity(len: usize) -> Self {
        Self::over("identity", data::noise(len))
    }

    /// Identity, and the SHA-256 of what passes.
    pub fn sha256(len: usize) -> Self {
        Self { sha256: true, ..Self::over("sha256", data::noise(len)) }
    }

    /// Rows are checked, bytes pass as they are.
    pub fn csv(len: usize) -> Self {
        Self { stages: vec![csv()], ..Self::over("csv", data::csv(len)) }
    }

    /// Columns are selected, one is masked and one hashed.
    pub fn csv_project(len: usize) -> Self {
        Self { stages: vec![project()], ..Self::over("csv_project", data::csv(len)) }
    }

    /// Records become JSON objects.
    pub fn csv_to_jsonl(len: usize) -> Self {
        let spec = CsvToJsonlSpec { input: data::csv_spec(), on_error: OnError::Fail, omit_null: false };
        Self { stages: vec![StageSpec::CsvToJsonl(spec)], ..Self::over("csv_to_jsonl", data::csv(len)) }
    }

    /// Records become a Parquet file.
    pub fn csv_to_parquet(len: usize) -> Self {
        let input = data::csv_spec();
        let decimal = input.types.iter().filter(|(_, ty)| **ty == ColumnType::Decimal);
        let size = DecimalSize { precision: 9, scale: 2 };
        let spec = CsvToParquetSpec {
            decimals: decimal.map(|(name, _)| (name.clone(), size)).collect(),
            input,
            on_error: OnError::Fail,
            compression: ParquetCompression::Zstd,
            row_group_rows: 1_000_000,
            row_group_bytes: ByteSize::mib(8),
        };
        Self { stages: vec![StageSpec::CsvToParquet(spec)], ..Self::over("csv_to_parquet", data::csv(len)) }
    }

    /// gunzip → CSV validation → `zstd -3`, of `len` bytes of rows.
    pub fn gunzip_csv_zstd(len: usize) -> Self {
        let stages = vec![
            StageSpec::Decompress(DecompressSpec { codec: Codec::Gzip }),
            csv(),
            StageSpec::Compress(CompressSpec { codec: Codec::Zstd, level: 3 }),
        ];
        let source = data::gzip(&data::csv(len));
        Self { stages, plain: len as u64, ..Self::over("gunzip_csv_zstd", source) }
    }

    /// Decrypt and verify a message of `len` bytes of rows, with a modification detection code and not compressed.
    pub fn pgp_decrypt(len: usize) -> Self {
        let rows = data::csv(len);
        let (encrypt, decrypt) = (vec![pgp_encrypt()], vec![pgp_decrypt()]);
        let keys = pgp_keys(&encrypt);
        let given = Given { keys, ..Given::default() };
        let stage = AnyStage::with(&encrypt[0], &Limits::default(), &given);
        let stage = stage.expect("its keys are there").expect("a stage");
        let made = drive(vec![stage], &Arrival::whole(&rows));
        assert_eq!(made.verdict, Ok(()));
        let keys = pgp_keys(&decrypt);
        Self { stages: decrypt, keys, plain: len as u64, ..Self::over("pgp_decrypt", made.bytes.into()) }
    }

    /// Sign and encrypt `len` bytes of rows.
    pub fn pgp_encrypt(len: usize) -> Self {
        let stages = vec![pgp_encrypt()];
        let keys = pgp_keys(&stages);
        Self { stages, keys, ..Self::over("pgp_encrypt", data::csv(len)) }
    }

    /// Identity to two sinks from one read.
    pub fn tee(len: usize) -> Self {
        Self { sinks: 2, ..Self::over("tee_2", data::noise(len)) }
    }

    fn transfer(&self, pool: &Pool, sinks: &[Discard]) -> Transfer {
        let limits = Limits::default();
        let plan = Plan::with_memory_to_suit(&Request {
            archive: None,
            size: Some(self.source.len() as u64),
            stages: &self.stages,
            limits: &limits,
            sha256: self.sha256,
            sink: SinkLimits::S3,
            memory: MEMORY,
            concurrency: CONCURRENCY,
            part_size: None,
            near: false,
            refuse_empty: false,
            threads: pool.threads(),
            given: Given {
                secrets: Arc::new(HeldSecrets::new([("bench".to_owned(), vec![7; 32])])),
                keys: self.keys.clone(),
                ..Given::default()
            },
        });
        let plan = plan.expect("the worker's defaults carry these routes");
        Transfer {
            source: Arc::new(MemorySource::new(self.source.clone()).frame(FRAME)),
            more: None,
            sinks: sinks.iter().map(|sink| Arc::new(sink.clone()) as Arc<dyn ObjectSink>).collect(),
            budget: Budget::new(plan.memory),
            reading: Concurrency::new(plan.reads),
            writing: Concurrency::new(plan.writes),
            plan,
            pool: pool.clone(),
            retry: RetryPolicy::DEFAULT,
            keeper: None,
            progress: Arc::new(Progress::default()),
            cancel: CancellationToken::new(),
        }
    }
}

impl Machine {
    /// A reactor on the caller's thread and `threads` for stages.
    ///
    /// # Panics
    /// When the system refuses what a reactor needs.
    pub fn new(threads: NonZeroUsize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Self { pool: Pool::new(threads), runtime: runtime.expect("a reactor without IO") }
    }

    /// Plan the transfer and carry it out.
    ///
    /// # Panics
    /// When it does not publish all of it at every sink.
    pub fn run(&self, route: &Route) -> Ran {
        let sinks: Vec<_> = (0..route.sinks).map(|_| Discard::new(&route.source)).collect();
        let transfer = route.transfer(&self.pool, &sinks);
        let outcome = self.runtime.block_on(transfer.run());
        let outcome = outcome.unwrap_or_else(|stopped| panic!("{}: {}", route.name, stopped.failure));
        for delivery in &outcome.deliveries {
            assert!(delivery.result.is_ok(), "{}: {:?}", route.name, delivery.result);
        }
        for sink in &sinks {
            assert_eq!(sink.delivered(), outcome.output.len(), "{}", route.name);
        }
        Ran { progress: transfer.progress.snapshot(), sinks }
    }
}

fn project() -> StageSpec {
    let column = |name: &str, change| OutputColumn {
        name: name.to_owned(),
        source: ColumnSource::Column(name.to_owned(), change),
    };
    let plain = ["flight", "carrier", "dep_time", "arr_time", "origin", "dest", "distance", "remark"];
    let changed = [
        column("tailnum", Change::Mask { keep_last: 3, with: b'*' }),
        column("scheduled", Change::Hash { key: "bench".to_owned() }),
    ];
    StageSpec::CsvProject(CsvProjectSpec {
        input: CsvSpec { types: BTreeMap::new(), ..data::csv_spec() },
        on_error: OnError::Fail,
        columns: plain.into_iter().map(|name| column(name, Change::None)).chain(changed).collect(),
        output: CsvOutput::default(),
    })
}

fn pgp_encrypt() -> StageSpec {
    StageSpec::PgpEncrypt(PgpEncryptSpec {
        recipients: vec!["acme".to_owned()],
        sign_with: Some("acme".to_owned()),
        armor: false,
        cipher: PgpCipher::default(),
        integrity: PgpIntegrity::default(),
        compression: PgpCompression::default(),
    })
}

fn pgp_decrypt() -> StageSpec {
    let names = || vec!["acme".to_owned()];
    StageSpec::PgpDecrypt(PgpDecryptSpec { keys: names(), verify: PgpVerify::Required, signers: names() })
}

/// A test key of the pipeline's.
fn pgp_keys(stages: &[StageSpec]) -> Keyring {
    let key = include_bytes!("../../worker/pipeline/tests/pgp/acme.sec.asc");
    let keys = MemoryKeys::default().and("acme", &key[..]);
    let found = Keyring::resolve(stages, &keys, SystemTime::now()).now_or_never();
    found.expect("keys in memory are there at once").expect("a sound key")
}

fn csv() -> StageSpec {
    StageSpec::Validate(ValidateSpec::Csv(data::csv_spec()))
}
