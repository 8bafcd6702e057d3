//! Where segments and elements end, as the head of an interchange says.

use eft_domain::route::EdiStandard;
use serde::{Deserialize, Serialize};

use crate::stage::csv::rules::show;

/// Bytes of an ISA segment, its terminator included: every element has a fixed length.
pub(super) const ISA: usize = 106;

/// Bytes of a service string advice.
pub(super) const UNA: usize = 9;

/// Where the element separators of an ISA segment stand (X12.5).
const ISA_SEPARATORS: [usize; 16] = [3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103];

/// The separators of an interchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Syntax {
    pub(super) element: u8,
    /// Makes the next byte text.
    pub(super) release: Option<u8>,
    pub(super) terminator: u8,
}

impl Syntax {
    /// EDIFACT's where no UNA says otherwise (ISO 9735-1).
    pub(super) const EDIFACT: Self = Self { element: b'+', release: Some(b'?'), terminator: b'\'' };

    /// Bytes of the head that have to be known before it can be read; `head` is what is known of it.
    pub(super) fn head_len(standard: EdiStandard, head: &[u8]) -> usize {
        match standard {
            EdiStandard::X12 if head.len() >= 3 && !head.starts_with(b"ISA") => 3,
            EdiStandard::X12 => ISA,
            EdiStandard::Edifact if head.starts_with(b"UNA") => UNA,
            EdiStandard::Edifact => 3,
        }
    }

    /// Read a head of [`Syntax::head_len`] bytes.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn of(standard: EdiStandard, head: &[u8]) -> Result<Self, String> {
        match standard {
            EdiStandard::X12 => Self::of_isa(head),
            EdiStandard::Edifact if head.starts_with(b"UNA") => {
                let syntax = Self {
                    element: head[4],
                    release: Some(head[6]).filter(|byte| *byte != b' '),
                    terminator: head[8],
                };
                let mut marks = vec![head[3], syntax.element, syntax.terminator];
                marks.extend(syntax.release);
                distinct(&marks).map(|()| syntax)
            }
            EdiStandard::Edifact if head == b"UNB" => Ok(Self::EDIFACT),
            EdiStandard::Edifact => Err(format!("expected UNA or UNB, found {}", show(head, false))),
        }
    }

    fn of_isa(head: &[u8]) -> Result<Self, String> {
        if !head.starts_with(b"ISA") {
            return Err(format!("expected ISA, found {}", show(head, false)));
        }
        let element = head[3];
        if let Some(at) = ISA_SEPARATORS.iter().position(|at| head[*at] != element) {
            return Err(format!(
                "ISA{at:02} is not of its fixed length: an ISA segment has {ISA} bytes, its elements separated by {}",
                show(&[element], false)
            ));
        }
        let syntax = Self { element, release: None, terminator: head[ISA - 1] };
        distinct(&[element, head[ISA - 2], syntax.terminator]).map(|()| syntax)
    }

    /// The elements of a segment, its name first.
    pub(super) fn elements<'a>(&self, segment: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Self { element, release, .. } = *self;
        let mut escaped = false;
        segment.split(move |byte| {
            let ends = !escaped && *byte == element;
            escaped = !escaped && Some(*byte) == release;
            ends
        })
    }
}

fn distinct(marks: &[u8]) -> Result<(), String> {
    for (at, mark) in marks.iter().enumerate() {
        if mark.is_ascii_alphanumeric() || *mark == b' ' || marks[..at].contains(mark) {
            return Err(format!("{} cannot separate, or separates two things", show(&[*mark], false)));
        }
    }
    Ok(())
}
