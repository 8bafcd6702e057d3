//! The table `config`: tenants, revisions of routes, and which revision of each is active; how that came about stands in
//! `changes`, and what else is in the table in modules of its own.
//!
//! Revisions never change, so they are kept in memory once read; what is read again and again is one list of small
//! items. What cannot be read is said of its tenant and stops no other: without that route its files would be recorded as
//! unrouted. Only a pointer that does not even say whose it is stops all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use eft_domain::{
    Millis, Partner, PartnerId, Route, RouteId, RouteRevision, Tenant, TenantId,
    route::{Profile, RouteTable},
    sftp::{SftpName, SftpUser},
};
use futures::{FutureExt, TryStreamExt, future::BoxFuture, stream};

use super::{
    Item,
    changes::{NUMBER, change_key, change_of, owner_of, route_key},
    number, once, parsed, text, text_of, wrong,
};
use crate::{
    aws::{
        error::{Deed, conditional, store_error},
        retry::again,
    },
    clock::Clock,
    port::{Catalog, Page, Put, RouteChange, StoreErrorKind, StoreResult},
    tenants::Tenants,
};

/// How old a list may be: long enough that a busy router asks rarely, short enough that a change shows while one looks.
const FRESH: Duration = Duration::from_secs(5);

/// Revisions kept in memory; more are forgotten all at once and read again.
const MOST_REVISIONS: usize = 4_096;

/// Revisions that are read at once.
pub(super) const AT_ONCE: usize = 8;

const TENANTS: &str = "tenants";
pub(super) const ROUTES: &str = "routes";

type Revision = (RouteId, RouteRevision);

/// A list, and when it was read.
type Read<T> = tokio::sync::Mutex<Option<(Millis, T)>>;

/// Tenants and routes on DynamoDB.
#[derive(Debug)]
pub struct DynamoCatalog {
    pub(super) reads: Client,
    writes: Client,
    pub(super) table: String,
    clock: Clock,
    pub(super) routes: Read<Arc<RouteTable>>,
    tenants: Read<Arc<Tenants>>,
    revisions: Mutex<HashMap<Revision, Arc<Route>>>,
}

pub(super) fn revision_key((id, revision): &Revision) -> (String, String) {
    (route_key(id), format!("revision#{revision}"))
}

impl DynamoCatalog {
    /// What this table says, as fresh as by this clock.
    pub fn new(client: &Client, table: &str, clock: Clock) -> Self {
        Self {
            reads: client.clone(),
            writes: once(client),
            table: table.to_owned(),
            clock,
            routes: Read::default(),
            tenants: Read::default(),
            revisions: Mutex::default(),
        }
    }

    fn revisions(&self) -> std::sync::MutexGuard<'_, HashMap<Revision, Arc<Route>>> {
        self.revisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(&self, partition: &str) -> StoreResult<Vec<Item>> {
        let pages = self
            .reads
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let items: Result<Vec<_>, _> = pages.collect().await;
        items.map_err(|error| store_error(&format!("list {partition}"), Deed::Read, &error))
    }

    async fn revision(&self, key: &Revision) -> StoreResult<Option<Arc<Route>>> {
        if let Some(route) = self.revisions().get(key) {
            return Ok(Some(Arc::clone(route)));
        }
        let (pk, sk) = revision_key(key);
        let request = self.reads.get_item().table_name(&self.table).key("pk", text(pk)).key("sk", text(sk));
        let answer = request.consistent_read(true).send().await;
        let what = format!("read route {} at {}", key.0, key.1);
        let answer = answer.map_err(|error| store_error(&what, Deed::Read, &error))?;
        let Some(item) = answer.item else { return Ok(None) };
        let route = Route::parse_json(text_of(&item, "row")?, Profile::Platform)
            .map_err(|error| wrong(format_args!("cannot {what}: {error}")))?;
        let route = Arc::new(route);
        let mut known = self.revisions();
        if known.len() >= MOST_REVISIONS {
            known.clear();
        }
        known.insert(key.clone(), Arc::clone(&route));
        Ok(Some(route))
    }

