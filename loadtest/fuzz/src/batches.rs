//! What Lambda hands to the router, through the router itself, over tables in memory.

use std::{collections::BTreeSet, sync::Arc};

use eft_domain::{
    Actor, BucketName, ObjectKey, Route, Tenant, VersionId, job::Retention, message::Ingest, route::Profile,
    tenant::Output,
};
use eft_router::{
    Buckets, Found, Objects, Router,
    handler::{Batch, Log, handle},
};
use eft_store::{Catalog, Clock, Desk, StoreResult, memory::Region};
use futures::{FutureExt, future::BoxFuture};

/// The most that SQS gives to a function of a FIFO queue at once.
const BATCH: usize = 10;

/// A bucket that has nothing in it.
struct Nothing;

impl Objects for Nothing {
    fn head<'a>(
        &'a self,
        _: &'a BucketName,
        _: &'a ObjectKey,
        _: Option<&'a VersionId>,
    ) -> BoxFuture<'a, StoreResult<Option<Found>>> {
        async { Ok(None) }.boxed()
    }
}

/// A router of one tenant, with one route.
async fn router(region: &Region, clock: Clock) -> Router {
    let tables = Arc::new(region.clone());
    let bucket = "out".parse().expect("a bucket's name");
    let outputs = vec![Output { bucket, prefix: String::new() }];
    let acme = Tenant { outputs, ..Tenant::new("acme".parse().expect("a name")) };
    let route = "{id: in, tenant: acme, match: {prefix: tenants/acme/in/}, stages: [], \
                 destinations: [{s3: {bucket: out, key: \"{name}\"}}]}";
    let route = Route::parse_yaml(route, Profile::Platform).expect("a route");
    region.put_tenant(&acme).await.expect("memory takes it");
    region.put_route(&route, None).await.expect("memory takes it");
    let desk = Desk {
        ledger: tables.clone(),
        runs: tables.clone(),
        catalog: tables.clone(),
        keys: tables.clone(),
        dispatch: tables.clone(),
        notify: tables,
        clock,
        retention: Retention::default(),
        actor: Actor::part("router"),
        source: "eft/fuzz".to_owned(),
    };
    Router::new(desk, Arc::new(Nothing), Buckets::parse("ingest=ingest-bucket").expect("a list of buckets"))
}

/// A batch of `ingest.fifo`, as a function gets it: what nobody can read is given back, nothing overtakes a message of its
/// group that was given back, and what was done twice has made no second job.
pub fn sqs_batch(data: &[u8]) {
    let Ok(batch) = serde_json::from_slice::<Batch>(data) else { return };
    let ids: BTreeSet<_> = batch.records.iter().map(|message| message.message_id.clone()).collect();
    if ids.len() < batch.records.len() || ids.len() > BATCH {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let clock = Clock::simulated();
        let region = Region::new(clock);
        let router = router(&region, clock).await;
        let log: Log = Arc::new(|_| ());
        let response = handle(&router, batch.clone(), &log).await;
        let failed: BTreeSet<_> =
            response.batch_item_failures.iter().map(|failed| failed.item_identifier.clone()).collect();
        assert_eq!(failed.len(), response.batch_item_failures.len(), "each is given back once");
        assert!(failed.is_subset(&ids), "{failed:?} are no messages of the batch");
        let mut stopped = BTreeSet::new();
        for message in &batch.records {
            let is_failed = failed.contains(&message.message_id);
            assert!(is_failed || Ingest::parse(&message.body).is_ok(), "done: {}", message.body);
            if let Some(group) = &message.attributes.group {
                assert!(is_failed || !stopped.contains(group), "{} overtakes another", message.message_id);
                if is_failed {
                    stopped.insert(group);
                }
            }
        }
        let once = region.jobs().len();
        let again = handle(&router, batch, &log).await;
        assert_eq!((region.jobs().len(), again), (once, response), "given again it makes no other job");
    });
}
