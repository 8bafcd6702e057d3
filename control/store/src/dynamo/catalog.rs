//! The table `config`: tenants, revisions of routes, and which revision of each is active.
//!
//! Revisions never change, so they are kept in memory once read; what is read again and again is one list of small
//! items. A pointer to a revision that is not there is a table that is still being copied from the other region: it is
//! an error for a moment, because without that route its files would be recorded as unrouted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use eft_domain::{
    Millis, Route, RouteId, RouteRevision, Tenant, TenantId,
    route::{Profile, RouteTable},
};
use futures::{FutureExt, TryStreamExt, future::BoxFuture, stream};

use super::{Item, once, parsed, text, text_of, wrong};
use crate::{
    aws::{
        error::{Deed, conditional, store_error},
        retry::again,
    },
    clock::Clock,
    port::{Catalog, Put, StoreError, StoreErrorKind, StoreResult},
};

/// How old a list may be: long enough that a busy router asks rarely, short enough that a change shows while one looks.
const FRESH: Duration = Duration::from_secs(5);

/// Revisions kept in memory; more are forgotten all at once and read again.
const MOST_REVISIONS: usize = 4_096;

/// Revisions that are read at once.
const AT_ONCE: usize = 8;

const TENANTS: &str = "tenants";
const ROUTES: &str = "routes";

type Revision = (RouteId, RouteRevision);

/// A list, and when it was read.
type Read<T> = tokio::sync::Mutex<Option<(Millis, T)>>;

/// Tenants and routes on DynamoDB.
#[derive(Debug)]
pub struct DynamoCatalog {
    reads: Client,
    writes: Client,
    table: String,
    clock: Clock,
    routes: Read<Arc<RouteTable>>,
    tenants: Read<Arc<HashMap<TenantId, Tenant>>>,
    revisions: Mutex<HashMap<Revision, Arc<Route>>>,
}

fn revision_key((id, revision): &Revision) -> (String, String) {
    (format!("route#{id}"), format!("revision#{revision}"))
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
        let keys = pointers.iter().map(|item| Ok((parsed(item, "sk")?, parsed(item, "revision")?)));
        let routes = stream::iter(keys.collect::<Vec<StoreResult<Revision>>>())
            .map_ok(|key| async move {
                self.revision(&key).await?.ok_or_else(|| {
                    let message = format!("route {} at {} is not here yet", key.0, key.1);
                    StoreError::new(StoreErrorKind::Unavailable, message)
                })
            })
            .try_buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>();
        Ok(Arc::new(RouteTable::new(routes.await?)))
    }

    async fn read_tenants(&self) -> StoreResult<Arc<HashMap<TenantId, Tenant>>> {
        let mut tenants = HashMap::new();
        for item in self.list(TENANTS).await? {
            let tenant: Tenant = serde_json::from_str(text_of(&item, "row")?)
                .map_err(|error| wrong(format_args!("a tenant cannot be read: {error}")))?;
            tenants.insert(tenant.id.clone(), tenant);
        }
        Ok(Arc::new(tenants))
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

    async fn put(&self, item: Item, condition: Option<(&str, Option<RouteRevision>)>) -> StoreResult<Put> {
        again(|| async {
            let mut request = self.writes.put_item().table_name(&self.table).set_item(Some(item.clone()));
            if let Some((condition, before)) = condition {
                request = request.condition_expression(condition);
                if let Some(before) = before {
                    request = request.expression_attribute_values(":before", text(before.to_string()));
                }
            }
            conditional("write the configuration", request.send().await)
        })
        .await
    }
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
        async move { Ok(self.fresh(&self.tenants, || self.read_tenants()).await?.get(id).cloned()) }.boxed()
    }

    fn tenants(&self) -> BoxFuture<'_, StoreResult<Vec<Tenant>>> {
        async move {
            let mut tenants: Vec<_> = self.read_tenants().await?.values().cloned().collect();
            tenants.sort_by(|one, other| one.id.cmp(&other.id));
            Ok(tenants)
        }
        .boxed()
    }

    fn put_tenant<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let row = serde_json::to_string(tenant)
                .map_err(|error| wrong(format_args!("a tenant cannot be written as JSON: {error}")))?;
            let item = Item::from([
                ("pk".to_owned(), text(TENANTS)),
                ("sk".to_owned(), text(tenant.id.as_str())),
                ("row".to_owned(), text(row)),
            ]);
            self.put(item, None).await?;
            *self.tenants.lock().await = None;
            Ok(())
        }
        .boxed()
    }

    fn put_route<'a>(
        &'a self,
        route: &'a Route,
        before: Option<RouteRevision>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let id = route.id.clone().ok_or_else(|| wrong("a route without an id cannot be stored"))?;
            let key = (id, route.revision());
            let (pk, sk) = revision_key(&key);
            let item = Item::from([
                ("pk".to_owned(), text(pk)),
                ("sk".to_owned(), text(sk)),
                ("row".to_owned(), text(route.to_json())),
            ]);
            // The revision goes first: a pointer to nothing would stop every route. `Stale`: it was written before, and
            // says the same, because its name is made of what it says.
            self.put(item, Some(("attribute_not_exists(pk)", None))).await?;
            let pointer = Item::from([
                ("pk".to_owned(), text(ROUTES)),
                ("sk".to_owned(), text(key.0.as_str())),
                ("revision".to_owned(), text(key.1.to_string())),
            ]);
            let condition = match before {
                None => "attribute_not_exists(pk)",
                Some(_) => "revision = :before",
            };
            let put = self.put(pointer, Some((condition, before))).await?;
            *self.routes.lock().await = None;
            Ok(put)
        }
        .boxed()
    }
}
