//! Receipts, deliveries and reject reports.

use eft_domain::{
    Code, Command, Failure, Job,
    job::Ending,
    receipt::{FailureNote, SignedReceipt},
};
use serde_json::{Value, json};

use crate::kit::Bed;

/// A receipt as the worker writes it, of the run that a job has now.
pub(crate) fn receipt(job: &Job, outcome: &str, rejects: usize) -> String {
    let delivery = json!({
        "delivery_id": "6fa459ea-ee8a-5ca4-894e-db77e160355e", "uri": "s3://acme-out/a", "outcome": "DELIVERED",
        "method": "stream", "version_id": "v9", "etag": "\"e-1\"", "size": 40, "crc64nvme": "b3V0cHV0ISE=", "parts": 1,
        "attempts": 1, "endpoint": { "crc64nvme": "verified", "conditional_write": "enforced", "versions": true },
    });
    let reject = json!({ "stage": "validate.csv", "record": 3, "offset": 120, "column": "qty", "reason": "is no integer" });
    let stage = json!({
        "name": "validate.csv", "kind": "tap", "resume_class": "R1", "bytes_in": 100, "bytes_out": 100, "records": 9,
        "errors": rejects, "elapsed_ms": 1,
    });
    let route = job.route.as_ref().unwrap();
    let receipt = json!({
        "schema": "eft.receipt/1", "receipt_id": job.run(), "tool": "eft 0.1.0", "job_id": job.id, "run_id": job.run(),
        "route_id": route.id, "route_revision": route.revision, "started_at": "2026-11-27T00:00:00Z",
        "finished_at": "2026-11-27T00:00:01Z", "elapsed_ms": 1_000, "outcome": outcome,
        "source": { "uri": "s3://ingest/tenants/acme/orders/a" },
        "stages": [stage], "deliveries": [delivery], "rejects": vec![reject; rejects],
    });
    // As nobody would write it twice.
    let text = format!("{{ \"receipt\":  {receipt},\n\"signature\": null }}\n");
    SignedReceipt::parse(&text).unwrap();
    text
}

async fn delivered(bed: &Bed, name: &str) -> (Job, String) {
    let job = bed.running(name).await;
    let text = receipt(&job, "SUCCEEDED", 0);
    let ending = Ending::Succeeded(Some(text.clone()));
    (bed.change(&job, Command::End { fence: job.fence, ending }).await, text)
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_given_to_the_letter() {
    let bed = Bed::new().await;
    let (job, text) = delivered(&bed, "a").await;
    let path = format!("/v1/jobs/{}/receipt", job.id);
    let request = crate::contract::request("GET", &path, &[], "");
    let response = eft_api::handle(&bed.api, request, crate::kit::ron(), bed.now()).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.body(), &text.as_bytes());
    assert_eq!(bed.get(&path).await.is(200).body["receipt"]["job_id"], json!(job.id));
}

