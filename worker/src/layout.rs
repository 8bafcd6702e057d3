//! Where the objects of a job go: one place or several, and what cannot go there.

use std::collections::HashSet;

use eft_domain::{Code, Failure, ObjectUri, Route, route::StageSpec};

use crate::run::Job;

/// What of a route's output depends on where it goes: destinations of another layout get other bytes, from a pass of their
/// own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Each entry of an archive goes to a place of its own.
    apart: bool,
    /// What a file is named in an archive that is made.
    entry: Option<String>,
}

impl Layout {
    /// Of this route's output at this destination.
    pub(crate) fn of(route: &Route, uri: &ObjectUri) -> Self {
        let unnamed =
            route.stages.iter().any(|stage| matches!(stage, StageSpec::Zip(zip) if zip.entry.is_none()));
        Self { apart: route.unpacks_several() && is_pattern(uri), entry: entry_name(uri).filter(|_| unnamed) }
    }
}

/// It stands for several names.
fn is_pattern(uri: &ObjectUri) -> bool {
    uri.numbered(1).is_some() || is_named(uri)
}

/// The places are named after the entries of an archive.
fn is_named(uri: &ObjectUri) -> bool {
    uri.of_entry("a").is_some()
}

/// What a file is named in an archive that is made: as the archive, less its `.zip`.
fn entry_name(uri: &ObjectUri) -> Option<String> {
    let name = uri.name();
    let cut = name.len().saturating_sub(4);
    let is_zip = name.get(cut..).is_some_and(|end| end.eq_ignore_ascii_case(".zip"));
    let name = if is_zip { &name[..cut] } else { name };
    (!name.is_empty()).then(|| name.to_owned())
}

/// The route when what it makes waits elsewhere before it comes to its place: an archive is named after that place.
#[must_use]
pub fn named_after(mut route: Route, place: &ObjectUri) -> Route {
    for stage in &mut route.stages {
        if let StageSpec::Zip(zip) = stage
            && zip.entry.is_none()
        {
            zip.entry = entry_name(place);
        }
    }
    route
}

impl Job {
    /// It makes several objects, each with a place of its own.
    pub(crate) fn is_several(&self) -> bool {
        self.route.splits() || (self.route.unpacks_several() && self.uris().any(is_pattern))
    }

    /// The name of a file in the archive that is made.
    pub(crate) fn entry_name(&self) -> Option<String> {
        self.uris().next().and_then(entry_name)
    }

    /// What cannot be carried out at these places.
    pub(crate) fn refuse_places(&self) -> Result<(), Failure> {
        let refused = |message: String| Err(Failure::new(Code::PlanRefused, message));
        let Some(first) = self.uris().next() else { return refused("there is no destination".into()) };
        let mut seen = HashSet::new();
        if let Some(twice) = self.uris().find(|uri| !seen.insert(uri.to_string())) {
            return refused(format!("{twice} is named twice: each destination gets the object once"));
        }
        let layout = Layout::of(&self.route, first);
        if let Some(other) = self.uris().find(|uri| Layout::of(&self.route, uri) != layout) {
            return refused(format!(
                "{first} and {other} would get other bytes than each other: name the entry in the route, and give all \
                 destinations a place for each entry or none"
            ));
        }
        self.uris().try_for_each(|uri| self.refuse_place(uri))
    }

    fn refuse_place(&self, uri: &ObjectUri) -> Result<(), Failure> {
        let refused = |message: String| Err(Failure::new(Code::PlanRefused, message));
        if is_named(uri) && !self.route.unpacks_several() {
            return refused(
                "{entry} stands for the entries of an archive, and the route takes none by `entries`".into(),
            );
        }
        if !self.is_several() {
            return Ok(());
        }
        if self.checkpoint.is_some() {
            return refused(
                "a run that makes several objects cannot be gone on with: leave out --checkpoint".into(),
            );
        }
        match (self.route.splits(), is_named(uri)) {
            (true, true) => refused(
                "`split` numbers its objects: put {n} into the name of the destination, not {entry}".into(),
            ),
            (true, false) if uri.numbered(1).is_none() => refused(
                "`split` makes several objects: put {n}, their number, into the name of the destination"
                    .into(),
            ),
            (false, true) if uri.numbered(1).is_some() => {
                refused("the destination has {n} and {entry}: put one of them into its name".into())
            }
            _ => Ok(()),
        }
    }

    /// Entries that no object can be named after, which is the file's fault.
    pub(crate) fn refuse_names(&self, names: &[String]) -> Result<(), Failure> {
        self.uris().filter(|uri| is_named(uri)).try_for_each(|uri| refuse_names_at(uri, names))
    }
}

fn refuse_names_at(uri: &ObjectUri, names: &[String]) -> Result<(), Failure> {
    let is_local = matches!(uri, ObjectUri::Local(_));
    let all: HashSet<&str> = names.iter().map(String::as_str).collect();
    for name in names {
        let mut folders = name.match_indices('/').map(|(at, _)| &name[..at]);
        // Of files such names are other names of the same; in S3 each is one of its own.
        let why = if uri.of_entry(name).is_none() {
            "makes no name of an object"
        } else if is_local && name.split('/').any(|step| matches!(step, "" | ".")) {
            "has an empty step"
        } else if is_local && folders.any(|folder| all.contains(folder)) {
            "is in a folder that has the name of another file"
        } else {
            continue;
        };
        let message = format!("entry `{}` {why}, and {{entry}} is to be one", name.escape_debug());
        return Err(Failure::new(Code::ArchiveUnsafe, message));
    }
    Ok(())
}
