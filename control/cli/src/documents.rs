//! What is kept by its name and saved as a whole: tenants, partners, users of the SFTP server, and the reading of such files.

use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};

use crate::{
    args::{Documents, Files},
    client::{Answer, Client, Sent, encoded},
    diff::diff,
    fault::Fault,
    show::{Column, Shown, pretty, print},
};

/// A kind of documents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// In words.
    what: &'static str,
    /// Where they stand.
    path: &'static str,
    /// Where the caller's own stands, if it has one.
    own: Option<&'static str>,
    /// What a file calls its name.
    name: &'static str,
    /// The member of an answer that is the document.
    member: &'static str,
    columns: &'static [Column],
}

/// Tenants.
pub(crate) const TENANTS: Kind = Kind {
    what: "tenant",
    path: "/v1/tenants",
    own: Some("/v1/tenant"),
    name: "id",
    member: "tenant",
    columns: &[
        ("name", "/name"),
        ("weight", "/tenant/weight"),
        ("jobs", "/tenant/max_jobs"),
        ("bytes", "/tenant/max_bytes"),
        ("paused", "/tenant/paused"),
        ("unreadable", "/unreadable"),
    ],
};

/// Partners.
pub(crate) const PARTNERS: Kind = Kind {
    what: "partner",
    path: "/v1/partners",
    own: None,
    name: "name",
    member: "partner",
    columns: &[
        ("name", "/name"),
        ("called", "/partner/displayName"),
        ("folder", "/partner/folder"),
        ("paused", "/partner/paused"),
    ],
};

/// Users of the SFTP server.
pub(crate) const USERS: Kind = Kind {
    what: "user",
    path: "/v1/sftp-users",
    own: None,
    name: "name",
    member: "user",
    columns: &[
        ("name", "/name"),
        ("partner", "/user/partner"),
        ("prefix", "/prefix"),
        ("from", "/user/sources"),
        ("paused", "/user/paused"),
        ("keys", "/fingerprints"),
    ],
};

/// Does what was typed.
pub(crate) async fn run(client: &Client, shown: Shown, kind: Kind, command: &Documents) -> Result<u8, Fault> {
    match command {
        Documents::List(page) => {
            shown.list(&client.list(kind.path, &[], page.limit).await?, kind.columns)?;
        }
        Documents::Show { name } => {
            let path = match (name, kind.own) {
                (Some(name), _) => format!("{}/{}", kind.path, encoded(name)),
                (None, Some(own)) => own.to_owned(),
                (None, None) => return Err(Fault::usage(format!("which {}? give its name", kind.what))),
            };
            shown.document(&client.get(&path).await?.body, kind.columns)?;
        }
        Documents::Plan(Files { files }) => {
            for path in files {
                kind.plan(client, shown, path).await?;
            }
        }
        Documents::Apply(Files { files }) => {
            for path in files {
                kind.apply(client, shown, path).await?;
            }
        }
        Documents::Remove { name } => {
            let path = format!("{}/{}", kind.path, encoded(name));
            let found = client.get(&path).await?;
            let sent = Sent::default().if_unchanged(found.etag.as_deref())?;
            client.ask(Method::DELETE, &path, sent).await?;
            print(&format!("{} {name}: removed", kind.what))?;
        }
    }
    Ok(0)
}

impl Kind {
    /// What a file holds: the name, the document without it, and what stands there now.
    async fn read(self, client: &Client, path: &Path) -> Result<(String, Value, Option<Answer>), Fault> {
        let mut document = document(path)?;
        let named = document.as_object_mut().and_then(|map| map.remove(self.name));
        let Some(Value::String(name)) = named else {
            return Err(Fault::file(path, format!("`{}` is missing: it is the name", self.name)));
        };
        let found = client.find(&format!("{}/{}", self.path, encoded(&name))).await?;
        Ok((name, document, found))
    }

    /// What stands there now.
    fn standing(self, found: Option<&Answer>) -> Value {
        let standing = found.and_then(|answer| answer.body.get(self.member)).cloned();
        let mut standing = standing.unwrap_or_else(|| json!({}));
        if let Some(members) = standing.as_object_mut() {
            members.remove(self.name);
        }
        standing
    }

    async fn plan(self, client: &Client, shown: Shown, path: &Path) -> Result<(), Fault> {
        let (name, mut document, found) = self.read(client, path).await?;
        let secret = take_secret(&mut document);
        let mut before = self.standing(found.as_ref());
        // What a file leaves out gets its default: that is a change, unless it is as empty as defaults are.
        if let (Some(before), Some(after)) = (before.as_object_mut(), document.as_object()) {
            before.retain(|name, value| after.contains_key(name) || !is_empty(value));
        }
        let changes = [diff(&before, &document), secret].concat();
        report(shown, self.what, &name, found.is_some(), &changes)
    }

    async fn apply(self, client: &Client, shown: Shown, path: &Path) -> Result<(), Fault> {
        let (name, mut document, found) = self.read(client, path).await?;
        let sent =
            Sent::json(&document).if_unchanged(found.as_ref().and_then(|found| found.etag.as_deref()))?;
        let saved = client.ask(Method::PUT, &format!("{}/{}", self.path, encoded(&name)), sent).await?;
        if shown.json {
            return shown.document(&saved.body, &[]);
        }
        let changes = diff(&self.standing(found.as_ref()), &self.standing(Some(&saved)));
        report(shown, self.what, &name, found.is_some(), &[changes, take_secret(&mut document)].concat())
    }
}

/// Takes the password out of a user's document, and says only what becomes of it: output is kept in logs.
fn take_secret(document: &mut Value) -> Vec<String> {
    let secret = document.as_object_mut().and_then(|members| members.remove("password"));
    match secret {
        None => Vec::new(),
        Some(Value::Null) => vec!["  - /password".to_owned()],
        Some(_) => vec!["  + /password: set".to_owned()],
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(_) => false,
    }
}

/// Says what changes, or has changed.
pub(crate) fn report(
    shown: Shown,
    what: &str,
    name: &str,
    is_there: bool,
    changes: &[String],
) -> Result<(), Fault> {
    if shown.json {
        return print(&pretty(&json!({ "kind": what, "name": name, "new": !is_there, "changes": changes })));
    }
    let how = match (is_there, changes.is_empty()) {
        (false, _) => "new",
        (true, true) => "as it was",
        (true, false) => "changed",
    };
    print(&[&[format!("{what} {name}: {how}")], changes].concat().join("\n"))
}

/// The text of a file, and whether it is JSON: a name that does not end in `.json` is one of YAML.
pub(crate) fn text(path: &Path) -> Result<(String, bool), Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| Fault::file(path, error))?;
    Ok((text, path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))))
}

/// The document in a file.
pub(crate) fn document(path: &Path) -> Result<Value, Fault> {
    let (text, is_json) = text(path)?;
    let document = if is_json {
        serde_json::from_str(&text).map_err(|error| Fault::file(path, error))
    } else {
        serde_saphyr::from_str(&text).map_err(|error| Fault::file(path, error))
    };
    document.and_then(|document: Value| {
        if document.is_object() {
            Ok(document)
        } else {
            Err(Fault::file(path, "does not hold names with values"))
        }
    })
}

/// Files, so that a fault in the second is found before the first is saved.
pub(crate) fn all(files: &[PathBuf]) -> Result<Vec<(&Path, Value)>, Fault> {
    files.iter().map(|path| Ok((path.as_path(), document(path)?))).collect()
}
