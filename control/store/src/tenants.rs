//! The tenants there are, those among them whose row nobody can read: such as one that a newer version wrote. It is an
//! error of that tenant and stops no other.

use std::{collections::BTreeMap, ops::Bound};

use eft_domain::{Tenant, TenantId};

use crate::port::{StoreError, StoreErrorKind, StoreResult};

/// Tenants by their id, or why one cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants(BTreeMap<TenantId, Result<Tenant, String>>);

impl Tenants {
    /// The tenant of this id, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn get(&self, id: &TenantId) -> StoreResult<Option<&Tenant>> {
        match self.0.get(id) {
            None => Ok(None),
            Some(Ok(tenant)) => Ok(Some(tenant)),
            Some(Err(why)) => Err(unreadable(id, why)),
        }
    }

    /// Those that can be read, by their ids.
    pub fn readable(&self) -> impl Iterator<Item = &Tenant> {
        self.0.values().flatten()
    }

    /// What to say of those that cannot.
    pub fn unreadable(&self) -> impl Iterator<Item = (&TenantId, StoreError)> {
        self.0.iter().filter_map(|(id, row)| Some((id, unreadable(id, row.as_ref().err()?))))
    }

    /// All of them behind this one, by their ids, or why one cannot be read.
    pub fn after(&self, id: Option<&TenantId>) -> impl Iterator<Item = (&TenantId, Result<&Tenant, &str>)> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.0.range::<TenantId, _>((from, Bound::Unbounded));
        rows.map(|(id, row)| (id, row.as_ref().map_err(String::as_str)))
    }
}

impl FromIterator<(TenantId, Result<Tenant, String>)> for Tenants {
    fn from_iter<I: IntoIterator<Item = (TenantId, Result<Tenant, String>)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

fn unreadable(id: &TenantId, why: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, format!("tenant {id} cannot be read: {why}"))
}
