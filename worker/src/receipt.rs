//! From what a transfer did to the receipt that says it.

use eft_domain::{
    Class, DeliveryId, Failure, JobId, ObjectUri, ObjectVersion, Route, RunId,
    id::Arrival,
    receipt::{
        Capabilities, CrcCapability, Delivery, DeliveryOutcome, FailureNote, JoinedObject, Method, Outcome,
        Receipt, Rejected, ResumeClass, SCHEMA, Scanned, Source, StageKind, StageRun, Totals,
        WriteCapability,
    },
    route::StageSpec,
};
use eft_pipeline::{
    chain::StageTotals,
    checksum::Crc64,
    port::{Committed, Verified},
    progress::Snapshot,
    stage,
    transfer::{Delivery as Moved, Outcome as Transferred, Stopped},
};

use crate::{
    kept::joined,
    place::{Series, Sink},
    s3::{Client, crc_to_text},
};

/// Who a run is, settled before it starts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The run.
    pub run: RunId,
    /// Its delivery to the destination.
    pub delivery: DeliveryId,
    /// What was joined, where the source is a manifest.
    joined: Option<String>,
}

impl Identity {
    /// The identity of a source on a route towards a destination; of this run, where it has a number.
    pub fn of(route: &Route, source: &ObjectVersion, destination: &ObjectUri, run: Option<RunId>) -> Self {
        let first = || RunId::first(JobId::of(&route.effective_id(), &Arrival::of(source)));
        let run = run.unwrap_or_else(first);
        Self { run, delivery: DeliveryId::of(run, route.revision(), destination), joined: None }
    }

    /// What the source names is part of what is delivered: other versions of it are another delivery.
    pub(crate) fn join(&mut self, objects: &[ObjectVersion]) {
        self.joined = joined(objects);
        self.delivery = self.with_joined(self.delivery);
    }

    fn with_joined(&self, delivery: DeliveryId) -> DeliveryId {
        self.joined.as_ref().map_or(delivery, |digest| delivery.of_joined(digest))
    }

    /// The delivery of one of several objects to its place.
    pub(crate) fn delivery_to(&self, route: &Route, place: &ObjectUri) -> DeliveryId {
        self.with_joined(DeliveryId::of(self.run, route.revision(), place))
    }
}

/// Everything a receipt is made of.
pub struct Facts<'a> {
    /// Who.
    pub identity: &'a Identity,
    /// The route.
    pub route: &'a Route,
    /// What was read.
    pub source: &'a ObjectVersion,
    /// What it names, where it is a manifest of what is joined.
    pub objects: &'a [ObjectVersion],
    /// Where to.
    pub destination: &'a ObjectUri,
    /// Through which sink, if it came that far.
    pub sink: Option<&'a Sink>,
    /// The places, where several objects are made.
    pub(crate) series: Option<&'a Series>,
    /// The client, for its counts.
    pub client: &'a Client,
    /// What was moved.
    pub progress: Snapshot,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339.
    pub finished_at: String,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// How the run ended.
pub enum Ended<'a> {
    /// The bytes were moved, in this way.
    Moved(Method, &'a Transferred),
    /// They stood there already, from this very delivery.
    AlreadyThere(&'a Committed),
    /// The source is empty, which the route takes for a sign of life: nothing is delivered.
    Heartbeat,
    /// It stopped while moving in this way.
    Stopped(Method, &'a Stopped),
    /// It failed before.
    Failed(&'a Failure),
}

impl Ended<'_> {
    /// Why it did not succeed.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Moved(_, moved) => {
                moved.deliveries.iter().find_map(|delivery| delivery.result.clone().err())
            }
            Self::AlreadyThere(_) | Self::Heartbeat => None,
            Self::Stopped(_, stopped) => Some(stopped.failure.clone()),
            Self::Failed(failure) => Some((*failure).clone()),
        }
    }
}

