//! The table `config` in memory.

use std::{collections::BTreeMap, sync::Arc};

use eft_domain::{
    AuditId, Partner, PartnerId, Route, RouteId, RouteRevision, Tenant, TenantId,
    route::RouteTable,
    sftp::{SftpName, SftpUser},
};
use futures::{FutureExt, future::BoxFuture};

use super::{Region, lock};
use crate::{
    audit::{Audit, AuditEntry},
    port::{Catalog, Page, Put, RouteChange, StoreResult},
    tenants::Tenants,
};

/// One region's copy.
#[derive(Clone, Default)]
pub(super) struct Config {
    tenants: BTreeMap<TenantId, Tenant>,
    routes: BTreeMap<(RouteId, RouteRevision), Arc<Route>>,
    users: BTreeMap<SftpName, SftpUser>,
    partners: BTreeMap<(TenantId, PartnerId), Partner>,
    trail: BTreeMap<(TenantId, AuditId), AuditEntry>,
    changes: BTreeMap<RouteId, BTreeMap<u64, RouteChange>>,
    /// Routes that nobody can read, and why.
    unreadable: BTreeMap<RouteId, String>,
    /// The same of tenants.
    unreadable_tenants: BTreeMap<TenantId, String>,
    /// The active routes, made when they are asked for.
    table: Option<Arc<RouteTable>>,
}

impl Config {
    /// The other region's copy has come. What was removed there stays here.
    pub(super) fn extend(&mut self, other: Self) {
        self.tenants.extend(other.tenants);
        self.routes.extend(other.routes);
        self.changes.extend(other.changes);
        self.users.extend(other.users);
        self.partners.extend(other.partners);
        self.trail.extend(other.trail);
        self.table = None;
    }

    fn tenants(&self) -> Tenants {
        let rows = self.tenants.iter().map(|(id, tenant)| {
            (
                id.clone(),
                self.unreadable_tenants.get(id).map_or_else(|| Ok(tenant.clone()), |why| Err(why.clone())),
            )
        });
        rows.collect()
    }

    fn head(&self, id: &RouteId) -> Option<&RouteChange> {
        Some(self.changes.get(id)?.last_key_value()?.1)
    }

    fn heads(&self) -> impl Iterator<Item = &RouteChange> {
        self.changes.values().filter_map(|changes| Some(changes.last_key_value()?.1))
    }

    fn table(&mut self) -> Arc<RouteTable> {
        if let Some(table) = &self.table {
            return Arc::clone(table);
        }
        let is_readable = |head: &&RouteChange| !self.unreadable.contains_key(&head.id);
        let routes = self
            .heads()
            .filter(is_readable)
            .filter_map(|head| self.routes.get(&(head.id.clone(), head.revision)).cloned());
        let paused = self.heads().filter(|head| head.paused).map(|head| head.id.clone());
        let unreadable = self.heads().filter_map(|head| {
            Some((head.tenant.clone(), head.id.clone(), self.unreadable.get(&head.id)?.clone()))
        });
        let table = Arc::new(RouteTable::new(routes).with_paused(paused).with_unreadable(unreadable));
        self.table = Some(Arc::clone(&table));
        table
    }
}

impl Region {
    /// What a route says cannot be read from now on, for this reason; or can again.
    pub fn unreadable(&self, id: &RouteId, why: Option<&str>) {
        let config = &mut lock(&self.own).config;
        match why {
            Some(why) => drop(config.unreadable.insert(id.clone(), why.to_owned())),
            None => drop(config.unreadable.remove(id)),
        }
        config.table = None;
    }

    /// The same of a tenant.
    pub fn unreadable_tenant(&self, id: &TenantId, why: Option<&str>) {
        let unreadable = &mut lock(&self.own).config.unreadable_tenants;
        match why {
            Some(why) => drop(unreadable.insert(id.clone(), why.to_owned())),
            None => drop(unreadable.remove(id)),
        }
    }
}