#[tokio::test(start_paused = true)]
async fn each_run_has_its_receipt() {
    let bed = Bed::new().await;
    let (job, _) = delivered(&bed, "a").await;
    let path = format!("/v1/jobs/{}/receipt", job.id);
    let job = bed.change(&job, Command::Replay { reason: "again".into(), route: None }).await;
    let run =
        |reply: &Value| reply["receipt"]["run_id"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    // The second has not ended: the receipt is that of the one that ended last.
    assert_eq!(run(&bed.get(&path).await.is(200).body), "1");
    assert_eq!(bed.get(&format!("{path}?run=2")).await.is(404).code(), "receipt.not_found");
    let lease = std::time::Duration::from_secs(60);
    let job = bed.change(&job, Command::Claim { owner: "b".into(), lease }).await;
    let ending = Ending::Succeeded(Some(receipt(&job, "SUCCEEDED", 0)));
    bed.change(&job, Command::End { fence: job.fence, ending }).await;
    assert_eq!(run(&bed.get(&path).await.is(200).body), "2");
    assert_eq!(run(&bed.get(&format!("{path}?run=1")).await.is(200).body), "1");
    assert_eq!(run(&bed.get(&format!("{path}?run=2")).await.is(200).body), "2");
    assert_eq!(bed.get(&format!("{path}?run=3")).await.is(404).code(), "receipt.not_found");
    for wrong in ["0", "-1", "x", ""] {
        assert_eq!(bed.get(&format!("{path}?run={wrong}")).await.is(400).code(), "request.parameter");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_receipt_has_not_that_of_an_earlier_one() {
    let bed = Bed::new().await;
    let (job, _) = delivered(&bed, "a").await;
    let job = bed.change(&job, Command::Replay { reason: "again".into(), route: None }).await;
    let job = bed.change(&job, Command::Cancel { reason: "not now".into() }).await;
    let path = |what: &str| format!("/v1/jobs/{}/{what}", job.id);
    for what in ["receipt", "deliveries", "reject-report"] {
        let none = bed.get(&path(what)).await.is(404);
        assert_eq!(none.code(), "receipt.not_found", "{what}");
        assert!(none.body["detail"].as_str().unwrap().contains("`?run=1`"), "{none:?}");
    }
    bed.get(&path("receipt?run=1")).await.is(200);
    // The third has not ended: the second is still the one that ended last.
    bed.change(&job, Command::Replay { reason: "now".into(), route: None }).await;
    assert_eq!(bed.get(&path("receipt")).await.is(404).code(), "receipt.not_found");
}

/// A run that was gone on with has ended twice.
#[tokio::test(start_paused = true)]
async fn a_run_that_ended_twice_has_the_receipt_of_its_last_end() {
    let bed = Bed::new().await;
    let job = bed.running("a").await;
    let note = FailureNote::from(&Failure::new(Code::DestinationExists, "taken"));
    let ending = Ending::Partial(note, receipt(&job, "PARTIALLY_DELIVERED", 0));
    let mut job = bed.change(&job, Command::End { fence: job.fence, ending }).await;
    let lease = std::time::Duration::from_secs(60);
    for command in [
        Command::Redeliver { reason: "the name is free".into() },
        Command::Replay { reason: "once more".into(), route: None },
        Command::Replay { reason: "and again".into(), route: None },
    ] {
        job = bed.change(&job, command).await;
        job = bed.change(&job, Command::Claim { owner: "b".into(), lease }).await;
        let ending = Ending::Succeeded(Some(receipt(&job, "SUCCEEDED", 0)));
        job = bed.change(&job, Command::End { fence: job.fence, ending }).await;
    }
    for run in [1, 2, 3] {
        let body = bed.get(&format!("/v1/jobs/{}/deliveries?run={run}", job.id)).await.is(200).body;
        let expected = (json!("SUCCEEDED"), json!(format!("{}.{run}", job.id)));
        assert_eq!((&body["outcome"], &body["run"]), (&expected.0, &expected.1));
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_those_of_the_receipt() {
    let bed = Bed::new().await;
    let (job, _) = delivered(&bed, "a").await;
    let body = bed.get(&format!("/v1/jobs/{}/deliveries", job.id)).await.is(200).body;
    assert_eq!((&body["outcome"], &body["run"]), (&json!("SUCCEEDED"), &json!(job.run())));
    let [delivery] = &body["items"].as_array().unwrap()[..] else { panic!("{body}") };
    assert_eq!((&delivery["uri"], &delivery["versionId"]), (&json!("s3://acme-out/a"), &json!("v9")));
    assert_eq!(delivery["alreadyDelivered"], false);
    let running = bed.running("b").await;
    let none = bed.get(&format!("/v1/jobs/{}/deliveries", running.id)).await.is(404);
    assert_eq!(none.code(), "receipt.not_found");
}

#[tokio::test(start_paused = true)]
async fn a_reject_report_names_the_records() {
    let bed = Bed::new().await;
    let job = bed.running("a").await;
    let failure = Failure::new(Code::Validation, "2 records broke a rule");
    assert_eq!(FailureNote::from(&failure).code, "validation");
    let ending = Ending::Failed(failure, Some(receipt(&job, "REJECTED", 2)));
    bed.change(&job, Command::End { fence: job.fence, ending }).await;
    let body = bed.get(&format!("/v1/jobs/{}/reject-report", job.id)).await.is(200).body;
    assert_eq!((&body["errors"], &body["truncated"]), (&json!(2), &json!(false)));
    let first = json!({ "stage": "validate.csv", "record": 3, "offset": 120, "column": "qty", "reason": "is no integer" });
    assert_eq!(body["items"], json!([first, first]));
    let (job, _) = delivered(&bed, "b").await;
    let none = bed.get(&format!("/v1/jobs/{}/reject-report", job.id)).await.is(404);
    assert_eq!(none.code(), "report.not_found");
}
