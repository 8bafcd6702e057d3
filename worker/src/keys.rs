//! Keys in a folder: `NAME.asc` or `NAME.pgp`, with the passphrase of a secret key in `NAME.pass` or in the environment.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use eft_domain::TenantId;
use eft_pipeline::{
    keys::{Keys, MAX_KEY_BYTES, SecretBytes},
    port::{ErrorKind, PortError, PortResult},
};
use futures::{FutureExt, future::BoxFuture};

/// What the names of key files end in, in the order they are looked for.
const EXTENSIONS: [&str; 2] = ["asc", "pgp"];

/// Longest passphrase, in bytes. None, reasonable default.
const MAX_PASSPHRASE: usize = 4 << 10;

/// A folder of keys. The names come from routes, where they are checked to be file names without a path.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whose keys they are, where the folder holds those of several.
    tenant: Option<TenantId>,
    /// What the environment says of a variable.
    environment: fn(&str) -> Option<String>,
}

impl Folder {
    /// The keys in a folder; `environment` is asked for [`Folder::variable`] where there is no `NAME.pass`.
    pub fn new(path: PathBuf, environment: fn(&str) -> Option<String>) -> Self {
        Self { path, tenant: None, environment }
    }

    /// The keys of one tenant, in the folder of its name, where a route of no other looks; in the variables of their
    /// passphrases its name stands before the key's.
    #[must_use]
    pub fn of_tenant(&self, tenant: &TenantId) -> Self {
        Self { path: self.path.join(tenant.as_str()), tenant: Some(tenant.clone()), ..self.clone() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The variable with the passphrase of a key: `EFT_PASSPHRASE_`, the tenant's name and `__` where there is one, and the
    /// key's name; in capitals, `_` for all that is neither letter nor digit.
    pub fn variable(&self, name: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let tenant = self.tenant.iter().flat_map(|tenant| tenant.as_str().chars().chain("__".chars()));
        "EFT_PASSPHRASE_".chars().chain(tenant.chain(name.chars()).map(plain)).collect()
    }

    fn key(&self, name: &str) -> PortResult<Bytes> {
        for extension in EXTENSIONS {
            // One byte more than allowed, so that the parser refuses it.
            if let Some(bytes) = read(&self.path.join(format!("{name}.{extension}")), MAX_KEY_BYTES + 1)? {
                return Ok(bytes.into());
            }
        }
        let folder = self.path.display();
        Err(PortError::new(ErrorKind::NotFound, format!("neither {name}.asc nor {name}.pgp is in {folder}")))
    }

    fn passphrase(&self, name: &str) -> PortResult<Option<String>> {
        let path = self.path.join(format!("{name}.pass"));
        let Some(bytes) = read(&path, MAX_PASSPHRASE)? else {
            return Ok((self.environment)(&self.variable(name)));
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| PortError::new(ErrorKind::Permanent, format!("{} is not UTF-8", path.display())))?;
        // An editor ends the line.
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }
}

/// At most so many bytes of a file; `None` when there is none.
fn read(path: &Path, most: usize) -> PortResult<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file,
    };
    let read = file.and_then(|file| file.take(most as u64).read_to_end(&mut bytes));
    read.map(|_| Some(bytes))
        .map_err(|error| PortError::new(ErrorKind::Denied, format!("{}: {error}", path.display())))
}

impl Keys for Folder {
    fn public<'a>(&'a self, name: &'a str) -> BoxFuture<'a, PortResult<Bytes>> {
        async move { self.key(name) }.boxed()
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, PortResult<SecretBytes>> {
        async move { Ok(SecretBytes { key: self.key(name)?, passphrase: self.passphrase(name)? }) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        let known = ["EFT_PASSPHRASE_OURS_2026", "EFT_PASSPHRASE_GLOBEX__OURS_2026"];
        known.contains(&name).then(|| format!("from {name}"))
    }

    fn secret(folder: &Folder, name: &str) -> PortResult<SecretBytes> {
        folder.secret(name).now_or_never().unwrap()
    }

    #[test]
    fn keys_are_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        file("ours-2026.asc", "armored");
        file("acme.pgp", "binary");
        file("acme.pass", "sesame\r\n");
        let keys = Folder::new(folder.path().to_owned(), environment);
        assert_eq!(keys.public("acme").now_or_never().unwrap().unwrap(), "binary");
        let ours = secret(&keys, "ours-2026").unwrap();
        assert_eq!(
            (&ours.key[..], ours.passphrase.as_deref()),
            (&b"armored"[..], Some("from EFT_PASSPHRASE_OURS_2026"))
        );
        assert_eq!(secret(&keys, "acme").unwrap().passphrase.as_deref(), Some("sesame"));
        let missing = secret(&keys, "nobody").unwrap_err();
        assert_eq!(missing.kind, ErrorKind::NotFound);
        assert!(missing.message.starts_with("neither nobody.asc nor nobody.pgp is in "), "{missing}");
    }

    #[test]
    fn a_tenant_has_its_own_keys_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        for (place, key) in [("", "of the platform"), ("acme", "of acme"), ("globex", "of globex")] {
            let place = folder.path().join(place);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("ours-2026.asc"), key).unwrap();
        }
        std::fs::write(folder.path().join("acme/only.asc"), "acme's alone").unwrap();
        let all = Folder::new(folder.path().to_owned(), environment);
        let [acme, globex] = ["acme", "globex"].map(|tenant| all.of_tenant(&tenant.parse().unwrap()));
        let of = |keys: &Folder| secret(keys, "ours-2026").map(|it| (it.key, it.passphrase)).unwrap();
        assert_eq!(of(&acme), ("of acme".into(), None));
        let passphrase = "from EFT_PASSPHRASE_GLOBEX__OURS_2026".to_owned();
        assert_eq!(of(&globex), ("of globex".into(), Some(passphrase)));
        assert_eq!(secret(&globex, "only").unwrap_err().kind, ErrorKind::NotFound);
    }

    #[test]
    fn a_key_file_is_not_read_without_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("big.asc"), vec![b'a'; 3 * MAX_KEY_BYTES]).unwrap();
        let keys = Folder::new(folder.path().to_owned(), environment);
        assert_eq!(keys.public("big").now_or_never().unwrap().unwrap().len(), MAX_KEY_BYTES + 1);
    }
}
