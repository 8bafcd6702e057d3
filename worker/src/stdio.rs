//! Standard input and output. A pipe has no second chance and no commit: what was written cannot be taken back.

use std::{fs::File, io::Write, ops::Range, os::fd::AsFd, sync::Arc};

use bytes::BytesMut;
use eft_pipeline::{
    checksum::Crc64,
    port::{
        Committed, ErrorKind, Frames, ObjectSink, ObjectSource, Part, PartAck, PortError, PortResult,
        SinkLimits, Upload, Verified,
    },
    stored::Stored,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::{
    io::{AsyncReadExt, Stdin},
    sync::Mutex,
};

use crate::local::{blocking, kind_of};

/// Bytes asked of the pipe at once.
const FRAME: usize = 256 << 10;

/// Standard input, read from start to end.
#[derive(Clone, Debug)]
pub struct StdinSource(Arc<Mutex<Stdin>>);

impl Default for StdinSource {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(tokio::io::stdin())))
    }
}

/// Reads until the buffer is full or the input ends.
async fn fill(source: &StdinSource, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut stdin = source.0.lock().await;
    let mut filled = 0;
    while filled < buffer.len() {
        match stdin.read(&mut buffer[filled..]).await? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

impl ObjectSource for StdinSource {
    fn uri(&self) -> String {
        "-".to_owned()
    }

    fn size(&self) -> Option<u64> {
        None
    }

    fn checksum(&self) -> Option<Stored> {
        None
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        let state = (self.clone(), range.end - range.start);
        let frames = stream::unfold(state, |(source, left)| async move {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(FRAME);
            if want == 0 {
                return None;
            }
            // A pipe gives little at a time; a frame that is not full would hold more memory than it has bytes.
            let mut buffer = BytesMut::zeroed(want);
            match fill(&source, &mut buffer).await {
                Ok(0) => None,
                Ok(read) => {
                    buffer.truncate(read);
                    Some((Ok(buffer.freeze()), (source, left - read as u64)))
                }
                Err(error) => Some((
                    Err(PortError::new(ErrorKind::Permanent, format!("standard input: {error}"))),
                    (source, 0),
                )),
            }
        });
        async move { Ok(frames.boxed()) }.boxed()
    }
}

/// Standard output, written in order, each segment from where it lies: the standard library's and tokio's copy it first.
#[derive(Clone, Debug, Default)]
pub struct StdoutSink(Arc<Mutex<()>>);

impl ObjectSink for StdoutSink {
    fn uri(&self) -> String {
        "-".to_owned()
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { min_part: 1, sequential: true, passes: false, ..SinkLimits::S3 }
    }

    fn put(&self, part: Part) -> BoxFuture<'_, PortResult<Committed>> {
        async move {
            let whole = part.crc;
            let ack = self.write(part).await?;
            self.commit(&[ack], whole).await
        }
        .boxed()
    }

    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Upload>>> {
        async move { Ok(Box::new(self.clone()) as Box<dyn Upload>) }.boxed()
    }

    fn reopen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, PortResult<Box<dyn Upload>>> {
        let message = "standard output cannot be taken up again";
        async move { Err(PortError::new(ErrorKind::Unsupported, message)) }.boxed()
    }

    fn uploads(&self) -> BoxFuture<'_, PortResult<Vec<String>>> {
        async move { Ok(Vec::new()) }.boxed()
    }
}

fn failed(error: &std::io::Error) -> PortError {
    PortError::new(kind_of(error), format!("standard output: {error}"))
}

impl Upload for StdoutSink {
    fn id(&self) -> Option<String> {
        None
    }

    fn parts(&self, _: u32, _: Crc64) -> BoxFuture<'_, PortResult<Option<Vec<PartAck>>>> {
        async move { Ok(None) }.boxed()
    }

    fn write(&self, part: Part) -> BoxFuture<'_, PortResult<PartAck>> {
        async move {
            // Kept until it is written, also where nobody waits for that any more.
            let turn = Arc::clone(&self.0).lock_owned().await;
            blocking(move || {
                let _turn = turn;
                let out = std::io::stdout().as_fd().try_clone_to_owned();
                let mut out = File::from(out.map_err(|error| failed(&error))?);
                for segment in part.segments.iter() {
                    out.write_all(segment).map_err(|error| failed(&error))?;
                }
                Ok(PartAck { number: part.number, tag: String::new(), crc: part.crc })
            })
            .await
        }
        .boxed()
    }

    fn commit<'a>(&'a self, _: &'a [PartAck], whole: Crc64) -> BoxFuture<'a, PortResult<Committed>> {
        async move {
            Ok(Committed {
                version: None,
                etag: None,
                verified: Verified::SizeOnly,
                whole: Some(whole),
                already_there: false,
                resolved: false,
            })
        }
        .boxed()
    }

    fn abort(&self) -> BoxFuture<'_, PortResult<()>> {
        async move { Ok(()) }.boxed()
    }
}
