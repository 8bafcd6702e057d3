//! The tables on DynamoDB.
//!
//! `jobs` and `keys` are global tables with multi-region strong consistency: no transactions, no TTL, no local indexes.
//! Nothing here needs one: every promise rests on a condition on one item. Indexes are eventually consistent, and their
//! readers look at the row before they act.

mod audit;
mod catalog;
mod changes;
mod item;
mod keys;
mod ledger;
mod partners;
mod runs;
mod sftp;
mod tables;

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, config::retry::RetryConfig, types::AttributeValue};
pub use catalog::DynamoCatalog;
pub use keys::DynamoKeys;
pub use ledger::DynamoLedger;
pub use runs::DynamoRuns;
pub use tables::{
    ACCESS, Access, Cost, Index, Key, KeyKind, Projected, TABLES, Table, TableNames, access_table,
    create_tables,
};

use crate::port::{StoreError, StoreErrorKind, StoreResult};

/// An item.
pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A client that asks once: for conditional writes, where a second attempt hides what became of the first.
fn once(client: &Client) -> Client {
    Client::from_conf(client.config().to_builder().retry_config(RetryConfig::disabled()).build())
}

fn wrong(what: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, what.to_string())
}

fn text_of<'a>(item: &'a Item, name: &str) -> StoreResult<&'a str> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or_else(|| wrong(format_args!("an item without a text `{name}`")))
}

fn number_of(item: &Item, name: &str) -> StoreResult<u64> {
    let value = item.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
    value.ok_or_else(|| wrong(format_args!("an item without a number `{name}`")))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(item: &Item, name: &str) -> StoreResult<T> {
    text_of(item, name)?
        .parse()
        .map_err(|error| wrong(format_args!("an item with a wrong `{name}`: {error}")))
}
