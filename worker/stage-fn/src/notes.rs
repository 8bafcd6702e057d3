//! What an execution has done so far, in the row's checkpoint: small, fenced like everything in the row, and found by the
//! same state again, by the next state, and by the next owner.

use std::collections::BTreeMap;

use eft_domain::{
    DeliveryId, Failure, Job, ObjectUri, Receipt, Route,
    receipt::{Delivery, DeliveryOutcome, FailureNote, Outcome},
};
use eft_worker::{place::Goal, serve::transfer::merged};
use serde::{Deserialize, Serialize};

/// Notes of this form; others are not read.
const FORM: u32 = 1;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// Their form.
    pub steps: u32,
    /// The checked output, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<ObjectUri>,
    /// The receipt of the pass that has made it, or of the one that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Receipt>,
    /// What became of each destination, and of the archive after them.
    #[serde(default)]
    pub copies: BTreeMap<usize, Copied>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureNote>,
}

/// What became of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Its receipt, if it came that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureNote>,
}

impl Default for Notes {
    fn default() -> Self {
        Self { steps: FORM, staged: None, pass: None, copies: BTreeMap::new(), failure: None }
    }
}

impl Notes {
    /// Those in a row; none where there are none, or those of something else.
    pub fn of(job: &Job) -> Self {
        let read = job.checkpoint.as_deref().and_then(|text| serde_json::from_str::<Self>(text).ok());
        read.filter(|notes| notes.steps == FORM).unwrap_or_default()
    }

    /// The text that stands in the row.
    ///
    /// # Errors
    /// `internal`: it has none.
    pub fn to_text(&self) -> Result<String, Failure> {
        serde_json::to_string(self)
            .map_err(|error| Failure::new(eft_domain::Code::Internal, format!("notes: {error}")))
    }

    /// Whether a destination has it.
    pub fn is_delivered(&self, at: usize) -> bool {
        self.copies.get(&at).is_some_and(|copied| copied.failure.is_none())
    }

    /// How many of the first `destinations` have it.
    pub fn delivered(&self, destinations: usize) -> usize {
        (0..destinations).filter(|at| self.is_delivered(*at)).count()
    }

    /// The receipt of all that was done; none where nothing was.
    pub fn receipt(&self, job: &Job, route: &Route, goals: &[Goal]) -> Option<Receipt> {
        let made = self.pass.clone().map(|pass| {
            let staged = pass.deliveries.first().cloned();
            let whole = Receipt { deliveries: Vec::new(), ..pass };
            (whole, staged)
        });
        let (base, staged) = made.map_or((None, None), |(whole, staged)| (Some(whole), staged));
        let copies = self.copies.values().filter_map(|copied| copied.receipt.clone());
        let mut receipt = copies.fold(base, |whole, next| merged(whole, Some(next)))?;
        // The archive's copy goes by the job's first run, and its route is another.
        receipt.run_id = job.run();
        receipt.receipt_id = job.run().to_string();
        receipt.route_id = route.effective_id();
        receipt.route_revision = route.revision();
        if let Some(staged) = staged {
            match receipt.deliveries.is_empty() && !goals.is_empty() && self.failure.is_some() {
                true => {
                    receipt.deliveries =
                        goals.iter().map(|goal| not_sent(&staged, job, route, goal)).collect()
                }
                // The copies have its checksum, and so its digest.
                false => {
                    for delivery in receipt.deliveries.iter_mut().take(goals.len()) {
                        let is_same = delivery.crc64nvme.is_some() && delivery.crc64nvme == staged.crc64nvme;
                        delivery.sha256 = staged.sha256.clone().filter(|_| is_same);
                    }
                }
            }
        }
        receipt.failure = self.failure.clone();
        receipt.outcome = self.outcome(goals.len());
        Some(receipt)
    }

    fn outcome(&self, destinations: usize) -> Outcome {
        let Some(failure) = &self.failure else { return Outcome::Succeeded };
        if self.delivered(destinations) > 0 {
            return Outcome::PartiallyDelivered;
        }
        match failure.known().map(eft_domain::Code::class) {
            Some(eft_domain::Class::Rejected) => Outcome::Rejected,
            Some(eft_domain::Class::Held) => Outcome::Held,
            _ => Outcome::Failed,
        }
    }
}

/// A destination that the staged object was not brought to, because there is none.
fn not_sent(staged: &Delivery, job: &Job, route: &Route, goal: &Goal) -> Delivery {
    Delivery {
        delivery_id: DeliveryId::of(job.run(), route.revision(), &goal.uri),
        uri: goal.uri.clone(),
        outcome: DeliveryOutcome::NotAttempted,
        version_id: None,
        etag: None,
        size: None,
        crc64nvme: None,
        sha256: None,
        ..staged.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_something_else_are_not_read() {
        let notes = Notes { staged: Some("s3://staging/a?versionId=1".parse().unwrap()), ..Notes::default() };
        let read = |text: &str| serde_json::from_str::<Notes>(text);
        assert_eq!(read(&notes.to_text().unwrap()).unwrap(), notes);
        assert!(read(r#"{"at":0,"checkpoint":{}}"#).is_err(), "a worker's");
    }
}
