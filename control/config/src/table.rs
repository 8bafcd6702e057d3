//! Every endpoint: what dispatches requests and what the OpenAPI document is made of.

use futures::{FutureExt, future::BoxFuture};
use http::Method;
use percent_encoding::percent_decode_str;

use crate::{
    Api,
    answer::Answer,
    call::Call,
    openapi,
    principal::Scope,
    problem::{Code, Problem},
    routes, tenants, users,
};

pub(crate) type Handler = for<'a> fn(&'a Api, &'a Call) -> BoxFuture<'a, Result<Answer, Problem>>;

/// A method. That of `http` cannot stand in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`.
    Get,
    /// `PUT`.
    Put,
    /// `POST`.
    Post,
}

impl Verb {
    /// As it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
        }
    }
}

/// A query parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub says: &'static str,
    /// A whole number from 1 to this; text where it is none.
    pub most: Option<u32>,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// A route, in JSON or YAML.
    Route,
    /// JSON of this schema.
    Json(&'static str),
}

/// On what a request may or must depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// `If-None-Match` of a read.
    Read,
    /// `If-Match`, if the client likes.
    Act,
    /// `If-Match` or `If-None-Match: *`.
    Write,
}

/// An answer that is no problem.
#[derive(Clone, Copy, Debug)]
pub struct Good {
    /// Its status.
    pub status: u16,
    /// The schema of its body; none without one.
    pub schema: Option<&'static str>,
    /// What it means.
    pub says: &'static str,
}

/// An endpoint.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// What it is called in the document, and in clients made of it.
    pub name: &'static str,
    /// The method.
    pub method: Verb,
    /// The path, with names in braces.
    pub path: &'static str,
    /// Who may use it; none: anybody.
    pub scope: Option<Scope>,
    /// It changes something each time it is done: it needs an idempotency key.
    pub acts: bool,
    /// What it does.
    pub says: &'static str,
    /// Its query.
    pub query: &'static [Parameter],
    /// Its body.
    pub body: Body,
    /// On what it depends.
    pub condition: Condition,
    /// What it answers.
    pub good: &'static [Good],
    /// Its own problems, besides those that [`Endpoint::problems`] adds.
    pub own: &'static [Code],
    pub(crate) handler: Handler,
}

const fn good(status: u16, schema: &'static str, says: &'static str) -> Good {
    Good { status, schema: Some(schema), says }
}

const UNCHANGED: Good = Good { status: 304, schema: None, says: "It is as the client knows it." };

const PAGE: &[Parameter] = &[
    Parameter { name: "limit", says: "Most items of a page; 50 where it is not said.", most: Some(200) },
    Parameter { name: "cursor", says: "`nextCursor` of the page before.", most: None },
];

const READ: Endpoint = Endpoint {
    name: "",
    method: Verb::Get,
    path: "",
    scope: Some(Scope::ConfigRead),
    acts: false,
    says: "",
    query: &[],
    body: Body::None,
    condition: Condition::None,
    good: &[],
    own: &[],
    handler: |_, _| async { Err(Problem::internal("an endpoint without a handler")) }.boxed(),
};

const ACT: Endpoint = Endpoint {
    method: Verb::Post,
    scope: Some(Scope::ConfigWrite),
    acts: true,
    condition: Condition::Act,
    own: &[Code::RouteNotFound],
    ..READ
};

