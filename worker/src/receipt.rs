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
    port::Verified,
    progress::Snapshot,
    stage,
    transfer::{Delivery as Moved, Outcome as Transferred},
};

use crate::{
    delivery::Delivery as Destination,
    kept::joined,
    place::{Series, Sink},
    s3::{Client, crc_to_text},
};

/// Who a run is, settled before it starts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The run.
    pub run: RunId,
    /// What was joined, where the source is a manifest.
    joined: Option<String>,
}

impl Identity {
    /// The identity of a source on a route; of this run, where it has a number.
    pub fn of(route: &Route, source: &ObjectVersion, run: Option<RunId>) -> Self {
        let first = || RunId::first(JobId::of(&route.effective_id(), &Arrival::of(source)));
        Self { run: run.unwrap_or_else(first), joined: None }
    }

    /// What the source names is part of what is delivered: other versions of it are another delivery.
    pub(crate) fn join(&mut self, objects: &[ObjectVersion]) {
        self.joined = joined(objects);
    }

    /// The delivery to a place.
    pub(crate) fn delivery_to(&self, route: &Route, place: &ObjectUri) -> DeliveryId {
        let delivery = DeliveryId::of(self.run, route.revision(), place);
        self.joined.as_ref().map_or(delivery, |digest| delivery.of_joined(digest))
    }
}

/// By which name a place knows what is delivered to it.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) identity: Identity,
    pub(crate) route: Route,
    /// Versioned sources name their delivery for ever.
    pub(crate) versioned: bool,
    /// What stands for the delivery elsewhere: a file's or a stream's is this attempt's alone. So is one to a file, which does
    /// not say whose it is.
    pub(crate) attempt: String,
}

impl Names {
    /// Of the delivery to a place.
    pub(crate) fn of(&self, place: &ObjectUri) -> String {
        match self.versioned && !matches!(place, ObjectUri::Local(_)) {
            true => self.identity.delivery_to(&self.route, place).to_string(),
            false => self.attempt.clone(),
        }
    }
}

/// Everything a receipt is made of.
pub(crate) struct Facts<'a> {
    /// Who.
    pub(crate) identity: &'a Identity,
    /// The route.
    pub(crate) route: &'a Route,
    /// What was read.
    pub(crate) source: &'a ObjectVersion,
    /// What it names, where it is a manifest of what is joined.
    pub(crate) objects: &'a [ObjectVersion],
    /// The places, where several objects are made.
    pub(crate) series: Option<&'a Series>,
    /// The client, for its counts.
    pub(crate) client: &'a Client,
    /// What was moved.
    pub(crate) progress: Snapshot,
    /// When it started, RFC 3339.
    pub(crate) started_at: String,
    /// When it ended, RFC 3339.
    pub(crate) finished_at: String,
    /// How long it took.
    pub(crate) elapsed_ms: u64,
}

/// How the run ended.
#[derive(Default)]
pub(crate) struct Ended {
    /// What was moved, if all of it was.
    pub(crate) moved: Option<Transferred>,
    /// What the stages counted, also of a run that stopped.
    pub(crate) stages: Vec<StageTotals>,
    /// What became of each destination, in the order of the route; none where there was nothing to deliver.
    pub(crate) deliveries: Vec<Destination>,
    /// Why it ended, where that is no destination's own failure.
    pub(crate) failure: Option<Failure>,
}

impl Ended {
    /// Why not every destination has it: the run's own failure, or the first destination's.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref().or_else(|| self.deliveries.iter().find_map(Destination::failure))
    }
}