    async fn read_routes(&self) -> StoreResult<Arc<RouteTable>> {
        let pointers = self.list(ROUTES).await?;
        let (mut routes, mut unreadable, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        for pointer in &pointers {
            match change_of(pointer) {
                Ok(head) => heads.push(head),
                Err(error) => unreadable.push((owner_of(pointer)?, parsed(pointer, "sk")?, error.message)),
            }
        }
        let paused: Vec<_> = heads.iter().filter(|head| head.paused).map(|head| head.id.clone()).collect();
        let read: Vec<_> = stream::iter(heads.into_iter().map(Ok))
            .map_ok(|head| self.active(head))
            .try_buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for one in read {
            match one {
                Ok(route) => routes.push(route),
                Err(head_and_why) => unreadable.push(head_and_why),
            }
        }
        Ok(Arc::new(RouteTable::new(routes).with_paused(paused).with_unreadable(unreadable)))
    }

    /// The route that a pointer names, or whose it is and why it cannot be read: it is one of a newer version, or the table
    /// is still being copied from the other region and has not come to it.
    async fn active(
        &self,
        head: RouteChange,
    ) -> StoreResult<Result<Arc<Route>, (TenantId, RouteId, String)>> {
        let key = (head.id, head.revision);
        match self.revision(&key).await {
            Ok(Some(route)) => Ok(Ok(route)),
            Ok(None) => Ok(Err((head.tenant, key.0, format!("revision {} is not here yet", key.1)))),
            Err(error) if error.kind == StoreErrorKind::Permanent => {
                Ok(Err((head.tenant, key.0, error.message)))
            }
            Err(error) => Err(error),
        }
    }

    async fn read_tenants(&self) -> StoreResult<Arc<Tenants>> {
        let items = self.list(TENANTS).await?;
        let row = |item| {
            let id: TenantId = parsed(item, "sk")?;
            let tenant = text_of(item, "row").and_then(tenant_of).map_err(|error| error.message);
            let tenant = tenant.and_then(|tenant| match tenant.id == id {
                true => Ok(tenant),
                false => Err(format!("its row says that it is {}", tenant.id)),
            });
            Ok((id, tenant))
        };
        Ok(Arc::new(items.iter().map(row).collect::<StoreResult<_>>()?))
    }

    /// What was read lately, or what `read` reads now; whoever comes meanwhile waits for the same.
    async fn fresh<T, F>(&self, cache: &Read<T>, read: impl FnOnce() -> F) -> StoreResult<T>
    where
        T: Clone,
        F: Future<Output = StoreResult<T>>,
    {
        let mut cache = cache.lock().await;
        let now = self.clock.now();
        if let Some((at, value)) = &*cache
            && now.since(*at) < FRESH
            && now >= *at
        {
            return Ok(value.clone());
        }
        let value = read().await?;
        *cache = Some((now, value.clone()));
        Ok(value)
    }

    /// The text of a row as it is now.
    pub(super) async fn row(&self, pk: &str, sk: &str) -> StoreResult<Option<String>> {
        let request = self.reads.get_item().table_name(&self.table);
        let request = request.key("pk", text(pk)).key("sk", text(sk)).consistent_read(true);
        let answer = request.send().await;
        let answer = answer.map_err(|error| store_error(&format!("read {pk} {sk}"), Deed::Read, &error))?;
        answer.item.as_ref().map(|item| text_of(item, "row").map(ToOwned::to_owned)).transpose()
    }

    /// Items of a partition behind this sort key, and whether more may follow.
    pub(super) async fn items(
        &self,
        pk: &str,
        after: Option<&str>,
        limit: u16,
    ) -> StoreResult<(Vec<Item>, bool)> {
        let mut request = self
            .reads
            .query()
            .table_name(&self.table)
            .key_condition_expression(if after.is_some() { "pk = :pk AND sk > :after" } else { "pk = :pk" })
            .expression_attribute_values(":pk", text(pk))
            .consistent_read(true)
            .limit(limit.into());
        if let Some(after) = after {
            request = request.expression_attribute_values(":after", text(after));
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| store_error(&format!("list {pk}"), Deed::Read, &error))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key.is_some()))
    }

    /// Remove an item whose row has this text.
    pub(super) async fn remove(&self, pk: &str, sk: &str, row: &str) -> StoreResult<Put> {
        again(|| async {
            let request = self
                .writes
                .delete_item()
                .table_name(&self.table)
                .key("pk", text(pk))
                .key("sk", text(sk))
                .condition_expression("#row = :before")
                .expression_attribute_names("#row", "row")
                .expression_attribute_values(":before", text(row));
            conditional(&format!("remove {pk} {sk}"), request.send().await)
        })
        .await
    }

    pub(super) async fn put(&self, item: Item, condition: Condition<'_>) -> StoreResult<Put> {
        again(|| async {
            let request = self.writes.put_item().table_name(&self.table).set_item(Some(item.clone()));
            let request = match condition {
                Condition::None => request,
                Condition::New => request.condition_expression("attribute_not_exists(pk)"),
                Condition::After(before) => request
                    .condition_expression("#number = :before")
                    .expression_attribute_names("#number", NUMBER)
                    .expression_attribute_values(":before", number(before)),
                Condition::Row(before) => request
                    .condition_expression("#row = :before")
                    .expression_attribute_names("#row", "row")
                    .expression_attribute_values(":before", text(before)),
            };
            conditional("write the configuration", request.send().await)
        })
        .await
    }
}

/// Under which condition an item is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    None,
    /// There is none.
    New,
    /// The change there has this number.
    After(u64),
    /// The row there has this text.
    Row(&'a str),
}

fn tenant_of(row: &str) -> StoreResult<Tenant> {
    serde_json::from_str(row).map_err(|error| wrong(format_args!("a tenant cannot be read: {error}")))
}

