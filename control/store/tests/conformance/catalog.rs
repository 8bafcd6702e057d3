//! Tenants and routes; what else is a tenant's is in `tenants`.

use eft_domain::{
    Millis, Route, RouteId, Tenant,
    route::{Ordering, Profile},
    tenant::Output,
};
use eft_store::{Page, Put, RouteChange, StoreErrorKind, Tenants};

use super::{Bed, tenant, until};

pub(crate) fn route(id: &str, level: u32) -> Route {
    let text = format!(
        "{{id: {id}, tenant: acme, match: {{prefix: \"tenants/acme/{id}/\", glob: \"*.csv\"}}, \
         stages: [{{compress: {{codec: zstd, level: {level}}}}}], \
         destinations: [{{s3: {{bucket: acme-out, key: \"{{stem}}.zst\", on_existing: fail}}}}]}}"
    );
    Route::parse_yaml(&text, Profile::Platform).unwrap()
}

fn listed(all: &Tenants) -> Vec<Tenant> {
    all.after(None).map(|(_, row)| row.unwrap().clone()).collect()
}

pub(crate) async fn tenants_are_as_they_were_put_last(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let all = || async { catalog.tenants().await.map(|all| listed(&all)) };
    assert_eq!(all().await, Ok(vec![]));
    let mut acme = Tenant::new(tenant("acme"));
    acme.outputs.push(Output { bucket: "acme-out".parse().unwrap(), prefix: "in/".into() });
    let globex = Tenant::new(tenant("globex"));
    catalog.put_tenant(&globex).await.unwrap();
    catalog.put_tenant(&acme).await.unwrap();
    assert_eq!(all().await, Ok(vec![acme.clone(), globex]));
    assert_eq!(catalog.tenant(&acme.id).await, Ok(Some(acme.clone())));
    acme.paused = true;
    acme.max_jobs = 3;
    catalog.put_tenant(&acme).await.unwrap();
    let find = || async { catalog.tenant(&acme.id).await.unwrap() };
    until("it is as it was put last", find, |found| *found == Some(acme.clone())).await;
    assert_eq!(catalog.tenant(&tenant("umbrella")).await, Ok(None));
}