impl Catalog for Region {
    fn routes(&self) -> BoxFuture<'_, StoreResult<Arc<RouteTable>>> {
        self.routes_now()
    }

    fn routes_now(&self) -> BoxFuture<'_, StoreResult<Arc<RouteTable>>> {
        async move { Ok(lock(&self.own).config.table()) }.boxed()
    }

    fn route<'a>(
        &'a self,
        id: &'a RouteId,
        revision: RouteRevision,
    ) -> BoxFuture<'a, StoreResult<Option<Arc<Route>>>> {
        async move { Ok(lock(&self.own).config.routes.get(&(id.clone(), revision)).cloned()) }.boxed()
    }

    fn tenant<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        async move { lock(&self.own).config.tenants().get(id).map(Option::<&Tenant>::cloned) }.boxed()
    }

    fn tenants(&self) -> BoxFuture<'_, StoreResult<Tenants>> {
        async move { Ok(lock(&self.own).config.tenants()) }.boxed()
    }

    fn tenant_now<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        self.tenant(id)
    }

    fn save_tenant<'a>(
        &'a self,
        tenant: &'a Tenant,
        before: Option<&'a Tenant>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let config = &mut lock(&self.own).config;
            if config.tenants.get(&tenant.id) != before {
                return Ok(Put::Stale);
            }
            config.tenants.insert(tenant.id.clone(), tenant.clone());
            Ok(Put::Done)
        }
        .boxed()
    }

    fn sftp_user<'a>(&'a self, name: &'a SftpName) -> BoxFuture<'a, StoreResult<Option<SftpUser>>> {
        async move { Ok(lock(&self.own).config.users.get(name).cloned()) }.boxed()
    }

    fn sftp_users<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a SftpName>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<SftpUser>>> {
        async move {
            let own = lock(&self.own);
            let users = own.config.users.values();
            let mut rest =
                users.filter(|user| user.tenant == *tenant && after.is_none_or(|after| user.name > *after));
            let items: Vec<_> = rest.by_ref().take(limit.into()).cloned().collect();
            let next = rest.next().and(items.last()).map(|last| last.name.to_string());
            Ok(Page { items, next })
        }
        .boxed()
    }

    fn save_sftp_user<'a>(
        &'a self,
        user: &'a SftpUser,
        before: Option<&'a SftpUser>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let config = &mut lock(&self.own).config;
            if config.users.get(&user.name) != before {
                return Ok(Put::Stale);
            }
            config.users.insert(user.name.clone(), user.clone());
            Ok(Put::Done)
        }
        .boxed()
    }

    fn remove_sftp_user<'a>(&'a self, user: &'a SftpUser) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let users = &mut lock(&self.own).config.users;
            if users.get(&user.name) != Some(user) {
                return Ok(Put::Stale);
            }
            users.remove(&user.name);
            Ok(Put::Done)
        }
        .boxed()
    }

    fn partner<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: &'a PartnerId,
    ) -> BoxFuture<'a, StoreResult<Option<Partner>>> {
        async move { Ok(lock(&self.own).config.partners.get(&(tenant.clone(), id.clone())).cloned()) }.boxed()
    }

    fn partners<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a PartnerId>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<Partner>>> {
        async move {
            let own = lock(&self.own);
            let partners = own.config.partners.values();
            let mut rest = partners
                .filter(|partner| partner.tenant == *tenant && after.is_none_or(|after| partner.id > *after));
            let items: Vec<_> = rest.by_ref().take(limit.into()).cloned().collect();
            let next = rest.next().and(items.last()).map(|last| last.id.to_string());
            Ok(Page { items, next })
        }
        .boxed()
    }

    fn save_partner<'a>(
        &'a self,
        partner: &'a Partner,
        before: Option<&'a Partner>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let partners = &mut lock(&self.own).config.partners;
            let key = (partner.tenant.clone(), partner.id.clone());
            if partners.get(&key) != before {
                return Ok(Put::Stale);
            }
            partners.insert(key, partner.clone());
            Ok(Put::Done)
        }
        .boxed()
    }

    fn remove_partner<'a>(&'a self, partner: &'a Partner) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let partners = &mut lock(&self.own).config.partners;
            let key = (partner.tenant.clone(), partner.id.clone());
            if partners.get(&key) != Some(partner) {
                return Ok(Put::Stale);
            }
            partners.remove(&key);
            Ok(Put::Done)
        }
        .boxed()
    }

    fn put_tenant<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            lock(&self.own).config.tenants.insert(tenant.id.clone(), tenant.clone());
            Ok(())
        }
        .boxed()
    }

    fn head<'a>(&'a self, id: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<RouteChange>>> {
        async move { Ok(lock(&self.own).config.head(id).cloned()) }.boxed()
    }

    fn heads<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a RouteId>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RouteChange>>> {
        async move {
            let own = lock(&self.own);
            let mut rest = own
                .config
                .heads()
                .filter(|head| head.tenant == *tenant && after.is_none_or(|after| head.id > *after));
            let items: Vec<_> = rest.by_ref().take(limit.into()).cloned().collect();
            let next = rest.next().and(items.last()).map(|last| last.id.to_string());
            Ok(Page { items, next })
        }
        .boxed()
    }

    fn save_route<'a>(
        &'a self,
        route: &'a Route,
        change: &'a RouteChange,
        before: Option<&'a RouteChange>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let config = &mut lock(&self.own).config;
            // The revision goes first, and stays where the change comes to nothing.
            config.routes.insert((change.id.clone(), change.revision), Arc::new(route.clone()));
            if config.head(&change.id) != before {
                return Ok(Put::Stale);
            }
            config.changes.entry(change.id.clone()).or_default().insert(change.number, change.clone());
            config.table = None;
            Ok(Put::Done)
        }
        .boxed()
    }

    fn change<'a>(&'a self, id: &'a RouteId, number: u64) -> BoxFuture<'a, StoreResult<Option<RouteChange>>> {
        async move {
            let own = lock(&self.own);
            Ok(own.config.changes.get(id).and_then(|changes| changes.get(&number)).cloned())
        }
        .boxed()
    }

    fn changes<'a>(
        &'a self,
        id: &'a RouteId,
        before: Option<u64>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RouteChange>>> {
        async move {
            let own = lock(&self.own);
            let before = before.unwrap_or(u64::MAX);
            let mut rest =
                own.config.changes.get(id).into_iter().flat_map(|changes| changes.range(..before).rev());
            let items: Vec<_> = rest.by_ref().take(limit.into()).map(|(_, change)| change.clone()).collect();
            let next = rest.next().and(items.last()).map(|last| last.number.to_string());
            Ok(Page { items, next })
        }
        .boxed()
    }
}

impl Audit for Region {
    fn begin_entry<'a>(&'a self, entry: &'a AuditEntry) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let trail = &mut lock(&self.own).config.trail;
            trail.entry((entry.tenant.clone(), entry.id)).or_insert_with(|| entry.clone());
            Ok(())
        }
        .boxed()
    }

    fn end_entry<'a>(&'a self, entry: &'a AuditEntry) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            lock(&self.own).config.trail.insert((entry.tenant.clone(), entry.id), entry.clone());
            Ok(())
        }
        .boxed()
    }

    fn entries<'a>(
        &'a self,
        tenant: &'a TenantId,
        from: AuditId,
        before: AuditId,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<AuditEntry>>> {
        async move {
            let own = lock(&self.own);
            let is_asked =
                |entry: &&AuditEntry| entry.tenant == *tenant && (from..before).contains(&entry.id);
            let mut rest = own.config.trail.values().rev().filter(is_asked);
            let items: Vec<_> = rest.by_ref().take(limit.into()).cloned().collect();
            let next = rest.next().and(items.last()).map(|last| last.id.to_string());
            Ok(Page { items, next })
        }
        .boxed()
    }
}
