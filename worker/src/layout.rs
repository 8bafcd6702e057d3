//! Where the objects of a job go: one place or several, and what cannot go there.

use std::collections::HashSet;

use eft_domain::{Code, Failure, ObjectUri};

use crate::run::Job;

impl Job {
    /// It makes several objects, each with a place of its own.
    pub(crate) fn is_several(&self) -> bool {
        let unpacks = self.route.unpacks_several();
        self.route.splits() || (unpacks && (self.goal().uri.numbered(1).is_some() || self.is_named()))
    }

    /// The places are named after the entries of an archive.
    pub(crate) fn is_named(&self) -> bool {
        self.goal().uri.of_entry("a").is_some()
    }

    /// What cannot be carried out at these places.
    pub(crate) fn refuse_places(&self) -> Result<(), Failure> {
        let refused = |message: String| Err(Failure::new(Code::PlanRefused, message));
        if self.is_named() && !self.route.unpacks_several() {
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
        match (self.route.splits(), self.is_named()) {
            (true, true) => refused(
                "`split` numbers its objects: put {n} into the name of the destination, not {entry}".into(),
            ),
            (true, false) if self.goal().uri.numbered(1).is_none() => refused(
                "`split` makes several objects: put {n}, their number, into the name of the destination"
                    .into(),
            ),
            (false, true) if self.goal().uri.numbered(1).is_some() => {
                refused("the destination has {n} and {entry}: put one of them into its name".into())
            }
            _ => Ok(()),
        }
    }

    /// Entries that no object can be named after, which is the file's fault.
    pub(crate) fn refuse_names(&self, names: &[String]) -> Result<(), Failure> {
        if !self.is_named() {
            return Ok(());
        }
        let is_local = matches!(self.goal().uri, ObjectUri::Local(_));
        let all: HashSet<&str> = names.iter().map(String::as_str).collect();
        for name in names {
            let mut folders = name.match_indices('/').map(|(at, _)| &name[..at]);
            // Of files such names are other names of the same; in S3 each is one of its own.
            let why = if self.goal().uri.of_entry(name).is_none() {
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

    /// What a file is named in an archive that is made: as the archive, less its `.zip`.
    pub(crate) fn entry_name(&self) -> Option<String> {
        let name = self.goal().uri.name();
        let cut = name.len().saturating_sub(4);
        let is_zip = name.get(cut..).is_some_and(|end| end.eq_ignore_ascii_case(".zip"));
        let name = if is_zip { &name[..cut] } else { name };
        (!name.is_empty()).then(|| name.to_owned())
    }
}
