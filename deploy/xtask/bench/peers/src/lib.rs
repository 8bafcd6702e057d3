//! What the programs share: each copies `s3://SOURCE` to `s3://TARGET` in parts of 16 MiB, eight at once, as its library's
//! documentation has it.

use std::error::Error;

/// Whatever goes wrong.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// Bytes of a part.
pub const PART: usize = 16 << 20;

/// Parts at once.
pub const AT_ONCE: usize = 8;

/// A bucket and a key.
pub type Place = (String, String);

/// Where from and where to, as the command line says.
pub fn places() -> Result<(Place, Place), AnyError> {
    let mut places = std::env::args().skip(1).map(|uri| {
        let place = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        place.map(|(bucket, key)| (bucket.to_owned(), key.to_owned())).ok_or(format!("{uri} is no object of S3"))
    });
    let mut next = || places.next().unwrap_or(Err("two objects are needed".to_owned()));
    Ok((next()?, next()?))
}
