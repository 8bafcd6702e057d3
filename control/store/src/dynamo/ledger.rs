//! The table `jobs`.

use aws_sdk_dynamodb::{Client, operation::query::builders::QueryFluentBuilder};
use eft_domain::{Job, JobId, Millis, RouteId, TenantId, job::Retention};
use futures::{
    FutureExt,
    future::{BoxFuture, try_join_all},
};

use super::{
    Item,
    item::{REV, item_of, job_of},
    number, number_of, once, parsed, text, text_of, wrong,
};
use crate::{
    aws::{
        error::{Deed, conditional, store_error},
        retry::again,
    },
    index::{LINE_SHARDS, Line},
    port::{JobLedger, JobSize, Page, Put, StoreResult},
};

/// The jobs on DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoLedger {
    reads: Client,
    writes: Client,
    table: String,
    retention: Retention,
}

impl DynamoLedger {
    /// The jobs in this table.
    pub fn new(client: &Client, table: &str, retention: Retention) -> Self {
        Self { reads: client.clone(), writes: once(client), table: table.to_owned(), retention }
    }

    async fn put(&self, item: &Item, condition: &str, before: Option<u64>) -> StoreResult<Put> {
        let what = format!("put job {}", text_of(item, "pk")?);
        again(|| async {
            let request = self.writes.put_item().table_name(&self.table).set_item(Some(item.clone()));
            let request = request.condition_expression(condition);
            let request = match before {
                Some(before) => request.expression_attribute_values(":before", number(before)),
                None => request,
            };
            conditional(&what, request.send().await)
        })
        .await
    }

    /// A write of next to nothing, to see what becomes of it.
    #[cfg(test)]
    pub(crate) async fn put_raw(&self, pk: &str) -> StoreResult<Put> {
        self.put(&Item::from([("pk".to_owned(), text(pk))]), "attribute_not_exists(pk)", None).await
    }

    /// An index where one attribute has one value.
    fn index(&self, name: &str, attribute: &str, value: &str) -> QueryFluentBuilder {
        self.reads
            .query()
            .table_name(&self.table)
            .index_name(name)
            .key_condition_expression(format!("{attribute} = :value"))
            .expression_attribute_values(":value", text(value))
    }

    /// A line of a tenant in its order, up to `most` jobs: all its shards are asked at once, and merged.
    async fn line(&self, tenant: &TenantId, line: Line, most: u32) -> StoreResult<Vec<JobSize>> {
        let shards = (0..LINE_SHARDS).map(|shard| self.shard_of_line(line.key(tenant, shard), most as usize));
        let mut jobs: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
        jobs.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        jobs.truncate(most as usize);
        Ok(jobs.into_iter().map(|(_, job)| job).collect())
    }

    async fn shard_of_line(&self, key: String, most: usize) -> StoreResult<Vec<(String, JobSize)>> {
        let mut jobs = Vec::new();
        let mut start = None;
        while jobs.len() < most {
            let request = self.index("line", "line", &key).set_exclusive_start_key(start);
            // One page holds 1 MB, which is about 5,000 of them.
            let request = request.limit(i32::try_from(most - jobs.len()).unwrap_or(i32::MAX));
            let answer = request.send().await;
            let answer = answer.map_err(|error| store_error(&format!("list {key}"), Deed::Read, &error))?;
            for item in answer.items() {
                let job = JobSize { job: parsed(item, "pk")?, size: number_of(item, "size")? };
                jobs.push((text_of(item, "line_at")?.to_owned(), job));
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(jobs)
    }
}

impl JobLedger for DynamoLedger {
    fn get(&self, id: JobId) -> BoxFuture<'_, StoreResult<Option<Job>>> {
        async move {
            let request = self.reads.get_item().table_name(&self.table).key("pk", text(id.to_string()));
            let answer = request.consistent_read(true).send().await;
            let answer = answer.map_err(|error| store_error(&format!("get job {id}"), Deed::Read, &error))?;
            answer.item.as_ref().map(job_of).transpose()
        }
        .boxed()
    }

    fn create<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        async move { self.put(&item_of(job, self.retention)?, "attribute_not_exists(pk)", None).await }
            .boxed()
    }

