//! What a seed says: the route, the faults, and the codes that these faults may end with.

use std::time::Duration;

use eft_domain::Code;
use eft_fakes::{
    Pattern,
    faulty::{Call, Rule, Trouble},
};
use eft_pipeline::{
    error::{of_sink, of_source},
    port::{ErrorKind, PortError},
};

use super::rig::Route;

/// What may go wrong with every call.
const KINDS: [ErrorKind; 14] = [
    ErrorKind::NotFound,
    ErrorKind::Denied,
    ErrorKind::Changed,
    ErrorKind::Exists,
    ErrorKind::Full,
    ErrorKind::Checksum,
    ErrorKind::Damaged,
    ErrorKind::Throttled,
    ErrorKind::Transient,
    ErrorKind::Unproven,
    ErrorKind::Indeterminate,
    ErrorKind::Spent,
    ErrorKind::Unsupported,
    ErrorKind::Permanent,
];

/// A run that is stopped after so many calls of the ports.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// On request.
    Cancel(u64),
    /// As by SIGKILL.
    Kill(u64),
}

/// One seed.
#[derive(Debug)]
pub(crate) struct Story<'a> {
    pub(crate) route: &'a Route,
    pub(crate) rules: Vec<Rule>,
    /// The store keeps a checksum of the source.
    pub(crate) checksum: bool,
    pub(crate) checkpoint: bool,
    pub(crate) stop: Option<Stop>,
    /// Runs until the faults are over.
    pub(crate) faulty_attempts: usize,
    /// A run that may be gone on with is.
    pub(crate) goes_on: bool,
}

impl<'a> Story<'a> {
    pub(crate) fn of(seed: u64, routes: &'a [Route]) -> Self {
        let mut words = Pattern::new(seed ^ 0xfa17);
        let mut below = |bound: usize| (words.word() % bound as u64) as usize;
        let mut route = &routes[below(routes.len())];
        let checksum = below(4) > 0;
        let mut checkpoint = below(2) == 0;
        let rules: Vec<_> = (0..1 + below(4)).map(|_| rule(&mut below, checksum)).collect();
        // Parts are asked for once some are acknowledged.
        let parts = rules.iter().any(|rule| rule.call == Call::Parts);
        let calls = 1 + below(30) as u64 + if parts { 16 } else { 0 };
        let stop = below(8);
        let mut faulty_attempts = 1 + below(3);
        // A fault of a call that never comes shows nothing.
        let asks = |calls: &[Call]| rules.iter().any(|rule| calls.contains(&rule.call));
        let resumes = asks(&[Call::Reopen, Call::Uploads, Call::Parts]);
        if resumes {
            (checkpoint, faulty_attempts) = (true, 3);
        } else if asks(&[Call::Put]) {
            route = &routes[Route::ONE_REQUEST];
        }
        let stop = match stop {
            // Without a checkpoint nobody knows what a killed run has begun; a lifecycle rule removes it.
            2..=4 if checkpoint => Some(Stop::Kill(calls)),
            _ if resumes => Some(Stop::Kill(calls)),
            0 | 1 => Some(Stop::Cancel(calls)),
            _ if asks(&[Call::Abort]) => Some(Stop::Cancel(calls)),
            _ => None,
        };
        Self { route, rules, checksum, checkpoint, stop, faulty_attempts, goes_on: below(4) > 0 }
    }

    /// The codes that these faults, and no others, may end with.
    pub(crate) fn codes(&self) -> Vec<Code> {
        let mut codes: Vec<_> = self.rules.iter().flat_map(codes).collect();
        codes.extend(self.stop.map(|_| Code::Interrupted));
        codes
    }

    pub(crate) fn removing_fails(&self) -> bool {
        self.rules.iter().any(|rule| rule.call == Call::Remove)
    }

    /// An upload may have to be left, and said to be: it has to be opened to be removed.
    pub(crate) fn aborting_fails(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.call, Call::Abort | Call::Reopen))
    }

    /// An object may be visible although the run cannot say so.
    pub(crate) fn loses_answers(&self) -> bool {
        let lost = |trouble| matches!(trouble, Trouble::DoneButFails(_) | Trouble::DoneThenHangs(_));
        self.rules.iter().any(|rule| rule.call.publishes() && lost(rule.trouble))
    }
}

/// A fault: any call, anything that can happen to it.
fn rule(below: &mut impl FnMut(usize) -> usize, checksum: bool) -> Rule {
    let call = match below(3) {
        // Most calls are reads, and most that is special happens to their bodies.
        0 => Call::Read,
        _ => Call::ALL[below(Call::ALL.len())],
    };
    let kind = KINDS[below(KINDS.len())];
    // Most of what goes wrong passes.
    let kind = if below(2) == 0 { ErrorKind::Transient } else { kind };
    // What is said to be gone is gone, or nobody could ever remove anything.
    let kind = match (call, kind) {
        (Call::Reopen | Call::Parts | Call::Abort, ErrorKind::NotFound) => ErrorKind::Transient,
        (_, kind) => kind,
    };
    let time = Duration::from_millis(1 << below(17));
    let trouble = match (call, below(9)) {
        (Call::Read, 0) => Trouble::Cut(kind),
        (Call::Read, 1) => Trouble::Short,
        (Call::Read, 2) => Trouble::Stall,
        // Without a checksum of the store's there is nothing to tell it by.
        (Call::Read, 3 | 4) if checksum => Trouble::Flip,
        // What was done without a word is not known; an adapter says anything else only if it has looked.
        (call, 5) if call.publishes() => Trouble::DoneButFails(ErrorKind::Indeterminate),
        (_, 5) => Trouble::DoneButFails(kind),
        (_, 6) => Trouble::Slow(time),
        (_, 7) => Trouble::Hangs(time),
        (_, 8) => Trouble::DoneThenHangs(time),
        _ => Trouble::Fails(kind),
    };
    let per_mille = [100, 500, 1000, 1000][below(4)];
    let times = [1, 2, 5, u64::MAX][below(4)];
    Rule { call, trouble, per_mille, times }
}

fn codes(rule: &Rule) -> Vec<Code> {
    let error = |kind| PortError::new(kind, "");
    let kind = match rule.trouble {
        Trouble::Slow(_) => return Vec::new(),
        Trouble::Flip => return vec![Code::IntegritySource],
        Trouble::Fails(kind) | Trouble::DoneButFails(kind) | Trouble::Cut(kind) => kind,
        Trouble::Hangs(_) | Trouble::DoneThenHangs(_) if rule.call.publishes() => ErrorKind::Indeterminate,
        Trouble::Hangs(_) | Trouble::DoneThenHangs(_) | Trouble::Short | Trouble::Stall => {
            ErrorKind::Transient
        }
    };
    let unlisted = matches!(kind, ErrorKind::Denied | ErrorKind::Unsupported);
    match rule.call {
        Call::Read => vec![of_source(&error(kind)).code],
        Call::Save => vec![Code::CheckpointUnavailable],
        // The run has ended already, and its end is what counts.
        Call::Remove => Vec::new(),
        // Who may not look at what an earlier run left starts anew.
        Call::Parts if kind == ErrorKind::Denied => Vec::new(),
        Call::Uploads if unlisted => Vec::new(),
        _ => vec![of_sink(&error(kind)).code],
    }
}
