//! What stands in the table `config`, before the ports of which calls meet their fates.

use std::sync::Arc;

use eft_domain::{
    AuditId, Partner, PartnerId, Route, RouteId, RouteRevision, Tenant, TenantId,
    route::RouteTable,
    sftp::{SftpName, SftpUser},
};
use futures::future::BoxFuture;

use super::Faulty;
use crate::{
    audit::{Audit, AuditEntry},
    port::{Catalog, Page, Put, RouteChange, StoreResult},
    tenants::Tenants,
};

impl<P: Catalog> Catalog for Faulty<P> {
    fn routes(&self) -> BoxFuture<'_, StoreResult<Arc<RouteTable>>> {
        self.read("routes", "", self.inner.routes())
    }

    fn route<'a>(
        &'a self,
        id: &'a RouteId,
        revision: RouteRevision,
    ) -> BoxFuture<'a, StoreResult<Option<Arc<Route>>>> {
        self.read("route", "", self.inner.route(id, revision))
    }

    fn tenant<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        self.read("tenant", id.as_str(), self.inner.tenant(id))
    }

    fn tenants(&self) -> BoxFuture<'_, StoreResult<Tenants>> {
        self.read("tenants", "", self.inner.tenants())
    }

    fn tenant_now<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        self.read("tenant_now", id.as_str(), self.inner.tenant_now(id))
    }

    fn save_tenant<'a>(
        &'a self,
        tenant: &'a Tenant,
        before: Option<&'a Tenant>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        self.write("save_tenant", tenant.id.as_str(), self.inner.save_tenant(tenant, before))
    }

    fn sftp_user<'a>(&'a self, name: &'a SftpName) -> BoxFuture<'a, StoreResult<Option<SftpUser>>> {
        self.read("sftp_user", name.as_str(), self.inner.sftp_user(name))
    }

    fn sftp_users<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a SftpName>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<SftpUser>>> {
        self.read("sftp_users", tenant.as_str(), self.inner.sftp_users(tenant, after, limit))
    }

    fn save_sftp_user<'a>(
        &'a self,
        user: &'a SftpUser,
        before: Option<&'a SftpUser>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        self.write("save_sftp_user", user.name.as_str(), self.inner.save_sftp_user(user, before))
    }

    fn remove_sftp_user<'a>(&'a self, user: &'a SftpUser) -> BoxFuture<'a, StoreResult<Put>> {
        self.write("remove_sftp_user", user.name.as_str(), self.inner.remove_sftp_user(user))
    }

    fn partner<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: &'a PartnerId,
    ) -> BoxFuture<'a, StoreResult<Option<Partner>>> {
        self.read("partner", id.as_str(), self.inner.partner(tenant, id))
    }

    fn partners<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a PartnerId>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<Partner>>> {
        self.read("partners", tenant.as_str(), self.inner.partners(tenant, after, limit))
    }

    fn save_partner<'a>(
        &'a self,
        partner: &'a Partner,
        before: Option<&'a Partner>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        self.write("save_partner", partner.id.as_str(), self.inner.save_partner(partner, before))
    }

    fn remove_partner<'a>(&'a self, partner: &'a Partner) -> BoxFuture<'a, StoreResult<Put>> {
        self.write("remove_partner", partner.id.as_str(), self.inner.remove_partner(partner))
    }

    fn put_tenant<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, StoreResult<()>> {
        self.write("put_tenant", tenant.id.as_str(), self.inner.put_tenant(tenant))
    }

    fn routes_now(&self) -> BoxFuture<'_, StoreResult<Arc<RouteTable>>> {
        self.read("routes_now", "", self.inner.routes_now())
    }

    fn head<'a>(&'a self, id: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<RouteChange>>> {
        self.read("head", id.as_str(), self.inner.head(id))
    }

    fn heads<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a RouteId>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RouteChange>>> {
        self.read("heads", tenant.as_str(), self.inner.heads(tenant, after, limit))
    }

    fn save_route<'a>(
        &'a self,
        route: &'a Route,
        change: &'a RouteChange,
        before: Option<&'a RouteChange>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        self.write("save_route", change.id.as_str(), self.inner.save_route(route, change, before))
    }

    fn change<'a>(&'a self, id: &'a RouteId, number: u64) -> BoxFuture<'a, StoreResult<Option<RouteChange>>> {
        self.read("change", id.as_str(), self.inner.change(id, number))
    }

    fn changes<'a>(
        &'a self,
        id: &'a RouteId,
        before: Option<u64>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RouteChange>>> {
        self.read("changes", id.as_str(), self.inner.changes(id, before, limit))
    }
}

impl<P: Audit> Audit for Faulty<P> {
    fn begin_entry<'a>(&'a self, entry: &'a AuditEntry) -> BoxFuture<'a, StoreResult<()>> {
        self.write("begin_entry", &entry.what, self.inner.begin_entry(entry))
    }

    fn end_entry<'a>(&'a self, entry: &'a AuditEntry) -> BoxFuture<'a, StoreResult<()>> {
        self.write("end_entry", &entry.what, self.inner.end_entry(entry))
    }

    fn entries<'a>(
        &'a self,
        tenant: &'a TenantId,
        from: AuditId,
        before: AuditId,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<AuditEntry>>> {
        self.read("entries", tenant.as_str(), self.inner.entries(tenant, from, before, limit))
    }
}
