//! Creating and changing a route.

use eft_api::{Answer, Call, Code, Problem, precondition::Write};
use eft_domain::{Route, RouteId};
use eft_store::{Put, RouteChange, StoreErrorKind};
use http::{StatusCode, header};

use super::{
    draft::{Text, admit},
    show,
};
use super::{
    name::no_route,
    tag::{check, etag, stale},
};
use crate::Api;

impl Api {
    /// Write a change that was made of `before`; false where it is not how the route stands any more.
    pub(super) async fn write(
        &self,
        route: &Route,
        change: &RouteChange,
        before: Option<&RouteChange>,
    ) -> Result<bool, Problem> {
        match self.catalog.save_route(route, change, before).await {
            Ok(put) => Ok(put == Put::Done),
            // The answer was lost: what stands there says whether it was done.
            Err(error) if error.kind == StoreErrorKind::Indeterminate => {
                if self.catalog.head(&change.id).await?.as_ref() == Some(change) {
                    Ok(true)
                } else {
                    Err(error.into())
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// How the route stands, if the write may be made.
fn before(
    write: &Write,
    head: Option<RouteChange>,
    call: &Call,
    id: &RouteId,
) -> Result<Option<RouteChange>, Problem> {
    let tenant = call.tenant()?;
    match (write, head) {
        (Write::Create, None) => Ok(None),
        (Write::Create, Some(head)) if head.tenant == *tenant => Err(stale(&head)),
        (Write::Create, Some(_)) => {
            Err(Problem::new(Code::RouteNameTaken, format!("the name {id} is not free")))
        }
        (Write::Change(tags), Some(head)) if head.tenant == *tenant => {
            check(tags, &head)?;
            Ok(Some(head))
        }
        (Write::Change(_), _) => Err(no_route(id.as_str())),
    }
}

pub(crate) async fn put(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let id: RouteId =
        call.value(0).parse().map_err(|error| Problem::new(Code::RouteName, format!("{error}")))?;
    let write = Write::of(&call.headers)?;
    let text = Text::of(call)?;
    let head = before(&write, api.catalog.head(&id).await?, call, &id)?;
    let tenant = api.tenant_of(call).await?;
    let route =
        text.route(Some(&id), &tenant.id).map_err(|faults| Problem::faulty(Code::RouteInvalid, faults))?;
    if let Some(head) = head.as_ref().filter(|head| head.revision == route.revision()) {
        return Ok(saved(StatusCode::OK, head, &route));
    }
    let turn = api.take_turn(call, &tenant.id).await?;
    let done = async {
        admit(&route, &tenant, api.catalog.routes_now().await?.as_ref())?;
        turn.check()?;
        let change = RouteChange {
            id: id.clone(),
            tenant: tenant.id.clone(),
            revision: route.revision(),
            paused: head.as_ref().is_some_and(|head| head.paused),
            number: head.as_ref().map_or(0, |head| head.number) + 1,
            at: call.now,
            by: call.principal()?.subject.clone(),
        };
        if api.write(&route, &change, head.as_ref()).await? {
            return Ok(change);
        }
        // Somebody was quicker.
        let head = api.catalog.head(&id).await?;
        match before(&write, head, call, &id)? {
            Some(head) => Err(stale(&head)),
            None => Err(no_route(id.as_str())),
        }
    };
    let done = done.await;
    api.end_turn(call, turn).await;
    let status = if head.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    Ok(saved(status, &done?, &route))
}

fn saved(status: StatusCode, change: &RouteChange, route: &Route) -> Answer {
    let answer = Answer::new(status, show::route(change, route)).with_header(header::ETAG, etag(change));
    if status == StatusCode::CREATED {
        answer.with_header(header::LOCATION, format!("/v1/routes/{}", change.id))
    } else {
        answer
    }
}
