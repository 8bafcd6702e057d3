//! The tables as data, and how they are used: what the templates of the deployment and the local platform are made of.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType, TableStatus,
    },
};

use super::wrong;
use crate::{
    aws::error::{Deed, store_error},
    port::{StoreError, StoreErrorKind, StoreResult},
};

/// What a key attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `S`.
    Text,
    /// `N`.
    Number,
}

/// A key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: KeyKind,
}

/// What an index holds besides the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projected {
    /// Nothing.
    Keys,
    /// These attributes.
    With(&'static [&'static str]),
}

/// A global secondary index. All but `due` are sparse: an item without the attributes is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: &'static str,
    /// The partition key.
    pub hash: Key,
    /// The sort key.
    pub range: Key,
    /// What else it holds.
    pub projected: Projected,
}

/// A table. All are billed by request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it is called among us.
    pub name: &'static str,
    /// Strongly consistent over both regions; otherwise eventually.
    pub strong: bool,
    /// DynamoDB removes the items whose attribute `ttl`, in seconds since 1970, has passed.
    pub expiring: bool,
    /// The sort key, where there is one; the partition key is always the text `pk`.
    pub range: Option<Key>,
    /// Its indexes.
    pub indexes: &'static [Index],
}

const fn text(name: &'static str) -> Key {
    Key { name, kind: KeyKind::Text }
}

const fn number(name: &'static str) -> Key {
    Key { name, kind: KeyKind::Number }
}

/// The tables.
pub const TABLES: [Table; 4] = [
    Table {
        name: "jobs",
        strong: true,
        expiring: false,
        range: None,
        indexes: &[
            Index {
                name: "due",
                hash: number("due_shard"),
                range: text("due_at"),
                projected: Projected::Keys,
            },
            Index {
                name: "line",
                hash: text("line"),
                range: text("line_at"),
                projected: Projected::With(&["size"]),
            },
            // The sort key is the job: one that changes its line while somebody pages is neither missed nor seen twice.
            Index { name: "live", hash: text("live_of"), range: text("pk"), projected: Projected::Keys },
            Index { name: "turn", hash: text("turn_of"), range: number("turn"), projected: Projected::Keys },
        ],
    },
    Table {
        name: "keys",
        strong: true,
        expiring: false,
        range: None,
        indexes: &[Index {
            name: "expiry",
            hash: number("expiry_shard"),
            range: number("expires"),
            projected: Projected::Keys,
        }],
    },
    Table {
        name: "runs",
        strong: false,
        expiring: false,
        range: Some(text("sk")),
        indexes: &[
            Index {
                name: "tenant",
                hash: text("tenant"),
                range: text("tenant_at"),
                projected: Projected::With(&["row"]),
            },
            Index {
                name: "state",
                hash: text("tenant_state"),
                range: text("tenant_at"),
                projected: Projected::With(&["row"]),
            },
            Index {
                name: "route",
                hash: text("tenant_route"),
                range: text("tenant_at"),
                projected: Projected::With(&["row"]),
            },
        ],
    },
    Table { name: "config", strong: false, expiring: true, range: Some(text("sk")), indexes: &[] },
];

/// What the tables are called in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// `jobs`.
    pub jobs: String,
    /// `keys`.
    pub keys: String,
    /// `runs`.
    pub runs: String,
    /// `config`.
    pub config: String,
}

impl TableNames {
    /// Our names with something in front.
    pub fn with_prefix(prefix: &str) -> Self {
        let [jobs, keys, runs, config] = TABLES.map(|table| format!("{prefix}{}", table.name));
        Self { jobs, keys, runs, config }
    }

    fn in_order(&self) -> [&str; 4] {
        [&self.jobs, &self.keys, &self.runs, &self.config]
    }
}

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Reads so many bytes: a unit for every 4 KB begun, half of one where it is not consistent.
    Read(u64),
    /// Writes an item of so many bytes, and so many entries of indexes of at most 1 KB: a unit for every 1 KB begun.
    Write(u64, u64),
}

