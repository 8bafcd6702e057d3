//! Every endpoint of the config API.

use eft_api::{
    Answer, Code, Endpoint, Scope,
    table::{Body, CURSOR, Condition, Kind, LIMIT, PAGE, Parameter, UNCHANGED, Verb, good, optional},
};
use futures::FutureExt;

use crate::{Api, audit, openapi, partners, routes, tenants, users};

const READ: Endpoint<Api> = Endpoint::read(Scope::ConfigRead);

const REMOVE: Endpoint<Api> = Endpoint::remove(Scope::ConfigWrite);

const ACT: Endpoint<Api> =
    Endpoint { condition: Condition::Act, own: &[Code::RouteNotFound], ..Endpoint::act(Scope::ConfigWrite) };

const TIMES: &[Parameter] = &[
    optional("since", "Those of this time and later.", Kind::Time),
    optional("until", "Those before this time.", Kind::Time),
    LIMIT,
    CURSOR,
];

/// The endpoints.
pub const TABLE: &[Endpoint<Api>] = &[
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
        body: Body::Yaml("RouteText"),
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
        body: Body::Yaml("RouteDraft"),
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
        says: "Set a user up, or change with which keys or password and from where it logs in, where its files arrive, and \
               to which partner it belongs. \
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
        name: "deleteSftpUser",
        path: "/v1/sftp-users/{user}",
        says: "Remove a user. It logs in no more, its files stay, and its name is free for whoever comes first.",
        own: &[Code::UserNotFound],
        handler: |api, call| users::remove(api, call).boxed(),
        ..REMOVE
    },
    Endpoint {
        name: "listPartners",
        path: "/v1/partners",
        says: "The partners of the tenant, in the order of their names.",
        query: PAGE,
        good: &[good(200, "PartnerPage", "Some of them.")],
        own: &[Code::CursorInvalid],
        handler: |api, call| partners::list(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getPartner",
        path: "/v1/partners/{partner}",
        says: "A partner as it stands.",
        condition: Condition::Read,
        good: &[good(200, "Partner", "The partner."), UNCHANGED],
        own: &[Code::PartnerNotFound],
        handler: |api, call| partners::get(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "putPartner",
        method: Verb::Put,
        path: "/v1/partners/{partner}",
        scope: Some(Scope::ConfigWrite),
        says: "Set a partner up, or change whom to ask, the folder in which the homes of its users lie, and whether they may \
               log in. What is left out has its default.",
        body: Body::Json("PartnerText"),
        condition: Condition::Write,
        good: &[good(200, "Partner", "It stands so now."), good(201, "Partner", "There is a new partner.")],
        own: &[Code::PartnerNotFound, Code::PartnerName, Code::PartnerInUse, Code::TenantUnknown],
        handler: |api, call| partners::put(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "deletePartner",
        path: "/v1/partners/{partner}",
        says: "Remove a partner that has no users.",
        own: &[Code::PartnerNotFound, Code::PartnerInUse],
        handler: |api, call| partners::remove(api, call).boxed(),
        ..REMOVE
    },
    Endpoint {
        name: "listAudit",
        path: "/v1/audit",
        says: "Who has done what, when and why, of every request to either API that was to change something of the tenant, the \
               latest first; what was refused as well. One that stays `begun` may have been done or not. Entries are kept \
               for 400 days.",
        query: TIMES,
        good: &[good(200, "AuditPage", "Some of it.")],
        own: &[Code::CursorInvalid],
        handler: |api, call| audit::list(api, call).boxed(),
        ..READ
    },
    Endpoint {
        name: "getProblem",
        path: "/v1/problems/{code}",
        scope: None,
        says: "What a code of a problem means, and what to do about it.",
        good: &[good(200, "ProblemKind", "What it means.")],
        own: &[Code::ProblemNotFound],
        handler: |_, call| async { eft_api::openapi::problem(call.value(0)) }.boxed(),
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

#[cfg(test)]
mod tests {
    use eft_api::table::find;
    use http::Method;

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
            let (endpoint, found) = find(TABLE, &Method::GET, path).unwrap();
            assert_eq!((endpoint.name, found), (name, values.into_iter().map(String::from).collect()));
        }
        let (endpoint, found) = find(TABLE, &Method::POST, "/v1/routes/a%3Apause").unwrap();
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
            assert_eq!(find(TABLE, &Method::GET, path).err().unwrap().code, Code::PathUnknown, "{path}");
        }
    }

    /// A list is that of one key, from one end to the other: what no index has cannot be asked for. The sort key of the
    /// audit trail is the time.
    #[test]
    fn no_list_has_a_filter_that_is_no_key() {
        for endpoint in TABLE {
            let names: Vec<_> = endpoint.query.iter().map(|parameter| parameter.name).collect();
            let is_trail = endpoint.name == "listAudit" && names == ["since", "until", "limit", "cursor"];
            assert!(names.is_empty() || names == ["limit", "cursor"] || is_trail, "{names:?}");
        }
    }

    /// What changes nothing has no entry in the audit trail: these are all.
    #[test]
    fn what_is_posted_and_changes_nothing_is_known() {
        let posted = TABLE.iter().filter(|endpoint| endpoint.method == Verb::Post && !endpoint.writes());
        assert_eq!(
            posted.map(|endpoint| endpoint.name).collect::<Vec<_>>(),
            ["validateRoute", "simulateRoutes"]
        );
        assert!(
            TABLE.iter().all(|endpoint| endpoint.scope.is_some() || !endpoint.writes()),
            "somebody writes"
        );
    }

    #[test]
    fn a_method_that_is_not_taken_is_told_which_are() {
        let allow = |method, path| {
            let problem = find(TABLE, &method, path).err().unwrap();
            assert_eq!(problem.code, Code::MethodUnknown);
            problem.headers[0].1.clone()
        };
        assert_eq!(allow(Method::DELETE, "/v1/routes/a"), "GET, PUT");
        assert_eq!(allow(Method::GET, "/v1/routes:validate"), "POST");
    }
}
