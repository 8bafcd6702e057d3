//! Reads the sidecar of a source: whole, before the plan is made, and never more than a sidecar is.

use eft_domain::{Code, Failure, ObjectUri, Route};
use eft_pipeline::{
    error::of_source,
    fetch::bytes_of,
    port::ErrorKind,
    sidecar::{Expected, MAX_SIDECAR, expected, wanted},
};

use crate::{place, s3::Client};

/// What the sidecar that the route asks for says of the source; `None` for a route without one.
///
/// # Errors
/// `configuration` for a source that has no name, `sidecar.missing`, `sidecar.invalid`, and what reading may fail with.
pub async fn read(client: &Client, route: &Route, source: &ObjectUri) -> Result<Option<Expected>, Failure> {
    let Some(spec) = wanted(&route.stages) else { return Ok(None) };
    let name = source.name();
    let Some(uri) = source.beside(&spec.object_of(name)).filter(|_| !name.is_empty()) else {
        let message = format!(
            "the route checks a sidecar, and nothing stands beside {source}: name an object or a file"
        );
        return Err(Failure::new(Code::Configuration, message));
    };
    let opened = place::source(client, &uri).await.map_err(|error| match error.kind {
        ErrorKind::NotFound => {
            let message = format!("{uri} is not there, and the route checks {name} against it");
            Failure::new(Code::SidecarMissing, message)
        }
        _ => of_source(&error),
    })?;
    let size = opened.source.size().unwrap_or(u64::MAX);
    if size > MAX_SIDECAR {
        let message = format!("{uri} has {size} bytes, a sidecar at most {MAX_SIDECAR}");
        return Err(Failure::new(Code::SidecarInvalid, message));
    }
    let text = bytes_of(opened.source.as_ref()).await?;
    expected(&text, &uri.to_string(), name, spec.digest).map(Some)
}
