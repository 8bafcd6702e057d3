//! Interchange, group, message: what opens and closes what, with which control number and count.

use serde::{Deserialize, Serialize};

use super::seen::Seen;
use super::syntax::Syntax;
use crate::stage::csv::rules::show;

/// How deep an envelope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Interchange,
    Group,
    Message,
}

/// The names of one standard.
#[derive(Debug)]
pub(super) struct Names {
    /// Of each level: what it is called, the segment that opens it, the element with its control number, the segment
    /// that closes it.
    levels: [(&'static str, &'static str, usize, &'static str); 3],
    /// Messages stand in groups only.
    groups: bool,
    /// Segments that may stand between groups.
    between: &'static [&'static str],
}

pub(super) const X12: Names = Names {
    levels: [
        ("interchange", "ISA", 13, "IEA"),
        ("functional group", "GS", 6, "GE"),
        ("transaction set", "ST", 2, "SE"),
    ],
    groups: true,
    between: &["TA1"],
};

pub(super) const EDIFACT: Names = Names {
    levels: [("interchange", "UNB", 5, "UNZ"), ("group", "UNG", 5, "UNE"), ("message", "UNH", 1, "UNT")],
    groups: false,
    between: &[],
};

/// Longest control number that is kept, in bytes: the standards allow 14.
const MAX_CONTROL: usize = 35;

/// An open envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    control: Vec<u8>,
    /// Segments of a message, messages of a group, messages of an interchange outside groups.
    count: u64,
    /// Control numbers of what is directly inside.
    seen: Seen,
}

/// The envelopes that are open: of an interchange, of a group in it, of a message in that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Envelopes {
    interchange: Option<Open>,
    group: Option<Open>,
    message: Option<Open>,
    /// Groups of the interchange.
    groups: u64,
}

/// What is wrong with a segment: the element, if it is one, and why.
pub(super) type Fault = (Option<usize>, String);

impl Envelopes {
    /// In an interchange.
    pub(super) fn is_open(&self) -> bool {
        self.interchange.is_some()
    }

    /// Sound enough to go on from.
    pub(super) fn fits(&self) -> bool {
        let kept = |open: &Option<Open>| open.as_ref().is_none_or(|open| open.control.len() <= MAX_CONTROL);
        let nested = self.interchange.is_some() || (self.group.is_none() && self.message.is_none());
        nested && [&self.interchange, &self.group, &self.message].into_iter().all(kept)
    }

    /// What is open, innermost first, for a message.
    pub(super) fn shown(&self, names: &Names) -> String {
        let open = [(&self.message, 2), (&self.group, 1), (&self.interchange, 0)];
        let shown = open.iter().filter_map(|(open, level)| {
            let control = &open.as_ref()?.control;
            Some(format!("{} {}", names.levels[*level].0, show(control, false)))
        });
        shown.collect::<Vec<_>>().join(" of ")
    }

    /// Read a segment.
    pub(super) fn segment(
        &mut self,
        names: &Names,
        syntax: &Syntax,
        segment: &[u8],
        faults: &mut Vec<Fault>,
    ) {
        let mut elements = syntax.elements(segment);
        let id = elements.next().unwrap_or_default();
        if let Some(message) = &mut self.message {
            message.count += 1;
        }
        let level = |at: usize| [Level::Interchange, Level::Group, Level::Message][at];
        for (at, (_, opens, control, closes)) in names.levels.iter().enumerate() {
            if id == opens.as_bytes() {
                let control = elements.nth(control - 1).map(trimmed).unwrap_or_default();
                return self.open(names, level(at), control, faults);
            }
            if id == closes.as_bytes() {
                let count = elements.next().map(trimmed).unwrap_or_default();
                let control = elements.next().map(trimmed).unwrap_or_default();
                return self.close(names, level(at), count, control, faults);
            }
        }
        if !is_id(id) {
            faults.push((
                None,
                format!("{} is no name of a segment", show(&id[..id.len().min(16)], id.len() > 16)),
            ));
        }
        if self.message.is_none()
            && !(self.group.is_none() && names.between.iter().any(|name| name.as_bytes() == id))
        {
            faults.push((None, format!("outside a {}", names.levels[2].0)));
        }
    }