pub(crate) async fn a_tenant_is_changed_on_condition(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let one = Tenant::new(tenant("acme"));
    let two = Tenant { max_jobs: 3, ..one.clone() };
    assert_eq!(catalog.tenant_now(&one.id).await, Ok(None));
    assert_eq!(catalog.save_tenant(&two, Some(&one)).await, Ok(Put::Stale), "there is none");
    assert_eq!(catalog.save_tenant(&one, None).await, Ok(Put::Done));
    assert_eq!(catalog.save_tenant(&two, None).await, Ok(Put::Stale), "there is one");
    assert_eq!(catalog.save_tenant(&two, Some(&one)).await, Ok(Put::Done));
    assert_eq!(catalog.save_tenant(&one, Some(&one)).await, Ok(Put::Stale), "it was changed");
    assert_eq!(catalog.tenant_now(&one.id).await, Ok(Some(two.clone())));
    assert_eq!(catalog.tenants().await.map(|all| listed(&all)), Ok(vec![two]));
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

fn change(route: &Route, number: u64, by: &str, paused: bool) -> RouteChange {
    RouteChange {
        id: route.id.clone().unwrap(),
        tenant: route.tenant.clone().unwrap(),
        revision: route.revision(),
        paused,
        number,
        at: Millis(1_000 + number),
        by: by.to_owned(),
    }
}

fn of_tenant(id: &str, tenant: &str) -> Route {
    let text = format!(
        "{{id: {id}, tenant: {tenant}, match: {{prefix: \"tenants/{tenant}/{id}/\"}}, \
         destinations: [{{s3: {{bucket: acme-out, key: \"{{name}}\"}}}}]}}"
    );
    Route::parse_yaml(&text, Profile::Platform).unwrap()
}

pub(crate) async fn changes_are_numbered_and_kept(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let (one, two) = (route("orders", 1), route("orders", 2));
    let id = one.id.clone().unwrap();
    assert_eq!(catalog.head(&id).await, Ok(None));
    assert_eq!(catalog.changes(&id, None, 10).await, Ok(Page { items: vec![], next: None }));
    let first = change(&one, 1, "ann", false);
    assert_eq!(catalog.save_route(&one, &first, None).await, Ok(Put::Done));
    assert_eq!(catalog.save_route(&one, &first, None).await, Ok(Put::Stale), "there is one");
    let kept = catalog.changes(&id, None, 10).await.unwrap().items;
    assert_eq!(kept, std::slice::from_ref(&first));
    // Two that have seen the same: one wins, and the other's has never been.
    let (second, lost) = (change(&two, 2, "ann", false), change(&one, 2, "bob", true));
    assert_eq!(catalog.save_route(&two, &second, Some(&first)).await, Ok(Put::Done));
    assert_eq!(catalog.save_route(&one, &lost, Some(&first)).await, Ok(Put::Stale));
    let third = change(&two, 3, "bob", true);
    assert_eq!(catalog.save_route(&two, &third, Some(&second)).await, Ok(Put::Done));
    assert_eq!(catalog.head(&id).await, Ok(Some(third.clone())));
    let all = [third, second, first];
    assert_eq!(catalog.changes(&id, None, 10).await, Ok(Page { items: all.to_vec(), next: None }));
    assert_eq!(catalog.changes(&id, None, 3).await.unwrap().next, None, "the first is the last");
    for change in &all {
        assert_eq!(catalog.change(&id, change.number).await, Ok(Some(change.clone())));
    }
    for number in [0, 4, u64::MAX] {
        assert_eq!(catalog.change(&id, number).await, Ok(None), "{number}");
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = catalog.changes(&id, before, 1).await.unwrap();
        seen.extend(page.items);
        let Some(next) = page.next else { break };
        before = Some(next.parse().unwrap());
    }
    assert_eq!(seen, all);
}

pub(crate) async fn the_routes_of_a_tenant_are_listed_in_pages(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let names = ["a", "b", "c.d", "d-e", "f"];
    for name in names {
        let route = of_tenant(name, "acme");
        assert_eq!(catalog.put_route(&route, None).await, Ok(Put::Done));
    }
    let theirs = of_tenant("bb", "globex");
    assert_eq!(catalog.put_route(&theirs, None).await, Ok(Put::Done));
    // A name is of one tenant only; who has tried to take it has nothing of that name.
    let taken = of_tenant("a", "globex");
    let change = change(&taken, 1, "eve", false);
    assert_eq!(catalog.save_route(&taken, &change, None).await, Ok(Put::Stale));
    let listed = |tenant: &'static str, limit: u16| async move {
        let tenant = super::tenant(tenant);
        let (mut seen, mut after, mut pages) = (Vec::new(), None::<RouteId>, 0);
        loop {
            let page = catalog.heads(&tenant, after.as_ref(), limit).await.unwrap();
            assert!(page.items.len() <= usize::from(limit));
            seen.extend(page.items.into_iter().map(|head| head.id.to_string()));
            pages += 1;
            let Some(next) = page.next else { break };
            after = Some(next.parse().unwrap());
        }
        (seen, pages)
    };
    assert_eq!(listed("acme", 200).await.0, names);
    let (seen, pages) = listed("acme", 2).await;
    assert!(seen == names && pages >= 3, "{seen:?} in {pages}");
    assert_eq!(listed("globex", 1).await.0, ["bb"]);
    assert!(listed("umbrella", 10).await.0.is_empty());
}

pub(crate) async fn a_paused_route_takes_nothing(bed: &Bed) {
    let catalog = &bed.desk().catalog;
    let orders = route("orders", 1);
    let id = orders.id.clone().unwrap();
    let (first, second) = (change(&orders, 1, "ann", false), change(&orders, 2, "ann", true));
    assert_eq!(catalog.save_route(&orders, &first, None).await, Ok(Put::Done));
    let key = "tenants/acme/orders/a.csv";
    assert!(catalog.routes_now().await.unwrap().select(key).is_some());
    assert_eq!(catalog.save_route(&orders, &second, Some(&first)).await, Ok(Put::Done));
    let now = catalog.routes_now().await.unwrap();
    assert!(now.select(key).is_none() && now.is_paused(&id) && now.route_of(key).is_some());
    let lately = || async { catalog.routes().await.unwrap().select(key).is_none() };
    until("it takes nothing", lately, |done| *done).await;
    assert_eq!(catalog.put_route(&route("orders", 2), Some(orders.revision())).await, Ok(Put::Done));
    assert!(catalog.head(&id).await.unwrap().unwrap().paused, "a new revision does not wake it");
}
