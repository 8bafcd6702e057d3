//! A tenant: what is its own, and its share.

use serde::{Deserialize, Serialize};

use crate::{
    BucketName, ObjectUri, Route, TenantId,
    route::{Destination, RouteError, StageSpec},
};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub id: TenantId,
    /// Its share of what is in flight, against the other tenants': 1 to 1,000.
    #[serde(default = "one")]
    pub weight: u32,
    /// Most jobs in queues and in workers at once.
    #[serde(default = "most_jobs")]
    pub max_jobs: u32,
    /// Most bytes of sources in queues and in workers at once. One job is admitted whatever its size.
    #[serde(default = "most_bytes")]
    pub max_bytes: u64,
    /// Where its routes may deliver to.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// Nothing of it is started.
    #[serde(default)]
    pub paused: bool,
}

/// A place that a tenant may deliver to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The bucket.
    pub bucket: BucketName,
    /// What its keys start with; empty: all of the bucket.
    #[serde(default)]
    pub prefix: String,
}

fn one() -> u32 {
    1
}

/// Reasonable default: enough to keep a few workers busy.
fn most_jobs() -> u32 {
    50
}

/// Reasonable default: an hour of one worker at 300 MB/s.
fn most_bytes() -> u64 {
    1 << 40
}

impl Tenant {
    /// A tenant with the defaults.
    pub fn new(id: TenantId) -> Self {
        Self {
            id,
            weight: one(),
            max_jobs: most_jobs(),
            max_bytes: most_bytes(),
            outputs: Vec::new(),
            paused: false,
        }
    }

    /// What the keys of its files start with. Nobody else's do: an id holds no `/`.
    pub fn ingest_prefix(id: &TenantId) -> String {
        format!("tenants/{id}/")
    }

    /// Whether a route stays within what is the tenant's own.
    ///
    /// # Errors
    /// Every way in which it does not.
    pub fn admit(&self, route: &Route) -> Result<(), Vec<String>> {
        let faults = self.faults(route);
        if faults.is_empty() { Ok(()) } else { Err(faults.iter().map(ToString::to_string).collect()) }
    }

    /// Every way in which a route does not stay within what is the tenant's own, with its place in the route.
    pub fn faults(&self, route: &Route) -> Vec<RouteError> {
        let mut faults = Vec::new();
        let mut add = |path: String, problem| faults.push(RouteError { path, line: None, problem });
        if route.tenant.as_ref() != Some(&self.id) {
            add("/tenant".to_owned(), format!("the route is not of tenant {}", self.id));
        }
        let own = Self::ingest_prefix(&self.id);
        if !route.matches.as_ref().is_some_and(|matches| matches.prefix.starts_with(&own)) {
            let problem = format!("must start with `{own}`, which is what tenant {} may send to", self.id);
            add("/match/prefix".to_owned(), problem);
        }
        for (at, stage) in route.stages.iter().enumerate() {
            let StageSpec::Concat(concat) = stage else { continue };
            // Objects of a manifest come from its own folder, which is the tenant's, unless this names another.
            if let Some(within) = concat.within.as_deref().filter(|within| !Self::is_own_folder(within, &own))
            {
                let problem = format!("tenant {} may read `s3://<bucket>/{own}…`, and not {within}", self.id);
                add(format!("/stages/{at}/concat/within"), problem);
            }
        }
        faults.extend(self.withdrawn(route).into_iter().map(|(_, fault)| fault));
        faults
    }