impl Cost {
    /// Half units.
    pub const fn halves(self, consistent: bool) -> u64 {
        match self {
            Self::Read(bytes) if consistent => 2 * bytes.div_ceil(4096),
            Self::Read(bytes) => bytes.div_ceil(4096),
            Self::Write(bytes, entries) => 2 * (bytes.div_ceil(1024) + entries),
        }
    }
}

/// A way in which a table is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What for.
    pub what: &'static str,
    /// Which table, or table and index.
    pub place: &'static str,
    /// By which key.
    pub key: &'static str,
    /// Under which condition, where it writes.
    pub condition: &'static str,
    /// Sees every write that was answered.
    pub consistent: bool,
    /// What it costs with items of usual size.
    pub cost: Cost,
}

/// A row without a checkpoint.
const ROW: u64 = 1_800;

/// An entry of an index with keys only.
const ENTRY: u64 = 150;

const fn read(
    what: &'static str,
    place: &'static str,
    key: &'static str,
    consistent: bool,
    bytes: u64,
) -> Access {
    Access { what, place, key, condition: "", consistent, cost: Cost::Read(bytes) }
}

const fn write(
    what: &'static str,
    place: &'static str,
    key: &'static str,
    condition: &'static str,
    (bytes, entries): (u64, u64),
) -> Access {
    Access { what, place, key, condition, consistent: true, cost: Cost::Write(bytes, entries) }
}

