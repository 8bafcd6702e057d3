//! Users of the SFTP server and their keys.

use eft_api::{
    Answer, Call, Code, Fault, Problem,
    call::shown as quoted,
    idempotency::digest,
    precondition::{Write, is_known},
    problem::unknown,
};
use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use eft_domain::{
    TenantId,
    sftp::{Folder, MOST_KEYS, MOST_SOURCES, Password, PasswordHash, SALT, SftpName, SftpUser, SshKey},
};
use eft_store::{Page, Put, StoreErrorKind};
use http::{StatusCode, header};
use ring::{
    digest::{SHA256, digest as sha256},
    rand::{SecureRandom, SystemRandom},
};
use serde_json::{Value, json};

use crate::Api;

fn etag(user: &SftpUser) -> String {
    format!("\"{}\"", &digest(&[json!(user).to_string().as_bytes()])[..22])
}

/// As `ssh-keygen -l` shows it.
fn fingerprint(key: &SshKey) -> String {
    format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(sha256(&SHA256, key.blob())))
}

fn shown(user: &SftpUser) -> Value {
    json!({
        "name": user.name,
        "etag": etag(user),
        "prefix": user.prefix(),
        "fingerprints": user.keys.iter().map(fingerprint).collect::<Vec<_>>(),
        "hasPassword": user.password.is_some(),
        "user": { "keys": user.keys, "home": user.home, "sources": user.sources, "paused": user.paused },
    })
}

fn missing(name: &str) -> Problem {
    Problem::new(Code::UserNotFound, format!("there is no user `{}`", quoted(name)))
}

fn stale(user: &SftpUser) -> Problem {
    let tag = etag(user);
    let detail = format!("it was changed since; its ETag is {tag}");
    Problem::new(Code::PreconditionFailed, detail).with_header(header::ETAG, tag)
}

pub(crate) async fn list(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (limit, after) = (call.limit()?, api.cursors.place::<SftpName>(call, "sftp-users")?);
    let Page { items, next } = api.catalog.sftp_users(call.tenant()?, after.as_ref(), limit).await?;
    api.cursors.page(call, "sftp-users", items.iter().map(shown).collect(), next)
}

pub(crate) async fn get(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let name = call.value(0);
    let id: SftpName = name.parse().map_err(|_| missing(name))?;
    let tenant = call.tenant()?;
    let user = api.catalog.sftp_user(&id).await?.filter(|user| user.tenant == *tenant);
    let user = user.ok_or_else(|| missing(name))?;
    let tag = etag(&user);
    let known = is_known(&call.headers, &tag)?;
    let answer = if known { Answer::not_modified() } else { Answer::ok(shown(&user)) };
    Ok(answer.with_header(header::ETAG, tag).with_header(header::CACHE_CONTROL, "private, no-cache"))
}