    /// Every destination of a route that is none of the tenant's places, by its number in the route: none when it was saved,
    /// but places are taken away.
    pub fn withdrawn(&self, route: &Route) -> Vec<(usize, RouteError)> {
        let mut withdrawn = Vec::new();
        for (at, destination) in route.destinations.iter().enumerate() {
            let Destination::S3(s3) = destination;
            // Only what stands before the first placeholder is certain; `../` is nothing special in a key.
            let certain = s3.key.literal_start();
            let is_own = |output: &Output| output.bucket == s3.bucket && certain.starts_with(&output.prefix);
            if !self.outputs.iter().any(is_own) {
                let problem = format!(
                    "tenant {} may not deliver to s3://{}/{certain}…; its places are {}",
                    self.id,
                    s3.bucket,
                    self.outputs_shown()
                );
                withdrawn.push((at, RouteError { path: format!("/destinations/{at}"), line: None, problem }));
            }
        }
        withdrawn
    }

    /// Whether a folder of S3, in whatever bucket, is one of those that start with `own`.
    fn is_own_folder(within: &str, own: &str) -> bool {
        let object = format!("{within}x").parse();
        matches!(object, Ok(ObjectUri::S3 { key, .. }) if key.as_str().starts_with(own))
    }

    fn outputs_shown(&self) -> String {
        let places = self.outputs.iter().map(|output| format!("s3://{}/{}", output.bucket, output.prefix));
        let places = places.collect::<Vec<_>>().join(", ");
        if places.is_empty() { "none".to_owned() } else { places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Profile;

    fn route(tenant: &str, prefix: &str, bucket: &str, key: &str) -> Route {
        let text = format!(
            "{{id: r, tenant: {tenant}, match: {{prefix: \"{prefix}\"}}, stages: [], \
             destinations: [{{s3: {{bucket: {bucket}, key: \"{key}\", on_existing: fail}}}}]}}"
        );
        Route::parse_yaml(&text, Profile::Platform).unwrap()
    }

    #[test]
    fn a_manifest_names_nobody_elses_objects() {
        let mut acme = Tenant::new("acme".parse().unwrap());
        acme.outputs = vec![Output { bucket: "out".parse().unwrap(), prefix: String::new() }];
        let concat = |within: &str| {
            let mut route = route("acme", "tenants/acme/in/", "out", "x");
            let text = format!("{{stages: [{{concat: {{within: \"{within}\"}}}}]}}");
            route.stages = Route::parse_yaml(&text, Profile::Cli).unwrap().stages;
            acme.admit(&route)
        };
        assert_eq!(concat("s3://ingest/tenants/acme/parts/"), Ok(()));
        for bad in
            ["s3://ingest/tenants/globex/", "s3://ingest/tenants/acme2/", "s3://ingest/", "/keys/", "/"]
        {
            let faults = concat(bad).unwrap_err().join("\n");
            assert!(faults.starts_with("/stages/0/concat/within: ") && faults.ends_with(bad), "{faults}");
        }
    }

    #[test]
    fn a_route_stays_within_its_tenant() {
        let mut acme = Tenant::new("acme".parse().unwrap());
        acme.outputs = vec![
            Output { bucket: "acme-out".parse().unwrap(), prefix: String::new() },
            Output { bucket: "shared".parse().unwrap(), prefix: "acme/".to_owned() },
        ];
        for good in [
            route("acme", "tenants/acme/in/", "acme-out", "{name}"),
            route("acme", "tenants/acme/", "shared", "acme/{name}"),
        ] {
            assert_eq!(acme.admit(&good), Ok(()));
        }
        for (bad, says) in [
            (route("globex", "tenants/acme/", "acme-out", "x"), "not of tenant acme"),
            (route("acme", "tenants/acme2/", "acme-out", "x"), "must start with `tenants/acme/`"),
            (route("acme", "tenants/acm", "acme-out", "x"), "must start with"),
            (route("acme", "tenants/acme/", "globex-out", "x"), "may not deliver to s3://globex-out/x"),
            (route("acme", "tenants/acme/", "shared", "globex/{name}"), "may not deliver"),
            (route("acme", "tenants/acme/", "shared", "{name}"), "may not deliver"),
            (route("acme", "tenants/acme/", "shared", "acm{name}"), "may not deliver"),
        ] {
            let faults = acme.admit(&bad).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(says)), "{faults:?}");
        }
    }
}
