//! From what the user named to a source or a sink.

use std::sync::Arc;

use eft_domain::{
    ObjectUri, ObjectVersion,
    route::{OnExisting, StorageOptions},
};
use eft_pipeline::port::{Committed, ErrorKind, Numbered, ObjectSink, ObjectSource, PortError, PortResult};
use futures::{FutureExt, future::BoxFuture};

use crate::{
    local::{LocalSink, LocalSource},
    receipt::Names,
    s3::{Attributes, Client, S3Sink, S3Source, Target},
    stdio::{StdinSource, StdoutSink},
};

/// Where a job's output goes, and how it is kept there.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The name, which may stand for several.
    pub uri: ObjectUri,
    /// What to do when it is taken.
    pub on_existing: OnExisting,
    /// How the object is stored.
    pub storage: StorageOptions,
}

impl Goal {
    /// To a name that has to be free, stored as the place itself says.
    pub fn new(uri: ObjectUri) -> Self {
        Self { uri, on_existing: OnExisting::Fail, storage: StorageOptions::default() }
    }
}

/// A source with what was pinned.
pub struct Opened {
    /// The port.
    pub source: Arc<dyn ObjectSource>,
    /// What was pinned.
    pub version: ObjectVersion,
    /// The same source as objects of S3, which can copy them itself; none where it is not in S3.
    pub s3: Vec<Arc<S3Source>>,
    /// The objects that are joined, where the source is a manifest of them.
    pub objects: Vec<ObjectVersion>,
}

impl Opened {
    /// What the object carries besides its bytes.
    pub fn attributes(&self) -> Attributes {
        match &self.s3[..] {
            // A manifest's are of the manifest, and each object has its own.
            [source] if self.objects.is_empty() => source.attributes().clone(),
            _ => Attributes::default(),
        }
    }
}

/// Open a source.
///
/// # Errors
/// As the adapter finds it.
pub async fn source(client: &Client, uri: &ObjectUri) -> PortResult<Opened> {
    Ok(match uri {
        ObjectUri::S3 { .. } => {
            let source = Arc::new(S3Source::open(client.clone(), uri).await?);
            let version = source.version().clone();
            Opened { version, source: source.clone(), s3: vec![source], objects: Vec::new() }
        }
        ObjectUri::Local(path) => {
            let source = LocalSource::open(path).await?;
            let version = source.version().clone();
            Opened { version, source: Arc::new(source), s3: Vec::new(), objects: Vec::new() }
        }
        ObjectUri::Std => {
            let version = ObjectVersion {
                uri: ObjectUri::Std,
                version_id: None,
                etag: None,
                size: None,
                last_modified: None,
            };
            let source = Arc::new(StdinSource::default());
            Opened { version, source, s3: Vec::new(), objects: Vec::new() }
        }
    })
}

/// The places of several objects, numbered from 1 or named after the entries of an archive.
#[derive(Clone)]
pub(crate) struct Series {
    pub(crate) client: Client,
    pub(crate) names: Names,
    /// Each with `{n}` or `{entry}` in its name.
    pub(crate) goals: Vec<Goal>,
    /// The names of the entries that `{entry}` stands for.
    pub(crate) entries: Vec<String>,
    /// Before they are stored as each goal says.
    pub(crate) attributes: Attributes,
}

impl Series {
    /// The name of the object with this number at a goal; `None` where there is none.
    pub(crate) fn uri(&self, goal: &Goal, number: u64) -> Option<ObjectUri> {
        if let Some(uri) = goal.uri.numbered(number) {
            return Some(uri);
        }
        let entry = usize::try_from(number).ok().and_then(|number| self.entries.get(number.checked_sub(1)?));
        entry.and_then(|entry| goal.uri.of_entry(entry))
    }

    /// Open the place of an object.
    pub(crate) async fn place(&self, goal: &Goal, number: u64) -> PortResult<Sink> {
        let Some(uri) = self.uri(goal, number) else {
            let message = format!("{}: no name for object {number}", goal.uri);
            return Err(PortError::new(ErrorKind::Permanent, message));
        };
        // An entry brings its folders.
        if let (ObjectUri::Local(path), None) = (&uri, goal.uri.numbered(1))
            && let Some(folder) = path.parent()
        {
            let made = tokio::fs::create_dir_all(folder).await;
            made.map_err(|error| {
                PortError::new(crate::local::kind_of(&error), format!("{}: {error}", folder.display()))
            })?;
        }
        let delivery = self.names.of(&uri);
        // One that stands there already from this delivery is found when it is published, and tells nothing of the others.
        let attributes = self.attributes.clone().stored_as(&goal.storage);
        Ok(Sink::open(&self.client, &uri, goal.on_existing, &delivery, attributes, false).await?.0)
    }
}

impl Numbered for Series {
    fn open(&self, number: u64, sink: usize) -> BoxFuture<'_, PortResult<Arc<dyn ObjectSink>>> {
        async move { Ok(self.place(&self.goals[sink], number).await?.port()) }.boxed()
    }
}

/// A sink of one of the kinds there are.
pub enum Sink {
    /// In S3.
    S3(S3Sink),
    /// A file.
    Local(LocalSink),
    /// Standard output.
    Std(StdoutSink),
}

impl Sink {
    /// Open a sink for an object with these attributes, where it can have some; the second part says that this very
    /// delivery stands there already. What a `resumable` one leaves is found again under the same delivery.
    ///
    /// # Errors
    /// As the adapter finds it.
    pub async fn open(
        client: &Client,
        uri: &ObjectUri,
        on_existing: OnExisting,
        delivery: &str,
        attributes: Attributes,
        resumable: bool,
    ) -> PortResult<(Self, Option<Committed>)> {
        Ok(match uri {
            ObjectUri::S3 { .. } => {
                let target =
                    Target { uri: uri.clone(), on_existing, delivery_id: delivery.to_owned(), attributes };
                let (sink, done) = S3Sink::open(client.clone(), target).await?;
                (Self::S3(sink), done)
            }
            // A name of its own for each attempt: what one that was killed has left must not be in the way. Unless it is
            // to be gone on with.
            ObjectUri::Local(path) => {
                let attempt = if resumable { delivery.to_owned() } else { uuid::Uuid::new_v4().to_string() };
                (Self::Local(LocalSink::open(path, &attempt).await?), None)
            }
            ObjectUri::Std => (Self::Std(StdoutSink::default()), None),
        })
    }

    /// As a port.
    pub fn port(&self) -> Arc<dyn ObjectSink> {
        match self {
            Self::S3(sink) => Arc::new(sink.clone()),
            Self::Local(sink) => Arc::new(sink.clone()),
            Self::Std(sink) => Arc::new(sink.clone()),
        }
    }
}
