//! The port of a virus scanner: it is shown bytes, and says at their end what it found.
//!
//! The adapter for ClamAV lives in the worker. A call may be dropped at any await; so may a scan, which ends it.

use std::fmt;

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};

use crate::port::{ErrorKind, PortError, PortResult};

/// Most characters of an answer in a message. None, reasonable default.
const SHOWN: usize = 128;

/// What a scanner says of the bytes it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It saw all of them and found nothing.
    Clean,
    /// It found what it calls by this name.
    Infected(String),
    /// It did not look at all of them, because of a limit of its own; in its words.
    TooLarge(String),
}

/// A virus scanner.
pub trait Scanner: fmt::Debug + Send + Sync {
    /// Begin a scan.
    ///
    /// # Errors
    /// `Transient` when it is not reached.
    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Scan>>>;
}

/// A scan under way. It cannot be gone on with once it has failed: the bytes have to be shown anew.
pub trait Scan: Send {
    /// The scanner and its version, as it says.
    fn scanner(&self) -> &str;

    /// Show it the next bytes; returns when it has taken them. A verdict means that it wants no more.
    ///
    /// # Errors
    /// `Transient` when the scanner is lost. Final.
    fn feed(&mut self, bytes: Bytes) -> BoxFuture<'_, PortResult<Option<Verdict>>>;

    /// There are no more bytes: wait for the verdict.
    ///
    /// # Errors
    /// As [`Scan::feed`].
    fn finish(self: Box<Self>) -> BoxFuture<'static, PortResult<Verdict>>;
}

/// Stands for a scanner where none is asked: a plan is made with it, and not carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoScanner;

impl Scanner for NoScanner {
    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Scan>>> {
        async { Err(PortError::new(ErrorKind::Unsupported, "there is no scanner")) }.boxed()
    }
}

/// What clamd says to INSTREAM, without the NUL that ends it. Here and not with its adapter, so that it is fuzzed.
///
/// A file that clamd did not look into because of a limit is not infected, and not clean: with `AlertExceedsMax` set it
/// finds `Heuristics.Limits.Exceeded…` in it.
///
/// # Errors
/// The answer as it can be shown, when it is no verdict.
pub fn of_clamd(answer: &[u8]) -> Result<Verdict, String> {
    if answer == b"INSTREAM size limit exceeded. ERROR" {
        return Ok(Verdict::TooLarge(shown(answer)));
    }
    match answer.strip_prefix(b"stream: ") {
        Some(b"OK") => Ok(Verdict::Clean),
        Some(rest) => match rest.strip_suffix(b" FOUND") {
            Some(name) if name.starts_with(b"Heuristics.Limits.Exceeded") => {
                Ok(Verdict::TooLarge(shown(name)))
            }
            Some(name) if !name.is_empty() => Ok(Verdict::Infected(shown(name))),
            _ => Err(shown(answer)),
        },
        None => Err(shown(answer)),
    }
}

/// A text from outside for a message: short, on a line, without control characters.
pub fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut short: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_clamd_means_them() {
        let found = |name: &str| Ok(Verdict::Infected(name.to_owned()));
        let large = |said: &str| Ok(Verdict::TooLarge(said.to_owned()));
        for (answer, expected) in [
            ("stream: OK", Ok(Verdict::Clean)),
            ("stream: Eicar.UNOFFICIAL FOUND", found("Eicar.UNOFFICIAL")),
            ("stream: OK FOUND", found("OK")),
            (
                "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND",
                large("Heuristics.Limits.Exceeded.MaxFileSize"),
            ),
            ("stream: Heuristics.Encrypted.Zip FOUND", found("Heuristics.Encrypted.Zip")),
            ("INSTREAM size limit exceeded. ERROR", large("INSTREAM size limit exceeded. ERROR")),
            ("stream: a\u{1b}[31m\n FOUND", found(r"a\u{1b}[31m\n")),
        ] {
            assert_eq!(of_clamd(answer.as_bytes()), expected, "{answer}");
        }
        for answer in [
            "",
            "OK",
            "stream: ",
            "stream: OK\n",
            "stream:  FOUND",
            "stream: FOUND",
            "COMMAND READ TIMED OUT",
        ] {
            assert!(of_clamd(answer.as_bytes()).is_err(), "{answer}");
        }
        assert_eq!(shown(&[b'x'; 1000]).chars().count(), SHOWN + 1);
    }
}