    fn replace<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let before = job.rev.checked_sub(1);
            let before = before.ok_or_else(|| wrong(format_args!("job {} replaces nothing", job.id)))?;
            self.put(&item_of(job, self.retention)?, "rev = :before", Some(before)).await
        }
        .boxed()
    }

    fn remove(&self, id: JobId, rev: u64) -> BoxFuture<'_, StoreResult<Put>> {
        async move {
            again(|| async {
                let request =
                    self.writes.delete_item().table_name(&self.table).key("pk", text(id.to_string()));
                let request = request
                    .condition_expression(format!("{REV} = :rev"))
                    .expression_attribute_values(":rev", number(rev));
                conditional(&format!("remove job {id}"), request.send().await)
            })
            .await
        }
        .boxed()
    }

    fn due<'a>(
        &'a self,
        shard: u16,
        now: Millis,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        async move {
            let (from, to) = due_range(now, after);
            // DynamoDB refuses bounds the wrong way round.
            if from > to {
                return Ok(Page { items: Vec::new(), next: None });
            }
            let request = self
                .reads
                .query()
                .table_name(&self.table)
                .index_name("due")
                .key_condition_expression("due_shard = :shard AND due_at BETWEEN :from AND :to")
                .expression_attribute_values(":shard", number(u64::from(shard)))
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to))
                .limit(i32::from(limit.max(1)));
            let answer = request.send().await;
            let answer = answer.map_err(|error| {
                store_error(&format!("list what is due in shard {shard}"), Deed::Read, &error)
            })?;
            let items = answer.items().iter().map(|item| parsed(item, "pk")).collect::<StoreResult<_>>()?;
            let last = answer.items().last().filter(|_| answer.last_evaluated_key.is_some());
            let next = last.map(|item| text_of(item, "due_at").map(ToOwned::to_owned)).transpose()?;
            Ok(Page { items, next })
        }
        .boxed()
    }

    fn waiting<'a>(&'a self, tenant: &'a TenantId, limit: u16) -> BoxFuture<'a, StoreResult<Vec<JobSize>>> {
        self.line(tenant, Line::Waiting, u32::from(limit)).boxed()
    }

    fn in_flight<'a>(&'a self, tenant: &'a TenantId, most: u32) -> BoxFuture<'a, StoreResult<Vec<JobSize>>> {
        self.line(tenant, Line::InFlight, most).boxed()
    }

    fn live<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        async move {
            let request = self
                .reads
                .query()
                .table_name(&self.table)
                .index_name("live")
                .key_condition_expression("live_of = :tenant AND pk > :after")
                .expression_attribute_values(":tenant", text(tenant.as_str()))
                // A key must not be empty: this stands before every id.
                .expression_attribute_values(":after", text(after.unwrap_or("!")))
                .limit(i32::from(limit.max(1)));
            let answer = request.send().await;
            let what = format!("list what is live of {tenant}");
            let answer = answer.map_err(|error| store_error(&what, Deed::Read, &error))?;
            let items: Vec<JobId> =
                answer.items().iter().map(|item| parsed(item, "pk")).collect::<StoreResult<_>>()?;
            let next = items.last().filter(|_| answer.last_evaluated_key.is_some()).map(ToString::to_string);
            Ok(Page { items, next })
        }
        .boxed()
    }

    fn first_turn<'a>(&'a self, route: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<(u64, JobId)>>> {
        async move {
            let answer = self.index("turn", "turn_of", route.as_str()).limit(1).send().await;
            let what = format!("find the first of route {route}");
            let answer = answer.map_err(|error| store_error(&what, Deed::Read, &error))?;
            let first = answer.items().first();
            first.map(|item| Ok((number_of(item, "turn")?, parsed(item, "pk")?))).transpose()
        }
        .boxed()
    }
}

/// The first and last place that are due. Places end with a job id, so that `!` stands behind one place and before the
/// next, and `~` behind all of one time.
fn due_range(now: Millis, after: Option<&str>) -> (String, String) {
    (after.map_or_else(|| "0".to_owned(), |after| format!("{after}!")), format!("{:016}#~", now.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::place;

    #[test]
    fn a_range_holds_what_is_due_and_not_what_was_seen() {
        let ids: [JobId; 2] =
            ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
                .map(|id| id.parse().unwrap());
        let (from, to) = due_range(Millis(5), None);
        for id in ids {
            assert!((from.clone()..=to.clone()).contains(&place(Millis(0), id)));
            assert!((from.clone()..=to.clone()).contains(&place(Millis(5), id)));
            assert!(place(Millis(6), id) > to);
        }
        let (from, _) = due_range(Millis(5), Some(&place(Millis(5), ids[0])));
        assert!(place(Millis(5), ids[0]) < from && place(Millis(5), ids[1]) > from);
        let (from, to) = due_range(Millis(4), Some(&place(Millis(5), ids[0])));
        assert!(from > to);
    }
}
