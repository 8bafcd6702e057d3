//! Receipts: what is signed survives reformatting, and broken promises are seen.

use super::*;
use crate::{Code, DeliveryId, Failure, JobId, RunId, invariant::violations};

fn delivery(receipt: &Receipt, uri: &str) -> Delivery {
    let uri = uri.parse().unwrap();
    Delivery {
        delivery_id: DeliveryId::of(receipt.run_id, receipt.route_revision, &uri),
        uri,
        outcome: DeliveryOutcome::Delivered,
        failure: None,
        already_delivered: false,
        method: Method::Stream,
        version_id: Some("v9".parse().unwrap()),
        etag: Some("\"e-1\"".into()),
        size: Some(40),
        crc64nvme: Some("b3V0cHV0ISE=".into()),
        sha256: None,
        parts: 1,
        attempts: 1,
        endpoint: Capabilities {
            crc64nvme: CrcCapability::Verified,
            conditional_write: WriteCapability::Enforced,
            versions: true,
        },
    }
}

fn stage(name: &str, kind: StageKind, bytes_in: u64, bytes_out: u64) -> StageRun {
    StageRun {
        name: name.into(),
        kind,
        resume_class: ResumeClass::R1,
        bytes_in,
        bytes_out,
        records: Some(2),
        errors: 0,
        frames: None,
        scan: None,
        elapsed_ms: 1,
    }
}

fn receipt() -> Receipt {
    let source: crate::ObjectUri = "s3://ingest/in/a \u{7f}é.csv".parse().unwrap();
    let route_id: crate::RouteId = "orders".parse().unwrap();
    let arrival = crate::Arrival { bucket: "ingest".into(), key: "in/a.csv".into(), version_id: "v1".into() };
    let job_id = JobId::of(&route_id, &arrival);
    let mut receipt = Receipt {
        schema: SCHEMA.into(),
        receipt_id: RunId::first(job_id).to_string(),
        tool: "eft 0.1.0".into(),
        job_id,
        run_id: RunId::first(job_id),
        route_id,
        route_revision: "0123456789abcdef".parse().unwrap(),
        tenant: None,
        started_at: "2026-11-23T09:18:28Z".into(),
        finished_at: "2026-11-23T09:18:29Z".into(),
        elapsed_ms: 1_000,
        outcome: Outcome::Succeeded,
        failure: None,
        source: Source {
            uri: source,
            version_id: Some("v1".parse().unwrap()),
            etag: None,
            size: Some(100),
            crc64nvme: Some("aW5wdXQhISE=".into()),
            crc64nvme_matches_source: Some(true),
            compared: None,
            sha256: None,
            objects: Vec::new(),
        },
        stages: vec![
            stage("validate.csv", StageKind::Tap, 100, 100),
            stage("compress.zstd", StageKind::Rewrite, 100, 40),
        ],
        rejects: Vec::new(),
        deliveries: Vec::new(),
        totals: Totals::default(),
        resumed_from: None,
    };
    receipt.deliveries = ["s3://out-a/a", "s3://out-b/a"].map(|uri| delivery(&receipt, uri)).into();
    receipt
}

fn signature() -> Signature {
    let text = |text: &str| text.to_owned();
    Signature {
        algorithm: text("Ed25519"),
        key_id: text("k1"),
        public_key: text("cA=="),
        value: text("cw=="),
    }
}

