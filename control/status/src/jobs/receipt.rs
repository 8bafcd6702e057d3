//! Receipts, and what is read out of them: deliveries and broken records.

use eft_api::{Answer, Call, Code, Problem};
use eft_domain::{
    Job,
    job::{JobEvent, ReceiptKey},
    receipt::{MAX_REJECTS, Receipt, SignedReceipt},
};
use serde_json::json;

use super::show;
use crate::Api;

impl Api {
    /// The text of the receipt of the run that is asked for, or of the one that ended last.
    async fn receipt_text(&self, call: &Call, job: &Job) -> Result<String, Problem> {
        let missing = |what: &str| Problem::new(Code::ReceiptNotFound, format!("job {} has {what}", job.id));
        let key = match call.parameter("run") {
            None => latest(job)?,
            Some(text) => {
                let run = text.parse::<u32>().ok().filter(|run| *run > 0);
                let run = run.ok_or_else(|| {
                    Problem::new(Code::ParameterInvalid, "`run` is the number of a run, from 1")
                })?;
                self.ended(job, run).await?
            }
        };
        let key = key.ok_or_else(|| missing("no receipt of a run that has ended"))?;
        let text = self.desk.runs.receipt(job.id, key).await?;
        text.ok_or_else(|| missing(&format!("no receipt of run {}", key.generation)))
    }

    /// Where the receipt of a run is, if it has ended: under the token of whoever has ended it last.
    async fn ended(&self, job: &Job, run: u32) -> Result<Option<ReceiptKey>, Problem> {
        if let Some(key) = job.receipt.filter(|key| key.generation == run) {
            return Ok(Some(key));
        }
        let history = self.desk.runs.history(job.id).await?;
        let is_end = |event: &&JobEvent| event.generation == run && event.after.is_terminal();
        let end = history.iter().rev().find(is_end);
        Ok(end.map(|event| ReceiptKey { generation: run, fence: event.fence }))
    }

    async fn receipt_of(&self, call: &Call, job: &Job) -> Result<Receipt, Problem> {
        let text = self.receipt_text(call, job).await?;
        let read = SignedReceipt::parse(&text).map(|signed| signed.receipt);
        read.map_err(|error| Problem::internal(format!("the receipt of job {}: {error}", job.id)))
    }
}

/// Where the receipt of the run that ended last is. One that was stopped before it was run, or failed at once, has none.
fn latest(job: &Job) -> Result<Option<ReceiptKey>, Problem> {
    // A run begins where the one before has ended.
    let ended = if job.state.is_terminal() { job.generation } else { job.generation - 1 };
    match job.receipt {
        Some(ReceiptKey { generation, .. }) if generation < ended => {
            let detail = format!(
                "run {ended} of job {} has ended without a receipt; run {generation} has one: `?run={generation}`",
                job.id
            );
            Err(Problem::new(Code::ReceiptNotFound, detail))
        }
        key => Ok(key),
    }
}

pub(crate) async fn receipt(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let job = api.job_of(call).await?;
    // As it was signed, to the last space.
    Ok(Answer::text(api.receipt_text(call, &job).await?))
}

pub(crate) async fn deliveries(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let job = api.job_of(call).await?;
    let receipt = api.receipt_of(call, &job).await?;
    Ok(Answer::ok(json!({
        "job": job.id,
        "run": receipt.run_id,
        "outcome": receipt.outcome,
        "items": receipt.deliveries.iter().map(show::delivery).collect::<Vec<_>>(),
    })))
}

pub(crate) async fn reject_report(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let job = api.job_of(call).await?;
    let receipt = api.receipt_of(call, &job).await?;
    if receipt.rejects.is_empty() {
        let detail = format!("no record of run {} broke a rule", receipt.run_id);
        return Err(Problem::new(Code::ReportNotFound, detail));
    }
    Ok(Answer::ok(json!({
        "job": job.id,
        "run": receipt.run_id,
        "errors": receipt.stages.iter().map(|stage| stage.errors).sum::<u64>(),
        "truncated": receipt.rejects.len() == MAX_REJECTS,
        "items": receipt.rejects.iter().map(show::reject).collect::<Vec<_>>(),
    })))
}