/// The endpoints.
pub static TABLE: &[Endpoint] = &[
    Endpoint {
        name: "listRoutes",
        path: "/v1/routes",
        says: "The routes of the tenant, in the order of their names, without their text.",
        query: PAGE,
        good: &[good(200, "RoutePage", "Some of them.")],
        own: &[Code::CursorInvalid],
        handler: |api, call| routes::list(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getRoute",
        path: "/v1/routes/{name}",
        says: "A route as it stands.",
        condition: Condition::Read,
        good: &[good(200, "Route", "The route."), UNCHANGED],
        own: &[Code::RouteNotFound],
        handler: |api, call| routes::get(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "putRoute",
        method: Verb::Put,
        path: "/v1/routes/{name}",
        scope: Some(Scope::ConfigWrite),
        says: "Create a route, or make it say something else. `id` and `tenant` may be left out: the path and the token say \
               them. The same text again changes nothing.",
        body: Body::Route,
        condition: Condition::Write,
        good: &[
            good(200, "Route", "It stands so now."),
            good(201, "Route", "There is a new route, which takes files from now on."),
        ],
        own: &[
            Code::RouteNotFound,
            Code::RouteName,
            Code::RouteNameTaken,
            Code::RouteInvalid,
            Code::RouteAmbiguous,
            Code::RouteBusy,
            Code::TenantUnknown,
        ],
        handler: |api, call| routes::put(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "listRevisions",
        path: "/v1/routes/{name}/revisions",
        says: "The changes of a route, the latest first: each save, pause and activation, and who made it.",
        query: PAGE,
        good: &[good(200, "RevisionPage", "Some of them.")],
        own: &[Code::RouteNotFound, Code::CursorInvalid],
        handler: |api, call| routes::revisions(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getRevision",
        path: "/v1/routes/{name}/revisions/{revision}",
        says: "What a route said after a change, by the number of the change, or in a revision, by its 16 digits as \
               receipts name it. It never changes.",
        condition: Condition::Read,
        good: &[good(200, "Revision", "The revision."), UNCHANGED],
        own: &[Code::RouteNotFound, Code::RevisionNotFound],
        handler: |api, call| routes::revision(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "validateRoute",
        method: Verb::Post,
        path: "/v1/routes:validate",
        says: "Check a route without saving it: its text, the tenant's places, and the routes beside it.",
        body: Body::Route,
        good: &[good(200, "Validation", "What is wrong with it, if anything.")],
        own: &[Code::TenantUnknown],
        handler: |api, call| routes::validate(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "simulateRoutes",
        method: Verb::Post,
        path: "/v1/routes:simulate",
        says: "What would become of a file of this name and size: which route takes it, who runs it and how, or why it is \
               refused. Nothing is stored, and no object is looked at.",
        body: Body::Json("SimulationRequest"),
        good: &[good(200, "Simulation", "What would become of it.")],
        own: &[Code::RouteInvalid, Code::TenantUnknown],
        handler: |api, call| routes::simulate(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "pauseRoute",
        path: "/v1/routes/{name}:pause",
        says: "Let a route take no files for now. Those that come wait, and go to no other route; jobs that it has taken \
               go on.",
        good: &[good(200, "RouteHead", "It is paused.")],
        handler: |api, call| routes::pause(api, call).boxed(),
        ..ACT
    },
    Endpoint {
        name: "activateRoute",
        path: "/v1/routes/{name}:activate",
        says: "Let a route take files again, with those that wait.",
        good: &[good(200, "RouteHead", "It is active.")],
        handler: |api, call| routes::activate(api, call).boxed(),
        ..ACT
    },
    Endpoint {
        name: "getOwnTenant",
        path: "/v1/tenant",
        says: "The caller's tenant: its limits, and where its routes may deliver to.",
        condition: Condition::Read,
        good: &[good(200, "Tenant", "The tenant."), UNCHANGED],
        own: &[Code::TenantUnknown],
        handler: |api, call| tenants::own(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "listTenants",
        path: "/v1/tenants",
        scope: Some(Scope::Admin),
        says: "All tenants, in the order of their names.",
        query: PAGE,
        good: &[good(200, "TenantPage", "Some of them.")],
        own: &[Code::CursorInvalid],
        handler: |api, call| tenants::list(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getTenant",
        path: "/v1/tenants/{tenant}",
        scope: Some(Scope::Admin),
        says: "A tenant as it stands.",
        condition: Condition::Read,
        good: &[good(200, "Tenant", "The tenant."), UNCHANGED],
        own: &[Code::TenantNotFound],
        handler: |api, call| tenants::get(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "putTenant",
        method: Verb::Put,
        path: "/v1/tenants/{tenant}",
        scope: Some(Scope::Admin),
        says: "Set a tenant up, or change its limits and where its routes may deliver to. What is left out has its default. A \
               route that delivers elsewhere takes no more files.",
        body: Body::Json("TenantText"),
        condition: Condition::Write,
        good: &[good(200, "Tenant", "It stands so now."), good(201, "Tenant", "There is a new tenant.")],
        own: &[Code::TenantNotFound, Code::TenantName],
        handler: |api, call| tenants::put(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "listSftpUsers",
        path: "/v1/sftp-users",
        says: "The users of the SFTP server that send files of the tenant, in the order of their names.",
        query: PAGE,
        good: &[good(200, "SftpUserPage", "Some of them.")],
        own: &[Code::CursorInvalid],
        handler: |api, call| users::list(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getSftpUser",
        path: "/v1/sftp-users/{user}",
        says: "A user as it stands, with the fingerprints of its keys.",
        condition: Condition::Read,
        good: &[good(200, "SftpUser", "The user."), UNCHANGED],
        own: &[Code::UserNotFound],
        handler: |api, call| users::get(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "putSftpUser",
        method: Verb::Put,
        path: "/v1/sftp-users/{user}",
        scope: Some(Scope::ConfigWrite),
        says: "Set a user up, or change with which keys or password and from where it logs in, and where its files arrive. \
               What is left out has its default, but the password, which stays. A key is replaced by giving both for a \
               time, and then the new one alone.",
        body: Body::Json("SftpUserText"),
        condition: Condition::Write,
        good: &[good(200, "SftpUser", "It stands so now."), good(201, "SftpUser", "There is a new user.")],
        own: &[Code::UserNotFound, Code::UserName, Code::UserNameTaken, Code::TenantUnknown],
        handler: |api, call| users::put(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getProblem",
        path: "/v1/problems/{code}",
        scope: None,
        says: "What a code of a problem means, and what to do about it.",
        good: &[good(200, "ProblemKind", "What it means.")],
        own: &[Code::ProblemNotFound],
        handler: |_, call| async { openapi::problem(call.value(0)) }.boxed(),
        ..READ
    },
    Endpoint {
        name: "getDocument",
        path: "/v1/openapi.json",
        scope: None,
        says: "This document.",
        good: &[good(200, "Document", "The document.")],
        handler: |_, _| async { Ok(Answer::ok(openapi::document())) }.boxed(),
        ..READ
    },
];

impl Endpoint {
    /// Every problem that it answers with.
    pub fn problems(&self) -> Vec<Code> {
        let mut codes = vec![Code::ParameterInvalid, Code::BodyTooLarge, Code::Internal];
        codes.extend(self.own);
        if self.scope.is_some() {
            codes.extend([Code::AuthMissing, Code::AuthInvalid, Code::AuthScope, Code::Unavailable]);
        }
        if self.body != Body::None {
            codes.extend([Code::MediaType, Code::BodyInvalid]);
        }
        if self.condition != Condition::None {
            codes.push(Code::HeaderInvalid);
        }
        match self.condition {
            Condition::Act => codes.push(Code::PreconditionFailed),
            Condition::Write => codes.extend([Code::PreconditionFailed, Code::PreconditionRequired]),
            Condition::None | Condition::Read => {}
        }
        if self.acts {
            codes.extend([
                Code::IdempotencyMissing,
                Code::IdempotencyMismatch,
                Code::IdempotencyRunning,
                Code::HeaderInvalid,
            ]);
        }
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// The values of its names in a path whose segments these are, if it is one of its own.
    fn values(&self, segments: &[String]) -> Option<Vec<String>> {
        let pattern = self.path.split('/').skip(1);
        if pattern.clone().count() != segments.len() {
            return None;
        }
        let mut values = Vec::new();
        for (pattern, segment) in pattern.zip(segments) {
            match pattern.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                Some((_, verb)) => {
                    let value = segment.strip_suffix(verb)?;
                    if value.is_empty() || value.contains(':') {
                        return None;
                    }
                    values.push(value.to_owned());
                }
                None if pattern == segment => {}
                None => return None,
            }
        }
        Some(values)
    }
}

/// The endpoint of a request, and the values of its path.
///
/// # Errors
/// There is none, or none with this method.
pub(crate) fn find(method: &Method, path: &str) -> Result<(&'static Endpoint, Vec<String>), Problem> {
    let unknown = || Problem::new(Code::PathUnknown, "there is nothing under this path");
    // What is no text is no name either: its handler says so.
    let segments = path.strip_prefix('/').ok_or_else(unknown)?.split('/');
    let segments: Vec<_> =
        segments.map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect();
    let mut allowed = Vec::new();
    for endpoint in TABLE {
        if let Some(values) = endpoint.values(&segments) {
            if endpoint.method.as_str() == method.as_str() {
                return Ok((endpoint, values));
            }
            allowed.push(endpoint.method.as_str());
        }
    }
    if allowed.is_empty() {
        return Err(unknown());
    }
    let allowed = allowed.join(", ");
    let problem = Problem::new(Code::MethodUnknown, format!("this path takes {allowed}"));
    Err(problem.with_header(http::header::ALLOW, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_that_of_one_endpoint() {
        for (path, name, values) in [
            ("/v1/routes", "listRoutes", vec![]),
            ("/v1/routes/a.b", "getRoute", vec!["a.b"]),
            ("/v1/routes/%61", "getRoute", vec!["a"]),
            ("/v1/routes/a/revisions/7", "getRevision", vec!["a", "7"]),
            ("/v1/routes/a%2Fb", "getRoute", vec!["a/b"]),
            ("/v1/routes/%ff", "getRoute", vec!["\u{fffd}"]),
        ] {
            let (endpoint, found) = find(&Method::GET, path).unwrap();
            assert_eq!((endpoint.name, found), (name, values.into_iter().map(String::from).collect()));
        }
        let (endpoint, found) = find(&Method::POST, "/v1/routes/a%3Apause").unwrap();
        assert_eq!((endpoint.name, found), ("pauseRoute", vec!["a".to_owned()]));
        for path in [
            "",
            "/",
            "/v1/routes/",
            "/v1/routes//",
            "/v2/routes",
            "/v1/routes/a:stop",
            "/v1/routes/a:b:pause",
        ] {
            assert_eq!(find(&Method::GET, path).err().unwrap().code, Code::PathUnknown, "{path}");
        }
    }

    #[test]
    fn a_method_that_is_not_taken_is_told_which_are() {
        let allow = |method, path| {
            let problem = find(&method, path).err().unwrap();
            assert_eq!(problem.code, Code::MethodUnknown);
            problem.headers[0].1.clone()
        };
        assert_eq!(allow(Method::DELETE, "/v1/routes/a"), "GET, PUT");
        assert_eq!(allow(Method::GET, "/v1/routes:validate"), "POST");
    }
}
