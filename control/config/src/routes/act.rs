//! Pausing a route and letting it go on.

use eft_api::{Answer, Call, Code, Problem, precondition::if_match};
use eft_store::RouteChange;
use http::header;

use super::show;
use super::{
    name::route_of,
    tag::{check, etag},
};
use crate::Api;

/// Times it is tried while others change the same route.
const TRIES: u32 = 5;

pub(crate) async fn pause(api: &Api, call: &Call) -> Result<Answer, Problem> {
    set(api, call, true).await
}

pub(crate) async fn activate(api: &Api, call: &Call) -> Result<Answer, Problem> {
    set(api, call, false).await
}

async fn set(api: &Api, call: &Call, paused: bool) -> Result<Answer, Problem> {
    let id = route_of(call)?;
    let tags = if_match(&call.headers)?;
    for _ in 0..TRIES {
        let head = api.head_of(call, &id).await?;
        if let Some(tags) = &tags {
            check(tags, &head)?;
        }
        if head.paused == paused {
            return Ok(shown(&head));
        }
        let route = api.text_of(&head).await?;
        let change = RouteChange {
            paused,
            number: head.number + 1,
            at: call.now,
            by: call.principal()?.subject.clone(),
            ..head.clone()
        };
        if api.write(&route, &change, Some(&head)).await? {
            return Ok(shown(&change));
        }
    }
    Err(Problem::new(Code::Unavailable, "others keep changing this route"))
}

fn shown(head: &RouteChange) -> Answer {
    Answer::ok(show::head(head)).with_header(header::ETAG, etag(head))
}
