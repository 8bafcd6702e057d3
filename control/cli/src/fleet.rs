//! Queues, and what was set aside.

use serde_json::json;

use crate::{
    args::Dlq,
    client::{Client, encoded},
    fault::Fault,
    show::{Column, Shown},
};

const QUEUES: &[Column] = &[
    ("queue", "/name"),
    ("waiting", "/visible"),
    ("in flight", "/inFlight"),
    ("delayed", "/delayed"),
    ("set aside", "/dead/visible"),
];
const REDRIVE: &[Column] = &[("queue", "/queue"), ("task", "/task")];

/// How much waits where.
pub(crate) async fn show(client: &Client, shown: Shown) -> Result<u8, Fault> {
    let mut fleet = client.get("/v1/fleet").await?.body;
    if !shown.json {
        fleet["items"] = fleet["queues"].take();
    }
    shown.list(&fleet, QUEUES).map(|()| 0)
}

/// Gives messages back to the queue they came from.
pub(crate) async fn redrive(client: &Client, shown: Shown, command: &Dlq) -> Result<u8, Fault> {
    let Dlq::Redrive { queue, reason } = command;
    let path = format!("/v1/dead-letters/{}:redrive", encoded(queue));
    let answer = client.act(&path, Some(&json!({ "reason": reason }))).await?;
    shown.document(&answer.body, REDRIVE).map(|()| 0)
}
