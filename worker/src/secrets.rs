//! The secrets a route names, from a folder of files.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use eft_domain::{Code, Failure, Route};
use eft_pipeline::secrets::{HeldSecrets, named};

/// Largest secret, in bytes: far more than any key has. Reasonable default.
const MAX_SECRET: u64 = 64 << 10;

/// The secrets a route names, each in `NAME.key` of the folder: all bytes of the file, a line end at its end too.
/// Without a folder there are none.
///
/// # Errors
/// `keys.unusable` when one cannot be read.
pub fn read(folder: Option<&Path>, route: &Route) -> Result<HeldSecrets, Failure> {
    let Some(folder) = folder else { return Ok(HeldSecrets::default()) };
    let secrets: Result<Vec<_>, Failure> = named(&route.stages)
        .map(|name| Ok((name.to_owned(), read_one(folder.join(format!("{name}.key")))?)))
        .collect();
    Ok(HeldSecrets::new(secrets?))
}

fn read_one(path: PathBuf) -> Result<Vec<u8>, Failure> {
    let bad = |what: String| Failure::new(Code::KeysUnusable, format!("secret {}: {what}", path.display()));
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_SECRET + 1).read_to_end(&mut bytes))
        .map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err(bad(format!("longer than {MAX_SECRET} bytes")));
    }
    Ok(bytes)
}
