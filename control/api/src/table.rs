//! Endpoints as data: what dispatches requests and what the OpenAPI document is made of.

use futures::{FutureExt, future::BoxFuture};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{
    answer::Answer,
    call::Call,
    principal::Scope,
    problem::{Code, Problem},
};

/// What is encoded of a name in a path: all but what may stand there unreserved (RFC 3986, 2.3), and `@`, which users have.
const NOT_IN_NAME: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// What an endpoint does with a request, over the stores of its API.
pub type Handler<S> = for<'a> fn(&'a S, &'a Call) -> BoxFuture<'a, Result<Answer, Problem>>;

/// A method. That of `http` cannot stand in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`.
    Get,
    /// `PUT`.
    Put,
    /// `POST`.
    Post,
    /// `DELETE`.
    Delete,
}

impl Verb {
    /// As it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
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
    /// What its value is.
    pub kind: Kind,
    /// It has to be said.
    pub required: bool,
}

/// What the value of a parameter is, as far as a document can say it.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text that only its reader knows.
    Text,
    /// A whole number from 1 to this.
    Number(u32),
    /// Text of this pattern.
    Pattern(&'static str),
    /// A time as RFC 3339 has it.
    Time,
    /// One of these words.
    Words(fn() -> Vec<&'static str>),
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// JSON or YAML of this schema.
    Yaml(&'static str),
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
    /// `If-Match`.
    Remove,
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
pub struct Endpoint<S: 'static> {
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
    /// How it is done.
    pub handler: Handler<S>,
}

/// Where a path is as the client knows it.
pub const UNCHANGED: Good = Good { status: 304, schema: None, says: "It is as the client knows it." };

/// It is not there any more.
pub const GONE: Good = Good { status: 204, schema: None, says: "It is not there any more." };

/// The parameters of a list.
pub const PAGE: &[Parameter] = &[LIMIT, CURSOR];

/// How many items a page has.
pub const LIMIT: Parameter =
    optional("limit", "Most items of a page; 50 where it is not said.", Kind::Number(200));

/// Where a page begins.
pub const CURSOR: Parameter =
    optional("cursor", "`nextCursor` of the page before.", Kind::Pattern("^[A-Za-z0-9_-]+$"));

/// A parameter that may be left out.
pub const fn optional(name: &'static str, says: &'static str, kind: Kind) -> Parameter {
    Parameter { name, says, kind, required: false }
}

/// An answer with a body.
pub const fn good(status: u16, schema: &'static str, says: &'static str) -> Good {
    Good { status, schema: Some(schema), says }
}

impl<S> Endpoint<S> {
    /// An endpoint that reads, to be filled in.
    pub const fn read(scope: Scope) -> Self {
        Self {
            name: "",
            method: Verb::Get,
            path: "",
            scope: Some(scope),
            acts: false,
            says: "",
            query: &[],
            body: Body::None,
            condition: Condition::None,
            good: &[],
            own: &[],
            handler: |_, _| async { Err(Problem::internal("an endpoint without a handler")) }.boxed(),
        }
    }

    /// An endpoint that removes, to be filled in.
    pub const fn remove(scope: Scope) -> Self {
        Self { method: Verb::Delete, condition: Condition::Remove, good: &[GONE], ..Self::read(scope) }
    }

    /// An endpoint that acts, to be filled in.
    pub const fn act(scope: Scope) -> Self {
        Self { method: Verb::Post, acts: true, ..Self::read(scope) }
    }

    /// Whether it changes anything. What is posted and does not act is only looked at.
    pub fn writes(&self) -> bool {
        match self.method {
            Verb::Get => false,
            Verb::Put | Verb::Delete => true,
            Verb::Post => self.acts,
        }
    }

    /// The names of its path, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
    }

    /// The path of the thing that these values name: its own without what is to be done.
    pub fn thing(&self, values: &[String]) -> String {
        let mut values = values.iter();
        let mut thing = String::new();
        for segment in self.path.split('/').skip(1) {
            thing.push('/');
            if segment.starts_with('{') {
                let value = values.next().map_or("", String::as_str);
                thing.extend(utf8_percent_encode(value, NOT_IN_NAME));
            } else {
                thing.push_str(segment);
            }
        }
        thing
    }

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
            Condition::Write | Condition::Remove => {
                codes.extend([Code::PreconditionFailed, Code::PreconditionRequired]);
            }
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
pub fn find<'a, S>(
    table: &'a [Endpoint<S>],
    method: &Method,
    path: &str,
) -> Result<(&'a Endpoint<S>, Vec<String>), Problem> {
    let unknown = || Problem::new(Code::PathUnknown, "there is nothing under this path");
    // What is no text is no name either: its handler says so.
    let segments = path.strip_prefix('/').ok_or_else(unknown)?.split('/');
    let segments: Vec<_> =
        segments.map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect();
    let mut allowed = Vec::new();
    for endpoint in table {
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