/// Write the receipt.
pub(crate) fn receipt(facts: &Facts<'_>, ended: &Ended) -> Receipt {
    let failure = ended.failure();
    let moved = ended.moved.as_ref();
    let stages = &ended.stages[..];
    let mut digests = stages.iter().filter_map(|stage| stage.report.sha256).map(|digest| hex(&digest));
    // Of an archive a part was read, which is not the source.
    let is_whole = !matches!(facts.route.stages.first(), Some(StageSpec::Unzip(_)));
    let whole = moved.filter(|_| is_whole);
    let source_sha = whole.and_then(|_| digests.next());
    let output_sha = digests.next().or_else(|| source_sha.clone()).filter(|_| moved.is_some());
    let deliveries = deliveries(facts, ended, output_sha.as_deref());
    let some = deliveries.iter().any(|delivery| delivery.outcome == DeliveryOutcome::Delivered);
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
        outcome: match failure {
            None => Outcome::Succeeded,
            Some(_) if some => Outcome::PartiallyDelivered,
            Some(failure) => outcome(failure),
        },
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
        deliveries,
        totals: Totals {
            requests: facts.client.requests().by_operation(),
            retries: facts.progress.retries,
            throttles: facts.client.requests().throttles(),
            bytes_read: facts.progress.read + facts.progress.reread,
            bytes_reread: facts.progress.reread,
        },
        resumed_from: moved.and_then(|moved| moved.resumed_from.clone()),
        failure: failure.map(FailureNote::from),
    }
}

/// Each destination's, and of several objects each object's.
fn deliveries(facts: &Facts<'_>, ended: &Ended, sha256: Option<&str>) -> Vec<Delivery> {
    let of = |destination: &Destination| {
        let uri = &destination.goal.uri;
        match (facts.series, &destination.objects[..]) {
            (Some(series), objects) if ended.moved.is_some() && destination.sink.is_some() => {
                let places = (1..).map_while(|number| series.uri(&destination.goal, number));
                let each = objects.iter().zip(places);
                each.map(|(object, uri)| delivery(facts, destination, uri, Ok(object), None)).collect()
            }
            (_, [object]) => {
                vec![delivery(facts, destination, uri.clone(), Ok(object), sha256)]
            }
            _ => vec![delivery(facts, destination, uri.clone(), Err(ended.failure()), None)],
        }
    };
    ended.deliveries.iter().flat_map(of).collect()
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

/// What became of an object; of one that was not begun, why.
fn delivery(
    facts: &Facts<'_>,
    destination: &Destination,
    uri: ObjectUri,
    object: Result<&Moved, Option<&Failure>>,
    sha256: Option<&str>,
) -> Delivery {
    let committed = object.ok().and_then(|object| object.result.as_ref().ok());
    let failure = match object {
        Ok(object) => object.result.as_ref().err(),
        Err(failure) => failure,
    };
    let whole = committed.and_then(|committed| committed.whole);
    let parts = object.ok().filter(|_| committed.is_some()).map_or(0, |object| object.parts);
    let (no_crc, conditions) = match &destination.sink {
        Some(Sink::S3(sink)) => (!sink.knows_crc64(), sink.write_capability()),
        Some(Sink::Local(_)) => (true, WriteCapability::Enforced),
        Some(Sink::Std(_)) => (true, WriteCapability::Unsupported),
        None => (false, WriteCapability::Unproven),
    };
    Delivery {
        delivery_id: facts.identity.delivery_to(facts.route, &uri),
        uri,
        outcome: match failure.map(|failure| failure.code) {
            None => DeliveryOutcome::Delivered,
            Some(eft_domain::Code::DestinationIndeterminate) => DeliveryOutcome::Indeterminate,
            Some(code) if code.class() == Class::Held => DeliveryOutcome::Held,
            Some(_) if destination.sink.is_none() => DeliveryOutcome::NotAttempted,
            Some(_) => DeliveryOutcome::Failed,
        },
        failure: failure.map(FailureNote::from),
        already_delivered: committed.is_some_and(|committed| committed.already_there),
        method: match destination.method {
            Method::Stream if parts == 1 && facts.series.is_none() => Method::Put,
            method => method,
        },
        version_id: committed
            .and_then(|committed| committed.version.as_deref())
            .and_then(|id| id.parse().ok()),
        etag: committed.and_then(|committed| committed.etag.clone()),
        size: whole.map(Crc64::len),
        crc64nvme: whole.map(|whole| crc_to_text(whole.value())),
        // Of what was found nobody has seen the bytes.
        sha256: sha256.filter(|_| parts > 0).map(ToOwned::to_owned),
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
