//! Names that are no files: left out before any route is asked, with the reason.

use crate::route::{CompleteWhen, RouteTable};

/// One line of the published table.
#[derive(Clone, Copy, Debug)]
pub struct Ignored {
    /// What the name looks like.
    pub pattern: &'static str,
    /// Why it is left out.
    pub reason: &'static str,
    /// Whether a key of this size is one.
    is: fn(key: &str, size: u64) -> bool,
}

/// Every name that is left out. Control files are left out as well, but that depends on the routes: [`base_of`].
pub const IGNORED: &[Ignored] = &[
    Ignored {
        pattern: "*/ (0 bytes)",
        reason: "a directory marker, which SFTP servers and consoles leave behind",
        is: |key, size| key.ends_with('/') && size == 0,
    },
    Ignored {
        pattern: ".*",
        reason: "a hidden name: clients write under it until the upload is whole",
        is: |key, _| last_segment(key).starts_with('.'),
    },
    Ignored {
        pattern: "*.tmp",
        reason: "the temporary name of an upload that is not whole; its rename is an arrival of its own",
        is: |key, _| ends_with(key, ".tmp"),
    },
    Ignored {
        pattern: "*.filepart",
        reason: "the temporary name that WinSCP uploads under; its rename is an arrival of its own",
        is: |key, _| ends_with(key, ".filepart"),
    },
    Ignored {
        pattern: "*.part",
        reason: "the temporary name that browsers and transfer tools upload under; its rename is an arrival of its own",
        is: |key, _| ends_with(key, ".part"),
    },
];

/// Why a control file is no file.
pub const CONTROL_FILE: &str = "a control file: it says that its file is whole and is none itself";

/// What names are compared without their case: clients on Windows keep no habit.
fn ends_with(key: &str, suffix: &str) -> bool {
    let (key, suffix) = (key.as_bytes(), suffix.as_bytes());
    key.len() > suffix.len() && key[key.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

fn last_segment(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

/// Why a key of this size is no file, if it is none.
pub fn ignored(key: &str, size: u64) -> Option<&'static str> {
    IGNORED.iter().find(|line| (line.is)(key, size)).map(|line| line.reason)
}

/// The key of the file that a control file speaks of, if this is a control file: its name is that of a file that a route
/// with `control_file` takes, and the route's suffix.
pub fn base_of<'a>(table: &RouteTable, key: &'a str) -> Option<&'a str> {
    table.routes().find_map(|route| {
        let CompleteWhen::ControlFile(suffix) = &route.complete_when else { return None };
        let base = key.strip_suffix(suffix.as_str()).filter(|base| !last_segment(base).is_empty())?;
        // Another route may be before this one for that key, with another rule.
        let takes = table.route_of(base)?;
        (takes.complete_when == route.complete_when).then_some(base)
    })
}

/// The table of the documentation.
pub fn markdown_table() -> String {
    let mut table = "| name | why it is no file |\n|---|---|\n".to_owned();
    for Ignored { pattern, reason, .. } in IGNORED {
        table.push_str(&format!("| `{pattern}` | {reason} |\n"));
    }
    table.push_str(&format!("| what a `control_file` route takes, and its suffix | {CONTROL_FILE} |\n"));
    table
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Route, route::Match};

    #[test]
    fn names_that_are_no_files_are_left_out_with_a_reason() {
        for (key, size, is) in [
            ("tenants/acme/in/a.tmp", 5, true),
            ("tenants/acme/in/a.csv.TMP", 5, true),
            ("tenants/acme/in/a.filepart", 5, true),
            ("tenants/acme/in/a.part", 5, true),
            ("tenants/acme/in/.a.csv", 5, true),
            ("tenants/acme/in/", 0, true),
            ("tenants/acme/in/", 5, false),
            ("tenants/acme/in/a.csv", 0, false),
            ("tenants/acme/.in/a.csv", 5, false),
            ("tenants/acme/in/atmp", 5, false),
            ("tenants/acme/in/a.parts", 5, false),
            ("tenants/acme/in/ä.tmp", 5, true),
            (".tmp", 5, true),
        ] {
            assert_eq!(ignored(key, size).is_some(), is, "{key}");
        }
        assert_eq!(markdown_table().lines().count(), IGNORED.len() + 3);
    }

    #[test]
    fn a_control_file_is_known_by_the_route_of_its_file() {
        let route = |id: &str, prefix: &str, rule: CompleteWhen| {
            Arc::new(Route {
                id: Some(id.parse().unwrap()),
                tenant: Some("acme".parse().unwrap()),
                matches: Some(Match { prefix: prefix.to_owned(), glob: None }),
                complete_when: rule,
                ..Route::identity()
            })
        };
        let table = RouteTable::new([
            route("a", "tenants/acme/", CompleteWhen::ControlFile(".done".to_owned())),
            route("b", "tenants/acme/now/", CompleteWhen::Immediate),
        ]);
        assert_eq!(base_of(&table, "tenants/acme/x.csv.done"), Some("tenants/acme/x.csv"));
        assert_eq!(base_of(&table, "tenants/acme/x.csv"), None);
        assert_eq!(base_of(&table, "tenants/acme/now/x.done"), None, "that route waits for none");
        assert_eq!(base_of(&table, "tenants/acme/.done"), None, "there is no file without a name");
        assert_eq!(base_of(&table, "tenants/other/x.done"), None);
    }
}
