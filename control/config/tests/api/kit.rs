//! An API, callers, and routes to save.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use eft_api::{CursorKey, Principal, Problem, handle};
use eft_config::{Api, openapi::document};
use eft_domain::{Millis, Tenant, tenant::Output};
use eft_store::{
    Audit, Catalog, Clock, Keys,
    faulty::{Fates, Faulty},
    memory::Region,
};
use serde_json::{Value, json};

pub(crate) use crate::contract::{Reply, token};
use crate::contract::{documented, request};

/// A test's API.
pub(crate) struct Bed {
    pub(crate) api: Api,
    pub(crate) region: Region,
    clock: Clock,
}

pub(crate) fn ann() -> Result<Principal, Problem> {
    token("ann", "acme", "config:write")
}

pub(crate) fn bob() -> Result<Principal, Problem> {
    token("bob", "acme", "config:write")
}

/// Of another tenant.
pub(crate) fn eve() -> Result<Principal, Problem> {
    token("eve", "globex", "config:write")
}

/// A route of acme with its own prefix.
pub(crate) fn route(name: &str, level: u32) -> Value {
    json!({
        "match": { "prefix": format!("tenants/acme/{name}/"), "glob": "*.csv" },
        "stages": [{ "compress": { "codec": "zstd", "level": level } }],
        "destinations": [{ "s3": { "bucket": "acme-out", "key": "{date}/{stem}.zst", "on_existing": "fail" } }],
    })
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const NEW: (&str, &str) = ("if-none-match", "*");

impl Bed {
    /// With tenants acme and globex, each with an output bucket.
    pub(crate) async fn new() -> Self {
        let clock = Clock::simulated();
        let region = Region::new(clock);
        let ports = Arc::new(region.clone());
        Self::with(region, clock, ports.clone(), ports.clone(), ports).await
    }

    /// Over stores whose calls meet these fates.
    pub(crate) async fn faulty(fates: Arc<dyn Fates>) -> Self {
        let clock = Clock::simulated();
        let region = Region::new(clock);
        let ports = Arc::new(Faulty::new(region.clone(), fates));
        Self::with(region, clock, ports.clone(), ports.clone(), ports).await
    }

    async fn with(
        region: Region,
        clock: Clock,
        catalog: Arc<dyn Catalog>,
        audit: Arc<dyn Audit>,
        keys: Arc<dyn Keys>,
    ) -> Self {
        for name in ["acme", "globex"] {
            let mut tenant = Tenant::new(name.parse().unwrap());
            tenant
                .outputs
                .push(Output { bucket: format!("{name}-out").parse().unwrap(), prefix: String::new() });
            region.put_tenant(&tenant).await.unwrap();
        }
        let cursors = CursorKey::new(&[7; 32]).unwrap();
        Self { api: Api { catalog, audit, keys, cursors }, region, clock }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Ask, and hold the answer against the document.
    pub(crate) async fn call(
        &self,
        caller: Result<Principal, Problem>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        static DOCUMENT: OnceLock<Value> = OnceLock::new();
        let request = request(method, path, headers, body);
        let reply = Reply::of(handle(&self.api, request, caller, self.now()).await);
        documented(DOCUMENT.get_or_init(document), method, path, &reply);
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(ann(), "GET", path, &[], "").await
    }

    pub(crate) async fn put(
        &self,
        caller: Result<Principal, Problem>,
        path: &str,
        condition: (&str, &str),
        route: &Value,
    ) -> Reply {
        self.call(caller, "PUT", path, &[JSON, condition], route.to_string()).await
    }

    /// Ann creates a route.
    pub(crate) async fn create(&self, name: &str) -> Reply {
        self.put(ann(), &format!("/v1/routes/{name}"), NEW, &route(name, 1)).await.is(201)
    }

    /// Ann removes what she has read.
    pub(crate) async fn remove(&self, path: &str, tag: &str) -> Reply {
        self.call(ann(), "DELETE", path, &[("if-match", tag)], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(ann(), "POST", path, &[JSON], body.to_string()).await
    }

    /// Ann acts under a key.
    pub(crate) async fn act(&self, path: &str, key: &str) -> Reply {
        self.call(ann(), "POST", path, &[("idempotency-key", key)], "").await
    }
}
