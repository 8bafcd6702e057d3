//! Wrong passwords of a user: after so many of them its passwords are refused for a time, right or wrong.
//!
//! Each failure takes a place that is free again when its time is over. Who has taken the last one has locked the user, for
//! as long as that one is taken. It is counted in the table `keys`, which both regions see the same. However many are
//! taken, it is as many looks and one write.
//!
//! Attempts of one moment may all be looked at before the first of them is counted: at most as many more as functions run
//! at once, which `deploy/core/identity.ts` limits. Whoever has to say the right name may lock its user's passwords; a login with a key is never locked, and a
//! failure from a network that is not the user's is not counted as one of it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use eft_domain::{Millis, sftp::SftpUser};
use eft_store::{Keys, StoreResult};
use futures::future::try_join_all;

/// Failures that lock. Reasonable default; NIST SP 800-63B-4, 3.2.2 takes no more than 100.
pub const MOST: u32 = 5;

/// Within which time, and for how long. Reasonable default.
pub const TIME: Duration = Duration::from_secs(15 * 60);

/// Among how many the names are spread that are no user's: rows of the table are not for whoever makes names up.
const SHARED: u64 = 64;

/// Whose failures are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter(String);

impl Counter {
    /// Of a user.
    pub fn of(user: &SftpUser) -> Self {
        Self(format!("user#{}", user.name))
    }

    /// Of a name that is no user's. It is asked and counted as well, so that nobody can tell the two apart by the time
    /// that takes.
    pub fn shared(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(format!("shared#{}", hasher.finish() % SHARED))
    }

    fn place(&self, number: u32) -> String {
        format!("sftp-failed#{}#{number}", self.0)
    }

    /// Look at all places at once.
    ///
    /// # Errors
    /// They are not known.
    pub async fn look(&self, keys: &dyn Keys, now: Millis) -> StoreResult<Places> {
        let looks = (0..MOST).map(|number| async move {
            let place = self.place(number);
            keys.get(&place, now).await.map(|found| found.is_some())
        });
        Ok(Places(try_join_all(looks).await?))
    }

    /// Count a failure. Says whether it was the one that locks. Where the user is locked nothing is counted, and it takes
    /// as long.
    ///
    /// # Errors
    /// It may have been counted.
    pub async fn failed(&self, keys: &dyn Keys, seen: &Places, now: Millis) -> StoreResult<bool> {
        // From the first that was free: others may have taken it since, and then it is the next.
        for number in seen.first_free()..MOST {
            // A write whose answer was lost finds itself there, and takes one place more: a lock too early does less harm
            // than one too late.
            if keys.put_new(&self.place(number), "failed", now.plus(TIME), now).await?.is_none() {
                return Ok(number == MOST - 1);
            }
        }
        Ok(false)
    }
}

/// Which places are taken.
#[derive(Clone, Debug)]
pub struct Places(Vec<bool>);

impl Places {
    /// Whether passwords are refused for now.
    pub fn are_locked(&self) -> bool {
        self.0.last() == Some(&true)
    }

    /// The last one where none is, or where it is the last that counts.
    fn first_free(&self) -> u32 {
        let free = if self.are_locked() { None } else { (0..MOST).zip(&self.0).find(|(_, taken)| !**taken) };
        free.map_or(MOST - 1, |(number, _)| number)
    }
}
