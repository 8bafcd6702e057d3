//! AWS behind the ports: settings, clients, what errors mean, queue, state machine and topics. Tables are in
//! [`dynamo`](crate::dynamo).

mod client;
mod dispatch;
pub(crate) mod error;
mod notify;
mod queues;
pub(crate) mod retry;
mod settings;

use std::sync::Arc;

pub use client::{Clients, http_client, sdk_config};
pub use dispatch::{AwsDispatch, TRACE_ATTRIBUTE};
use eft_domain::Actor;
pub use notify::{AwsNotify, FILTER_ATTRIBUTES};
pub use queues::{AwsQueues, QueueUrls};
pub use settings::{Settings, SettingsError, Topics, VARIABLES};

use crate::{
    clock::Clock,
    desk::Desk,
    dynamo::{DynamoCatalog, DynamoKeys, DynamoLedger, DynamoRuns},
};

impl Desk {
    /// A desk on AWS.
    pub async fn from_settings(settings: &Settings, actor: Actor) -> Self {
        Self::with_clients(&Clients::new(&sdk_config(&settings.region).await), settings, actor)
    }

    /// A desk on AWS, over clients that others use as well.
    pub fn with_clients(clients: &Clients, settings: &Settings, actor: Actor) -> Self {
        let Settings { tables, retention, .. } = settings;
        let clock = Clock::System;
        Self {
            ledger: Arc::new(DynamoLedger::new(&clients.dynamo, &tables.jobs, *retention)),
            runs: Arc::new(DynamoRuns::new(&clients.dynamo, &tables.runs)),
            catalog: Arc::new(DynamoCatalog::new(&clients.dynamo, &tables.config, clock)),
            keys: Arc::new(DynamoKeys::new(&clients.dynamo, &tables.keys)),
            dispatch: Arc::new(AwsDispatch::new(clients, &settings.work_queue, &settings.state_machine)),
            notify: Arc::new(AwsNotify::new(clients, &settings.topics)),
            clock,
            retention: *retention,
            actor,
            source: format!("eft/{}", settings.region),
        }
    }
}
