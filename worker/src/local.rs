//! Local files: ranges read in place; written beside the name and renamed when complete.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use eft_domain::{ObjectUri, ObjectVersion};
use eft_pipeline::{
    checksum::{Crc64, RunningCrc64},
    port::{
        Committed, ErrorKind, Frames, ObjectSink, ObjectSource, Part, PartAck, PortError, PortResult,
        SinkLimits, Upload, Verified,
    },
    stored::Stored,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use rustix::io::Errno;

/// Bytes read at once; a frame of the pipeline.
const FRAME: u64 = 1 << 20;

/// What the caller may do about an error of the file system.
pub(crate) fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::AlreadyExists => ErrorKind::Exists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::Full
        }
        _ => ErrorKind::Permanent,
    }
}

fn port_error(path: &Path, error: &io::Error) -> PortError {
    PortError::new(kind_of(error), format!("{}: {error}", path.display()))
}

/// Run file work off the reactor.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(PortError::new(ErrorKind::Permanent, error.to_string())))
}

/// What tells a file from another, and from itself when it was changed: device, inode, size, modification time.
type Pin = (u64, u64, u64, i64, i64);

fn pin(meta: &Metadata) -> Pin {
    (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// This range of the file, into memory that nobody has to clear first.
fn read_exact(file: &File, range: Range<u64>) -> io::Result<Vec<u8>> {
    let wanted = (range.end - range.start) as usize;
    let mut buffer = Vec::with_capacity(wanted);
    while buffer.len() < wanted {
        let at = range.start + buffer.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut buffer), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // An allocator may give more than was asked for.
    buffer.truncate(wanted);
    Ok(buffer)
}

/// An open file, pinned by what it is, its size and modification time.
#[derive(Debug)]
pub struct LocalSource {
    /// `None`: opened again for each read.
    file: Option<Arc<File>>,
    path: PathBuf,
    version: ObjectVersion,
    size: u64,
    pinned: Pin,
}

impl LocalSource {
    /// Open a file.
    ///
    /// # Errors
    /// `NotFound`, `Denied`; `Permanent` for what is not a regular file.
    pub async fn open(path: &Path) -> PortResult<Self> {
        let path = path.to_owned();
        blocking(move || {
            let file = File::open(&path).map_err(|error| port_error(&path, &error))?;
            let meta = file.metadata().map_err(|error| port_error(&path, &error))?;
            if !meta.is_file() {
                let message = format!("{}: not a regular file; write `-` for a stream", path.display());
                return Err(PortError::new(ErrorKind::Permanent, message));
            }
            let version = ObjectVersion {
                uri: ObjectUri::Local(path.clone()),
                version_id: None,
                etag: None,
                size: Some(meta.len()),
                last_modified: Some(format!("{}.{:09}", meta.mtime(), meta.mtime_nsec())),
            };
            Ok(Self { file: Some(Arc::new(file)), path, version, size: meta.len(), pinned: pin(&meta) })
        })
        .await
    }

    /// The same file, not held open: for many of them. Another in its place is noticed.
    pub fn closed(self) -> Self {
        Self { file: None, ..self }
    }

    /// Whether the very file that was opened stands in `folder`, links followed.
    pub(crate) async fn is_in(&self, folder: &Path) -> PortResult<bool> {
        let (path, pinned, folder) = (self.path.clone(), self.pinned, folder.to_owned());
        blocking(move || {
            let real = path.canonicalize().map_err(|error| port_error(&path, &error))?;
            let meta = real.symlink_metadata().map_err(|error| port_error(&path, &error))?;
            Ok(real.starts_with(folder) && pin(&meta) == pinned)
        })
        .await
    }

    /// What was pinned.
    pub fn version(&self) -> &ObjectVersion {
        &self.version
    }
}

impl ObjectSource for LocalSource {
    fn uri(&self) -> String {
        self.version.uri.to_string()
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn checksum(&self) -> Option<Stored> {
        None
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        let (file, path, pinned) = (self.file.clone(), self.path.clone(), self.pinned);
        let frames = stream::unfold(range, move |left| {
            let (file, path) = (file.clone(), path.clone());
            async move {
                if left.is_empty() {
                    return None;
                }
                let end = left.end.min(left.start + FRAME);
                let start = left.start;
                let frame = blocking(move || {
                    let open = || File::open(&path).map(Arc::new).map_err(|error| port_error(&path, &error));
                    let file = file.map_or_else(open, Ok)?;
                    let read = read_exact(&file, start..end);
                    let meta = file.metadata().map_err(|error| port_error(&path, &error))?;
                    if pin(&meta) != pinned {
                        let message = format!("{}: changed while it was read", path.display());
                        return Err(PortError::new(ErrorKind::Changed, message));
                    }
                    read.map(Bytes::from).map_err(|error| port_error(&path, &error))
                })
                .await;
                let next = if frame.is_ok() { end..left.end } else { left.end..left.end };
                Some((frame, next))
            }
        });
        async move { Ok(frames.boxed()) }.boxed()
    }
}

/// A file that appears when it is complete.
#[derive(Clone, Debug)]
pub struct LocalSink {
    path: PathBuf,
    temporary: PathBuf,
}

impl LocalSink {
    /// A sink for `path`. `id` names the temporary file beside it.
    ///
    /// # Errors
    /// `Exists` when the name is taken, `NotFound` when the folder is not there.
    pub async fn open(path: &Path, id: &str) -> PortResult<Self> {
        let sink = Self::unchecked(path, id)?;
        blocking(move || {
            if sink.path.symlink_metadata().is_ok() {
                return Err(taken(&sink.path));
            }
            let folder = folder(&sink.path);
            if !folder.is_dir() {
                let message = format!("{}: no such folder", folder.display());
                return Err(PortError::new(ErrorKind::NotFound, message));
            }
            Ok(sink)
        })
        .await
    }

    /// A sink that has not looked: only the commit will find a taken name.
    ///
    /// # Errors
    /// `Permanent` when the path has no file name.
    pub fn unchecked(path: &Path, id: &str) -> PortResult<Self> {
        let Some(name) = path.file_name() else {
            return Err(PortError::new(
                ErrorKind::Permanent,
                format!("{}: has no file name", path.display()),
            ));
        };
        let temporary = path.with_file_name(format!(".{}.{id}.part", name.to_string_lossy()));
        Ok(Self { path: path.to_owned(), temporary })
    }

    fn create(&self) -> PortResult<LocalUpload> {
        let file = OpenOptions::new().write(true).create_new(true).open(&self.temporary);
        let file = file.map_err(|error| port_error(&self.temporary, &error))?;
        Ok(LocalUpload { sink: self.clone(), file: Arc::new(file) })
    }
}

/// Give a file its final name, which must not be taken.
fn publish(temporary: &Path, path: &Path) -> PortResult<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let renamed = match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        // Not on this file system; a hard link too fails when the name is taken, where a rename would replace.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::hard_link(temporary, path).inspect(|()| {
                let _removed = std::fs::remove_file(temporary);
            })
        }
        renamed => renamed.map_err(io::Error::from),
    };
    renamed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        _ => port_error(path, &error),
    })
}

