//! What can be asked of a job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PinnedRoute;
use crate::{Failure, receipt::FailureNote};

/// Who asks: it stands in the history (G11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(pub String);

impl Actor {
    /// A part of the platform, such as `router`.
    pub fn part(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// A person or client of the APIs.
    pub fn principal(name: &str) -> Self {
        Self(format!("principal:{name}"))
    }
}

/// What is asked of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// No route takes it.
    Unrouted {
        /// Why not.
        reason: String,
    },
    /// It is not known to be whole yet.
    Wait {
        /// What is waited for.
        reason: String,
        /// When to look again.
        until: Duration,
    },
    /// It is whole: run it.
    Accept,
    /// It ends before it began: the route refuses it, or takes it for a sign of life.
    Dismiss(Ending),
    /// It was put into a queue.
    Sent,
    /// An owner takes it.
    Claim {
        /// A name no other process or slot has.
        owner: String,
        /// For how long nobody else may.
        lease: Duration,
    },
    /// The owner goes on.
    Renew {
        /// The owner's token.
        fence: u64,
        /// From now on.
        lease: Duration,
    },
    /// The owner has got this far.
    Save {
        /// The owner's token.
        fence: u64,
        /// What the next owner goes on from.
        checkpoint: String,
        /// It is further than the owner before it was.
        advanced: bool,
        /// Everything is checked and sent: what follows is publishing.
        publishing: bool,
    },
    /// The owner cannot go on from what stands there, or has nothing to go on from any more.
    Forget {
        /// The owner's token.
        fence: u64,
    },
    /// The owner stops, and the next one goes on.
    HandBack {
        /// The owner's token.
        fence: u64,
        /// Why.
        reason: String,
    },
    /// The run has ended.
    End {
        /// The owner's token.
        fence: u64,
        /// How.
        ending: Ending,
    },
    /// The run waits.
    Hold {
        /// The owner's token.
        fence: u64,
        /// Why.
        failure: Failure,
        /// When it is tried again by itself.
        retry_in: Option<Duration>,
    },
    /// What it waited for may be there.
    Resume {
        /// Why.
        reason: String,
    },
    /// Go on with the same run: destinations that have the object keep it.
    Redeliver {
        /// Why.
        reason: String,
    },
    /// Run it once more.
    Replay {
        /// Why.
        reason: String,
        /// With this revision; otherwise with the same.
        route: Option<PinnedRoute>,
    },
    /// Do not run it.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Changes up to this one were told.
    Told {
        /// The sequence of the last.
        sequence: u64,
    },
}

impl Command {
    /// The text of the receipt that comes with it: it is kept under the key in the row that [`apply`](super::apply) makes,
    /// before that row is written.
    pub fn receipt(&self) -> Option<&str> {
        match self {
            Self::Dismiss(ending) | Self::End { ending, .. } => ending.receipt(),
            _ => None,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every destination has it; the text of the receipt, where there is one.
    Succeeded(Option<String>),
    /// Some destinations have it; why not all, and the text of the receipt.
    Partial(FailureNote, String),
    /// None has it: rejected or failed, as the code says.
    Failed(Failure, Option<String>),
}

impl Ending {
    /// The text of the receipt.
    pub fn receipt(&self) -> Option<&str> {
        match self {
            Self::Succeeded(receipt) | Self::Failed(_, receipt) => receipt.as_deref(),
            Self::Partial(_, receipt) => Some(receipt),
        }
    }
}
