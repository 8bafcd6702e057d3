//! The table `runs`: the changes of every job, and how each run stands.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use eft_domain::{
    Job, JobId, TenantId,
    job::{JobEvent, ReceiptKey},
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
    summary::{JobFilter, RunSummary},
};

/// The tenant of what nobody's prefix has. No tenant id begins so.
const NOBODY: &str = "-";

/// Bytes of a receipt in one item: DynamoDB takes 400 KB, names and keys included. A receipt with more deliveries and
/// rejects than that has several.
const RECEIPT_BYTES: usize = 350_000;

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

    /// A run that was the latest of its job is so no more.
    async fn unlist(&self, job: JobId, generation: u32) -> StoreResult<()> {
        again(|| async {
            let request = self
                .writes
                .update_item()
                .table_name(&self.table)
                .key("pk", text(partition(job)))
                .key("sk", text(run_key(generation)))
                .update_expression("REMOVE tenant, tenant_state, tenant_route, tenant_at")
                .condition_expression("attribute_exists(pk)");
            conditional("take a run off the lists", request.send().await)
        })
        .await
        .map(drop)
    }
}

fn run_key(generation: u32) -> String {
    format!("run#{generation:010}")
}

/// The attributes by which the lists find a run: of a tenant, and with its state and its route.
fn listed(summary: &RunSummary, job: JobId) -> Vec<(String, AttributeValue)> {
    let tenant = owner(summary.tenant.as_ref());
    let mut attributes = vec![
        ("tenant".to_owned(), text(tenant)),
        ("tenant_at".to_owned(), text(place(summary.changed_at, job))),
        ("tenant_state".to_owned(), text(format!("{tenant}#{}", summary.state))),
    ];
    if let Some(route) = &summary.route {
        attributes.push(("tenant_route".to_owned(), text(format!("{tenant}#{}", route.id))));
    }
    attributes
}

fn owner(tenant: Option<&TenantId>) -> &str {
    tenant.map_or(NOBODY, TenantId::as_str)
}

/// The index of a filter, its partition key and the value of that.
fn index_of(tenant: Option<&TenantId>, filter: &JobFilter) -> (&'static str, &'static str, String) {
    let tenant = owner(tenant);
    match filter {
        JobFilter::All => ("tenant", "tenant", tenant.to_owned()),
        JobFilter::State(state) => ("state", "tenant_state", format!("{tenant}#{state}")),
        JobFilter::Route(route) => ("route", "tenant_route", format!("{tenant}#{route}")),
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
            let mut item = Item::from([
                ("pk".to_owned(), text(partition(job.id))),
                ("sk".to_owned(), text(run_key(event.generation))),
                ("sequence".to_owned(), number(event.sequence)),
                ("row".to_owned(), text(row(&summary)?)),
            ]);
            // Lists show the latest run of a job.
            if event.generation == job.generation {
                item.extend(listed(&summary, job.id));
            }
            // `Stale`: a later change was kept before this one.
            let condition = "attribute_not_exists(pk) OR #sequence < :sequence";
            self.put(item, condition, Some(event.sequence)).await?;
            if event.generation > 1 && event.before.is_terminal() {
                self.unlist(job.id, event.generation - 1).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn jobs<'a>(
        &'a self,
        tenant: Option<&'a TenantId>,
        filter: &'a JobFilter,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RunSummary>>> {
        async move {
            let (index, attribute, value) = index_of(tenant, filter);
            let request = self
                .reads
                .query()
                .table_name(&self.table)
                .index_name(index)
                .key_condition_expression(format!("{attribute} = :value AND tenant_at < :after"))
                .expression_attribute_values(":value", text(&value))
                .expression_attribute_values(":after", text(after.unwrap_or("~")))
                .scan_index_forward(false)
                .limit(i32::from(limit.max(1)));
            let answer = request.send().await;
            let answer =
                answer.map_err(|error| store_error(&format!("list jobs of {value}"), Deed::Read, &error))?;
            let items = answer.items().iter().map(read).collect::<StoreResult<_>>()?;
            let last = answer.items().last().filter(|_| answer.last_evaluated_key.is_some());
            let next = last.map(|item| text_of(item, "tenant_at").map(ToOwned::to_owned)).transpose()?;
            Ok(Page { items, next })
        }
        .boxed()
    }

    fn runs(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<RunSummary>>> {
        async move { self.of_job(job, "run#").await?.iter().map(read).collect() }.boxed()
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
    fn every_filter_is_the_key_of_an_index_that_there_is() {
        let (_, runs) = super::super::TABLES
            .iter()
            .map(|table| (table.name, table))
            .find(|(name, _)| *name == "runs")
            .unwrap();
        let acme = "acme".parse().unwrap();
        let route = JobFilter::Route("orders".parse().unwrap());
        for (filter, key) in [
            (JobFilter::All, "acme"),
            (JobFilter::State(eft_domain::JobState::Failed), "acme#FAILED"),
            (route, "acme#orders"),
        ] {
            let (index, attribute, value) = index_of(Some(&acme), &filter);
            assert_eq!(value, key);
            let found = runs.indexes.iter().find(|found| found.name == index).unwrap();
            assert_eq!((found.hash.name, found.range.name), (attribute, "tenant_at"));
        }
        assert_eq!(index_of(None, &JobFilter::All).2, NOBODY);
    }

    #[test]
    fn a_long_text_is_kept_in_pieces_of_whole_characters() {
        assert_eq!(pieces("", 4), [""]);
        assert_eq!(pieces("abcd", 4), ["abcd"]);
        assert_eq!(pieces("abcdé", 5), ["abcd", "é"]);
        assert_eq!(pieces("ééé", 4), ["éé", "é"]);
    }
}