/// How the tables are used. A change of `due_at` or `line` is two entries: the one before goes.
#[rustfmt::skip]
pub const ACCESS: &[Access] = &[
    read("a job", "jobs", "pk = job", true, ROW),
    write("its first row", "jobs", "pk = job", "attribute_not_exists(pk)", (ROW, 3)),
    write("the next row (claim, renew, save, end)", "jobs", "pk = job", "rev = :before", (ROW, 2)),
    write("the next row, into or out of a queue", "jobs", "pk = job", "rev = :before", (ROW, 4)),
    write("remove a row", "jobs", "pk = job", "rev = :rev", (ROW, 1)),
    read("100 rows that are due", "jobs/due", "due_shard = n, due_at between", false, 100 * ENTRY),
    read("100 that wait, of a tenant, 4 times", "jobs/line", "line = tenant#Wn", false, 100 * ENTRY),
    read("50 in flight, of a tenant, 4 times", "jobs/line", "line = tenant#Fn", false, 13 * ENTRY),
    read("100 that may have a checkpoint, of a tenant", "jobs/live", "live_of = tenant, pk after", false, 100 * ENTRY),
    read("the first in order, of a route", "jobs/turn", "turn_of = route", false, ENTRY),
    write("keep a fact", "keys", "pk = key#…", "attribute_not_exists(pk) OR expires <= :now", (300, 2)),
    write("admit ten jobs of a tenant", "keys", "pk = key#admitted#tenant", "value = :before AND expires > :now", (1_100, 2)),
    read("what was admitted of a tenant last", "keys", "pk = key#admitted#tenant", true, 1_100),
    read("a fact", "keys", "pk = key#…", true, 300),
    write("count", "keys", "pk = counter#…", "", (60, 0)),
    read("100 facts that have expired", "keys/expiry", "expiry_shard = n, expires up to", false, 100 * ENTRY),
    write("remove a fact", "keys", "pk = key#…", "expires <= :now", (300, 1)),
    write("a change, into the history", "runs", "pk = job#…, sk = event#…", "attribute_not_exists(pk)", (400, 0)),
    write("how its run stands", "runs", "pk = job#…, sk = run#…", "attribute_not_exists(pk) OR sequence < :sequence", (900, 6)),
    write("take a run off the lists, when the next begins", "runs", "pk = job#…, sk = run#…", "attribute_exists(pk)", (900, 3)),
    read("the history of a job", "runs", "pk = job#…, sk begins with event#", true, 8 * 400),
    write("keep a receipt", "runs", "pk = job#…, sk = receipt#…", "", (3_500, 0)),
    read("a receipt", "runs", "pk = job#…, sk begins with receipt#…", true, 3_500),
    read("50 jobs of a tenant, newest first", "runs/tenant", "tenant = …, tenant_at before", false, 50 * 900),
    read("50 jobs of a tenant in a state, newest first", "runs/state", "tenant_state = tenant#state, tenant_at before", false, 50 * 900),
    read("50 jobs of a tenant's route, newest first", "runs/route", "tenant_route = tenant#route, tenant_at before", false, 50 * 900),
    read("the runs of a job", "runs", "pk = job#…, sk begins with run#", true, 2 * 900),
    read("how 100 routes stand", "config", "pk = routes", true, 100 * 300),
    read("a revision, once a process", "config", "pk = route#…, sk = revision#…", true, 2_000),
    read("100 tenants", "config", "pk = tenants", true, 100 * 300),
    write("a revision", "config", "pk = route#…, sk = revision#…", "attribute_not_exists(pk)", (2_000, 0)),
    write("how a route stands", "config", "pk = routes, sk = route", "number = :before", (300, 0)),
    write("how it stood before", "config", "pk = route#…, sk = change#…", "", (300, 0)),
    write("the name of a new route", "config", "pk = routes#tenant, sk = route", "", (60, 0)),
    read("how a route stands, alone", "config", "pk = routes, sk = route", true, 300),
    read("200 names of a tenant's routes", "config", "pk = routes#tenant, sk after", true, 200 * 60),
    read("100 changes of a route, the latest first", "config", "pk = route#…, sk up to change#…", true, 100 * 300),
    write("a tenant", "config", "pk = tenants, sk = tenant", "row = :before", (300, 0)),
    read("a user of the SFTP server", "config", "pk = users, sk = user", true, 1_000),
    write("a user", "config", "pk = users, sk = user", "row = :before", (1_000, 0)),
    write("the name of a new user", "config", "pk = users#tenant, sk = user", "", (60, 0)),
    read("200 names of a tenant's users", "config", "pk = users#tenant, sk after", true, 200 * 60),
    write("remove a user or a partner", "config", "pk = users, sk = user", "row = :before", (1_000, 0)),
    read("a partner", "config", "pk = partners#tenant, sk = partner", true, 500),
    write("a partner", "config", "pk = partners#tenant, sk = partner", "row = :before", (500, 0)),
    read("50 partners of a tenant", "config", "pk = partners#tenant, sk after", true, 50 * 500),
    write("begin an entry of the audit trail", "config", "pk = audit#tenant, sk = entry", "attribute_not_exists(pk)", (400, 0)),
    write("end it", "config", "pk = audit#tenant, sk = entry", "", (500, 0)),
    read("50 entries of a tenant, the latest first", "config", "pk = audit#tenant, sk between", true, 50 * 500),
    read("a tenant as it is now", "config", "pk = tenants, sk = tenant", true, 300),
];

/// The table of `TABLES.md`.
pub fn access_table() -> String {
    let mut table =
        "| what | table/index | key | condition | consistent | units |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for Access { what, place, key, condition, consistent, cost } in ACCESS {
        let condition = if condition.is_empty() { String::new() } else { format!("`{condition}`") };
        let halves = cost.halves(*consistent);
        let unit = if matches!(cost, Cost::Read(_)) { "read" } else { "write" };
        let half = if halves % 2 == 1 { ".5" } else { "" };
        let consistent = if *consistent { "yes" } else { "no" };
        table.push_str(&format!(
            "| {what} | `{place}` | {key} | {condition} | {consistent} | {}{half} {unit} |\n",
            halves / 2
        ));
    }
    table
}

/// Makes the tables that are not there, and waits until they can be used: for the local platform and tests.
///
/// # Errors
/// They cannot be made.
pub async fn create_tables(client: &Client, names: &TableNames) -> StoreResult<()> {
    for (table, name) in TABLES.iter().zip(names.in_order()) {
        create(client, table, name).await?;
    }
    for name in names.in_order() {
        until_active(client, name).await?;
    }
    Ok(())
}

