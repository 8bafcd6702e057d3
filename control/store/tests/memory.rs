//! The suite over memory: one region, and two that share the strongly consistent tables, with late indexes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;

use std::{sync::Arc, time::Duration};

use conformance::{Bed, actor, each};
use eft_domain::job::Retention;
use eft_store::{Clock, Desk, memory::Region};
use futures::FutureExt;

fn desk(region: &Region, clock: Clock, name: &str) -> Desk {
    let region = Arc::new(region.clone());
    Desk {
        ledger: region.clone(),
        runs: region.clone(),
        catalog: region.clone(),
        keys: region.clone(),
        dispatch: region.clone(),
        notify: region,
        clock,
        retention: Retention::default(),
        actor: actor(),
        source: format!("eft/{name}"),
    }
}

fn bed(lag: Duration, regions: usize) -> Bed {
    let clock = Clock::simulated();
    let first = Region::new(clock).index_lag(lag);
    let mut desks = vec![desk(&first, clock, "one")];
    desks.extend((1..regions).map(|_| desk(&first.peer(), clock, "other")));
    let (heard, taken) = (first.clone(), first);
    Bed {
        desks,
        trail: Arc::new(heard.clone()),
        heard: Box::new(move || {
            let events = heard.published().into_iter().map(|(_, event)| event).collect();
            async move { events }.boxed()
        }),
        taken: Box::new(move || {
            let messages = std::iter::from_fn(|| taken.take_work()).collect();
            async move { messages }.boxed()
        }),
    }
}

mod one_region {
    use super::*;

    macro_rules! tests {
        ($($name:ident)*) => {$(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                conformance::$name(&bed(Duration::ZERO, 1)).await;
            }
        )*};
    }
    each!(tests);
}

mod two_regions_with_late_indexes {
    use super::*;

    macro_rules! tests {
        ($($name:ident)*) => {$(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                conformance::$name(&bed(Duration::from_secs(3), 2)).await;
            }
        )*};
    }
    each!(tests);
}
