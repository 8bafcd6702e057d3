//! Which route takes a key: the longest prefix; among equal prefixes, a route with a glob before one without.
//!
//! Two routes that could take one key with neither of them before the other are a tie, and a tie is refused when a
//! route is saved: at run time there is one answer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{Match, Route};
use crate::{RouteId, RouteRevision, Tenant, TenantId};

/// The active routes of all tenants, at one moment.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    by_prefix: HashMap<String, Vec<Arc<Route>>>,
    /// Those that take no files for now.
    paused: BTreeSet<RouteId>,
    /// Those that this version cannot read, by their tenants, and why.
    unreadable: BTreeMap<TenantId, BTreeMap<RouteId, String>>,
    /// The lengths of prefixes that there are, in bytes.
    lengths: BTreeSet<usize>,
}

/// Two routes of which neither is before the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "match: ties with route {other}: both have prefix `{prefix}` and could take one key; make one prefix longer, or the globs different"
)]
pub struct Tie {
    /// The route that is there.
    pub other: RouteId,
    /// The prefix of both.
    pub prefix: String,
}

impl RouteTable {
    /// A table of these routes. A route without an id, tenant or match takes nothing; one outside its tenant's prefix
    /// neither, whoever stored it.
    pub fn new(routes: impl IntoIterator<Item = Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let (Some(_), Some(tenant), Some(matches)) = (&route.id, &route.tenant, &route.matches) else {
                continue;
            };
            if !matches.prefix.starts_with(&Tenant::ingest_prefix(tenant)) {
                continue;
            }
            table.lengths.insert(matches.prefix.len());
            let routes = table.by_prefix.entry(matches.prefix.clone()).or_default();
            routes.push(route);
            routes.sort_by_key(|route| route.matches.as_ref().is_none_or(|matches| matches.glob.is_none()));
        }
        table
    }

    /// The same, of which these take no files for now. Their keys go to no other route either: they wait.
    #[must_use]
    pub fn with_paused(self, paused: impl IntoIterator<Item = RouteId>) -> Self {
        Self { paused: paused.into_iter().collect(), ..self }
    }

    /// The same, of which these cannot be read: any key of their tenants might be theirs, and goes to no other route.
    #[must_use]
    pub fn with_unreadable(self, routes: impl IntoIterator<Item = (TenantId, RouteId, String)>) -> Self {
        let mut unreadable: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (tenant, id, why) in routes {
            unreadable.entry(tenant).or_default().insert(id, why);
        }
        Self { unreadable, ..self }
    }

    /// The routes of a tenant that cannot be read, and why.
    pub fn unreadable(&self, tenant: &TenantId) -> impl Iterator<Item = (&RouteId, &str)> {
        self.unreadable.get(tenant).into_iter().flatten().map(|(id, why)| (id, why.as_str()))
    }

    /// Whether a key may be one that a route takes which cannot be read.
    pub fn may_be_unreadable(&self, key: &str) -> bool {
        Self::tenant_of(key).is_some_and(|tenant| self.unreadable.contains_key(&tenant))
    }

    /// Whether a route takes no files for now.
    pub fn is_paused(&self, id: &RouteId) -> bool {
        self.paused.contains(id)
    }

    /// The route that takes a key; none where it is paused, or where one of its tenant cannot be read.
    pub fn select(&self, key: &str) -> Option<&Arc<Route>> {
        let is_active = |route: &&Arc<Route>| !route.id.as_ref().is_some_and(|id| self.is_paused(id));
        self.route_of(key).filter(is_active).filter(|_| !self.may_be_unreadable(key))
    }

    /// The route whose a key is, whether or not it is paused.
    pub fn route_of(&self, key: &str) -> Option<&Arc<Route>> {
        self.taking(key).next()
    }

    /// The routes that would take a key, the one whose it is first.
    pub fn taking(&self, key: &str) -> impl Iterator<Item = &Arc<Route>> {
        let prefixes = self.lengths.range(..=key.len()).rev().filter_map(|length| key.get(..*length));
        let routes = prefixes.filter_map(|prefix| self.by_prefix.get(prefix)).flatten();
        routes.filter(|route| route.matches.as_ref().is_some_and(|matches| matches.takes(key)))
    }

    /// Whose prefix a key has, whether or not a route takes it.
    pub fn tenant_of(key: &str) -> Option<TenantId> {
        key.strip_prefix("tenants/")?.split_once('/')?.0.parse().ok()
    }

    /// Whether a route may stand beside the others.
    ///
    /// # Errors
    /// It ties with one.
    pub fn admit(&self, route: &Route) -> Result<(), Tie> {
        let Some(matches) = &route.matches else { return Ok(()) };
        let beside = self.by_prefix.get(&matches.prefix).into_iter().flatten();
        for other in beside.filter(|other| other.id != route.id) {
            let (Some(id), Some(theirs)) = (&other.id, &other.matches) else { continue };
            if tie(matches, theirs) {
                return Err(Tie { other: id.clone(), prefix: matches.prefix.clone() });
            }
        }
        Ok(())
    }

    /// The routes.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_prefix.values().flatten()
    }

    /// The route with this id, if it is of this revision.
    pub fn get(&self, id: &RouteId, revision: RouteRevision) -> Option<&Arc<Route>> {
        self.routes().find(|route| route.id.as_ref() == Some(id) && route.revision() == revision)
    }
}

