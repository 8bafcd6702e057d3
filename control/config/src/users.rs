//! Users of the SFTP server and their keys.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use eft_api::{
    Answer, Call, Code, Fault, Problem,
    call::shown as quoted,
    precondition::{Write, removal},
    problem::unknown,
};
use eft_domain::{
    Partner, TenantId,
    sftp::{MOST_KEYS, MOST_SOURCES, Password, PasswordHash, SALT, SftpName, SftpUser, SshKey},
};
use eft_store::Page;
use ring::{
    digest::{SHA256, digest as sha256},
    rand::{SecureRandom, SystemRandom},
};
use serde_json::{Value, json};

use crate::{
    Api,
    document::{Document, as_read, before, read, removed, saved, shown},
    fields::{each, folder, parsed, switch},
    partners,
};

/// As `ssh-keygen -l` shows it.
fn fingerprint(key: &SshKey) -> String {
    format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(sha256(&SHA256, key.blob())))
}

impl Document for SftpUser {
    fn text(&self) -> Value {
        json!(self)
    }

    fn path(&self) -> String {
        format!("/v1/sftp-users/{}", self.name)
    }

    fn shown(&self) -> Value {
        let mut user =
            json!({ "keys": self.keys, "home": self.home, "sources": self.sources, "paused": self.paused });
        if let Some(partner) = &self.partner {
            user["partner"] = json!(partner);
        }
        json!({
            "name": self.name,
            "prefix": self.prefix(),
            "fingerprints": self.keys.iter().map(fingerprint).collect::<Vec<_>>(),
            "hasPassword": self.password.is_some(),
            "user": user,
        })
    }

    fn missing(name: &str) -> Problem {
        Problem::new(Code::UserNotFound, format!("there is no user `{}`", quoted(name)))
    }
}

pub(crate) async fn list(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (limit, after) = (call.limit()?, api.cursors.place::<SftpName>(call, "sftp-users")?);
    let Page { items, next } = api.catalog.sftp_users(call.tenant()?, after.as_ref(), limit).await?;
    api.cursors.page(call, "sftp-users", items.iter().map(shown).collect(), next)
}

/// The user of this name, if it is of the caller's tenant.
async fn own(api: &Api, call: &Call, name: &SftpName) -> Result<Option<SftpUser>, Problem> {
    let tenant = call.tenant()?;
    Ok(api.catalog.sftp_user(name).await?.filter(|user| user.tenant == *tenant))
}

/// As [`own`], for whoever may make one: a name that is another tenant's is not free.
async fn own_or_free(
    api: &Api,
    call: &Call,
    write: &Write,
    name: &SftpName,
) -> Result<Option<SftpUser>, Problem> {
    let (tenant, found) = (call.tenant()?, api.catalog.sftp_user(name).await?);
    match found {
        Some(user) if user.tenant != *tenant && *write == Write::Create => {
            Err(Problem::new(Code::UserNameTaken, format!("the name {name} is not free")))
        }
        found => Ok(found.filter(|user| user.tenant == *tenant)),
    }
}

/// The user that the path names; a name that no user can have is that of no user.
fn named(call: &Call) -> Result<SftpName, Problem> {
    call.value(0).parse().map_err(|_| SftpUser::missing(call.value(0)))
}

pub(crate) async fn get(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let user = own(api, call, &named(call)?).await?;
    read(call, &user.ok_or_else(|| SftpUser::missing(call.value(0)))?)
}

pub(crate) async fn put(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let text = call.value(0);
    let name: SftpName = text.parse().map_err(|error| Problem::new(Code::UserName, format!("{error}")))?;
    let write = Write::of(&call.headers)?;
    let body = call.json()?;
    let tenant = api.tenant_of(call).await?.id;
    let found = before(&write, own_or_free(api, call, &write, &name).await?, text)?;
    let kept = found.as_ref().and_then(|user| user.password.clone());
    let partner = partners::named_in(api, &tenant, &body).await?;
    let user = parse(&body, name, tenant, partner, kept);
    let user = user.map_err(|faults| Problem::faulty(Code::BodyInvalid, faults))?;
    let written = api.catalog.save_sftp_user(&user, found.as_ref()).await;
    saved(&user, found.is_none(), written, text, own_or_free(api, call, &write, &user.name)).await
}

pub(crate) async fn remove(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (name, tags) = (named(call)?, removal(&call.headers)?);
    let user = as_read(&tags, own(api, call, &name).await?, call.value(0))?;
    let written = api.catalog.remove_sftp_user(&user).await;
    removed(written, call.value(0), own(api, call, &name)).await
}

/// A user of this body, with the password that was kept where it says nothing of one; every fault where it is none.
fn parse(
    body: &Value,
    name: SftpName,
    tenant: TenantId,
    partner: Result<Option<Partner>, Fault>,
    kept: Option<PasswordHash>,
) -> Result<SftpUser, Vec<Fault>> {
    let Some(fields) = body.as_object() else { return Err(vec![Fault::new("", "must be an object")]) };
    let mut faults = Vec::new();
    unknown(fields, "", &["keys", "password", "partner", "home", "sources", "paused"], &mut faults);
    let keys: Vec<SshKey> = each(fields, "keys", MOST_KEYS, &mut faults, parsed);
    let sources = each(fields, "sources", MOST_SOURCES, &mut faults, parsed);
    let mut seen = HashSet::new();
    if faults.is_empty() {
        let twice = keys.iter().enumerate().filter(|(_, key)| !seen.insert(key.blob()));
        faults.extend(twice.map(|(at, _)| Fault::new(format!("/keys/{at}"), "stands there a second time")));
    }
    let home = folder(fields, "home", &mut faults);
    let partner = partner.unwrap_or_else(|fault| {
        faults.push(fault);
        None
    });
    if let (Some(partner), Some(home)) = (&partner, &home)
        && !partner.holds(home)
    {
        let detail = format!("must start with `{}`, the folder of partner {}", partner.folder, partner.id);
        faults.push(Fault::new("/home", detail));
    }
    let partner = partner.map(|partner| partner.id);
    let paused = switch(fields, "paused", &mut faults);
    let password = password(fields.get("password"), kept, &mut faults);
    match home {
        Some(home) if faults.is_empty() => {
            Ok(SftpUser { name, tenant, keys, password, partner, home, sources, paused })
        }
        _ => Err(faults),
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
