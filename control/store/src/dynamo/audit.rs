//! The audit trail, in the table `config`. An entry is an item of its tenant's own partition, which the functions of the APIs
//! may write to and none may remove from: DynamoDB itself does, when its time is over.

use eft_domain::{AuditId, TenantId};
use futures::{FutureExt, future::BoxFuture};

use super::{DynamoCatalog, Item, catalog::Condition, number, text, text_of, wrong};
use crate::{
    audit::{Audit, AuditEntry, KEPT},
    aws::error::{Deed, store_error},
    port::{Page, StoreResult},
};

fn partition(tenant: &TenantId) -> String {
    format!("audit#{tenant}")
}

fn item_of(entry: &AuditEntry) -> StoreResult<Item> {
    let row = serde_json::to_string(entry)
        .map_err(|error| wrong(format_args!("an entry cannot be written as JSON: {error}")))?;
    Ok(Item::from([
        ("pk".to_owned(), text(partition(&entry.tenant))),
        ("sk".to_owned(), text(entry.id.to_string())),
        ("row".to_owned(), text(row)),
        ("ttl".to_owned(), number(entry.at.plus(KEPT).0 / 1_000)),
    ]))
}

fn entry_of(item: &Item) -> StoreResult<AuditEntry> {
    serde_json::from_str(text_of(item, "row")?)
        .map_err(|error| wrong(format_args!("an entry of the trail cannot be read: {error}")))
}

impl Audit for DynamoCatalog {
    fn begin_entry<'a>(&'a self, entry: &'a AuditEntry) -> BoxFuture<'a, StoreResult<()>> {
        // One that stands there is its own: an id is drawn.
        async move { self.put(item_of(entry)?, Condition::New).await.map(drop) }.boxed()
    }

    fn end_entry<'a>(&'a self, entry: &'a AuditEntry) -> BoxFuture<'a, StoreResult<()>> {
        async move { self.put(item_of(entry)?, Condition::None).await.map(drop) }.boxed()
    }

    fn entries<'a>(
        &'a self,
        tenant: &'a TenantId,
        from: AuditId,
        before: AuditId,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<AuditEntry>>> {
        async move {
            // DynamoDB takes no range that ends before it begins.
            let Some(last) = before.before().filter(|last| *last >= from) else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let request = self
                .reads
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":pk", text(partition(tenant)))
                .expression_attribute_values(":first", text(from.to_string()))
                .expression_attribute_values(":last", text(last.to_string()))
                .scan_index_forward(false)
                .consistent_read(true)
                .limit(limit.into());
            let answer = request.send().await;
            let answer = answer.map_err(|error| store_error("list the audit trail", Deed::Read, &error))?;
            let items: Vec<_> = answer.items().iter().map(entry_of).collect::<StoreResult<_>>()?;
            let more = answer.last_evaluated_key.is_some();
            let next = items.last().filter(|_| more).map(|entry| entry.id.to_string());
            Ok(Page { items, next })
        }
        .boxed()
    }
}
