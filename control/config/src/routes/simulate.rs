//! What would become of a file: the same functions as the router's, over nothing but its name and size.

use eft_api::{Answer, Call, Code, Fault, Problem, call::whole};
use eft_domain::{
    Command, ObjectKey, Route, Tenant, TenantId,
    job::{Ending, Runner},
    names,
    route::{Destination, Ordering, RouteTable, TemplateValues},
};
use eft_store::clock::rfc3339;
use serde_json::{Value, json};

use super::draft::{Text, admit, readable};
use crate::Api;

/// What is asked.
struct Question {
    key: ObjectKey,
    size: u64,
    /// A route as if it were saved.
    draft: Option<Value>,
}

impl Question {
    /// Every fault of the body.
    fn of(body: &Value, tenant: &TenantId) -> Result<Self, Problem> {
        let mut faults = Vec::new();
        let Some(fields) = body.as_object() else {
            return Err(Problem::faulty(
                Code::BodyInvalid,
                vec![Fault::new("", "must be an object with `name` and `size`")],
            ));
        };
        for name in fields.keys().filter(|name| !matches!(name.as_str(), "name" | "size" | "route")) {
            let step = name.replace('~', "~0").replace('/', "~1");
            faults.push(Fault::new(format!("/{step}"), "is unknown here; known are name, size, route"));
        }
        let key = match fields.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
            Some(name) => {
                key_of(name, tenant).map_err(|detail| faults.push(Fault::new("/name", detail))).ok()
            }
            None => {
                faults.push(Fault::new("/name", "must be the name of a file, such as in/orders/a.csv"));
                None
            }
        };
        let size = fields.get("size").and_then(whole);
        if size.is_none() {
            faults.push(Fault::new("/size", "must be a number of bytes"));
        }
        let draft = fields.get("route").cloned();
        match (key, size) {
            (Some(key), Some(size)) if faults.is_empty() => Ok(Self { key, size, draft }),
            _ => Err(Problem::faulty(Code::BodyInvalid, faults)),
        }
    }
}

/// A name as its sender gives it stands under the tenant's prefix; a whole key may be given as well.
fn key_of(name: &str, tenant: &TenantId) -> Result<ObjectKey, String> {
    let own = Tenant::ingest_prefix(tenant);
    if name.starts_with("tenants/") && !name.starts_with(&own) {
        return Err(format!("is a key of another tenant; yours start with `{own}`"));
    }
    let name = name.strip_prefix('/').unwrap_or(name);
    let key = if name.starts_with(&own) { name.to_owned() } else { format!("{own}{name}") };
    key.parse().map_err(|error| format!("{error}"))
}

pub(crate) async fn simulate(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let tenant = api.tenant_of(call).await?;
    let question = Question::of(&call.json()?, &tenant.id)?;
    let saved = api.catalog.routes().await?;
    let table = match &question.draft {
        None => {
            readable(&saved, &tenant.id, None)?;
            saved
        }
        Some(draft) => with_draft(draft, &tenant, &saved)?.into(),
    };
    Ok(Answer::ok(outcome(&question, &tenant, &table, &rfc3339(call.now))))
}

/// The routes as they would be with this one.
fn with_draft(draft: &Value, tenant: &Tenant, table: &RouteTable) -> Result<RouteTable, Problem> {
    let within = |faults: Vec<Fault>| {
        faults
            .into_iter()
            .map(|fault| Fault { pointer: format!("/route{}", fault.pointer), line: None, ..fault })
            .collect()
    };
    let text = draft.to_string();
    let route = Text::Json(&text).route(None, &tenant.id);
    let route = route.map_err(|faults| Problem::faulty(Code::RouteInvalid, within(faults)))?;
    admit(&route, tenant, table).map_err(|problem| match problem.code {
        Code::Unavailable => problem,
        _ => Problem::faulty(Code::RouteInvalid, within(problem.errors)),
    })?;
    let route = Route { id: Some(route.effective_id()), ..route };
    let others = table.routes().filter(|other| other.id != route.id).cloned().collect::<Vec<_>>();
    let paused = others.iter().filter_map(|other| other.id.clone()).filter(|id| table.is_paused(id));
    let paused: Vec<_> = paused.collect();
    Ok(RouteTable::new(others.into_iter().chain([route.into()])).with_paused(paused))
}

