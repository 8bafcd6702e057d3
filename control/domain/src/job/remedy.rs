//! What the platform itself does about a failure.

use std::time::Duration;

use super::{Command, Ending, Job, Millis};
use crate::{Class, Code, Failure};

/// How long a job is tried again before it is given up: a destination that is down over night is up in the morning.
pub const HOLD_CUTOFF: Duration = Duration::from_secs(24 * 60 * 60);

/// What the platform does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The run has ended.
    End,
    /// It waits until somebody has acted and resumes it.
    Hold,
    /// It waits and is tried again until [`HOLD_CUTOFF`], then it has ended.
    Retry,
    /// The next owner goes on.
    HandBack,
}

/// What is done about a failure code.
pub const fn remedy(code: Code) -> Remedy {
    match code {
        Code::SourceUnavailable
        | Code::DestinationUnavailable
        | Code::DestinationFull
        | Code::DestinationIndeterminate
        | Code::ScanUnavailable
        | Code::CheckpointUnavailable => Remedy::Retry,
        // A bucket that is not there yet is made, and a key is brought: the file is not at fault.
        Code::DestinationMissing | Code::KeysUnusable => Remedy::Hold,
        _ => match code.class() {
            Class::Rejected | Class::Failed | Class::Usage => Remedy::End,
            Class::Held => Remedy::Hold,
            Class::Interrupted => Remedy::HandBack,
        },
    }
}

/// How long until the next try, when so many were made: 1, 2, 4, … minutes, at most an hour. Nothing is drawn: the jobs
/// of a destination that is down did not fail at one moment.
pub fn retry_delay(tries: u32) -> Duration {
    Duration::from_secs(60 << tries.min(6)).min(Duration::from_secs(3600))
}

impl Job {
    /// What its owner asks for when its run has failed. `receipt` is the text of the receipt, if there is one.
    pub fn settle(&self, fence: u64, failure: Failure, receipt: Option<String>, now: Millis) -> Command {
        let end = |failure| Command::End { fence, ending: Ending::Failed(failure, receipt) };
        match remedy(failure.code) {
            Remedy::End => end(failure),
            Remedy::Hold => Command::Hold { fence, failure, retry_in: None },
            Remedy::Retry => {
                let (since, tries) = self.hold.map_or((now, 0), |hold| (hold.since, hold.tries));
                if now.since(since) >= HOLD_CUTOFF {
                    return end(failure);
                }
                Command::Hold { fence, failure, retry_in: Some(retry_delay(tries)) }
            }
            Remedy::HandBack => Command::HandBack { fence, reason: failure.message },
        }
    }
}

/// The table of the documentation: what the platform does about each code, and what is left to people.
pub fn remedy_table() -> String {
    let mut table = "| code | the platform | people |\n|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let does = match remedy(*code) {
            Remedy::End => "ends the run",
            Remedy::Hold => "holds it until it is resumed",
            Remedy::Retry => "holds it and tries again for 24 h, then ends it",
            Remedy::HandBack => "gives it to the next worker",
        };
        table.push_str(&format!("| `{code}` | {does} | {} |\n", code.remedy()));
    }
    table
}