#[test]
fn signed_bytes_survive_reformatting_and_foreign_fields() {
    let receipt = receipt();
    let bytes = receipt.canonical_bytes().unwrap();
    let signed = SignedReceipt::new(receipt.clone(), Some(signature())).unwrap();
    assert_eq!(signed.signed_bytes().unwrap(), bytes);

    let indented = SignedReceipt::parse(&signed.to_json()).unwrap();
    assert_eq!((&indented.receipt, indented.signed_bytes().unwrap()), (&receipt, bytes.clone()));
    assert_eq!(indented.signature, Some(signature()));

    // Written by a later version of the same schema: unknown here, but part of what it signed.
    let later =
        signed.to_json().replacen("\"job_id\"", "\"a_new_field\": {\"z\": 1, \"a\": [true]}, \"job_id\"", 1);
    let later = SignedReceipt::parse(&later).unwrap();
    assert_eq!(later.receipt, receipt);
    let text = String::from_utf8(later.signed_bytes().unwrap()).unwrap();
    assert!(
        text.starts_with(r#"{"a_new_field":{"a":[true],"z":1},"deliveries":[{"already_delivered":false,"#),
        "{text}"
    );
    assert!(text.contains(r"in/a \u007fé.csv"), "{text}");
}

#[test]
fn any_changed_value_changes_the_signed_bytes() {
    let signed = SignedReceipt::new(receipt(), None).unwrap();
    let forged = SignedReceipt::parse(&signed.to_json().replace("s3://out-b/a", "s3://out-c/a")).unwrap();
    assert_ne!(forged.signed_bytes().unwrap(), signed.signed_bytes().unwrap());
}

#[test]
fn refuses_what_it_cannot_vouch_for() {
    let json = SignedReceipt::new(receipt(), None).unwrap().to_json();
    let fault = |text: &str| SignedReceipt::parse(text).map(|r| r.signed_bytes()).unwrap_err().to_string();
    assert_eq!(
        fault(&json.replace("eft.receipt/1", "eft.receipt/2")),
        "receipt schema `eft.receipt/2` is unknown; this version reads `eft.receipt/1`, use a newer one"
    );
    assert!(fault("{}").contains("missing field `receipt`"));
    assert!(fault(r#"{"receipt": {}}"#).contains("`receipt.schema` is missing"));
    assert!(fault("[1").starts_with("not a receipt: not JSON"));
    assert!(
        fault(&json.replacen("\"tool\"", "\"outcome\": \"FAILED\", \"tool\"", 1))
            .contains("`outcome` stands twice")
    );
    let float = json.replacen("\"tool\"", "\"ratio\": 0.5, \"tool\"", 1);
    let error = SignedReceipt::parse(&float).unwrap().signed_bytes().unwrap_err().to_string();
    assert_eq!(error, "`0.5` at /ratio is no integer; signed values hold integers only");
}

#[test]
fn a_failure_carries_its_remedy() {
    let note = FailureNote::from(&Failure::new(Code::SourceGone, "no such key"));
    assert_eq!((note.code.as_str(), note.known()), ("source.gone", Some(Code::SourceGone)));
    assert_eq!(note.remedy, Code::SourceGone.remedy());
    let later = FailureNote { code: "source.new".into(), ..note };
    assert_eq!(later.known(), None);
}

/// Each line breaks one promise of a receipt that keeps them all.
#[test]
fn broken_promises_are_seen() {
    type Break = fn(&mut Receipt);
    assert_eq!(violations(&receipt()), [] as [String; 0]);
    let note = || Some(FailureNote::from(&Failure::new(Code::Validation, "m")));
    let breaks: [(&str, Break); 14] = [
        ("G2", |r| {
            r.run_id = RunId::first(JobId::of(
                &"x".parse().unwrap(),
                &crate::Arrival::of(&crate::ObjectVersion {
                    uri: crate::ObjectUri::Std,
                    version_id: None,
                    etag: None,
                    size: None,
                    last_modified: None,
                }),
            ))
        }),
        ("G3", |r| r.deliveries[1].uri = r.deliveries[0].uri.clone()),
        ("G3", |r| r.deliveries[1].delivery_id = r.deliveries[0].delivery_id),
        ("G4", |r| r.deliveries[1].outcome = DeliveryOutcome::Failed),
        ("G4", |r| r.outcome = Outcome::PartiallyDelivered),
        ("G4", |r| r.outcome = Outcome::Rejected),
        ("G4", |r| r.failure = Some(FailureNote::from(&Failure::new(Code::Internal, "m")))),
        ("G4", |r| r.deliveries[0].failure = Some(FailureNote::from(&Failure::new(Code::Internal, "m")))),
        ("G5", |r| r.source.crc64nvme_matches_source = Some(false)),
        ("G5", |r| r.deliveries[1].crc64nvme = None),
        ("G5", |r| r.deliveries[1].crc64nvme = Some("b3RoZXIhISE=".into())),
        ("G5", |r| r.source.sha256 = Some("00".into())),
        ("G5", |r| r.stages[1].bytes_in = 99),
        ("G5", |r| r.stages[1].bytes_out = 41),
    ];
    for (at, (id, change)) in breaks.into_iter().enumerate() {
        let mut broken = receipt();
        change(&mut broken);
        let found = violations(&broken);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{id} ")), "{at}: {found:?}");
    }

    let mut rejected = receipt();
    rejected.outcome = Outcome::Rejected;
    rejected.failure = note();
    rejected.deliveries.iter_mut().for_each(|d| d.outcome = DeliveryOutcome::NotAttempted);
    assert_eq!(violations(&rejected), [] as [String; 0]);

    rejected.deliveries[1].outcome = DeliveryOutcome::Delivered;
    assert_eq!(violations(&rejected), ["G4 all or nothing: REJECTED with 1 of 2 deliveries made"]);
    rejected.outcome = Outcome::Held;
    assert_eq!(violations(&rejected), [] as [String; 0]);
    rejected.deliveries[0].outcome = DeliveryOutcome::Delivered;
    assert_eq!(violations(&rejected), ["G4 all or nothing: HELD with 2 of 2 deliveries made"]);

    let mut partial = receipt();
    partial.outcome = Outcome::PartiallyDelivered;
    partial.failure = note();
    partial.deliveries[0].outcome = DeliveryOutcome::Held;
    assert_eq!(violations(&partial), [] as [String; 0]);

    let mut identity = receipt();
    identity.stages.truncate(1);
    assert_eq!(violations(&identity).len(), 1, "a tap does not shrink what it passes");
    for delivery in &mut identity.deliveries {
        delivery.size = identity.source.size;
    }
    assert_eq!(violations(&identity).len(), 1, "the same size is not the same bytes");
    for delivery in &mut identity.deliveries {
        delivery.crc64nvme = identity.source.crc64nvme.clone();
    }
    assert_eq!(violations(&identity), [] as [String; 0]);
}

/// Committed files: a receipt written today must be read, and give the same signed bytes, for ever. The second file is
/// what `jq -jcS .receipt` prints of the first. `EFT_BLESS=1` writes them anew, for a new schema only.
#[test]
fn the_committed_receipt_gives_the_committed_bytes() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let (file, canonical) = (folder.join("receipt.json"), folder.join("receipt.canonical.json"));
    if std::env::var_os("EFT_BLESS").is_some() {
        let signed = SignedReceipt::new(receipt(), Some(signature())).unwrap();
        std::fs::write(&file, signed.to_json()).unwrap();
        std::fs::write(&canonical, signed.signed_bytes().unwrap()).unwrap();
    }
    let signed = SignedReceipt::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(signed.receipt, receipt());
    assert_eq!(signed.signed_bytes().unwrap(), std::fs::read(&canonical).unwrap());
}
