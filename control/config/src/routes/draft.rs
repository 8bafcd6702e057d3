//! From a body to a route that could be saved.

use eft_api::{Answer, Call, Code, Fault, Problem};
use eft_domain::{
    Route, RouteId, Tenant, TenantId,
    route::{Profile, RouteTable},
};
use serde_json::json;

use crate::Api;

/// JSON, and what YAML is called: RFC 9512, and what it was called before.
const JSON: &str = "application/json";
const YAML: [&str; 3] = ["application/yaml", "application/x-yaml", "text/yaml"];

/// A text of a route, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Json(&'a str),
    Yaml(&'a str),
}

impl<'a> Text<'a> {
    pub(super) fn of(call: &'a Call) -> Result<Self, Problem> {
        let kind = call.media_type();
        match kind.as_deref() {
            Some(JSON) => Ok(Self::Json(call.text()?)),
            Some(kind) if YAML.contains(&kind) => Ok(Self::Yaml(call.text()?)),
            _ => Err(Problem::new(Code::MediaType, "a route is to be application/json or application/yaml")),
        }
    }

    /// The route, with whose it is where the text does not say; with its name, if one is known.
    pub(super) fn route(self, id: Option<&RouteId>, tenant: &TenantId) -> Result<Route, Vec<Fault>> {
        let parsed = match self {
            Self::Json(text) => Route::parse_json(text, Profile::Named),
            Self::Yaml(text) => Route::parse_yaml(text, Profile::Named),
        };
        let mut route = parsed.map_err(|errors| errors.0.into_iter().map(Fault::from).collect::<Vec<_>>())?;
        route.tenant.get_or_insert_with(|| tenant.clone());
        let Some(id) = id else { return Ok(route) };
        match &route.id {
            Some(other) if other != id => {
                let detail = format!("the path says {id}: leave the id out, or say the same");
                Err(vec![Fault::new("/id", detail)])
            }
            _ => Ok(Route { id: Some(id.clone()), ..route }),
        }
    }
}

impl Api {
    /// The caller's tenant.
    pub(crate) async fn tenant_of(&self, call: &Call) -> Result<Tenant, Problem> {
        let id = call.tenant()?;
        let tenant = self.catalog.tenant(id).await?;
        tenant.ok_or_else(|| Problem::new(Code::TenantUnknown, format!("tenant {id} is not set up")))
    }
}

/// Whether all routes of a tenant can be read: what takes a key, and what ties, is not known otherwise. A revision that cannot
/// be read is itself mended by saving the route, where it is the only one.
pub(super) fn readable(
    table: &RouteTable,
    tenant: &TenantId,
    saved: Option<&RouteId>,
) -> Result<(), Problem> {
    match table.unreadable(tenant).find(|(id, _)| Some(*id) != saved) {
        None => Ok(()),
        Some((id, why)) => {
            let detail =
                format!("route {id} cannot be read, so that no other can be compared with it: {why}");
            Err(Problem::new(Code::Unavailable, detail))
        }
    }
}

/// What keeps a route from being saved besides its own text. Beside whom it may not stand is told only of routes in the
/// tenant's own place.
pub(super) fn admit(route: &Route, tenant: &Tenant, table: &RouteTable) -> Result<(), Problem> {
    let faults: Vec<_> = tenant.faults(route).into_iter().map(Fault::from).collect();
    if !faults.is_empty() {
        return Err(Problem::faulty(Code::RouteInvalid, faults));
    }
    readable(table, &tenant.id, route.id.as_ref())?;
    table.admit(route).map_err(|tie| {
        let detail = tie.to_string();
        let detail = detail.strip_prefix("match: ").unwrap_or(&detail);
        Problem::faulty(Code::RouteAmbiguous, vec![Fault::new("/match", detail)])
    })
}

pub(crate) async fn validate(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let text = Text::of(call)?;
    let tenant = api.tenant_of(call).await?;
    let checked = match text.route(None, &tenant.id) {
        Ok(route) => match admit(&route, &tenant, api.catalog.routes().await?.as_ref()) {
            Ok(()) => Ok(route),
            Err(problem) if problem.errors.is_empty() => return Err(problem),
            Err(problem) => Err(problem.errors),
        },
        Err(faults) => Err(faults),
    };
    Ok(Answer::ok(match checked {
        Ok(route) => {
            json!({ "valid": true, "errors": [], "revision": route.revision(), "route": route.to_value() })
        }
        Err(faults) => {
            json!({ "valid": false, "errors": faults.iter().map(Fault::to_value).collect::<Vec<_>>() })
        }
    }))
}