fn tie(one: &Match, other: &Match) -> bool {
    match (&one.glob, &other.glob) {
        (None, None) => true,
        (Some(one), Some(other)) => globs_meet(one, other),
        _ => false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// Any character but `/`.
    One,
    /// Any number of them.
    Many,
    /// Any number of any characters.
    Deep,
}

fn tokens(glob: &str) -> Vec<Token> {
    let mut chars = glob.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => Token::Deep,
            '*' => Token::Many,
            '?' => Token::One,
            c => Token::Char(c),
        });
    }
    tokens
}

/// Whether some text matches both globs: a walk over pairs of places, each visited once.
pub fn globs_meet(one: &str, other: &str) -> bool {
    let (one, other) = (tokens(one), tokens(other));
    let mut seen = vec![false; (one.len() + 1) * (other.len() + 1)];
    let mut open = vec![(0, 0)];
    while let Some((i, j)) = open.pop() {
        if std::mem::replace(&mut seen[i * (other.len() + 1) + j], true) {
            continue;
        }
        let (a, b) = (one.get(i).copied(), other.get(j).copied());
        if a.is_none() && b.is_none() {
            return true;
        }
        let repeats = |token| matches!(token, Some(Token::Many | Token::Deep));
        // One that repeats may also end here.
        if repeats(a) {
            open.push((i + 1, j));
        }
        if repeats(b) {
            open.push((i, j + 1));
        }
        let (Some(a), Some(b)) = (a, b) else { continue };
        if meet(a, b) {
            let next = |token, at| if repeats(Some(token)) { at } else { at + 1 };
            open.push((next(a, i), next(b, j)));
        }
    }
    false
}