fn taken(path: &Path) -> PortError {
    PortError::new(ErrorKind::Exists, format!("{}: the name is taken", path.display()))
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl ObjectSink for LocalSink {
    fn uri(&self) -> String {
        self.path.display().to_string()
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { min_part: 1, passes: false, ..SinkLimits::S3 }
    }

    fn put(&self, part: Part) -> BoxFuture<'_, PortResult<Committed>> {
        async move {
            let sink = self.clone();
            let upload = blocking(move || sink.create()).await?;
            let whole = part.crc;
            let done = match upload.write(part).await {
                Ok(ack) => upload.commit(&[ack], whole).await,
                Err(error) => Err(error),
            };
            if done.is_err() {
                upload.abort().await?;
            }
            done
        }
        .boxed()
    }

    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Upload>>> {
        let sink = self.clone();
        blocking(move || sink.create().map(|upload| Box::new(upload) as Box<dyn Upload>)).boxed()
    }

    fn reopen<'a>(&'a self, id: &'a str) -> BoxFuture<'a, PortResult<Box<dyn Upload>>> {
        let (sink, id) = (self.clone(), PathBuf::from(id));
        blocking(move || {
            if id != sink.temporary {
                let message = format!("{}: not the temporary file of {}", id.display(), sink.path.display());
                return Err(PortError::new(ErrorKind::NotFound, message));
            }
            let file = OpenOptions::new().read(true).write(true).open(&id);
            let file = file.map_err(|error| port_error(&id, &error))?;
            Ok(Box::new(LocalUpload { sink, file: Arc::new(file) }) as Box<dyn Upload>)
        })
        .boxed()
    }

    fn uploads(&self) -> BoxFuture<'_, PortResult<Vec<String>>> {
        let temporary = self.temporary.clone();
        blocking(move || match temporary.symlink_metadata() {
            Ok(_) => Ok(vec![temporary.display().to_string()]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(port_error(&temporary, &error)),
        })
        .boxed()
    }
}

