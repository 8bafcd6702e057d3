//! ClamAV's daemon as a scanner: the command INSTREAM of clamd(8), over TCP or a Unix socket.
//!
//! # Overview
//! A scan is a connection: the command, chunks with their length before them, an empty one at the end, and one answer.
//! Nothing of the file is held here; what the socket does not take waits where it is.
//!
//! # Failure handling
//! clamd answers early, and closes, when a stream is longer than its `StreamMaxLength`; what it said is looked for also
//! when writing fails. An answer counts only with the NUL that ends it, so that one that was cut is never read as another.
//!
//! clamd calls a file clean that it did not look into because of its other limits, unless `AlertExceedsMax` is set: then
//! it finds `Heuristics.Limits.Exceeded…`, which is no virus but says that the file is too large for it.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use bytes::{Buf, Bytes};
use eft_pipeline::{
    port::{ErrorKind, PortError, PortResult},
    scanner::{Scan, Scanner, Verdict, of_clamd, shown},
};
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// Longest wait for a connection, a name looked up included. None, reasonable default.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest wait for the answer to a command that takes no work. None, reasonable default.
const ANSWER: Duration = Duration::from_secs(30);

/// Longest wait for clamd to take a chunk, which it only writes to a file. None, reasonable default.
const TAKE: Duration = Duration::from_secs(60);

/// Longest wait for a verdict: five times the `MaxScanTime` of clamd, because scans queue.
const VERDICT: Duration = Duration::from_secs(600);

/// Longest wait for what clamd said before it closed the connection. None, reasonable default.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Most bytes of a chunk: clamd reads less at a time anyhow, and refuses one that is longer than `StreamMaxLength`.
const CHUNK: usize = 1 << 20;

/// Longest answer, in bytes: a name of a signature and a few words. None, reasonable default.
const MAX_ANSWER: usize = 4 << 10;

