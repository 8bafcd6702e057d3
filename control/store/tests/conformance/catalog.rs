//! Tenants and routes.

use eft_domain::{
    Route, Tenant,
    route::{Ordering, Profile},
    tenant::Output,
};
use eft_store::{Put, StoreErrorKind};

use super::{Bed, tenant, until};

pub(crate) fn route(id: &str, level: u32) -> Route {
    let text = format!(
        "{{id: {id}, tenant: acme, match: {{prefix: \"tenants/acme/{id}/\", glob: \"*.csv\"}}, \
         stages: [{{compress: {{codec: zstd, level: {level}}}}}], \
         destinations: [{{s3: {{bucket: acme-out, key: \"{{stem}}.zst\", on_existing: fail}}}}]}}"
    );
    Route::parse_yaml(&text, Profile::Platform).unwrap()
}

pub(crate) async fn tenants_are_as_they_were_put_last(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    assert_eq!(catalog.tenants().await, Ok(vec![]));
    let mut acme = Tenant::new(tenant("acme"));
    acme.outputs.push(Output { bucket: "acme-out".parse().unwrap(), prefix: "in/".into() });
    let globex = Tenant::new(tenant("globex"));
    catalog.put_tenant(&globex).await.unwrap();
    catalog.put_tenant(&acme).await.unwrap();
    assert_eq!(catalog.tenants().await, Ok(vec![acme.clone(), globex]));
    assert_eq!(catalog.tenant(&acme.id).await, Ok(Some(acme.clone())));
    acme.paused = true;
    acme.max_jobs = 3;
    catalog.put_tenant(&acme).await.unwrap();
    let find = || async { catalog.tenant(&acme.id).await.unwrap() };
    until("it is as it was put last", find, |found| *found == Some(acme.clone())).await;
    assert_eq!(catalog.tenant(&tenant("umbrella")).await, Ok(None));
}

pub(crate) async fn revisions_stay_and_one_is_active(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let (one, two, other) = (route("orders", 1), route("orders", 2), route("returns", 1));
    let id = one.id.clone().unwrap();
    assert!(catalog.routes().await.unwrap().routes().next().is_none());
    assert_eq!(catalog.put_route(&one, Some(one.revision())).await, Ok(Put::Stale), "there is none");
    assert_eq!(catalog.put_route(&one, None).await, Ok(Put::Done));
    assert_eq!(catalog.put_route(&two, None).await, Ok(Put::Stale), "there is one");
    assert_eq!(catalog.put_route(&other, None).await, Ok(Put::Done));
    assert_eq!(catalog.put_route(&two, Some(one.revision())).await, Ok(Put::Done));
    assert_eq!(catalog.put_route(&two, Some(one.revision())).await, Ok(Put::Stale), "it was replaced");
    let active = || async {
        let table = catalog.routes().await.unwrap();
        table.select("tenants/acme/orders/a.csv").map(|route| route.revision())
    };
    until("the second is active", active, |found| *found == Some(two.revision())).await;
    assert_eq!(catalog.routes().await.unwrap().routes().count(), 2);
    for revision in [&one, &two] {
        let found = catalog.route(&id, revision.revision()).await.unwrap().unwrap();
        assert_eq!(*found, *revision);
    }
    assert_eq!(catalog.put_route(&one, Some(two.revision())).await, Ok(Put::Done), "back again");
    until("the first is active", active, |found| *found == Some(one.revision())).await;
    assert_eq!(catalog.route(&id, "0000000000000000".parse().unwrap()).await, Ok(None));
    let nameless = Route { id: None, ordering: Ordering::None, ..one };
    let error = catalog.put_route(&nameless, None).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Permanent);
}
