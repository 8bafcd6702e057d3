//! Users of the SFTP server, in the table `config`. As with routes, the names of a tenant's users stand in a partition of
//! their own, each before its user: a name there without a user of that tenant is passed over. So it stays when its user is
//! removed: whoever took it away could take it from a user that was just made anew.

use eft_domain::{
    TenantId,
    sftp::{SftpName, SftpUser},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    DynamoCatalog, Item,
    catalog::{AT_ONCE, Condition},
    parsed, text, wrong,
};
use crate::port::{Page, Put, StoreResult};

const USERS: &str = "users";

fn user_of(row: &str) -> StoreResult<SftpUser> {
    serde_json::from_str(row).map_err(|error| wrong(format_args!("a user cannot be read: {error}")))
}

fn names_key(tenant: &TenantId) -> String {
    format!("users#{tenant}")
}

impl DynamoCatalog {
    pub(super) async fn user(&self, name: &SftpName) -> StoreResult<Option<SftpUser>> {
        self.row(USERS, name.as_str()).await?.as_deref().map(user_of).transpose()
    }

    pub(super) async fn save_user(&self, user: &SftpUser, before: Option<&SftpUser>) -> StoreResult<Put> {
        let found = self.row(USERS, user.name.as_str()).await?;
        if found.as_deref().map(user_of).transpose()?.as_ref() != before {
            return Ok(Put::Stale);
        }
        if before.is_none() {
            let item = Item::from([
                ("pk".to_owned(), text(names_key(&user.tenant))),
                ("sk".to_owned(), text(user.name.as_str())),
            ]);
            self.put(item, Condition::None).await?;
        }
        let row = serde_json::to_string(user)
            .map_err(|error| wrong(format_args!("a user cannot be written as JSON: {error}")))?;
        let item = Item::from([
            ("pk".to_owned(), text(USERS)),
            ("sk".to_owned(), text(user.name.as_str())),
            ("row".to_owned(), text(row)),
        ]);
        self.put(item, found.as_deref().map_or(Condition::New, Condition::Row)).await
    }

    pub(super) async fn delete_user(&self, user: &SftpUser) -> StoreResult<Put> {
        match self.row(USERS, user.name.as_str()).await? {
            Some(row) if user_of(&row)? == *user => self.remove(USERS, user.name.as_str(), &row).await,
            _ => Ok(Put::Stale),
        }
    }

    pub(super) async fn page_of_users(
        &self,
        tenant: &TenantId,
        after: Option<&SftpName>,
        limit: u16,
    ) -> StoreResult<Page<SftpUser>> {
        let after = after.map(SftpName::as_str);
        let (names, more) = self.items(&names_key(tenant), after, limit).await?;
        let names: Vec<SftpName> = names.iter().map(|item| parsed(item, "sk")).collect::<StoreResult<_>>()?;
        let next = names.last().filter(|_| more).map(ToString::to_string);
        let users: Vec<_> = stream::iter(names)
            .map(|name| async move { self.user(&name).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let items = users.into_iter().flatten().filter(|user| user.tenant == *tenant).collect();
        Ok(Page { items, next })
    }
}