fn outcome(question: &Question, tenant: &Tenant, table: &RouteTable, now: &str) -> Value {
    let (key, size) = (question.key.as_str(), question.size);
    let mut answer = json!({ "key": key, "size": size });
    let mut say = |outcome: &str, reason: Option<String>| {
        answer["outcome"] = outcome.into();
        if let Some(reason) = reason {
            answer["reason"] = reason.into();
        }
    };
    if let Some(reason) = names::ignored(key, size) {
        say("ignored", Some(reason.to_owned()));
        return answer;
    }
    if names::base_of(table, key).is_some() {
        say("ignored", Some(names::CONTROL_FILE.to_owned()));
        return answer;
    }
    let Some(route) = table.route_of(key).filter(|route| route.tenant.as_ref() == Some(&tenant.id)) else {
        say("unrouted", Some(format!("no route of tenant {} takes this key", tenant.id)));
        return answer;
    };
    let id = route.effective_id();
    let is_paused = table.is_paused(&id);
    let faults = tenant.faults(route);
    if is_paused {
        say(
            "unrouted",
            Some(format!("route {id}, which takes this key, is paused: the file waits until it is active")),
        );
    } else if !faults.is_empty() {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        say("unrouted", Some(format!("route {id} may not be used: {}", faults.join("; "))));
    } else {
        match route.verdict(size) {
            Command::Dismiss(Ending::Failed(failure, _)) => {
                say("refused", Some(failure.message.clone()));
                answer["code"] = failure.code.as_str().into();
                answer["remedy"] = failure.code.remedy().into();
            }
            Command::Dismiss(_) => say(
                "heartbeat",
                Some("an empty file is a sign of life here: nothing is delivered".to_owned()),
            ),
            _ => say("accepted", None),
        }
    }
    answer["route"] = json!({
        "name": id,
        "revision": route.revision(),
        "state": if is_paused { "paused" } else { "active" },
    });
    answer["plan"] = plan(route, question, now);
    answer
}

/// How a route would run a file.
fn plan(route: &Route, question: &Question, now: &str) -> Value {
    let runner = route.runner(question.size);
    let mut plan = json!({
        "runner": match runner { Runner::Steps => "steps", Runner::Worker => "worker" },
        "completeWhen": route.complete_when.to_string(),
        // S3 copies it: no byte passes through the platform.
        "copy": route.is_identity(),
        "ordered": route.ordering != Ordering::None,
        "stages": stages(route),
        "destinations": destinations(route, question, now),
    });
    if runner == Runner::Worker
        && let Some(why) = route.refuses_steps(question.size)
    {
        plan["runnerReason"] = why.into();
    }
    if let Some(archive) = &route.archive {
        plan["archive"] = json!({ "storageClass": archive.storage_class, "original": archive.original });
    }
    plan
}

/// What stages are called in plans and receipts: `validate.csv`.
fn stages(route: &Route) -> Vec<String> {
    let text = route.to_value();
    let stages = text["stages"].as_array().into_iter().flatten().filter_map(Value::as_object);
    let stages = stages.flat_map(|stage| stage.iter()).map(|(name, inner)| {
        let check = (name == "validate").then(|| inner.as_object()?.keys().next().cloned()).flatten();
        match (check, inner["codec"].as_str()) {
            (Some(check), _) => format!("{name}.{check}"),
            (None, Some(codec @ "zip")) => format!("{name}.{codec}"),
            _ => name.clone(),
        }
    });
    stages.chain(route.digests.iter().map(|digest| format!("digest.{digest}"))).collect()
}

/// Where it would go. The version and what is derived of it are not known yet and stay as they are written.
fn destinations(route: &Route, question: &Question, now: &str) -> Vec<Value> {
    let id = route.effective_id();
    let values = TemplateValues {
        key: question.key.as_str(),
        prefix: route.matches.as_ref().map_or("", |matches| &matches.prefix),
        arrived: now,
        tenant: route.tenant.as_ref().map(TenantId::as_str),
        route: Some(id.as_str()),
        job_id: Some("{job_id}"),
        run_id: Some("{run_id}"),
        version_id: Some("{version_id}"),
    };
    let show = |destination: &Destination| {
        let Destination::S3(s3) = destination;
        let mut shown = json!({ "bucket": s3.bucket, "onExisting": s3.on_existing });
        match s3.key.render(&values) {
            Ok(key) => shown["key"] = json!(key),
            Err(error) => shown["problem"] = error.to_string().into(),
        }
        shown
    };
    route.destinations.iter().map(show).collect()
}
