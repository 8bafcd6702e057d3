//! What a run reads: the source as it was named, and what that turns out to be. All of it is settled before the plan is
//! made: the sidecar is read, an archive's directory, or a manifest and every object it names.

use std::sync::Arc;

use eft_domain::{
    Code, Failure, ObjectUri, Route,
    route::{ConcatSpec, OnEmpty, StageSpec, UnzipSpec},
};
use eft_pipeline::{
    concat::Concat,
    error::of_source,
    fetch::bytes_of,
    manifest::{MAX_MANIFEST, Named, named},
    port::{ErrorKind, PortError},
    retry::RetryPolicy,
    sidecar::Expected,
    zip::{Archive, Packed, Unpacked},
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    local::LocalSource,
    place::{self, Opened},
    s3::Client,
    sidecar,
};

/// Most entries that become objects of their own: each is an upload that stays open until all are published, as the
/// objects of a `split` are.
const MAX_APART: usize = 10_000;

/// What was found beside the source, and in it.
pub(crate) struct Found {
    /// What its sidecar says.
    pub(crate) expected: Option<Expected>,
    /// The entries of the archive that it is.
    pub(crate) archive: Option<Unpacked>,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// The store's checksum of it follows from those of its parts, if it has one: they may be read in any order.
    pub(crate) passes: bool,
}

/// Find what the plan needs to know of the source besides its size. An archive's entries, and the objects of a manifest,
/// are the source from then on. They are looked at `ahead` at a time. With `apart` each entry goes to a place of its own.
///
/// # Errors
/// `source.empty`, `sidecar.*`, `archive.*`, `manifest.*` and `limit.*` as they are, and what reading may fail with.
pub(crate) async fn look_around(
    client: &Client,
    route: &Route,
    ahead: usize,
    apart: bool,
    opened: &mut Opened,
) -> Result<Found, Failure> {
    let expected = sidecar::read(client, route, &opened.version.uri).await?;
    let (mut archive, mut names) = (None, Vec::new());
    match route.stages.first() {
        Some(StageSpec::Unzip(spec)) => {
            refuse_empty(route, opened)?;
            let (entries, named) = unpack(route, spec, ahead, opened).await?;
            if apart && entries.len() > MAX_APART {
                let observed = format!("{} files that become objects", entries.len());
                return Err(Failure::limit(Code::LimitEntries, observed, MAX_APART));
            }
            (archive, names) = (Some(Unpacked { entries: entries.into(), apart }), named);
        }
        Some(StageSpec::Concat(spec)) => {
            refuse_empty(route, opened)?;
            join(client, spec, ahead, opened).await?;
        }
        _ => {}
    }
    let passes = opened.source.checksum().is_none_or(|stored| stored.is_joined());
    Ok(Found { expected, archive, names, passes })
}

fn refuse_empty(route: &Route, opened: &Opened) -> Result<(), Failure> {
    if opened.source.size() == Some(0) && route.on_empty != OnEmpty::Accept {
        return Err(Failure::new(Code::SourceEmpty, "the source has no bytes"));
    }
    Ok(())
}

async fn unpack(
    route: &Route,
    spec: &UnzipSpec,
    ahead: usize,
    opened: &mut Opened,
) -> Result<(Vec<Packed>, Vec<String>), Failure> {
    let limits = &route.limits;
    let archive = Archive::open(Arc::clone(&opened.source), limits, RetryPolicy::DEFAULT).await?;
    let entries = match &spec.entries {
        Some(glob) => archive.matching(glob)?,
        None => vec![archive.find(spec.entry.as_deref())?],
    };
    let names = entries.iter().map(|entry| entry.name.clone()).collect();
    let (source, packed) = archive.unpack_all(&entries, limits, ahead).await?;
    opened.source = source;
    Ok((packed, names))
}

async fn join(client: &Client, spec: &ConcatSpec, ahead: usize, opened: &mut Opened) -> Result<(), Failure> {
    let manifest = opened.version.uri.clone();
    let size = opened.source.size().unwrap_or(u64::MAX);
    if size > MAX_MANIFEST {
        let message = match opened.source.size() {
            None => format!("{manifest}: a manifest is read from a file or an object, not from a stream"),
            Some(size) => format!("{manifest} has {size} bytes, a manifest at most {MAX_MANIFEST}"),
        };
        return Err(Failure::new(Code::ManifestInvalid, message));
    }
    let text = bytes_of(opened.source.as_ref()).await?;
    let objects = named(&text, &manifest, spec)?;
    let folder = folder(&manifest, spec).await?;
    let (manifest, folder) = (&manifest, folder.as_deref());
    let pieces: Vec<Opened> = stream::iter(objects)
        .map(|object| piece(client, manifest, folder, object))
        .buffered(ahead.max(1))
        .try_collect()
        .await?;
    let sources = pieces.iter().map(|piece| Arc::clone(&piece.source)).collect();
    let uri = format!("{} objects of {manifest}", pieces.len());
    opened.source = Arc::new(Concat::new(uri, sources)?);
    opened.s3 = match pieces.iter().all(|piece| !piece.s3.is_empty()) {
        true => pieces.iter().flat_map(|piece| piece.s3.iter().cloned()).collect(),
        false => Vec::new(),
    };
    opened.objects = pieces.into_iter().map(|piece| piece.version).collect();
    Ok(())
}

/// The folder on this machine that files must be in, links followed.
async fn folder(manifest: &ObjectUri, spec: &ConcatSpec) -> Result<Option<std::path::PathBuf>, Failure> {
    let folder = match (&spec.within, manifest) {
        (Some(within), _) if within.starts_with("s3://") => return Ok(None),
        (Some(within), _) => within.into(),
        (None, ObjectUri::Local(path)) => {
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref()).to_owned()
        }
        (None, _) => return Ok(None),
    };
    let real = tokio::fs::canonicalize(&folder).await;
    real.map(Some).map_err(|error| {
        Failure::new(
            Code::Configuration,
            format!("{}, where the manifest's files may be: {error}", folder.display()),
        )
    })
}

/// Open what a manifest names, if it is there and as the manifest says.
async fn piece(
    client: &Client,
    manifest: &ObjectUri,
    folder: Option<&std::path::Path>,
    object: Named,
) -> Result<Opened, Failure> {
    let Named { uri, size } = object;
    let invalid = |why: String| Err(Failure::new(Code::ManifestInvalid, format!("{manifest}: {uri} {why}")));
    let missing = |error: &PortError| match error.kind {
        ErrorKind::NotFound => {
            Failure::new(Code::ManifestMissing, format!("{uri} is not there, and {manifest} names it"))
        }
        _ => of_source(error),
    };
    let opened = match (&uri, folder) {
        (ObjectUri::Local(path), Some(folder)) => {
            let source = LocalSource::open(path).await.map_err(|error| missing(&error))?;
            // Asked of the file that was opened: the name may be a link by now, or have been one then.
            if !source.is_in(folder).await.map_err(|error| missing(&error))? {
                return invalid(
                    "is a link that leads out of its folder, or was replaced just now".to_owned(),
                );
            }
            // Files of a process are few, those of a manifest are not.
            let (version, source) = (source.version().clone(), Arc::new(source.closed()));
            Opened { version, source, s3: Vec::new(), objects: Vec::new() }
        }
        _ => place::source(client, &uri).await.map_err(|error| missing(&error))?,
    };
    match (size, opened.source.size()) {
        (Some(said), Some(is)) if said != is => invalid(format!("has {is} bytes, the manifest says {said}")),
        _ => Ok(opened),
    }
}