/// What stands there, if the write may be made.
fn before(
    write: &Write,
    found: Option<SftpUser>,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<SftpUser>, Problem> {
    match (write, found) {
        (Write::Create, None) => Ok(None),
        (Write::Create, Some(user)) if user.tenant == *tenant => Err(stale(&user)),
        (Write::Create, Some(_)) => {
            Err(Problem::new(Code::UserNameTaken, format!("the name {name} is not free")))
        }
        (Write::Change(tags), Some(user)) if user.tenant == *tenant => {
            if tags.has(&etag(&user)) {
                Ok(Some(user))
            } else {
                Err(stale(&user))
            }
        }
        (Write::Change(_), _) => Err(missing(name)),
    }
}

pub(crate) async fn put(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let text = call.value(0);
    let name: SftpName = text.parse().map_err(|error| Problem::new(Code::UserName, format!("{error}")))?;
    let write = Write::of(&call.headers)?;
    let body = call.json()?;
    let tenant = api.tenant_of(call).await?.id;
    let found = before(&write, api.catalog.sftp_user(&name).await?, &tenant, text)?;
    let kept = found.as_ref().and_then(|user| user.password.clone());
    let user = parse(&body, name, tenant, kept);
    let user = user.map_err(|faults| Problem::faulty(Code::BodyInvalid, faults))?;
    match api.catalog.save_sftp_user(&user, found.as_ref()).await {
        Ok(Put::Done) => {}
        Ok(Put::Stale) => {
            let now = before(&write, api.catalog.sftp_user(&user.name).await?, &user.tenant, text)?;
            return Err(now.as_ref().map_or_else(|| missing(text), stale));
        }
        // The answer was lost: what stands there says whether it was done.
        Err(error) if error.kind == StoreErrorKind::Indeterminate => {
            if api.catalog.sftp_user(&user.name).await?.as_ref() != Some(&user) {
                return Err(error.into());
            }
        }
        Err(error) => return Err(error.into()),
    }
    let status = if found.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    let answer = Answer::new(status, shown(&user)).with_header(header::ETAG, etag(&user));
    Ok(if found.is_none() {
        answer.with_header(header::LOCATION, format!("/v1/sftp-users/{}", user.name))
    } else {
        answer
    })
}

/// A user of this body, with the password that was kept where it says nothing of one; every fault where it is none.
fn parse(
    body: &Value,
    name: SftpName,
    tenant: TenantId,
    kept: Option<PasswordHash>,
) -> Result<SftpUser, Vec<Fault>> {
    let Some(fields) = body.as_object() else { return Err(vec![Fault::new("", "must be an object")]) };
    let mut faults = Vec::new();
    unknown(fields, "", &["keys", "password", "home", "sources", "paused"], &mut faults);
    let keys: Vec<SshKey> = each(fields.get("keys"), "/keys", MOST_KEYS, &mut faults);
    let sources = each(fields.get("sources"), "/sources", MOST_SOURCES, &mut faults);
    let mut seen = HashSet::new();
    if faults.is_empty() {
        let twice = keys.iter().enumerate().filter(|(_, key)| !seen.insert(key.blob()));
        faults.extend(twice.map(|(at, _)| Fault::new(format!("/keys/{at}"), "stands there a second time")));
    }
    let home = match fields.get("home").map(Value::as_str) {
        None => Folder::default(),
        Some(home) => home.unwrap_or("/").parse().unwrap_or_else(|error| {
            faults.push(Fault::new("/home", format!("{error}")));
            Folder::default()
        }),
    };
    let paused = match fields.get("paused").map(Value::as_bool) {
        None => false,
        Some(paused) => paused.unwrap_or_else(|| {
            faults.push(Fault::new("/paused", "must be true or false"));
            false
        }),
    };
    let password = password(fields.get("password"), kept, &mut faults);
    if faults.is_empty() {
        Ok(SftpUser { name, tenant, keys, password, home, sources, paused })
    } else {
        Err(faults)
    }
}

/// Whoever reads a user and writes it again knows no password and keeps it; `null` takes it away. It is hashed last, and
/// not for nothing: that takes its time.
fn password(
    value: Option<&Value>,
    kept: Option<PasswordHash>,
    faults: &mut Vec<Fault>,
) -> Option<PasswordHash> {
    let text = match value {
        None => return kept,
        Some(Value::Null) => return None,
        Some(value) => value.as_str().unwrap_or_default(),
    };
    let mut salt = [0; SALT];
    let hash = match text.parse::<Password>() {
        Err(error) => Err(error.to_string()),
        Ok(_) if !faults.is_empty() => return None,
        Ok(password) => {
            let salted = SystemRandom::new().fill(&mut salt).map_err(|_| "cannot be salted".to_owned());
            salted.and_then(|()| PasswordHash::of(&password, salt).map_err(|error| error.to_string()))
        }
    };
    hash.map_err(|error| faults.push(Fault::new("/password", error))).ok()
}

fn each<T: std::str::FromStr<Err: std::fmt::Display>>(
    value: Option<&Value>,
    path: &str,
    most: usize,
    faults: &mut Vec<Fault>,
) -> Vec<T> {
    let Some(value) = value else { return Vec::new() };
    let Some(items) = value.as_array().filter(|items| items.len() <= most) else {
        faults.push(Fault::new(path, format!("must be a list of at most {most}")));
        return Vec::new();
    };
    let mut read = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item.as_str().map(str::parse::<T>) {
            Some(Ok(item)) => read.push(item),
            Some(Err(error)) => faults.push(Fault::new(format!("{path}/{at}"), error.to_string())),
            None => faults.push(Fault::new(format!("{path}/{at}"), "must be text")),
        }
    }
    read
}
