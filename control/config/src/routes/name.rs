//! Names of routes in paths.

use eft_api::{Call, Code, Problem, call::shown};
use eft_domain::RouteId;

/// The route that the path names; a name that no route can have is that of no route.
pub(super) fn route_of(call: &Call) -> Result<RouteId, Problem> {
    call.value(0).parse().map_err(|_| no_route(call.value(0)))
}

/// There is no such route, or it is somebody else's.
pub(super) fn no_route(name: &str) -> Problem {
    Problem::new(Code::RouteNotFound, format!("there is no route `{}`", shown(name)))
}