fn tenant_item(tenant: &Tenant) -> StoreResult<Item> {
    let row = serde_json::to_string(tenant)
        .map_err(|error| wrong(format_args!("a tenant cannot be written as JSON: {error}")))?;
    Ok(Item::from([
        ("pk".to_owned(), text(TENANTS)),
        ("sk".to_owned(), text(tenant.id.as_str())),
        ("row".to_owned(), text(row)),
    ]))
}

impl Catalog for DynamoCatalog {
    fn routes(&self) -> BoxFuture<'_, StoreResult<Arc<RouteTable>>> {
        self.fresh(&self.routes, || self.read_routes()).boxed()
    }

    fn route<'a>(
        &'a self,
        id: &'a RouteId,
        revision: RouteRevision,
    ) -> BoxFuture<'a, StoreResult<Option<Arc<Route>>>> {
        async move { self.revision(&(id.clone(), revision)).await }.boxed()
    }

    fn tenant<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        async move { Ok(self.fresh(&self.tenants, || self.read_tenants()).await?.get(id)?.cloned()) }.boxed()
    }

    fn tenants(&self) -> BoxFuture<'_, StoreResult<Tenants>> {
        async move { self.read_tenants().await.map(Arc::unwrap_or_clone) }.boxed()
    }

    fn tenant_now<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        async move { self.row(TENANTS, id.as_str()).await?.as_deref().map(tenant_of).transpose() }.boxed()
    }

    fn save_tenant<'a>(
        &'a self,
        tenant: &'a Tenant,
        before: Option<&'a Tenant>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            // The condition is on the row's own text: it may have been written by a version with other fields.
            let row = self.row(TENANTS, tenant.id.as_str()).await?;
            if row.as_deref().map(tenant_of).transpose()?.as_ref() != before {
                return Ok(Put::Stale);
            }
            let condition = row.as_deref().map_or(Condition::New, Condition::Row);
            let put = self.put(tenant_item(tenant)?, condition).await;
            *self.tenants.lock().await = None;
            put
        }
        .boxed()
    }

    fn sftp_user<'a>(&'a self, name: &'a SftpName) -> BoxFuture<'a, StoreResult<Option<SftpUser>>> {
        self.user(name).boxed()
    }

    fn sftp_users<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a SftpName>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<SftpUser>>> {
        self.page_of_users(tenant, after, limit).boxed()
    }

    fn save_sftp_user<'a>(
        &'a self,
        user: &'a SftpUser,
        before: Option<&'a SftpUser>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        self.save_user(user, before).boxed()
    }

    fn remove_sftp_user<'a>(&'a self, user: &'a SftpUser) -> BoxFuture<'a, StoreResult<Put>> {
        self.delete_user(user).boxed()
    }

    fn partner<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: &'a PartnerId,
    ) -> BoxFuture<'a, StoreResult<Option<Partner>>> {
        self.partner_row(tenant, id).boxed()
    }

    fn partners<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a PartnerId>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<Partner>>> {
        self.page_of_partners(tenant, after, limit).boxed()
    }

    fn save_partner<'a>(
        &'a self,
        partner: &'a Partner,
        before: Option<&'a Partner>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        self.put_partner(partner, before).boxed()
    }

    fn remove_partner<'a>(&'a self, partner: &'a Partner) -> BoxFuture<'a, StoreResult<Put>> {
        self.delete_partner(partner).boxed()
    }

    fn put_tenant<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            self.put(tenant_item(tenant)?, Condition::None).await?;
            *self.tenants.lock().await = None;
            Ok(())
        }
        .boxed()
    }

    fn routes_now(&self) -> BoxFuture<'_, StoreResult<Arc<RouteTable>>> {
        async move {
            let now = self.clock.now();
            let table = self.read_routes().await?;
            *self.routes.lock().await = Some((now, Arc::clone(&table)));
            Ok(table)
        }
        .boxed()
    }

    fn head<'a>(&'a self, id: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<RouteChange>>> {
        self.get_change(ROUTES.to_owned(), id.to_string()).boxed()
    }

    fn heads<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a RouteId>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RouteChange>>> {
        self.page_of_heads(tenant, after, limit).boxed()
    }

    fn save_route<'a>(
        &'a self,
        route: &'a Route,
        change: &'a RouteChange,
        before: Option<&'a RouteChange>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        self.save(route, change, before).boxed()
    }

    fn change<'a>(&'a self, id: &'a RouteId, number: u64) -> BoxFuture<'a, StoreResult<Option<RouteChange>>> {
        async move {
            let head = self.head(id).await?;
            match head {
                Some(head) if head.number == number => Ok(Some(head)),
                // A change of this number may stand there that came to nothing.
                Some(head) if head.number > number => {
                    self.get_change(route_key(id), change_key(number)).await
                }
                _ => Ok(None),
            }
        }
        .boxed()
    }

    fn changes<'a>(
        &'a self,
        id: &'a RouteId,
        before: Option<u64>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RouteChange>>> {
        self.page_of_changes(id, before, limit).boxed()
    }
}