/// Write the receipt.
pub fn receipt(facts: &Facts<'_>, ended: &Ended<'_>) -> Receipt {
    let failure = ended.failure();
    let (stages, moved): (&[StageTotals], _) = match ended {
        Ended::Moved(_, moved) => (&moved.stages, Some(*moved)),
        Ended::Stopped(_, stopped) => (&stopped.stages, None),
        _ => (&[], None),
    };
    let mut digests = stages.iter().filter_map(|stage| stage.report.sha256).map(|digest| hex(&digest));
    // Of an archive a part was read, which is not the source.
    let is_whole = !matches!(facts.route.stages.first(), Some(StageSpec::Unzip(_)));
    let whole = moved.filter(|_| is_whole);
    let source_sha = whole.and_then(|_| digests.next());
    let output_sha = digests.next().or_else(|| source_sha.clone()).filter(|_| moved.is_some());
    Receipt {
        schema: SCHEMA.to_owned(),
        receipt_id: facts.identity.run.to_string(),
        tool: format!("eft {}", env!("CARGO_PKG_VERSION")),
        job_id: facts.identity.run.job(),
        run_id: facts.identity.run,
        route_id: facts.route.effective_id(),
        route_revision: facts.route.revision(),
        tenant: facts.route.tenant.clone(),
        started_at: facts.started_at.clone(),
        finished_at: facts.finished_at.clone(),
        elapsed_ms: facts.elapsed_ms,
        outcome: failure.as_ref().map_or(Outcome::Succeeded, outcome),
        source: Source {
            uri: facts.source.uri.clone(),
            version_id: facts.source.version_id.clone(),
            etag: facts.source.etag.clone(),
            size: whole.map(|moved| moved.source.len()).or_else(|| planned_size(facts)),
            crc64nvme: whole.map(|moved| crc_to_text(moved.source.value())),
            crc64nvme_matches_source: moved
                .filter(|moved| moved.compared == Some("CRC-64/NVME"))
                .map(|_| true),
            compared: moved.and_then(|moved| moved.compared).map(ToOwned::to_owned),
            sha256: source_sha,
            objects: facts.objects.iter().map(joined_object).collect(),
        },
        stages: concat_run(facts, moved).into_iter().chain(stages.iter().map(stage_run)).collect(),
        rejects: rejects(stages),
        deliveries: match ended {
            Ended::Heartbeat => Vec::new(),
            Ended::Moved(_, moved) if facts.series.is_some() => {
                let places = (1..).map_while(|number| facts.series?.uri(number));
                let several = moved.deliveries.iter().zip(places).map(|(one, uri)| {
                    let id = facts.identity.delivery_to(facts.route, &uri);
                    delivery(facts, ended, (id, uri), one.result.as_ref().err(), Some(one), None)
                });
                several.collect()
            }
            _ => {
                let place = (facts.identity.delivery, facts.destination.clone());
                let one = moved.and_then(|moved| moved.deliveries.first());
                vec![delivery(facts, ended, place, failure.as_ref(), one, output_sha)]
            }
        },
        totals: Totals {
            requests: facts.client.requests().by_operation(),
            retries: facts.progress.retries,
            throttles: facts.client.requests().throttles(),
            bytes_read: facts.progress.read + facts.progress.reread,
            bytes_reread: facts.progress.reread,
        },
        resumed_from: moved.and_then(|moved| moved.resumed_from.clone()),
        failure: failure.as_ref().map(FailureNote::from),
    }
}

fn outcome(failure: &Failure) -> Outcome {
    match failure.code.class() {
        Class::Rejected => Outcome::Rejected,
        Class::Held => Outcome::Held,
        Class::Interrupted => Outcome::Cancelled,
        Class::Failed | Class::Usage => Outcome::Failed,
    }
}

fn joined_object(version: &ObjectVersion) -> JoinedObject {
    JoinedObject {
        uri: version.uri.clone(),
        version_id: version.version_id.clone(),
        etag: version.etag.clone(),
        size: version.size,
    }
}

/// The size of what was to be read.
fn planned_size(facts: &Facts<'_>) -> Option<u64> {
    match facts.objects {
        [] => facts.source.size,
        objects => objects.iter().map(|object| object.size).sum(),
    }
}

/// What is joined is joined as it is read; no step counts it.
fn concat_run(facts: &Facts<'_>, moved: Option<&Transferred>) -> Option<StageRun> {
    facts.route.joins()?;
    let bytes = moved.map_or(facts.progress.read, |moved| moved.source.len());
    Some(StageRun {
        name: "concat".to_owned(),
        kind: StageKind::Seek,
        resume_class: ResumeClass::R0,
        bytes_in: bytes,
        bytes_out: bytes,
        records: None,
        errors: 0,
        frames: Some(facts.objects.len() as u64),
        elapsed_ms: 0,
        scan: None,
    })
}

