//! Routes.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::{
    args::{Files, Routes},
    client::{Answer, Client, Sent, encoded},
    diff::diff,
    documents::{all, document, report, text},
    fault::{Fault, of_body},
    show::{Column, Shown, pretty, print},
};

const LIST: &[Column] = &[
    ("name", "/name"),
    ("state", "/state"),
    ("revision", "/revision"),
    ("changed", "/changedAt"),
    ("by", "/changedBy"),
];
const CHANGES: &[Column] = &[
    ("change", "/change"),
    ("state", "/state"),
    ("revision", "/revision"),
    ("changed", "/changedAt"),
    ("by", "/changedBy"),
];
const SIMULATION: &[Column] = &[
    ("key", "/key"),
    ("outcome", "/outcome"),
    ("reason", "/reason"),
    ("code", "/code"),
    ("remedy", "/remedy"),
    ("route", "/route/name"),
    ("runner", "/plan/runner"),
    ("because", "/plan/runnerReason"),
    ("complete", "/plan/completeWhen"),
    ("stages", "/plan/stages"),
    ("destinations", "/plan/destinations"),
];

/// Does what was typed.
pub(crate) async fn run(client: &Client, shown: Shown, command: &Routes) -> Result<u8, Fault> {
    match command {
        Routes::List(page) => shown.list(&client.list("/v1/routes", &[], page.limit).await?, LIST)?,
        Routes::Show { name, revision } => {
            let revision = revision.as_ref().map(|revision| format!("/revisions/{}", encoded(revision)));
            let path = format!("{}{}", place(name), revision.unwrap_or_default());
            let body = client.get(&path).await?.body;
            if shown.json {
                return shown.document(&body, &[]).map(|()| 0);
            }
            shown.document(&body, LIST)?;
            print(&pretty(body.get("route").unwrap_or(&Value::Null)))?;
        }
        Routes::Revisions { name, page } => {
            let list = client.list(&format!("{}/revisions", place(name)), &[], page.limit).await?;
            shown.list(&list, CHANGES)?;
        }
        Routes::Validate(Files { files }) => return validate(client, shown, files).await,
        Routes::Plan(Files { files }) => {
            for (path, document) in all(files)? {
                let draft = Draft::of(client, path, &document).await?;
                report(shown, "route", &draft.name, draft.found.is_some(), &draft.changes())?;
            }
        }
        Routes::Apply(Files { files }) => {
            for (path, document) in all(files)? {
                let draft = Draft::of(client, path, &document).await?;
                let sent =
                    body(path)?.if_unchanged(draft.found.as_ref().and_then(|found| found.etag.as_deref()))?;
                let saved = client.ask(Method::PUT, &place(&draft.name), sent).await?;
                if shown.json {
                    shown.document(&saved.body, &[])?;
                } else {
                    report(shown, "route", &draft.name, draft.found.is_some(), &draft.changes())?;
                }
            }
        }
        Routes::Pause { name } => {
            shown.document(&client.act(&format!("{}:pause", place(name)), None).await?.body, LIST)?;
        }
        Routes::Activate { name } => {
            shown.document(&client.act(&format!("{}:activate", place(name)), None).await?.body, LIST)?;
        }
        Routes::Simulate { name, size, route } => {
            let mut asked = json!({ "name": name, "size": size });
            if let Some(path) = route {
                asked["route"] = document(path)?;
            }
            let answer = client.ask(Method::POST, "/v1/routes:simulate", Sent::json(&asked)).await?;
            shown.document(&answer.body, SIMULATION)?;
        }
    }
    Ok(0)
}

fn place(name: &str) -> String {
    format!("/v1/routes/{}", encoded(name))
}

/// A file as it is sent: faults are then told with the line of the file.
fn body(path: &Path) -> Result<Sent, Fault> {
    let (text, is_json) = text(path)?;
    let kind = if is_json { "application/json" } else { "application/yaml" };
    Ok(Sent { body: Some((kind, Bytes::from(text))), ..Sent::default() })
}

async fn checked(client: &Client, path: &Path) -> Result<Value, Fault> {
    Ok(client.ask(Method::POST, "/v1/routes:validate", body(path)?).await?.body)
}

/// What the API says against a route.
fn faults(checked: &Value) -> String {
    let faults = checked.get("errors").and_then(Value::as_array).into_iter().flatten();
    faults.map(of_body).collect::<Vec<_>>().join("\n")
}

async fn validate(client: &Client, shown: Shown, files: &[std::path::PathBuf]) -> Result<u8, Fault> {
    let mut code = 0;
    for path in files {
        let checked = checked(client, path).await?;
        let valid = checked.get("valid") == Some(&Value::Bool(true));
        if shown.json {
            shown.document(&checked, &[])?;
        } else if valid {
            print(&format!("{}: fine", path.display()))?;
        } else {
            print(&format!("{}:\n{}", path.display(), faults(&checked)))?;
        }
        if !valid {
            code = 2;
        }
    }
    Ok(code)
}

/// A route in a file, beside what stands under its name.
struct Draft {
    name: String,
    /// With every default, as it would be kept.
    route: Value,
    found: Option<Answer>,
}

impl Draft {
    async fn of(client: &Client, path: &Path, document: &Value) -> Result<Self, Fault> {
        let Some(Value::String(name)) = document.get("id") else {
            return Err(Fault::file(path, "`id` is missing: it is the route's name"));
        };
        let checked = checked(client, path).await?;
        let Some(route) = checked.get("route").cloned() else {
            return Err(Fault::file(path, format!("it cannot be saved:\n{}", faults(&checked))));
        };
        Ok(Self { name: name.clone(), route, found: client.find(&place(name)).await? })
    }

    fn changes(&self) -> Vec<String> {
        let before = self.found.as_ref().and_then(|found| found.body.get("route")).cloned();
        diff(&before.unwrap_or_else(|| json!({})), &self.route)
    }
}
