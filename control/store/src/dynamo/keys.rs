//! The table `keys`.

use aws_sdk_dynamodb::{
    Client,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use eft_domain::Millis;
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::{BoxFuture, try_join_all},
    stream,
};

use super::{Item, number, number_of, once, text, text_of};
use crate::{
    aws::{
        error::{Deed, conditional, is_stale, store_error},
        retry::again,
    },
    port::{Keys, Put, StoreError, StoreErrorKind, StoreResult},
};

/// Times a key is tried that expires or changes under our hands.
const TRIES: u32 = 3;

/// Shards of the index of what expires.
const SHARDS: u64 = 4;

/// Keys of each shard that are removed in one go.
const BATCH: i32 = 100;

/// Requests at once.
const CONCURRENT: usize = 16;

/// Small facts on DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoKeys {
    reads: Client,
    writes: Client,
    table: String,
}

fn key_of(key: &str) -> String {
    format!("key#{key}")
}

/// FNV-1a: any hash that spreads and never changes would do.
fn shard(key: &str) -> u64 {
    key.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
        % SHARDS
}

impl DynamoKeys {
    /// The facts in this table.
    pub fn new(client: &Client, table: &str) -> Self {
        Self { reads: client.clone(), writes: once(client), table: table.to_owned() }
    }

    async fn find(&self, key: &str, now: Millis) -> StoreResult<Option<String>> {
        let request = self.reads.get_item().table_name(&self.table).key("pk", text(key_of(key)));
        let answer = request.consistent_read(true).send().await;
        let answer = answer.map_err(|error| store_error(&format!("get key {key}"), Deed::Read, &error))?;
        answer.item.as_ref().map_or(Ok(None), |item| value_of(item, now))
    }

    /// `None` where it was kept; otherwise what stands there, if it could be seen.
    async fn put_if_free(&self, item: &Item, key: &str, now: Millis) -> StoreResult<Option<Option<String>>> {
        again(|| async {
            let request = self
                .writes
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item.clone()))
                .condition_expression("attribute_not_exists(pk) OR expires <= :now")
                .expression_attribute_values(":now", number(now.0))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            match request.send().await {
                Ok(_) => Ok(None),
                Err(error) if is_stale(&error) => {
                    let refused = error.as_service_error().and_then(|error| {
                        match error {
                        aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(
                            refused,
                        ) => refused.item(),
                        _ => None,
                    }
                    });
                    refused.map_or(Ok(Some(None)), |item| value_of(item, now).map(Some))
                }
                Err(error) => Err(store_error(&format!("keep key {key}"), Deed::Write, &error)),
            }
        })
        .await
    }

    /// Keys of a shard that have expired, as the index shows them.
    async fn expired(&self, shard: u64, now: Millis) -> StoreResult<Vec<String>> {
        let request = self
            .reads
            .query()
            .table_name(&self.table)
            .index_name("expiry")
            .key_condition_expression("expiry_shard = :shard AND expires <= :now")
            .expression_attribute_values(":shard", number(shard))
            .expression_attribute_values(":now", number(now.0))
            .limit(BATCH);
        let answer = request.send().await;
        let answer = answer.map_err(|error| store_error("list expired keys", Deed::Read, &error))?;
        answer.items().iter().map(|item| text_of(item, "pk").map(ToOwned::to_owned)).collect()
    }

    /// It may have been kept anew, or removed, since the index was written.
    async fn remove(&self, pk: String, now: Millis) -> StoreResult<Put> {
        again(|| async {
            let request = self
                .writes
                .delete_item()
                .table_name(&self.table)
                .key("pk", text(&pk))
                .condition_expression("expires <= :now")
                .expression_attribute_values(":now", number(now.0));
            conditional("remove an expired key", request.send().await)
        })
        .await
    }
}

fn item_of(key: &str, value: &str, expires: Millis) -> Item {
    Item::from([
        ("pk".to_owned(), text(key_of(key))),
        ("value".to_owned(), text(value)),
        ("expires".to_owned(), number(expires.0)),
        ("expiry_shard".to_owned(), number(shard(key))),
    ])
}

fn value_of(item: &Item, now: Millis) -> StoreResult<Option<String>> {
    let is_live = number_of(item, "expires")? > now.0;
    Ok(if is_live { Some(text_of(item, "value")?.to_owned()) } else { None })
}

impl Keys for DynamoKeys {
    fn put_new<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Millis,
        now: Millis,
    ) -> BoxFuture<'a, StoreResult<Option<String>>> {
        async move {
            let item = item_of(key, value, expires);
            for _ in 0..TRIES {
                let found = match self.put_if_free(&item, key, now).await? {
                    None => return Ok(None),
                    Some(Some(found)) => Some(found),
                    Some(None) => self.find(key, now).await?,
                };
                if found.is_some() {
                    return Ok(found);
                }
            }
            Err(StoreError::new(StoreErrorKind::Unavailable, format!("others keep writing key {key}")))
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str, expires: Millis) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            // Without a condition: the SDK may repeat it.
            let request =
                self.reads.put_item().table_name(&self.table).set_item(Some(item_of(key, value, expires)));
            again(|| async {
                let answer = request.clone().send().await;
                answer.map(drop).map_err(|error| store_error(&format!("keep key {key}"), Deed::Write, &error))
            })
            .await
        }
        .boxed()
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        before: Option<&'a str>,
        value: &'a str,
        expires: Millis,
        now: Millis,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let request = self
                .writes
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item_of(key, value, expires)))
                .expression_attribute_values(":now", number(now.0));
            let request = match before {
                None => request.condition_expression("attribute_not_exists(pk) OR expires <= :now"),
                Some(before) => request
                    .condition_expression("#value = :before AND expires > :now")
                    .expression_attribute_names("#value", "value")
                    .expression_attribute_values(":before", text(before)),
            };
            again(|| async { conditional(&format!("swap key {key}"), request.clone().send().await) }).await
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str, now: Millis) -> BoxFuture<'a, StoreResult<Option<String>>> {
        self.find(key, now).boxed()
    }

    fn next<'a>(&'a self, counter: &'a str) -> BoxFuture<'a, StoreResult<u64>> {
        async move {
            // The SDK may repeat it: numbers may be left out.
            let request = self
                .reads
                .update_item()
                .table_name(&self.table)
                .key("pk", text(format!("counter#{counter}")))
                .update_expression("ADD #count :one")
                .expression_attribute_names("#count", "count")
                .expression_attribute_values(":one", number(1))
                .return_values(ReturnValue::UpdatedNew);
            let answer = again(|| async {
                let answer = request.clone().send().await;
                answer.map_err(|error| store_error(&format!("count {counter}"), Deed::Write, &error))
            });
            number_of(&answer.await?.attributes.unwrap_or_default(), "count")
        }
        .boxed()
    }

    /// Tables with multi-region strong consistency have no TTL: a key that nobody asks for again would stay for ever.
    fn remove_expired(&self, now: Millis) -> BoxFuture<'_, StoreResult<usize>> {
        async move {
            let shards = try_join_all((0..SHARDS).map(|shard| self.expired(shard, now))).await?;
            let removals = stream::iter(shards.into_iter().flatten()).map(|pk| self.remove(pk, now));
            let puts: Vec<Put> = removals.buffer_unordered(CONCURRENT).try_collect().await?;
            Ok(puts.into_iter().filter(|put| *put == Put::Done).count())
        }
        .boxed()
    }
}