/// Whether some character is taken by both.
fn meet(a: Token, b: Token) -> bool {
    match (a, b) {
        (Token::Char(a), Token::Char(b)) => a == b,
        (Token::Char(c), Token::One | Token::Many) | (Token::One | Token::Many, Token::Char(c)) => c != '/',
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::route::glob_matches;

    fn route(id: &str, prefix: &str, glob: Option<&str>) -> Arc<Route> {
        Arc::new(Route {
            id: Some(id.parse().unwrap()),
            tenant: Some("acme".parse().unwrap()),
            matches: Some(Match { prefix: prefix.to_owned(), glob: glob.map(ToOwned::to_owned) }),
            ..Route::identity()
        })
    }

    fn chosen(table: &RouteTable, key: &str) -> Option<String> {
        table.select(key).and_then(|route| route.id.as_ref()).map(ToString::to_string)
    }

    #[test]
    fn the_longest_prefix_wins_and_then_the_glob() {
        let table = RouteTable::new([
            route("all", "tenants/acme/", None),
            route("in", "tenants/acme/in/", None),
            route("csv", "tenants/acme/in/", Some("*.csv")),
            route("elsewhere", "tenants/globex/", None),
        ]);
        for (key, id) in [
            ("tenants/acme/in/a.csv", Some("csv")),
            ("tenants/acme/in/a.txt", Some("in")),
            ("tenants/acme/in/b/a.csv", Some("in")),
            ("tenants/acme/x", Some("all")),
            ("tenants/acme", None),
            ("tenants/globex/a", None),
            ("", None),
        ] {
            assert_eq!(chosen(&table, key).as_deref(), id, "{key}");
        }
        assert_eq!(RouteTable::tenant_of("tenants/acme/x").unwrap().as_str(), "acme");
        assert_eq!(RouteTable::tenant_of("tenants/acme"), None);
        assert_eq!(RouteTable::tenant_of("tenants/ACME/x"), None);
    }

    #[test]
    fn what_a_paused_route_would_take_goes_to_no_other() {
        let routes = [
            route("all", "tenants/acme/", None),
            route("csv", "tenants/acme/in/", Some("*.csv")),
            route("in", "tenants/acme/in/", None),
        ];
        let table = RouteTable::new(routes).with_paused(["csv".parse().unwrap()]);
        assert_eq!(chosen(&table, "tenants/acme/in/a.csv"), None);
        assert_eq!(table.route_of("tenants/acme/in/a.csv").unwrap().effective_id().as_str(), "csv");
        assert_eq!(chosen(&table, "tenants/acme/in/a.txt").as_deref(), Some("in"));
        assert_eq!(table.routes().count(), 3);
        assert!(table.is_paused(&"csv".parse().unwrap()) && !table.is_paused(&"in".parse().unwrap()));
        let tie = table.admit(&route("new", "tenants/acme/in/", Some("*.csv"))).unwrap_err();
        assert_eq!(tie.other.as_str(), "csv", "it comes back");
    }

    #[test]
    fn where_a_route_cannot_be_read_only_its_tenant_waits() {
        let mut other = Route::clone(&route("other", "tenants/other/", None));
        other.tenant = Some("other".parse().unwrap());
        let routes = [route("in", "tenants/acme/in/", None), Arc::new(other)];
        let unreadable = ("acme".parse().unwrap(), "new".parse().unwrap(), "no such stage".to_owned());
        let table = RouteTable::new(routes).with_unreadable([unreadable]);
        assert_eq!(chosen(&table, "tenants/acme/in/a.csv"), None);
        assert_eq!(chosen(&table, "tenants/other/a.csv").as_deref(), Some("other"));
        let said: Vec<_> = table.unreadable(&"acme".parse().unwrap()).collect();
        assert_eq!(said, [(&"new".parse().unwrap(), "no such stage")]);
        assert_eq!(table.unreadable(&"other".parse().unwrap()).count(), 0);
    }

    #[test]
    fn a_key_is_cut_at_no_character() {
        let table =
            RouteTable::new([route("r", "tenants/acme/ä", None), route("s", "tenants/acme/xy", None)]);
        assert_eq!(chosen(&table, "tenants/acme/äx").as_deref(), Some("r"));
        assert_eq!(chosen(&table, "tenants/acme/xä"), None);
    }

    #[test]
    fn a_tie_is_refused() {
        let table =
            RouteTable::new([route("a", "tenants/acme/", None), route("b", "tenants/acme/", Some("*.csv"))]);
        assert_eq!(table.admit(&route("c", "tenants/acme/", Some("*.txt"))), Ok(()));
        assert_eq!(table.admit(&route("c", "tenants/acme/c/", None)), Ok(()));
        assert_eq!(
            table.admit(&route("b", "tenants/acme/", Some("*.csv"))),
            Ok(()),
            "a new revision of itself"
        );
        let tie = table.admit(&route("c", "tenants/acme/", Some("orders*"))).unwrap_err();
        assert_eq!(tie.other.as_str(), "b");
        assert_eq!(table.admit(&route("c", "tenants/acme/", None)).unwrap_err().other.as_str(), "a");
    }

    #[test]
    fn globs_that_meet() {
        for (one, other, meet) in [
            ("*.csv", "orders*", true),
            ("*.csv", "*.txt", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("**.csv", "*/x*", true),
            ("", "", true),
            ("", "*", true),
            ("", "?", false),
        ] {
            assert_eq!(globs_meet(one, other), meet, "{one} {other}");
            assert_eq!(globs_meet(other, one), meet, "{other} {one}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_matches_both_is_proof(one in "[ab/*?]{0,6}", other in "[ab/*?]{0,6}", text in "[ab/]{0,6}") {
            if glob_matches(&one, &text) && glob_matches(&other, &text) {
                prop_assert!(globs_meet(&one, &other), "{one} {other} {text}");
            }
        }

        /// Over a small alphabet every short text is tried: globs of at most three tokens that meet, meet in one of at most
        /// six characters.
        #[test]
        fn globs_that_do_not_meet_have_no_such_text(one in "[ab/*?]{0,3}", other in "[ab/*?]{0,3}") {
            let mut texts = vec![String::new()];
            let mut found = false;
            for _ in 0..=6 {
                found |= texts.iter().any(|text| glob_matches(&one, text) && glob_matches(&other, text));
                if found { break; }
                texts = texts.iter().flat_map(|text| ["a", "b", "/"].map(|c| format!("{text}{c}"))).collect();
            }
            prop_assert_eq!(globs_meet(&one, &other), found, "{} {}", one, other);
        }
    }
}
