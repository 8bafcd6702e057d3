//! Tenants: their limits, and where their routes may deliver to.

use eft_api::{
    Answer, Call, Code, Fault, Problem,
    call::{shown as quoted, whole},
    precondition::Write,
    problem::unknown,
};
use eft_domain::{BucketName, ObjectKey, Tenant, TenantId, tenant::Output};
use serde_json::{Value, json};

use crate::{
    Api,
    document::{Document, before, read, saved, shown},
    fields::switch,
};

/// More places than this are a bucket policy's business.
const MOST_OUTPUTS: usize = 100;

impl Document for Tenant {
    fn text(&self) -> Value {
        json!(self)
    }

    fn path(&self) -> String {
        format!("/v1/tenants/{}", self.id)
    }

    fn shown(&self) -> Value {
        json!({ "name": self.id, "tenant": self })
    }

    fn missing(name: &str) -> Problem {
        Problem::new(Code::TenantNotFound, format!("there is no tenant `{}`", quoted(name)))
    }
}

pub(crate) async fn own(api: &Api, call: &Call) -> Result<Answer, Problem> {
    read(call, &api.tenant_of(call).await?)
}

pub(crate) async fn get(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let name = call.value(0);
    let id: TenantId = name.parse().map_err(|_| Tenant::missing(name))?;
    read(call, &api.catalog.tenant_now(&id).await?.ok_or_else(|| Tenant::missing(name))?)
}

pub(crate) async fn list(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (limit, after) = (call.limit()?, api.cursors.place::<TenantId>(call, "tenants")?);
    let tenants = api.catalog.tenants().await?;
    let mut page: Vec<_> = tenants.after(after.as_ref()).take(usize::from(limit) + 1).collect();
    let more = page.len() > usize::from(limit);
    page.truncate(limit.into());
    let next = page.last().filter(|_| more).map(|(id, _)| id.to_string());
    // Whoever looks for the one that cannot be read looks here.
    let listed = |(id, row): (&TenantId, Result<&Tenant, &str>)| match row {
        Ok(tenant) => shown(tenant),
        Err(why) => json!({ "name": id, "unreadable": why }),
    };
    api.cursors.page(call, "tenants", page.into_iter().map(listed).collect(), next)
}

pub(crate) async fn put(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let name = call.value(0);
    let id: TenantId = name.parse().map_err(|error| Problem::new(Code::TenantName, format!("{error}")))?;
    let write = Write::of(&call.headers)?;
    let body = call.json()?;
    let before = before(&write, api.catalog.tenant_now(&id).await?, name)?;
    let tenant = parse(&body, id).map_err(|faults| Problem::faulty(Code::BodyInvalid, faults))?;
    let written = api.catalog.save_tenant(&tenant, before.as_ref()).await;
    let now = async { Ok(api.catalog.tenant_now(&tenant.id).await?) };
    saved(&tenant, before.is_none(), written, name, now).await
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
    tenant.paused = switch(fields, "paused", &mut faults);
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
