//! Reading routes and their revisions.

use eft_api::{Answer, Call, Code, Problem, precondition::is_known};
use std::sync::Arc;

use eft_domain::{Route, RouteId, RouteRevision};
use eft_store::{Page, RouteChange};
use http::header;
use serde_json::json;

use super::show;
use super::{
    name::{no_route, route_of},
    tag::etag,
};
use crate::Api;

impl Api {
    /// How a route of the caller's tenant stands.
    pub(super) async fn head_of(&self, call: &Call, id: &RouteId) -> Result<RouteChange, Problem> {
        let tenant = call.tenant()?;
        let head = self.catalog.head(id).await?.filter(|head| head.tenant == *tenant);
        head.ok_or_else(|| no_route(id.as_str()))
    }

    /// The text that a change names.
    pub(super) async fn text_of(&self, change: &RouteChange) -> Result<Arc<Route>, Problem> {
        let route = self.catalog.route(&change.id, change.revision).await?;
        route.ok_or_else(|| {
            let message = format!("route {} at {} is not here yet", change.id, change.revision);
            let problem = Problem::new(Code::Unavailable, "the route's text has not come to this region yet");
            Problem { cause: Some(message), ..problem }
        })
    }
}

pub(crate) async fn list(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (limit, after) = (call.limit()?, api.cursors.place::<RouteId>(call, "routes")?);
    let Page { items, next } = api.catalog.heads(call.tenant()?, after.as_ref(), limit).await?;
    api.cursors.page(call, "routes", items.iter().map(show::head).collect(), next)
}

pub(crate) async fn get(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let head = api.head_of(call, &route_of(call)?).await?;
    let tag = etag(&head);
    let answer = if is_known(&call.headers, &tag)? {
        Answer::not_modified()
    } else {
        Answer::ok(show::route(&head, api.text_of(&head).await?.as_ref()))
    };
    Ok(answer.with_header(header::ETAG, tag).with_header(header::CACHE_CONTROL, "private, no-cache"))
}

pub(crate) async fn revisions(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let head = api.head_of(call, &route_of(call)?).await?;
    let list = format!("routes/{}/revisions", head.id);
    let (limit, before) = (call.limit()?, api.cursors.place::<u64>(call, &list)?);
    let Page { items, next } = api.catalog.changes(&head.id, before, limit).await?;
    api.cursors.page(call, &list, items.iter().map(show::change).collect(), next)
}

pub(crate) async fn revision(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let head = api.head_of(call, &route_of(call)?).await?;
    let asked = call.value(1);
    let missing = || {
        let detail = format!(
            "route {} has no such revision; it is a number from 1 to {}, or 16 of 0-9, a-f",
            head.id, head.number
        );
        Problem::new(Code::RevisionNotFound, detail)
    };
    // A number has fewer digits than a revision.
    let (mut body, revision) = if let Ok(revision) = asked.parse::<RouteRevision>() {
        (json!({ "revision": revision }), revision)
    } else {
        let is_number =
            asked.len() <= 10 && asked.bytes().all(|b| b.is_ascii_digit()) && !asked.starts_with('0');
        let number = asked.parse().ok().filter(|_| is_number).ok_or_else(missing)?;
        let change = api.catalog.change(&head.id, number).await?.ok_or_else(missing)?;
        (show::change(&change), change.revision)
    };
    // A name may have been asked for by another tenant in vain: its text is not this route's.
    let route = api.catalog.route(&head.id, revision).await?;
    let route = route.filter(|route| route.tenant.as_ref() == Some(&head.tenant)).ok_or_else(missing)?;
    body["name"] = json!(head.id);
    body["route"] = route.to_value();
    // One text may have been active twice: what is asked for is part of the tag.
    let tag = format!("\"{asked}.{revision}\"");
    let answer = if is_known(&call.headers, &tag)? { Answer::not_modified() } else { Answer::ok(body) };
    Ok(answer
        .with_header(header::ETAG, tag)
        .with_header(header::CACHE_CONTROL, "private, max-age=31536000, immutable"))
}
