//! Partners, in the table `config`: those of a tenant in a partition of its own.

use eft_domain::{Partner, PartnerId, TenantId};

use super::{DynamoCatalog, Item, catalog::Condition, text, text_of, wrong};
use crate::port::{Page, Put, StoreResult};

fn partition(tenant: &TenantId) -> String {
    format!("partners#{tenant}")
}

fn partner_of(row: &str) -> StoreResult<Partner> {
    serde_json::from_str(row).map_err(|error| wrong(format_args!("a partner cannot be read: {error}")))
}

impl DynamoCatalog {
    pub(super) async fn partner_row(
        &self,
        tenant: &TenantId,
        id: &PartnerId,
    ) -> StoreResult<Option<Partner>> {
        self.row(&partition(tenant), id.as_str()).await?.as_deref().map(partner_of).transpose()
    }

    pub(super) async fn put_partner(&self, partner: &Partner, before: Option<&Partner>) -> StoreResult<Put> {
        let pk = partition(&partner.tenant);
        let found = self.row(&pk, partner.id.as_str()).await?;
        if found.as_deref().map(partner_of).transpose()?.as_ref() != before {
            return Ok(Put::Stale);
        }
        let row = serde_json::to_string(partner)
            .map_err(|error| wrong(format_args!("a partner cannot be written as JSON: {error}")))?;
        let item = Item::from([
            ("pk".to_owned(), text(pk)),
            ("sk".to_owned(), text(partner.id.as_str())),
            ("row".to_owned(), text(row)),
        ]);
        self.put(item, found.as_deref().map_or(Condition::New, Condition::Row)).await
    }

    pub(super) async fn delete_partner(&self, partner: &Partner) -> StoreResult<Put> {
        let pk = partition(&partner.tenant);
        match self.row(&pk, partner.id.as_str()).await? {
            Some(row) if partner_of(&row)? == *partner => self.remove(&pk, partner.id.as_str(), &row).await,
            _ => Ok(Put::Stale),
        }
    }

    pub(super) async fn page_of_partners(
        &self,
        tenant: &TenantId,
        after: Option<&PartnerId>,
        limit: u16,
    ) -> StoreResult<Page<Partner>> {
        let (items, more) = self.items(&partition(tenant), after.map(PartnerId::as_str), limit).await?;
        let partners = items.iter().map(|item| partner_of(text_of(item, "row")?));
        let items: Vec<_> = partners.collect::<StoreResult<_>>()?;
        let next = items.last().filter(|_| more).map(|partner| partner.id.to_string());
        Ok(Page { items, next })
    }
}