fn stage_run(stage: &StageTotals) -> StageRun {
    StageRun {
        name: stage.info.name.to_owned(),
        kind: match stage.info.kind {
            stage::Kind::Tap => StageKind::Tap,
            stage::Kind::Slice => StageKind::Slice,
            stage::Kind::Rewrite => StageKind::Rewrite,
            stage::Kind::Seek => StageKind::Seek,
        },
        resume_class: match stage.info.resume {
            stage::ResumeClass::R0 => ResumeClass::R0,
            stage::ResumeClass::R1 => ResumeClass::R1,
            stage::ResumeClass::R2 => ResumeClass::R2,
            stage::ResumeClass::R3 => ResumeClass::R3,
        },
        bytes_in: stage.bytes_in,
        bytes_out: stage.bytes_out,
        records: stage.report.records,
        errors: stage.report.errors,
        frames: stage.report.frames,
        scan: stage.report.scan.as_ref().map(|scan| Scanned {
            scanner: scan.scanner.clone(),
            bytes: scan.bytes,
            skipped: scan.skipped,
        }),
        elapsed_ms: u64::try_from(stage.busy.as_millis()).unwrap_or(u64::MAX),
    }
}

fn rejects(stages: &[StageTotals]) -> Vec<Rejected> {
    let rejects = stages.iter().flat_map(|stage| {
        stage.report.rejects.iter().map(|reject| Rejected {
            stage: stage.info.name.to_owned(),
            record: reject.record,
            offset: reject.offset,
            column: reject.column.clone(),
            reason: reject.reason.clone(),
        })
    });
    rejects.take(eft_domain::receipt::MAX_REJECTS).collect()
}

fn delivery(
    facts: &Facts<'_>,
    ended: &Ended<'_>,
    (delivery_id, uri): (DeliveryId, ObjectUri),
    failure: Option<&Failure>,
    moved: Option<&Moved>,
    sha256: Option<String>,
) -> Delivery {
    let committed = match ended {
        Ended::AlreadyThere(committed) => Some(*committed),
        _ => moved.and_then(|moved| moved.result.as_ref().ok()),
    };
    let whole = committed.and_then(|committed| committed.whole);
    let parts = moved.filter(|_| committed.is_some()).map_or(0, |moved| moved.parts);
    let (no_crc, conditions) = match facts.sink {
        Some(Sink::S3(sink)) => (!sink.knows_crc64(), sink.write_capability()),
        Some(Sink::Local(_)) => (true, WriteCapability::Enforced),
        Some(Sink::Std(_)) => (true, WriteCapability::Unsupported),
        None => (false, WriteCapability::Unproven),
    };
    Delivery {
        delivery_id,
        uri,
        outcome: match failure.map(|failure| failure.code) {
            None => DeliveryOutcome::Delivered,
            Some(eft_domain::Code::DestinationIndeterminate) => DeliveryOutcome::Indeterminate,
            Some(code) if code.class() == Class::Held => DeliveryOutcome::Held,
            Some(_) if facts.sink.is_none() => DeliveryOutcome::NotAttempted,
            Some(_) => DeliveryOutcome::Failed,
        },
        failure: failure.map(FailureNote::from),
        already_delivered: committed.is_some_and(|committed| committed.already_there),
        method: match ended {
            Ended::Moved(Method::ServerCopy, _) | Ended::Stopped(Method::ServerCopy, _) => Method::ServerCopy,
            _ if parts == 1 && facts.series.is_none() => Method::Put,
            _ => Method::Stream,
        },
        version_id: committed
            .and_then(|committed| committed.version.as_deref())
            .and_then(|id| id.parse().ok()),
        etag: committed.and_then(|committed| committed.etag.clone()),
        size: whole.map(Crc64::len),
        crc64nvme: whole.map(|whole| crc_to_text(whole.value())),
        sha256: sha256.filter(|_| committed.is_some()),
        parts,
        attempts: 1,
        endpoint: Capabilities {
            crc64nvme: match committed.map(|committed| committed.verified) {
                Some(Verified::Checksum) => CrcCapability::Verified,
                Some(Verified::SizeOnly) => CrcCapability::Unsupported,
                None if no_crc => CrcCapability::Unsupported,
                None => CrcCapability::Unproven,
            },
            conditional_write: conditions,
            versions: committed.is_some_and(|committed| committed.version.is_some()),
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
