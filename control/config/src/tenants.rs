//! Tenants: their limits, and where their routes may deliver to.

use eft_api::{
    Answer, Call, Code, Fault, Problem,
    call::{shown as quoted, whole},
    idempotency::digest,
    precondition::{Write, is_known},
    problem::unknown,
};
use eft_domain::{BucketName, ObjectKey, Tenant, TenantId, tenant::Output};
use eft_store::{Put, StoreErrorKind};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::Api;

/// More places than this are a bucket policy's business.
const MOST_OUTPUTS: usize = 100;

/// The strong ETag of a tenant: of all that it says.
fn etag(tenant: &Tenant) -> String {
    format!("\"{}\"", &digest(&[json!(tenant).to_string().as_bytes()])[..22])
}

fn shown(tenant: &Tenant) -> Value {
    json!({ "name": tenant.id, "etag": etag(tenant), "tenant": tenant })
}

fn missing(name: &str) -> Problem {
    Problem::new(Code::TenantNotFound, format!("there is no tenant `{}`", quoted(name)))
}

fn stale(tenant: &Tenant) -> Problem {
    let tag = etag(tenant);
    let detail = format!("it was changed since; its ETag is {tag}");
    Problem::new(Code::PreconditionFailed, detail).with_header(header::ETAG, tag)
}

fn read(call: &Call, tenant: &Tenant) -> Result<Answer, Problem> {
    let tag = etag(tenant);
    let known = is_known(&call.headers, &tag)?;
    let answer = if known { Answer::not_modified() } else { Answer::ok(shown(tenant)) };
    Ok(answer.with_header(header::ETAG, tag).with_header(header::CACHE_CONTROL, "private, no-cache"))
}

pub(crate) async fn own(api: &Api, call: &Call) -> Result<Answer, Problem> {
    read(call, &api.tenant_of(call).await?)
}

pub(crate) async fn get(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let name = call.value(0);
    let id: TenantId = name.parse().map_err(|_| missing(name))?;
    read(call, &api.catalog.tenant_now(&id).await?.ok_or_else(|| missing(name))?)
}

pub(crate) async fn list(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (limit, after) = (call.limit()?, api.cursors.place::<TenantId>(call, "tenants")?);
    let mut tenants = api.catalog.tenants().await?;
    tenants.retain(|tenant| after.as_ref().is_none_or(|after| tenant.id > *after));
    let rest = tenants.split_off(tenants.len().min(limit.into()));
    let next = rest.first().and(tenants.last()).map(|last| last.id.to_string());
    api.cursors.page(call, "tenants", tenants.iter().map(shown).collect(), next)
}

pub(crate) async fn put(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let name = call.value(0);
    let id: TenantId = name.parse().map_err(|error| Problem::new(Code::TenantName, format!("{error}")))?;
    let write = Write::of(&call.headers)?;
    let body = call.json()?;
    let before = api.catalog.tenant_now(&id).await?;
    match (&write, &before) {
        (Write::Create, Some(before)) => return Err(stale(before)),
        (Write::Change(_), None) => return Err(missing(name)),
        (Write::Change(tags), Some(before)) if !tags.has(&etag(before)) => return Err(stale(before)),
        _ => {}
    }
    let tenant = parse(&body, id).map_err(|faults| Problem::faulty(Code::BodyInvalid, faults))?;
    match api.catalog.save_tenant(&tenant, before.as_ref()).await {
        Ok(Put::Done) => {}
        Ok(Put::Stale) => {
            let now = api.catalog.tenant_now(&tenant.id).await?;
            return Err(now.as_ref().map_or_else(|| missing(name), stale));
        }
        // The answer was lost: what stands there says whether it was done.
        Err(error) if error.kind == StoreErrorKind::Indeterminate => {
            if api.catalog.tenant_now(&tenant.id).await?.as_ref() != Some(&tenant) {
                return Err(error.into());
            }
        }
        Err(error) => return Err(error.into()),
    }
    let status = if before.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    let answer = Answer::new(status, shown(&tenant)).with_header(header::ETAG, etag(&tenant));
    Ok(if before.is_none() {
        answer.with_header(header::LOCATION, format!("/v1/tenants/{}", tenant.id))
    } else {
        answer
    })
}

/// A tenant of this body; every fault where it is none.
fn parse(body: &Value, id: TenantId) -> Result<Tenant, Vec<Fault>> {
    let Some(fields) = body.as_object() else { return Err(vec![Fault::new("", "must be an object")]) };
    let mut faults = Vec::new();
    unknown(fields, "", &["id", "weight", "max_jobs", "max_bytes", "outputs", "paused"], &mut faults);
    if fields.get("id").is_some_and(|other| *other != json!(id)) {
        faults.push(Fault::new("/id", format!("the path says {id}: leave the id out, or say the same")));
    }
    let mut tenant = Tenant::new(id);
    let mut number = |name: &str, most: u64| {
        let value = fields.get(name)?;
        let number = whole(value).filter(|number| (1..=most).contains(number));
        if number.is_none() {
            faults.push(Fault::new(format!("/{name}"), format!("must be a number from 1 to {most}")));
        }
        number
    };
    if let Some(weight) = number("weight", 1_000).and_then(|weight| weight.try_into().ok()) {
        tenant.weight = weight;
    }
    if let Some(jobs) = number("max_jobs", 100_000).and_then(|jobs| jobs.try_into().ok()) {
        tenant.max_jobs = jobs;
    }
    if let Some(bytes) = number("max_bytes", u64::MAX) {
        tenant.max_bytes = bytes;
    }
    match fields.get("paused").map(Value::as_bool) {
        Some(Some(paused)) => tenant.paused = paused,
        Some(None) => faults.push(Fault::new("/paused", "must be true or false")),
        None => {}
    }
    match fields.get("outputs").map(Value::as_array) {
        Some(Some(outputs)) if outputs.len() <= MOST_OUTPUTS => {
            let outputs = outputs.iter().enumerate();
            tenant.outputs = outputs.filter_map(|(at, value)| output(value, at, &mut faults)).collect();
        }
        Some(_) => faults.push(Fault::new("/outputs", format!("must be a list of at most {MOST_OUTPUTS}"))),
        None => {}
    }
    if faults.is_empty() { Ok(tenant) } else { Err(faults) }
}

fn output(value: &Value, at: usize, faults: &mut Vec<Fault>) -> Option<Output> {
    let path = format!("/outputs/{at}");
    let Some(fields) = value.as_object() else {
        faults.push(Fault::new(path, "must be an object with `bucket` and `prefix`"));
        return None;
    };
    unknown(fields, &path, &["bucket", "prefix"], faults);
    let bucket = match fields.get("bucket").and_then(Value::as_str).map(str::parse::<BucketName>) {
        Some(Ok(bucket)) => Some(bucket),
        Some(Err(error)) => {
            faults.push(Fault::new(format!("{path}/bucket"), error.to_string()));
            None
        }
        None => {
            faults.push(Fault::new(format!("{path}/bucket"), "must be the name of a bucket"));
            None
        }
    };
    let prefix = match fields.get("prefix").map(Value::as_str) {
        None | Some(Some("")) => Some(String::new()),
        // What keys can start with is a key itself.
        Some(Some(prefix)) if prefix.parse::<ObjectKey>().is_ok() => Some(prefix.to_owned()),
        Some(_) => {
            faults.push(Fault::new(format!("{path}/prefix"), "must be what keys start with"));
            None
        }
    };
    Some(Output { bucket: bucket?, prefix: prefix? })
}
