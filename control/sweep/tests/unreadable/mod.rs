//! Tenants and routes that cannot be read stop nobody else, and are spoken of.

use std::time::Duration;

use tokio::time::advance;

use crate::{kit::route, swept};

#[tokio::test(start_paused = true)]
async fn files_of_a_tenant_whose_route_cannot_be_read_halt_no_listing() {
    let swept = swept().await;
    let world = &swept.world;
    for tenant in ["acme", "globex"] {
        world.tenant(tenant).await;
        world.route(route(&format!("{tenant}-in"), tenant, "in/")).await;
    }
    world.region.unreadable(&"acme-in".parse().unwrap(), Some("no such stage"));
    // Some pages of nothing else, and behind them one whose event was lost.
    for at in 0..2_500 {
        world.s3.put(&format!("tenants/acme/in/{at}"), &format!("v{at}"), 1);
    }
    world.s3.put("tenants/globex/in/lost", "v", 1);
    advance(Duration::from_secs(120)).await;
    let report = swept.sweep.run().await;
    assert_eq!((report.found, report.errors, report.listed), (1, 1, 2_501), "{report:?}");
    let said = std::mem::take(&mut *world.lines.lock().unwrap()).pop().unwrap();
    assert_eq!((said["what"].as_str(), said["of"].as_str()), (Some("route"), Some("acme-in")));
    assert!(said["error"].as_str().unwrap().contains("no such stage"), "{said}");
    world.region.unreadable(&"acme-in".parse().unwrap(), None);
    let report = swept.sweep.run().await;
    assert_eq!((report.found, report.errors), (2_500, 0), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_cannot_be_read_halts_neither_listings_nor_others() {
    let swept = swept().await;
    let world = &swept.world;
    for tenant in ["acme", "globex"] {
        world.tenant(tenant).await;
        world.route(route(&format!("{tenant}-in"), tenant, "in/")).await;
    }
    let acme = "acme".parse().unwrap();
    world.region.unreadable_tenant(&acme, Some("no such weight"));
    for at in 0..2_500 {
        world.s3.put(&format!("tenants/acme/in/{at}"), &format!("v{at}"), 1);
    }
    world.s3.put("tenants/globex/in/lost", "v", 1);
    advance(Duration::from_secs(120)).await;
    let report = swept.sweep.run().await;
    assert_eq!((report.found, report.released), (1, 1), "{report:?}");
    let lines = std::mem::take(&mut *world.lines.lock().unwrap());
    let said: Vec<_> = lines.iter().map(|line| (line["what"].as_str(), line["of"].as_str())).collect();
    assert_eq!(said, [(Some("tenant"), Some("acme"))]);
    assert!(lines[0]["error"].as_str().unwrap().contains("tenant acme cannot be read: no such weight"));
    world.region.unreadable_tenant(&acme, None);
    let report = swept.sweep.run().await;
    assert_eq!((report.found, report.errors), (2_500, 0), "{report:?}");
}
