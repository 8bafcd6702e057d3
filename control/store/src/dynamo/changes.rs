//! How routes came to be what they are, in the table `config`.
//!
//! The item of a route in `routes` is its latest change, and the only one that is written on condition. Whoever makes the
//! next keeps that one among the route's changes before, so that they are complete up to the one before the latest
//! whenever it dies, and nothing has to be undone when it loses against another. The names of a tenant's routes stand in
//! a partition of their own, each before its route: a name there without a route of that tenant is passed over.

use eft_domain::{Route, RouteId, TenantId};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::{
    DynamoCatalog, Item,
    catalog::{AT_ONCE, Condition, ROUTES, revision_key},
    number, number_of, parsed, text, text_of, wrong,
};
use crate::{
    aws::error::{Deed, store_error},
    port::{Page, Put, RouteChange, StoreResult},
};

pub(super) const NUMBER: &str = "number";

pub(super) fn route_key(id: &RouteId) -> String {
    format!("route#{id}")
}

/// Ten digits, so that the order of texts is that of numbers.
pub(super) fn change_key(number: u64) -> String {
    format!("change#{number:010}")
}

fn names_key(tenant: &TenantId) -> String {
    format!("routes#{tenant}")
}

fn item_of(pk: String, sk: String, change: &RouteChange) -> StoreResult<Item> {
    let row = serde_json::to_string(change)
        .map_err(|error| wrong(format_args!("a change cannot be written as JSON: {error}")))?;
    Ok(Item::from([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(sk)),
        (NUMBER.to_owned(), number(change.number)),
        ("row".to_owned(), text(row)),
    ]))
}

/// The change of an item.
pub(super) fn change_of(item: &Item) -> StoreResult<RouteChange> {
    let change: RouteChange = serde_json::from_str(text_of(item, "row")?)
        .map_err(|error| wrong(format_args!("a change of a route cannot be read: {error}")))?;
    if number_of(item, NUMBER)? == change.number {
        Ok(change)
    } else {
        Err(wrong(format_args!("a change of route {} has two numbers", change.id)))
    }
}

/// Whose route a change is of that a newer version may have made.
pub(super) fn owner_of(item: &Item) -> StoreResult<TenantId> {
    #[derive(Deserialize)]
    struct Owner {
        tenant: TenantId,
    }
    let owner: Owner = serde_json::from_str(text_of(item, "row")?)
        .map_err(|error| wrong(format_args!("a change of nobody's route: {error}")))?;
    Ok(owner.tenant)
}

impl DynamoCatalog {
    pub(super) async fn get_change(&self, pk: String, sk: String) -> StoreResult<Option<RouteChange>> {
        let what = format!("read {pk} {sk}");
        let request = self.reads.get_item().table_name(&self.table).key("pk", text(pk)).key("sk", text(sk));
        let answer = request.consistent_read(true).send().await;
        let answer = answer.map_err(|error| store_error(&what, Deed::Read, &error))?;
        answer.item.as_ref().map(change_of).transpose()
    }

    pub(super) async fn save(
        &self,
        route: &Route,
        change: &RouteChange,
        before: Option<&RouteChange>,
    ) -> StoreResult<Put> {
        let (pk, sk) = revision_key(&(change.id.clone(), change.revision));
        let item = Item::from([
            ("pk".to_owned(), text(pk)),
            ("sk".to_owned(), text(sk)),
            ("row".to_owned(), text(route.to_json())),
        ]);
        // The revision goes first: a change to nothing would stop every route of its tenant. `Stale`: it was written before, and says
        // the same, because its name is made of what it says.
        self.put(item, Condition::New).await?;
        let condition = match before {
            Some(before) => {
                let item = item_of(route_key(&before.id), change_key(before.number), before)?;
                self.put(item, Condition::None).await?;
                Condition::After(before.number)
            }
            None => {
                let item = Item::from([
                    ("pk".to_owned(), text(names_key(&change.tenant))),
                    ("sk".to_owned(), text(change.id.as_str())),
                ]);
                self.put(item, Condition::None).await?;
                Condition::New
            }
        };
        let put = self.put(item_of(ROUTES.to_owned(), change.id.to_string(), change)?, condition).await;
        *self.routes.lock().await = None;
        put
    }

    pub(super) async fn page_of_heads(
        &self,
        tenant: &TenantId,
        after: Option<&RouteId>,
        limit: u16,
    ) -> StoreResult<Page<RouteChange>> {
        let (names, more) = self.items(&names_key(tenant), after.map(RouteId::as_str), limit).await?;
        let ids: Vec<RouteId> = names.iter().map(|item| parsed(item, "sk")).collect::<StoreResult<_>>()?;
        let next = ids.last().filter(|_| more).map(ToString::to_string);
        let heads: Vec<_> = stream::iter(ids)
            .map(|id| async move { self.get_change(ROUTES.to_owned(), id.to_string()).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let items = heads.into_iter().flatten().filter(|head| head.tenant == *tenant).collect();
        Ok(Page { items, next })
    }

    pub(super) async fn page_of_changes(
        &self,
        id: &RouteId,
        before: Option<u64>,
        limit: u16,
    ) -> StoreResult<Page<RouteChange>> {
        let Some(head) = self.get_change(ROUTES.to_owned(), id.to_string()).await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let before = before.unwrap_or(u64::MAX);
        let mut items = Vec::new();
        let mut end = before.min(head.number);
        if head.number < before && limit > 0 {
            items.push(head);
        }
        let wanted = i32::from(limit) - items.len() as i32;
        if wanted > 0 && end > 1 {
            let request = self
                .reads
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":pk", text(route_key(id)))
                .expression_attribute_values(":first", text(change_key(1)))
                .expression_attribute_values(":last", text(change_key(end - 1)))
                .scan_index_forward(false)
                .consistent_read(true)
                .limit(wanted);
            let answer = request.send().await;
            let answer =
                answer.map_err(|error| store_error("list changes of a route", Deed::Read, &error))?;
            for item in answer.items() {
                items.push(change_of(item)?);
            }
        }
        end = items.last().map_or(1, |last| last.number);
        Ok(Page { items, next: (end > 1).then(|| end.to_string()) })
    }
}