/// Where clamd listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `host:port`.
    Tcp(String),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        let bad = || {
            format!(
                "`{}` is not where clamd listens: host:port, [v6]:port or unix:/path",
                text.escape_debug()
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let is_host = !host.is_empty() && !host.contains('/') && (bracketed || !host.contains(':'));
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|port| *port > 0);
        if !is_host || !is_port || port.is_none() || text.contains(char::is_whitespace) {
            return Err(bad());
        }
        Ok(Self::Tcp(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A clamd.
#[derive(Clone, Debug)]
pub struct Clamd {
    address: Address,
}

impl Clamd {
    /// The one that listens there. Nothing is sent before it is asked.
    pub fn new(address: Address) -> Self {
        Self { address }
    }

    async fn connect(&self) -> PortResult<Session> {
        let connected = async {
            Ok::<Box<dyn Socket>, std::io::Error>(match &self.address {
                Address::Tcp(address) => {
                    let socket = TcpStream::connect(address.as_str()).await?;
                    // The last bytes are not to wait for an acknowledgement of those before them.
                    socket.set_nodelay(true)?;
                    Box::new(socket)
                }
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            })
        };
        let name = format!("clamd at {}", self.address);
        match timeout(CONNECT, connected).await {
            Ok(Ok(socket)) => Ok(Session::new(name, socket)),
            Ok(Err(error)) => Err(lost(&name, &format_args!("cannot be reached: {error}"))),
            Err(_) => Err(lost(&name, &format_args!("cannot be reached within {} s", CONNECT.as_secs()))),
        }
    }

    /// What it calls itself. Asked before each scan: a scanner that does not answer is found before a byte is sent.
    async fn version(&self) -> PortResult<String> {
        let mut session = self.connect().await?;
        session.send(&b"zVERSION\0"[..]).await?;
        let answer = session.answer(ANSWER).await?;
        match answer.starts_with(b"ClamAV") {
            true => Ok(shown(&answer)),
            // `EnableVersionCommand no`.
            false if answer == b"COMMAND UNAVAILABLE" => Ok("ClamAV".to_owned()),
            false => {
                let message = format!("{} does not answer as clamd does: `{}`", session.name, shown(&answer));
                Err(PortError::new(ErrorKind::Permanent, message))
            }
        }
    }
}

impl Scanner for Clamd {
    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Scan>>> {
        async {
            let version = self.version().await?;
            let mut session = self.connect().await?;
            session.send(&b"zINSTREAM\0"[..]).await?;
            session.version = version;
            Ok(Box::new(session) as Box<dyn Scan>)
        }
        .boxed()
    }
}

/// A connection, for one command.
struct Session {
    /// The scanner, for messages.
    name: String,
    version: String,
    from: ReadHalf<Box<dyn Socket>>,
    to: WriteHalf<Box<dyn Socket>>,
    /// What has come of the answer.
    answer: Vec<u8>,
}

fn lost(name: &str, what: &dyn fmt::Display) -> PortError {
    PortError::new(ErrorKind::Transient, format!("{name} {what}"))
}

impl Session {
    fn new(name: String, socket: Box<dyn Socket>) -> Self {
        let (from, to) = tokio::io::split(socket);
        Self { name, version: String::new(), from, to, answer: Vec::new() }
    }

    /// Send bytes, unless an answer comes first.
    async fn send(&mut self, mut bytes: impl Buf) -> PortResult<Option<Vec<u8>>> {
        let Self { name, from, to, answer, .. } = self;
        let written = tokio::select! {
            biased;
            answered = read(name, from, answer) => return answered.map(Some),
            written = timeout(TAKE, to.write_all_buf(&mut bytes)) => written,
        };
        match written {
            Ok(Ok(())) => Ok(None),
            Ok(Err(error)) => match timeout(LAST_WORDS, read(name, from, answer)).await {
                Ok(Ok(answered)) => Ok(Some(answered)),
                _ => Err(lost(name, &format_args!("is lost: {error}"))),
            },
            Err(_) => Err(lost(name, &format_args!("has taken no bytes for {} s", TAKE.as_secs()))),
        }
    }

    async fn answer(&mut self, patience: Duration) -> PortResult<Vec<u8>> {
        let Self { name, from, answer, .. } = self;
        let late = |_| lost(name, &format_args!("has not answered for {} s", patience.as_secs()));
        timeout(patience, read(name, from, answer)).await.map_err(late)?
    }

    fn verdict(&self, answer: &[u8]) -> PortResult<Verdict> {
        of_clamd(answer).map_err(|said| lost(&self.name, &format_args!("gave no verdict: `{said}`")))
    }
}

/// An answer, without the NUL that ends it. May be dropped and called again.
async fn read(name: &str, from: &mut (impl AsyncRead + Unpin), answer: &mut Vec<u8>) -> PortResult<Vec<u8>> {
    loop {
        if let Some(end) = answer.iter().position(|byte| *byte == 0) {
            return Ok(answer[..end].to_vec());
        }
        if answer.len() >= MAX_ANSWER {
            return Err(lost(name, &format_args!("answers with more than {MAX_ANSWER} bytes")));
        }
        let room = (MAX_ANSWER - answer.len()) as u64;
        match (&mut *from).take(room).read_buf(answer).await {
            Ok(0) => return Err(lost(name, &"closed the connection without an answer")),
            Ok(_) => {}
            Err(error) => return Err(lost(name, &format_args!("is lost: {error}"))),
        }
    }
}

impl Scan for Session {
    fn scanner(&self) -> &str {
        &self.version
    }

    fn feed(&mut self, mut bytes: Bytes) -> BoxFuture<'_, PortResult<Option<Verdict>>> {
        async move {
            // A chunk without bytes would be the end.
            while !bytes.is_empty() {
                let chunk = bytes.split_to(bytes.len().min(CHUNK));
                let len = (chunk.len() as u32).to_be_bytes();
                if let Some(answer) = self.send(Buf::chain(len.as_slice(), chunk)).await? {
                    return self.verdict(&answer).map(Some);
                }
            }
            Ok(None)
        }
        .boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, PortResult<Verdict>> {
        async move {
            if let Some(answer) = self.send(0u32.to_be_bytes().as_slice()).await? {
                return match self.verdict(&answer)? {
                    // It does not know yet that this was all.
                    Verdict::Clean => Err(lost(&self.name, &"called the file clean before its end")),
                    verdict => Ok(verdict),
                };
            }
            let answer = self.answer(VERDICT).await?;
            self.verdict(&answer)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
