//! Why a state fails: a few names, which the state machine knows.

use eft_domain::{
    Class, Failure,
    job::{Refused, Remedy, remedy},
    message::MessageError,
};
use eft_store::{ChangeError, StoreError};
use lambda_runtime::Diagnostic;

/// Why a state fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The sender has to act: `Quarantine` ends the run.
    #[error("{0}")]
    Rejected(Failure),
    /// Somebody else has to act: `MarkFailed` ends or holds the run.
    #[error("{0}")]
    Failed(Failure),
    /// It may succeed in a moment: the state is tried again, and then as [`Error::Failed`].
    #[error("{0}")]
    Retry(String),
    /// The job has another owner, or has ended: there is nothing to do.
    #[error("{0}")]
    Superseded(String),
    /// It stays as it is: its lease lapses, and the sweep sends it again.
    #[error("{0}")]
    Unfinished(String),
    /// The state machine asks for something that this function does not know.
    #[error("{0}")]
    Request(#[from] MessageError),
}

/// The names, in the order of the documentation.
pub const NAMES: [&str; 6] =
    ["EFT.Rejected", "EFT.Failed", "EFT.Retry", "EFT.Superseded", "EFT.Unfinished", "EFT.Request"];

impl Error {
    /// The name that the state machine catches.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rejected(_) => NAMES[0],
            Self::Failed(_) => NAMES[1],
            Self::Retry(_) => NAMES[2],
            Self::Superseded(_) => NAMES[3],
            Self::Unfinished(_) => NAMES[4],
            Self::Request(_) => NAMES[5],
        }
    }

    pub(crate) fn out_of_time() -> Self {
        Self::Unfinished("the function's time is over".to_owned())
    }

    /// Whether a name is one of a failure that was noted.
    pub fn is_verdict(name: &str) -> bool {
        NAMES[..3].contains(&name)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match remedy(failure.code) {
            Remedy::Retry => Self::Retry(failure.to_string()),
            Remedy::HandBack => Self::Unfinished(failure.to_string()),
            Remedy::End | Remedy::Hold if failure.code.class() == Class::Rejected => Self::Rejected(failure),
            Remedy::End | Remedy::Hold => Self::Failed(failure),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let message = format!("ledger: {error}");
        if error.is_transient() { Self::Retry(message) } else { Self::Unfinished(message) }
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => error.into(),
            // Only notes can be too long, and no other owner would have shorter ones.
            ChangeError::Refused(Refused::Checkpoint(_)) => Self::Unfinished(error.to_string()),
            ChangeError::Unknown(_) | ChangeError::Refused(_) | ChangeError::Changed { .. } => {
                Self::Superseded(error.to_string())
            }
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: error.name().to_owned(), error_message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use eft_domain::Code;

    use super::*;

    #[test]
    fn failures_go_to_the_state_of_whoever_has_to_act() {
        for code in Code::ALL {
            let error = Error::from(Failure::new(*code, "what"));
            let name = match (remedy(*code), code.class()) {
                (Remedy::Retry, _) => "EFT.Retry",
                (Remedy::HandBack, _) => "EFT.Unfinished",
                (_, Class::Rejected) => "EFT.Rejected",
                _ => "EFT.Failed",
            };
            assert_eq!(error.name(), name, "{code}");
            assert_eq!(Error::is_verdict(error.name()), *code != Code::Interrupted, "{code}");
        }
        assert!(!Error::is_verdict("States.Timeout") && !Error::is_verdict("EFT.Superseded"));
    }
}
