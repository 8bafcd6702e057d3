//! The codes of problems: one closed list for all APIs, each with its status and what to do about it.
//!
//! A code is a contract: clients act on it, and `PROBLEMS.md` is made of this list.

use http::StatusCode;
use serde_json::{Value, json};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, $retryable:literal, $remedy:literal;)*) => {
        /// A stable code of a problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The status of an answer with it.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// Whether the same request may succeed later.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)* }
            }

            /// Who does what about it, in one sentence.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }

            /// What it is called: the same words with every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => trimmed(concat!($(stringify!($doc), "\n",)*)),)* }
            }
        }
    };
}

/// The sentence of a documentation comment, without its full stop.
const fn trimmed(doc: &'static str) -> &'static str {
    // `doc = " A sentence."` and a line end; rustc writes it so or with a raw string, of which there is none here.
    let bytes = doc.as_bytes();
    let (mut start, mut end) = (0, bytes.len());
    while bytes[start] != b'"' {
        start += 1;
    }
    while bytes[end - 1] != b'"' {
        end -= 1;
    }
    start += 1;
    end -= 1;
    if bytes[start] == b' ' {
        start += 1;
    }
    if bytes[end - 1] == b'.' {
        end -= 1;
    }
    let (_, rest) = doc.split_at(start);
    rest.split_at(end - start).0
}

codes! {
    /// The request has no token.
    AuthMissing = "auth.missing", UNAUTHORIZED, false,
        "get a token from the identity provider and send it as `Authorization: Bearer …`";
    /// The token does not say whose it is.
    AuthInvalid = "auth.invalid", UNAUTHORIZED, false,
        "whoever runs the identity provider puts a subject and the tenant's name into the token";
    /// The token lacks a scope.
    AuthScope = "auth.scope", FORBIDDEN, false,
        "ask an administrator of the tenant for the scope that the detail names";
    /// The tenant is not set up.
    TenantUnknown = "tenant.unknown", FORBIDDEN, false,
        "an administrator of the platform sets the tenant up, then the same request works";
    /// There is no such tenant.
    TenantNotFound = "tenant.not_found", NOT_FOUND, false,
        "look the name up in `GET /v1/tenants`";
    /// The name is none that a tenant can have.
    TenantName = "tenant.name", UNPROCESSABLE_ENTITY, false,
        "choose a name of 1 to 64 of a-z, 0-9, `-`, `_`, `.`, starting with a letter or digit";
    /// There is no such user of the SFTP server.
    UserNotFound = "user.not_found", NOT_FOUND, false,
        "look the name up in `GET /v1/sftp-users`";
    /// The name is none that a user of the SFTP server can have.
    UserName = "user.name", UNPROCESSABLE_ENTITY, false,
        "choose a name of 3 to 100 of letters, digits, `_`, `@`, `.`, `-`, starting with a letter, digit or `_`";
    /// The name is that of another user of the SFTP server.
    UserNameTaken = "user.name_taken", CONFLICT, false,
        "choose another name: there is one SFTP server, and names are unique on it";
    /// There is no such partner.
    PartnerNotFound = "partner.not_found", NOT_FOUND, false,
        "look the name up in `GET /v1/partners`";
    /// The name is none that a partner can have.
    PartnerName = "partner.name", UNPROCESSABLE_ENTITY, false,
        "choose a name of 1 to 64 of a-z, 0-9, `-`, `_`, `.`, starting with a letter or digit";
    /// The partner has a user that this would leave without a place.
    PartnerInUse = "partner.in_use", CONFLICT, false,
        "change or remove the user that the detail names, or pause the partner, which keeps all its users out";
    /// There is nothing under this path.
    PathUnknown = "request.path", NOT_FOUND, false,
        "look the path up in `GET /v1/openapi.json`, or for jobs in `GET /v1/status/openapi.json`";
    /// The path does not take this method.
    MethodUnknown = "request.method", METHOD_NOT_ALLOWED, false,
        "use a method that the header `Allow` names";
    /// A query parameter is unknown or wrong.
    ParameterInvalid = "request.parameter", BAD_REQUEST, false,
        "correct or leave out the parameter that the detail names";
    /// A header is wrong.
    HeaderInvalid = "request.header", BAD_REQUEST, false,
        "correct or leave out the header that the detail names";
    /// The body is of a type that is not read here.
    MediaType = "request.media_type", UNSUPPORTED_MEDIA_TYPE, false,
        "send one of the types that the detail names, and say so in `Content-Type`";
    /// The body is too large.
    BodyTooLarge = "request.too_large", PAYLOAD_TOO_LARGE, false,
        "send less: the detail says how much is taken";
    /// The body is not what is asked for.
    BodyInvalid = "request.body", UNPROCESSABLE_ENTITY, false,
        "correct every place that `errors` names";
    /// The cursor is not one of this list.
    CursorInvalid = "cursor.invalid", BAD_REQUEST, false,
        "begin again without a cursor; cursors are of one list and one tenant, and last for a day";
    /// A write needs a condition.
    PreconditionRequired = "precondition.required", PRECONDITION_REQUIRED, false,
        "send `If-None-Match: *` to create, or `If-Match` with the ETag that was read to change";
    /// It is not as it was when it was read.
    PreconditionFailed = "precondition.failed", PRECONDITION_FAILED, false,
        "read it again, make the change to what is there now, and send that with its ETag";
    /// The request needs an idempotency key.
    IdempotencyMissing = "idempotency.missing", BAD_REQUEST, false,
        "send `Idempotency-Key` with a new UUID, and the same one whenever the same request is sent again";
    /// The idempotency key is that of another request.
    IdempotencyMismatch = "idempotency.mismatch", UNPROCESSABLE_ENTITY, false,
        "send a new key with a new request; a key stands for one request for a day";
    /// The request with this idempotency key is still being done.
    IdempotencyRunning = "idempotency.running", CONFLICT, true,
        "send the same request again after the time that `Retry-After` says";
    /// There is no such route.
    RouteNotFound = "route.not_found", NOT_FOUND, false,
        "look the name up in `GET /v1/routes`";
    /// The name is none that a route can have.
    RouteName = "route.name", UNPROCESSABLE_ENTITY, false,
        "choose a name of 1 to 64 of a-z, 0-9, `-`, `_`, `.`, starting with a letter or digit";
    /// The name is taken.
    RouteNameTaken = "route.name_taken", CONFLICT, false,
        "choose another name: the names of routes are unique on the platform";
    /// The route is wrong.
    RouteInvalid = "route.invalid", UNPROCESSABLE_ENTITY, false,
        "correct every place that `errors` names; `POST /v1/routes:validate` tries it without saving";
    /// The route could take a key that another takes.
    RouteAmbiguous = "route.ambiguous", CONFLICT, false,
        "make one prefix longer, or the globs different, so that one of the two is before the other";
    /// Another route of the tenant is being saved.
    RouteBusy = "route.busy", CONFLICT, true,
        "send the same request again after the time that `Retry-After` says";
    /// There is no such revision.
    RevisionNotFound = "revision.not_found", NOT_FOUND, false,
        "look it up in `GET /v1/routes/{name}/revisions`";
    /// There is no such job.
    JobNotFound = "job.not_found", NOT_FOUND, false,
        "look the job up in `GET /v1/jobs`; jobs are kept for as long as the platform keeps rows";
    /// Jobs are not listed by these together.
    JobFilter = "job.filter", BAD_REQUEST, false,
        "filter by `state` or by `route`, and pick from what is listed";
    /// The job stands where this cannot be done.
    JobState = "job.state", CONFLICT, false,
        "read the job: `acts` names what can be done with it as it stands";
    /// The job is being published, which cannot be stopped.
    JobPublishing = "job.publishing", CONFLICT, false,
        "wait until the job has ended, which takes seconds, and look at how";
    /// There is no receipt of this run.
    ReceiptNotFound = "receipt.not_found", NOT_FOUND, false,
        "look at the job: a receipt comes with the end of a run, and none with a cancelled one";
    /// There is no reject report of this run.
    ReportNotFound = "report.not_found", NOT_FOUND, false,
        "look at the job's failure: a report comes with records that broke a rule, and with nothing else";
    /// There is no such queue to redrive from.
    QueueNotFound = "queue.not_found", NOT_FOUND, false,
        "look the name up in `GET /v1/fleet`: a queue whose `dead` is told can be redriven";
    /// Messages of this queue are being moved already.
    QueueBusy = "queue.busy", CONFLICT, true,
        "wait until the messages were moved, which `GET /v1/fleet` shows";
    /// There is no such code.
    ProblemNotFound = "problem.not_found", NOT_FOUND, false,
        "look it up in the documentation of this API";
    /// What is stored cannot be reached.
    Unavailable = "store.unavailable", SERVICE_UNAVAILABLE, true,
        "send the same request again after the time that `Retry-After` says; it may have been done";
    /// This is a fault of the platform.
    Internal = "internal", INTERNAL_SERVER_ERROR, false,
        "tell whoever runs the platform, with the `requestId`";
}

impl Code {
    /// The URI of its type, which says what it means.
    pub fn type_uri(self) -> String {
        format!("/v1/problems/{}", self.as_str())
    }

    /// What the page and `GET /v1/problems/{code}` say.
    pub fn to_value(self) -> Value {
        json!({
            "type": self.type_uri(),
            "code": self.as_str(),
            "title": self.title(),
            "status": self.status().as_u16(),
            "retryable": self.retryable(),
            "remedy": self.remedy(),
        })
    }
}

/// The table of `PROBLEMS.md`.
pub fn problem_table() -> String {
    let mut table =
        "| status | code | what it says | retry | what to do |\n|---|---|---|---|---|\n".to_owned();
    for code in Code::ALL {
        table.push_str(&format!(
            "| {} | `{}` | {} | {} | {} |\n",
            code.status().as_u16(),
            code.as_str(),
            code.title(),
            if code.retryable() { "yes" } else { "no" },
            code.remedy(),
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_sentence_of_its_documentation() {
        assert_eq!(Code::RouteNotFound.title(), "There is no such route");
        assert_eq!(Code::Internal.title(), "This is a fault of the platform");
        for code in Code::ALL {
            let title = code.title();
            assert!(title.len() > 10 && !title.contains(['"', '\n', '=']), "{title}");
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
        let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
    }

    /// The tests of each API get every code that its document names; here is that no code is left between them.
    #[test]
    fn each_code_is_one_that_an_api_answers() {
        fn named(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    // What `openapi.rs` makes of the problems of a status.
                    let codes = map.get("properties").and_then(|fields| fields["code"]["enum"].as_array());
                    let codes = codes.filter(|codes| codes.len() < Code::ALL.len());
                    found.extend(codes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| named(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| named(value, found)),
                _ => {}
            }
        }
        // What is answered where there is no operation.
        let mut found = vec![Code::PathUnknown.as_str().to_owned(), Code::MethodUnknown.as_str().to_owned()];
        for api in ["config", "status"] {
            let path = format!("{}/../{api}/openapi.json", env!("CARGO_MANIFEST_DIR"));
            named(&serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap(), &mut found);
        }
        let missing: Vec<_> =
            Code::ALL.iter().filter(|code| !found.iter().any(|found| found == code.as_str())).collect();
        assert!(missing.is_empty(), "nobody answers {missing:?}");
    }

    /// `EFT_BLESS=1` writes it anew.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's own switch")]
    fn the_page_says_what_each_problem_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/PROBLEMS.md");
        let page = format!(
            "# Problems\n\nWhat the APIs answer where they do not do what is asked: `application/problem+json` (RFC 9457) with \
             `type`, `title`, `status`, `detail`, `instance`, and besides them `code`, `retryable`, `requestId` and, for bodies, \
             `errors` with a JSON Pointer each. Codes never change their meaning. Made from `src/code.rs` by `EFT_BLESS=1 cargo \
             test --workspace --lib the_page_says`.\n\n{}",
            problem_table()
        );
        if std::env::var("EFT_BLESS").is_ok() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page, "EFT_BLESS=1 writes it anew");
    }
}