#[derive(Debug)]
struct LocalUpload {
    sink: LocalSink,
    file: Arc<File>,
}

/// The checksum of a file's first `len` bytes; `None` when it is shorter.
fn checksum_of(file: &File, len: u64) -> io::Result<Option<Crc64>> {
    let mut crc = RunningCrc64::default();
    let mut buffer = vec![0; FRAME as usize];
    let mut at = 0;
    while at < len {
        let wanted = (len - at).min(FRAME) as usize;
        match file.read_at(&mut buffer[..wanted], at)? {
            0 => return Ok(None),
            read => {
                crc.update(&buffer[..read]);
                at += read as u64;
            }
        }
    }
    Ok(Some(crc.finish()))
}

impl Upload for LocalUpload {
    fn id(&self) -> Option<String> {
        Some(self.sink.temporary.display().to_string())
    }

    /// A file has no checksums: its bytes are read again. What was written behind them is cut off.
    fn parts(&self, count: u32, whole: Crc64) -> BoxFuture<'_, PortResult<Option<Vec<PartAck>>>> {
        let (file, path) = (Arc::clone(&self.file), self.sink.temporary.clone());
        blocking(move || {
            let failed = |error| port_error(&path, &error);
            if checksum_of(&file, whole.len()).map_err(failed)? != Some(whole) {
                return Ok(None);
            }
            file.set_len(whole.len()).map_err(failed)?;
            let ack = |number| PartAck { number, tag: String::new(), crc: Crc64::default() };
            Ok(Some((1..=count).map(ack).collect()))
        })
        .boxed()
    }

    fn write(&self, part: Part) -> BoxFuture<'_, PortResult<PartAck>> {
        let (file, path) = (Arc::clone(&self.file), self.sink.temporary.clone());
        blocking(move || {
            let mut offset = part.offset;
            for segment in part.segments.iter() {
                file.write_all_at(segment, offset).map_err(|error| port_error(&path, &error))?;
                offset += segment.len() as u64;
            }
            Ok(PartAck { number: part.number, tag: String::new(), crc: part.crc })
        })
        .boxed()
    }

    fn commit<'a>(&'a self, _: &'a [PartAck], whole: Crc64) -> BoxFuture<'a, PortResult<Committed>> {
        let (file, sink) = (Arc::clone(&self.file), self.sink.clone());
        blocking(move || {
            let failed = |error| port_error(&sink.temporary, &error);
            file.sync_all().map_err(failed)?;
            let size = file.metadata().map_err(failed)?.len();
            if size != whole.len() {
                let message =
                    format!("{}: {size} bytes written, {} expected", sink.temporary.display(), whole.len());
                return Err(PortError::new(ErrorKind::Permanent, message));
            }
            publish(&sink.temporary, &sink.path)?;
            // From here on the object is there: that the folder's entry could not be forced to disk, or not be asked to
            // be, does not undo it.
            let _synced = File::open(folder(&sink.path)).and_then(|folder| folder.sync_all());
            Ok(Committed {
                version: None,
                etag: None,
                verified: Verified::SizeOnly,
                whole: Some(whole),
                already_there: false,
                resolved: false,
            })
        })
        .boxed()
    }

    fn abort(&self) -> BoxFuture<'_, PortResult<()>> {
        let path = self.sink.temporary.clone();
        blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(port_error(&path, &error)),
            _ => Ok(()),
        })
        .boxed()
    }
}
