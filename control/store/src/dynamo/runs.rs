//! The table `runs`: the changes of every job, and how each run stands.

use aws_sdk_dynamodb::Client;
use eft_domain::{
    Arrival, Job, JobId, JobState, Millis, RunId, TenantId,
    job::{JobEvent, PinnedRoute, ReceiptKey},
};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};

use super::{Item, number, once, text, text_of, wrong};
use crate::{
    aws::{
        error::{Deed, conditional, store_error},
        retry::again,
    },
    index::place,
    port::{Page, Put, Runs, StoreResult},
};

/// The tenant of what nobody's prefix has. No tenant id begins so.
const NOBODY: &str = "-";

/// Bytes of a receipt in one item: DynamoDB takes 400 KB, names and keys included. A receipt with more deliveries and
/// rejects than that has several.
const RECEIPT_BYTES: usize = 350_000;

/// How a run stands, as the status API lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// Where it stands.
    pub state: JobState,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// What is done with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<PinnedRoute>,
    /// What arrived.
    pub arrival: Arrival,
    /// Its size in bytes.
    pub size: u64,
    /// When it arrived.
    pub arrived_at: Millis,
    /// When its state last changed.
    pub changed_at: Millis,
    /// The failure code, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it stands where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The change this is about.
    pub sequence: u64,
}

impl RunSummary {
    /// How the run of a change stands with it.
    pub fn of(job: &Job, event: &JobEvent) -> Self {
        // The run of a change may be an earlier one than the job's; both are runs of the same job.
        let mut run = RunId::first(job.id);
        for _ in 1..event.generation {
            run = run.next().unwrap_or(run);
        }
        Self {
            run,
            state: event.after,
            tenant: job.tenant.clone(),
            route: job.route.clone(),
            arrival: job.arrival.clone(),
            size: job.size,
            arrived_at: job.arrived_at,
            changed_at: event.at,
            code: event.code.clone(),
            reason: event.reason.clone(),
            sequence: event.sequence,
        }
    }
}

/// The history on DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoRuns {
    reads: Client,
    writes: Client,
    table: String,
}

fn row<T: Serialize>(value: &T) -> StoreResult<String> {
    serde_json::to_string(value)
        .map_err(|error| wrong(format_args!("a row cannot be written as JSON: {error}")))
}

fn read<T: for<'de> Deserialize<'de>>(item: &Item) -> StoreResult<T> {
    serde_json::from_str(text_of(item, "row")?)
        .map_err(|error| wrong(format_args!("a row of the history cannot be read: {error}")))
}

fn partition(job: JobId) -> String {
    format!("job#{job}")
}

/// What the sort keys of a receipt begin with.
fn receipt_prefix(key: ReceiptKey) -> String {
    format!("receipt#{:010}#{:020}#", key.generation, key.fence)
}

/// A text in pieces of so many bytes at most, each of whole characters.
fn pieces(text: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > most {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(most));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

impl DynamoRuns {
    /// The history in this table.
    pub fn new(client: &Client, table: &str) -> Self {
        Self { reads: client.clone(), writes: once(client), table: table.to_owned() }
    }

    async fn put(&self, item: Item, condition: &str, sequence: Option<u64>) -> StoreResult<Put> {
        again(|| async {
            let mut request = self
                .writes
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item.clone()))
                .condition_expression(condition);
            if let Some(sequence) = sequence {
                request = request
                    .expression_attribute_names("#sequence", "sequence")
                    .expression_attribute_values(":sequence", number(sequence));
            }
            conditional("keep a change", request.send().await)
        })
        .await
    }

    /// Items of a job whose sort keys begin so, in their order.
    async fn of_job(&self, job: JobId, prefix: &str) -> StoreResult<Vec<Item>> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let request = self
                .reads
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":pk", text(partition(job)))
                .expression_attribute_values(":prefix", text(prefix))
                .consistent_read(true)
                .set_exclusive_start_key(start);
            let answer = request.send().await;
            let what = format!("read the history of job {job}");
            let answer = answer.map_err(|error| store_error(&what, Deed::Read, &error))?;
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// Runs of a tenant, or of nobody, those that changed last first. As late as every index.
    ///
    /// # Errors
    /// The table was not reached.
    pub async fn of_tenant(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&str>,
        limit: u16,
    ) -> StoreResult<Page<RunSummary>> {
        let tenant = tenant.map_or(NOBODY, TenantId::as_str);
        let request = self
            .reads
            .query()
            .table_name(&self.table)
            .index_name("tenant")
            .key_condition_expression("tenant = :tenant AND tenant_at < :after")
            .expression_attribute_values(":tenant", text(tenant))
            .expression_attribute_values(":after", text(after.unwrap_or("~")))
            .scan_index_forward(false)
            .limit(i32::from(limit.max(1)));
        let answer = request.send().await;
        let answer =
            answer.map_err(|error| store_error(&format!("list runs of {tenant}"), Deed::Read, &error))?;
        let items = answer.items().iter().map(read).collect::<StoreResult<_>>()?;
        let last = answer.items().last().filter(|_| answer.last_evaluated_key.is_some());
        let next = last.map(|item| text_of(item, "tenant_at").map(ToOwned::to_owned)).transpose()?;
        Ok(Page { items, next })
    }
}

