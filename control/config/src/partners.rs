//! Partners: the organisations that send files to a tenant.
//!
//! A partner and its users are saved each by itself. Whoever changes one looks at the other, and whoever changes both at once
//! may leave a user that does not fit its partner: it cannot log in ([`Partner::bars`]).

use eft_api::{
    Answer, Call, Code, Fault, Problem,
    call::shown as quoted,
    precondition::{Write, removal},
    problem::unknown,
};
use eft_domain::{
    Partner, PartnerId, TenantId,
    partner::{Contact, MOST_CHARS, MOST_CONTACTS},
    sftp::{SftpName, SftpUser},
};
use eft_store::Page;
use serde_json::{Map, Value, json};

use crate::{
    Api,
    document::{Document, as_read, before, read, removed, saved, shown},
    fields::{each, folder, parsed, switch},
};

/// Users that are looked at in one go, of all of a tenant.
const AT_ONCE: u16 = 200;

impl Document for Partner {
    fn text(&self) -> Value {
        json!(self)
    }

    fn path(&self) -> String {
        format!("/v1/partners/{}", self.id)
    }

    fn shown(&self) -> Value {
        let partner = json!({
            "displayName": self.display_name,
            "contacts": self.contacts,
            "folder": self.folder,
            "paused": self.paused,
        });
        json!({ "name": self.id, "partner": partner })
    }

    fn missing(name: &str) -> Problem {
        Problem::new(Code::PartnerNotFound, format!("there is no partner `{}`", quoted(name)))
    }
}

async fn find(api: &Api, call: &Call, id: &PartnerId) -> Result<Option<Partner>, Problem> {
    Ok(api.catalog.partner(call.tenant()?, id).await?)
}

/// The partner that the path names; a name that no partner can have is that of no partner.
fn named(call: &Call) -> Result<PartnerId, Problem> {
    call.value(0).parse().map_err(|_| Partner::missing(call.value(0)))
}

/// The partner that the body of a user names, if it names one; a fault of the body where there is none.
pub(crate) async fn named_in(
    api: &Api,
    tenant: &TenantId,
    body: &Value,
) -> Result<Result<Option<Partner>, Fault>, Problem> {
    let Some(value) = body.get("partner") else { return Ok(Ok(None)) };
    let mut faults = Vec::new();
    let Some(id) = parsed::<PartnerId>(value, "/partner", &mut faults) else {
        return Ok(faults.pop().map_or(Ok(None), Err));
    };
    let partner = api.catalog.partner(tenant, &id).await?;
    Ok(partner.map(Some).ok_or_else(|| Fault::new("/partner", format!("there is no partner {id}"))))
}

/// Refuses what would leave one of a partner's users out.
async fn spare(api: &Api, partner: &Partner, is_left_out: impl Fn(&SftpUser) -> bool) -> Result<(), Problem> {
    let mut after = None::<SftpName>;
    loop {
        let page = api.catalog.sftp_users(&partner.tenant, after.as_ref(), AT_ONCE).await?;
        let mut users = page.items.iter().filter(|user| user.partner.as_ref() == Some(&partner.id));
        if let Some(user) = users.find(|user| is_left_out(user)) {
            let detail = format!("user {} of partner {} sends to `{}`", user.name, partner.id, user.home);
            return Err(Problem::new(Code::PartnerInUse, detail));
        }
        let Some(next) = page.next else { return Ok(()) };
        let next: SftpName =
            next.parse().map_err(|error| Problem::internal(format!("a list of users goes on at {error}")))?;
        after = Some(next);
    }
}

pub(crate) async fn list(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (limit, after) = (call.limit()?, api.cursors.place::<PartnerId>(call, "partners")?);
    let Page { items, next } = api.catalog.partners(call.tenant()?, after.as_ref(), limit).await?;
    api.cursors.page(call, "partners", items.iter().map(shown).collect(), next)
}

pub(crate) async fn get(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let partner = find(api, call, &named(call)?).await?;
    read(call, &partner.ok_or_else(|| Partner::missing(call.value(0)))?)
}

pub(crate) async fn put(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let name = call.value(0);
    let id: PartnerId = name.parse().map_err(|error| Problem::new(Code::PartnerName, format!("{error}")))?;
    let write = Write::of(&call.headers)?;
    let body = call.json()?;
    let tenant = api.tenant_of(call).await?.id;
    let found = before(&write, find(api, call, &id).await?, name)?;
    let partner = parse(&body, id, tenant).map_err(|faults| Problem::faulty(Code::BodyInvalid, faults))?;
    if found.as_ref().is_some_and(|found| found.folder != partner.folder) {
        spare(api, &partner, |user| !partner.holds(&user.home)).await?;
    }
    let written = api.catalog.save_partner(&partner, found.as_ref()).await;
    saved(&partner, found.is_none(), written, name, find(api, call, &partner.id)).await
}

pub(crate) async fn remove(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let (id, tags) = (named(call)?, removal(&call.headers)?);
    let partner = as_read(&tags, find(api, call, &id).await?, call.value(0))?;
    spare(api, &partner, |_| true).await?;
    let written = api.catalog.remove_partner(&partner).await;
    removed(written, call.value(0), find(api, call, &id)).await
}

/// A partner of this body; every fault where it is none.
fn parse(body: &Value, id: PartnerId, tenant: TenantId) -> Result<Partner, Vec<Fault>> {
    let Some(fields) = body.as_object() else { return Err(vec![Fault::new("", "must be an object")]) };
    let mut faults = Vec::new();
    unknown(fields, "", &["displayName", "contacts", "folder", "paused"], &mut faults);
    let display_name = words(fields, "displayName", "", &mut faults).unwrap_or_default();
    let contacts = each(fields, "contacts", MOST_CONTACTS, &mut faults, contact);
    let folder = folder(fields, "folder", &mut faults);
    let paused = switch(fields, "paused", &mut faults);
    match folder {
        Some(folder) if faults.is_empty() => {
            Ok(Partner { id, tenant, display_name, contacts, folder, paused })
        }
        _ => Err(faults),
    }
}

fn contact(value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Contact> {
    let Some(fields) = value.as_object() else {
        faults.push(Fault::new(path, "must be an object with `email` and perhaps `name`"));
        return None;
    };
    unknown(fields, path, &["name", "email"], faults);
    let name = words(fields, "name", path, faults);
    let email = fields.get("email").unwrap_or(&Value::Null);
    Some(Contact { name, email: parsed(email, &format!("{path}/email"), faults)? })
}

/// What people are called.
fn words(fields: &Map<String, Value>, name: &str, path: &str, faults: &mut Vec<Fault>) -> Option<String> {
    let text = fields.get(name)?.as_str();
    let is_right = |text: &&str| text.chars().count() <= MOST_CHARS && !text.contains(char::is_control);
    let text = text.filter(is_right).map(ToOwned::to_owned);
    if text.is_none() {
        let detail = format!("must be text of one line, of at most {MOST_CHARS} characters");
        faults.push(Fault::new(format!("{path}/{name}"), detail));
    }
    text
}