async fn create(client: &Client, table: &Table, name: &str) -> StoreResult<()> {
    let pk = text("pk");
    let mut keys = vec![pk];
    keys.extend(table.range);
    keys.extend(table.indexes.iter().flat_map(|index| [index.hash, index.range]));
    keys.sort_by_key(|key| key.name);
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    keys.dedup_by_key(|key| key.name);
    for key in keys {
        request = request.attribute_definitions(definition(key)?);
    }
    request = request.set_key_schema(Some(schema(pk, table.range)?));
    for index in table.indexes {
        request = request.global_secondary_indexes(index_of(index)?);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Ok(())
        }
        Err(error) => Err(store_error(&format!("make table {name}"), Deed::Write, &error)),
    }
}

async fn until_active(client: &Client, name: &str) -> StoreResult<()> {
    for _ in 0..100 {
        let answer = client.describe_table().table_name(name).send().await;
        let answer =
            answer.map_err(|error| store_error(&format!("look at table {name}"), Deed::Read, &error))?;
        if answer.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(StoreError::new(StoreErrorKind::Unavailable, format!("table {name} is not active after 10 s")))
}

fn definition(key: Key) -> StoreResult<AttributeDefinition> {
    let kind = match key.kind {
        KeyKind::Text => ScalarAttributeType::S,
        KeyKind::Number => ScalarAttributeType::N,
    };
    AttributeDefinition::builder().attribute_name(key.name).attribute_type(kind).build().map_err(wrong)
}

fn schema(hash: Key, range: Option<Key>) -> StoreResult<Vec<KeySchemaElement>> {
    let element =
        |key: Key, kind| KeySchemaElement::builder().attribute_name(key.name).key_type(kind).build();
    let mut schema = vec![element(hash, KeyType::Hash).map_err(wrong)?];
    if let Some(range) = range {
        schema.push(element(range, KeyType::Range).map_err(wrong)?);
    }
    Ok(schema)
}

fn index_of(index: &Index) -> StoreResult<GlobalSecondaryIndex> {
    let projection = match index.projected {
        Projected::Keys => Projection::builder().projection_type(ProjectionType::KeysOnly),
        Projected::With(names) => Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(names.iter().map(|name| (*name).to_owned()).collect())),
    };
    GlobalSecondaryIndex::builder()
        .index_name(index.name)
        .set_key_schema(Some(schema(index.hash, Some(index.range))?))
        .projection(projection.build())
        .build()
        .map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_rounded_up() {
        assert_eq!(Cost::Read(4_096).halves(true), 2);
        assert_eq!(Cost::Read(4_097).halves(true), 4);
        assert_eq!(Cost::Read(1).halves(false), 1);
        assert_eq!(Cost::Write(1_025, 3).halves(true), 10);
    }

    #[test]
    fn every_table_and_index_is_used_and_no_other() {
        let all: Vec<_> = TABLES
            .iter()
            .flat_map(|table| {
                let indexes = table.indexes.iter().map(|index| format!("{}/{}", table.name, index.name));
                indexes.chain([table.name.to_owned()]).collect::<Vec<_>>()
            })
            .collect();
        for access in ACCESS {
            assert!(all.iter().any(|place| place == access.place), "{}", access.place);
            assert!(!access.place.contains('/') || !access.consistent, "indexes are late: {}", access.what);
        }
        for place in all {
            assert!(ACCESS.iter().any(|access| access.place == place), "nobody uses {place}");
        }
    }

    /// `EFT_BLESS=1` writes the table anew.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's own switch")]
    fn the_page_says_how_tables_are_used() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/TABLES.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (words, _) = page.split_once("| what |").unwrap();
        let blessed = format!("{words}{}", access_table());
        if std::env::var("EFT_BLESS").is_ok() {
            std::fs::write(path, &blessed).unwrap();
        } else {
            assert_eq!(page, blessed, "EFT_BLESS=1 writes it anew");
        }
    }

    #[test]
    fn names_keep_their_order() {
        let names = TableNames::with_prefix("eft-");
        assert_eq!(names.in_order(), ["eft-jobs", "eft-keys", "eft-runs", "eft-config"]);
    }
}