    fn slot(&mut self, level: Level) -> &mut Option<Open> {
        match level {
            Level::Interchange => &mut self.interchange,
            Level::Group => &mut self.group,
            Level::Message => &mut self.message,
        }
    }

    fn open(&mut self, names: &Names, level: Level, control: &[u8], faults: &mut Vec<Fault>) {
        let (what, _, element, _) = names.levels[level as usize];
        self.close_inner(names, level, faults);
        if control.is_empty() {
            faults.push((Some(element), format!("the {what} has no control number")));
        }
        match level {
            Level::Interchange => self.groups = 0,
            Level::Group => self.groups += 1,
            Level::Message if names.groups && self.group.is_none() => {
                faults.push((None, format!("outside a {}", names.levels[1].0)));
            }
            // Of the groups, which count it.
            Level::Message if self.groups > 0 && self.group.is_none() => {
                faults.push((None, format!("outside a {}, where others are in one", names.levels[1].0)));
            }
            Level::Message => {}
        }
        let control = &control[..control.len().min(MAX_CONTROL)];
        let outer = match level {
            Level::Interchange => None,
            Level::Group => self.interchange.as_mut(),
            Level::Message => self.group.as_mut().or(self.interchange.as_mut()),
        };
        if let Some(outer) = outer {
            if level == Level::Message {
                outer.count += 1;
            }
            if !control.is_empty() && outer.seen.insert(control) {
                let shown = show(control, false);
                faults.push((Some(element), format!("control number {shown} was used before for a {what}")));
            }
        }
        let count = u64::from(level == Level::Message);
        *self.slot(level) = Some(Open { control: control.to_vec(), count, seen: Seen::default() });
    }

    fn close(&mut self, names: &Names, level: Level, count: &[u8], control: &[u8], faults: &mut Vec<Fault>) {
        let (what, opens, _, _) = names.levels[level as usize];
        if level < Level::Message {
            self.close_inner(names, [Level::Group, Level::Message][level as usize], faults);
        }
        let groups = self.groups;
        let Some(open) = self.slot(level).take() else {
            faults.push((None, format!("closes a {what} that no {opens} opens")));
            return;
        };
        let (there, unit) = match level {
            Level::Message => (open.count, "segments".to_owned()),
            Level::Group => (open.count, format!("{}s", names.levels[2].0)),
            Level::Interchange if names.groups || groups > 0 => (groups, format!("{}s", names.levels[1].0)),
            Level::Interchange => (open.count, format!("{}s", names.levels[2].0)),
        };
        if number(count) != Some(there) {
            let shown = show(&count[..count.len().min(35)], count.len() > 35);
            faults.push((Some(1), format!("says {shown} {unit}, there are {there}")));
        }
        let control = &control[..control.len().min(MAX_CONTROL)];
        if control != open.control && (number(control).is_none() || number(control) != number(&open.control))
        {
            let (found, expected) = (show(control, false), show(&open.control, false));
            faults.push((Some(2), format!("control number {found}, the {what} was opened with {expected}")));
        }
    }

    /// Whatever is open from `level` inwards is closed by something else than its own end.
    fn close_inner(&mut self, names: &Names, level: Level, faults: &mut Vec<Fault>) {
        for inner in
            [Level::Message, Level::Group, Level::Interchange].into_iter().filter(|inner| *inner >= level)
        {
            if let Some(open) = self.slot(inner).take() {
                let (what, _, _, closes) = names.levels[inner as usize];
                faults.push((
                    None,
                    format!("the {what} {} is open: no {closes} closes it", show(&open.control, false)),
                ));
            }
        }
    }
}

/// Spaces around are how fixed elements are filled up.
fn trimmed(element: &[u8]) -> &[u8] {
    element.trim_ascii()
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 18 && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// Two or three letters or digits, a letter first.
fn is_id(id: &[u8]) -> bool {
    (2..=3).contains(&id.len())
        && id[0].is_ascii_uppercase()
        && id.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