impl Runs for DynamoRuns {
    fn record<'a>(&'a self, job: &'a Job, event: &'a JobEvent) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let change = Item::from([
                ("pk".to_owned(), text(partition(job.id))),
                ("sk".to_owned(), text(format!("event#{:010}", event.sequence))),
                ("row".to_owned(), text(row(event)?)),
            ]);
            // `Stale`: it was kept before.
            self.put(change, "attribute_not_exists(pk)", None).await?;
            let summary = RunSummary::of(job, event);
            let tenant = summary.tenant.as_ref().map_or(NOBODY, TenantId::as_str);
            let item = Item::from([
                ("pk".to_owned(), text(partition(job.id))),
                ("sk".to_owned(), text(format!("run#{:010}", event.generation))),
                ("sequence".to_owned(), number(event.sequence)),
                ("tenant".to_owned(), text(tenant)),
                ("tenant_at".to_owned(), text(place(event.at, job.id))),
                ("row".to_owned(), text(row(&summary)?)),
            ]);
            // `Stale`: a later change was kept before this one.
            let condition = "attribute_not_exists(pk) OR #sequence < :sequence";
            self.put(item, condition, Some(event.sequence)).await.map(drop)
        }
        .boxed()
    }

    fn history(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<JobEvent>>> {
        async move { self.of_job(job, "event#").await?.iter().map(read).collect() }.boxed()
    }

    fn keep_receipt<'a>(
        &'a self,
        job: JobId,
        key: ReceiptKey,
        receipt: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            for (at, piece) in pieces(receipt, RECEIPT_BYTES).into_iter().enumerate() {
                // Without a condition: the same owner keeps the same again.
                let request = self
                    .reads
                    .put_item()
                    .table_name(&self.table)
                    .item("pk", text(partition(job)))
                    .item("sk", text(format!("{}{at:04}", receipt_prefix(key))))
                    .item("receipt", text(piece));
                let what = format!("keep a receipt of job {job}");
                again(|| async {
                    let answer = request.clone().send().await;
                    answer.map(drop).map_err(|error| store_error(&what, Deed::Write, &error))
                })
                .await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn receipt(&self, job: JobId, key: ReceiptKey) -> BoxFuture<'_, StoreResult<Option<String>>> {
        async move {
            let items = self.of_job(job, &receipt_prefix(key)).await?;
            let pieces =
                items.iter().map(|item| text_of(item, "receipt")).collect::<StoreResult<String>>()?;
            Ok((!items.is_empty()).then_some(pieces))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_kept_in_pieces_of_whole_characters() {
        assert_eq!(pieces("", 4), [""]);
        assert_eq!(pieces("abcd", 4), ["abcd"]);
        assert_eq!(pieces("abcdé", 5), ["abcd", "é"]);
        assert_eq!(pieces("ééé", 4), ["éé", "é"]);
    }
}
