//! A checkpoint in a file.

use std::{
    fs::{File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use eft_domain::{Code, Failure};
use eft_pipeline::{
    checkpoint::{Checkpoint, CheckpointStore},
    port::{ErrorKind, PortError, PortResult},
};
use futures::{FutureExt, future::BoxFuture};

/// Largest checkpoint that is read: many times what one takes.
const MAX: u64 = 16 << 20;

/// The file of a run's checkpoint, locked against another run for as long as this lives.
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    lock: PathBuf,
    _locked: File,
}

impl CheckpointFile {
    /// Lock the file's name, and read what is there.
    ///
    /// # Errors
    /// `configuration` when it cannot be written or another run holds it, `checkpoint.refused` when it is damaged.
    pub fn open(path: &Path) -> Result<(Self, Option<Checkpoint>), Failure> {
        let failed = |why: &dyn std::fmt::Display| {
            Failure::new(Code::Configuration, format!("checkpoint {}: {why}", path.display()))
        };
        let name = path.file_name().ok_or_else(|| failed(&"has no file name"))?.to_string_lossy();
        let lock = path.with_file_name(format!(".{name}.lock"));
        let locked = lock_by_name(&lock).map_err(|error| match error {
            TryLockError::WouldBlock => failed(&"another run uses it"),
            TryLockError::Error(error) => failed(&error),
        })?;
        let file = Self { path: path.to_owned(), lock, _locked: locked };
        let checkpoint = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
            Ok(meta) if meta.len() > MAX => return Err(failed(&"is too large for a checkpoint")),
            Ok(_) => {
                let text = std::fs::read(path).map_err(|error| failed(&error))?;
                let read = serde_json::from_slice(&text);
                Some(read.map_err(|error| {
                    let message = format!("{} is not a checkpoint: {error}", path.display());
                    Failure::new(Code::CheckpointRefused, message)
                })?)
            }
        };
        Ok((file, checkpoint))
    }

    /// A new file in place of the old one: after a crash one of them is there, whole.
    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let name = self.path.file_name().map_or_else(Default::default, |name| name.to_string_lossy());
        let part = self.path.with_file_name(format!(".{name}.part"));
        let mut file = File::create(&part)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&part, &self.path)?;
        // A name is kept by its folder.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Lock the file that has this name. A run that ends removes the name: who had opened the file before holds a lock that
/// nobody else will ask for, and has to try again.
fn lock_by_name(path: &Path) -> Result<File, TryLockError> {
    loop {
        let file = File::create(path).map_err(TryLockError::Error)?;
        file.try_lock()?;
        let held = file.metadata().map_err(TryLockError::Error)?;
        match std::fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => return Ok(file),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(TryLockError::Error(error)),
            _ => {}
        }
    }
}

impl Drop for CheckpointFile {
    fn drop(&mut self) {
        // Only a name: the lock itself goes with the handle.
        let _removed = std::fs::remove_file(&self.lock);
    }
}

fn port_error(path: &Path, error: &io::Error) -> PortError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Permanent,
    };
    PortError::new(kind, format!("checkpoint {}: {error}", path.display()))
}

impl CheckpointStore for CheckpointFile {
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>> {
        // A few kilobytes, every few seconds: not worth a thread, and dropped with the run it cannot be half done.
        async move {
            let text = serde_json::to_vec(checkpoint);
            let text = text.map_err(|error| PortError::new(ErrorKind::Permanent, error.to_string()))?;
            self.replace(&text).map_err(|error| port_error(&self.path, &error))
        }
        .boxed()
    }

    fn remove(&self) -> BoxFuture<'_, PortResult<()>> {
        async move {
            match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(port_error(&self.path, &error)),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eft_pipeline::checkpoint::{Pinned, SavedSink};

    fn checkpoint() -> Checkpoint {
        let text = |text: &str| text.to_owned();
        let pinned = Pinned {
            source: text("s"),
            route: text("r"),
            destination: text("d"),
            plan: text("p"),
            delivery: text("1"),
        };
        Checkpoint::new(pinned, vec![SavedSink::new(text("s3://out/a"), vec![text("other")])])
    }

    #[tokio::test]
    async fn what_was_saved_is_read_and_one_run_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        let (file, none) = CheckpointFile::open(&path).unwrap();
        assert!(none.is_none());
        file.save(&checkpoint()).await.unwrap();
        let taken = CheckpointFile::open(&path).unwrap_err();
        assert!(taken.message.contains("another run uses it"), "{taken}");
        drop(file);

        let (file, saved) = CheckpointFile::open(&path).unwrap();
        assert_eq!(saved, Some(checkpoint()));
        file.remove().await.unwrap();
        file.remove().await.unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left behind");
    }

    /// Runs that come and go: there are never two at once.
    #[test]
    fn one_run_at_a_time_holds_the_name() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        let (holding, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if let Ok(file) = CheckpointFile::open(&path) {
                            assert_eq!(holding.fetch_add(1, Ordering::SeqCst), 0, "two runs hold it");
                            held.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            holding.fetch_sub(1, Ordering::SeqCst);
                            drop(file);
                        }
                    }
                });
            }
        });
        assert!(held.into_inner() > 0);
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        std::fs::write(&path, "{\"format\":1}").unwrap();
        assert_eq!(CheckpointFile::open(&path).unwrap_err().code, Code::CheckpointRefused);
        let nowhere = folder.path().join("missing/run.checkpoint");
        assert_eq!(CheckpointFile::open(&nowhere).unwrap_err().code, Code::Configuration);
    }
}
