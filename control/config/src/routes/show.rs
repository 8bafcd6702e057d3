//! How routes look in answers.

use eft_domain::Route;
use eft_store::{RouteChange, clock::rfc3339};
use serde_json::{Value, json};

use super::tag::etag;

/// How a route stands, without its text.
pub(super) fn head(head: &RouteChange) -> Value {
    json!({
        "name": head.id,
        "etag": etag(head),
        "state": state(head),
        "revision": head.revision,
        "change": head.number,
        "changedAt": rfc3339(head.at),
        "changedBy": head.by,
    })
}

/// A route as it stands.
pub(super) fn route(change: &RouteChange, route: &Route) -> Value {
    let mut value = head(change);
    value["route"] = route.to_value();
    value
}

/// A change of a route, without the text.
pub(super) fn change(change: &RouteChange) -> Value {
    json!({
        "change": change.number,
        "state": state(change),
        "revision": change.revision,
        "changedAt": rfc3339(change.at),
        "changedBy": change.by,
    })
}

pub(super) fn state(head: &RouteChange) -> &'static str {
    if head.paused { "paused" } else { "active" }
}
