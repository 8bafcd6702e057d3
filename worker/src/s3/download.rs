//! Ranged reads over HTTP/1.1, received in place.
//!
//! # Overview
//! A request of known form, one answer, and a body that is read from the socket straight into slabs of [`SLAB`] bytes.
//! A slab is filled to its end whatever the sizes of the reads, so what a part holds is what it leased, and a read asks
//! the kernel for as much as there is. Frames are slices of slabs: nothing is copied, and nothing is read past the body.
//!
//! # Failure handling
//! A kept connection that the other side closed before it answered is replaced once by a new one: nothing was received,
//! and a GET may be sent twice. Everything else is an error for the SDK or, within a body, for `range.rs`.
//!
//! # Cancellation
//! Dropping a body that was not read to its end closes its connection.

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use aws_sdk_s3::config::http::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::{Authority, Scheme},
};
use http_body::{Body, Frame};
use httparse::{EMPTY_HEADER, Status};
use tokio::{io::AsyncWriteExt, time::Instant};
use tokio_util::io::poll_read_buf;

use super::{
    http::{Connect, KEEP_IDLE, Stream, sdk_response},
    slabs::{LEAST, Pool, SLAB, Slabs},
};

/// Largest head of an answer; hyper and S3's own limits are lower.
const HEAD: usize = 64 << 10;

/// Most header lines of an answer: hyper's default.
const HEADERS: usize = 100;

type Origin = (Scheme, Authority);

struct Idle {
    stream: Stream,
    since: Instant,
}

/// The connections that ranged reads use.
pub(super) struct Downloads {
    connect: Connect,
    idle: Mutex<HashMap<Origin, Vec<Idle>>>,
    pool: Pool,
}

impl Downloads {
    pub(super) fn new(connect: Connect) -> Self {
        Self { connect, idle: Mutex::default(), pool: Pool::default() }
    }

    /// Send a GET; the answer's body is received as it is polled.
    pub(super) async fn get(
        self: Arc<Self>,
        request: Request<SdkBody>,
    ) -> Result<HttpResponse, ConnectorError> {
        let (scheme, authority) = (request.uri().scheme().cloned(), request.uri().authority().cloned());
        let Some(origin) = scheme.zip(authority) else {
            return Err(ConnectorError::user(format!("{}: no host", request.uri()).into()));
        };
        let head = head_of(&request);
        let mut slabs = Slabs::new(&self.pool);
        while let Some(stream) = self.kept(&origin) {
            if let Some(answer) = exchange(stream, slabs.take(SLAB), &head).await.map_err(of_io)? {
                return self.respond(origin, slabs, answer);
            }
        }
        let stream = self.connect.clone().connect(request.uri().clone()).await.map_err(ConnectorError::io)?;
        match exchange(stream, slabs.take(SLAB), &head).await.map_err(of_io)? {
            Some(answer) => self.respond(origin, slabs, answer),
            None => Err(of_io(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"))),
        }
    }

    /// The connection used last, which is the likeliest to be alive.
    fn kept(&self, origin: &Origin) -> Option<Stream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.get_mut(origin)?;
        idle.retain(|idle| idle.since.elapsed() < KEEP_IDLE);
        idle.pop().map(|idle| idle.stream)
    }

    fn keep(&self, origin: Origin, stream: Stream) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(origin).or_default().push(Idle { stream, since: Instant::now() });
    }

    fn respond(
        self: Arc<Self>,
        origin: Origin,
        slabs: Slabs,
        answer: Answer,
    ) -> Result<HttpResponse, ConnectorError> {
        let Answer { stream, buffer, head } = answer;
        let framing = Framing::of(&head).map_err(of_io)?;
        let closing = head
            .headers()
            .get(CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        let in_step = !matches!(framing, Framing::Length(0)) || buffer.is_empty();
        let home = (!closing && in_step).then_some((self, origin));
        let body = Receiving { stream: Some(stream), buffer, slabs, framing, home };
        sdk_response(head.map(|()| SdkBody::from_body_1_x(body)))
    }
}

fn of_io(error: io::Error) -> ConnectorError {
    ConnectorError::io(error.into())
}

fn host_of(uri: &Uri) -> String {
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    match uri.port_u16().filter(|port| *port != default) {
        Some(port) => format!("{}:{port}", uri.host().unwrap_or_default()),
        None => uri.host().unwrap_or_default().to_owned(),
    }
}

fn head_of(request: &Request<SdkBody>) -> Vec<u8> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut head = format!("GET {path} HTTP/1.1\r\n").into_bytes();
    let mut line = |name: &str, value: &[u8]| {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    };
    if !request.headers().contains_key(HOST) {
        line("host", host_of(request.uri()).as_bytes());
    }
    for (name, value) in request.headers() {
        line(name.as_str(), value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

struct Answer {
    stream: Stream,
    /// What was received after the head.
    buffer: BytesMut,
    head: Response<()>,
}

/// Send the request and receive the head of its answer; `None` when the other side closed before it sent a byte.
async fn exchange(mut stream: Stream, mut buffer: BytesMut, request: &[u8]) -> io::Result<Option<Answer>> {
    let sent = async {
        stream.write_all(request).await?;
        stream.flush().await?;
        poll_fn(|cx| poll_read_buf(Pin::new(&mut stream), cx, &mut buffer)).await
    };
    match sent.await {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(error) => {
            // `UnexpectedEof` is TLS without a farewell.
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            let gone =
                matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
            return if gone { Ok(None) } else { Err(error) };
        }
    }
    loop {
        if let Some((len, head)) = parse(&buffer)? {
            buffer.advance(len);
            if !head.status().is_informational() {
                return Ok(Some(Answer { stream, buffer, head }));
            }
            if !buffer.is_empty() {
                continue;
            }
        }
        if buffer.len() > HEAD {
            return Err(malformed(format!("the head of the answer is larger than {HEAD} bytes")));
        }
        if poll_fn(|cx| poll_read_buf(Pin::new(&mut stream), cx, &mut buffer)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// The head of an answer and its length; `None` when there is more to come.
fn parse(buffer: &[u8]) -> io::Result<Option<(usize, Response<()>)>> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let Status::Complete(len) = parsed.parse(buffer).map_err(|error| malformed(error.to_string()))? else {
        return Ok(None);
    };
    let mut head = Response::new(());
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default());
    *head.status_mut() = status.map_err(|error| malformed(error.to_string()))?;
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        if let (Ok(name), Ok(value)) = (name, value) {
            head.headers_mut().append(name, value);
        }
    }
    Ok(Some((len, head)))
}

/// How the end of a body is known (RFC 9112 §6.3).
enum Framing {
    /// This many bytes are missing.
    Length(u64),
    /// This many bytes of the current chunk are missing; `None` before the first chunk.
    Chunked(Option<u64>),
    /// It ends with the connection.
    Close,
}

impl Framing {
    fn of(head: &Response<()>) -> io::Result<Self> {
        if head.status() == StatusCode::NO_CONTENT || head.status() == StatusCode::NOT_MODIFIED {
            return Ok(Self::Length(0));
        }
        let text = |headers: &HeaderMap, name| {
            headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok().map(ToOwned::to_owned))
        };
        if let Some(encoding) = text(head.headers(), TRANSFER_ENCODING) {
            return match encoding.eq_ignore_ascii_case("chunked") {
                true => Ok(Self::Chunked(None)),
                false => Err(malformed(format!("unknown transfer encoding {encoding:?}"))),
            };
        }
        match text(head.headers(), CONTENT_LENGTH) {
            Some(len) => {
                len.parse().map(Self::Length).map_err(|_| malformed(format!("content length {len:?}")))
            }
            None => Ok(Self::Close),
        }
    }
}

/// A body being received.
struct Receiving {
    /// `None` once all was received.
    stream: Option<Stream>,
    buffer: BytesMut,
    slabs: Slabs,
    framing: Framing,
    /// Where the connection goes afterwards, if it may be used again.
    home: Option<(Arc<Downloads>, Origin)>,
}

impl Receiving {
    /// Read more into the slab, or into a new one that is no larger than what is missing.
    fn poll_fill(&mut self, cx: &mut Context<'_>, missing: usize) -> Poll<io::Result<usize>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Ready(Ok(0)) };
        if self.buffer.len() == self.buffer.capacity() {
            let buffer = std::mem::take(&mut self.buffer);
            // Only between chunks is anything left here: the beginning of a line.
            let rest = buffer.clone();
            self.slabs.leave(buffer);
            self.buffer = self.slabs.take(missing);
            self.buffer.extend_from_slice(&rest);
        }
        poll_read_buf(Pin::new(stream), cx, &mut self.buffer)
    }

    /// All was received: the connection can be used again.
    fn go_home(&mut self) {
        if let (Some((home, origin)), Some(stream)) = (self.home.take(), self.stream.take()) {
            home.keep(origin, stream);
        }
    }

    fn poll_length(&mut self, cx: &mut Context<'_>, left: u64) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if left == 0 {
                self.go_home();
                return Poll::Ready(None);
            }
            let has = self.buffer.len() as u64;
            let full = has > 0 && self.buffer.len() == self.buffer.capacity();
            if has > left {
                // Nobody asked for more: whatever this is, the connection is out of step.
                return Poll::Ready(Some(Err(malformed("more bytes than the answer announced"))));
            }
            let missing = usize::try_from(left - has).unwrap_or(usize::MAX);
            if missing > 0 && !full {
                match self.poll_fill(cx, missing) {
                    // What has come is good, and what is missing is asked for from there on.
                    Poll::Ready(Ok(0) | Err(_)) if has > 0 => self.stream = None,
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                    }
                    Poll::Ready(Ok(_)) => continue,
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Pending if self.buffer.len() < LEAST => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            self.framing = Framing::Length(left - has);
            if has == left {
                // Now: who has all the bytes does not poll for the end.
                self.go_home();
            }
            return Poll::Ready(Some(Ok(self.buffer.split().freeze())));
        }
    }

    /// Chunks: error answers, and what gateways in between make of bodies. The connection is not used again.
    fn poll_chunked(&mut self, cx: &mut Context<'_>, chunk: Option<u64>) -> Poll<Option<io::Result<Bytes>>> {
        let mut chunk = chunk;
        loop {
            if let Some(left @ 1..) = chunk {
                if !self.buffer.is_empty() {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                    self.framing = Framing::Chunked(Some(left - n as u64));
                    return Poll::Ready(Some(Ok(self.buffer.split_to(n).freeze())));
                }
            } else {
                // A chunk ends with a line break of its own.
                let skip = if chunk.is_some() { 2 } else { 0 };
                if let Some(line) = self.buffer.get(skip..) {
                    let parsed = httparse::parse_chunk_size(line);
                    match parsed.map_err(|_| malformed("not the size of a chunk")) {
                        Ok(Status::Complete((_, 0))) => {
                            self.stream = None;
                            self.framing = Framing::Length(0);
                            return Poll::Ready(None);
                        }
                        Ok(Status::Complete((len, size))) => {
                            self.buffer.advance(skip + len);
                            chunk = Some(size);
                            continue;
                        }
                        Ok(Status::Partial) => {}
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
            }
            self.framing = Framing::Chunked(chunk);
            match ready!(self.poll_fill(cx, SLAB)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    fn poll_to_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.buffer.is_empty() {
            match ready!(self.poll_fill(cx, SLAB)) {
                Ok(0) => return Poll::Ready(None),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(Some(Ok(self.buffer.split().freeze())))
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.slabs.leave(std::mem::take(&mut self.buffer));
    }
}

impl Body for Receiving {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let body = self.get_mut();
        let bytes = match body.framing {
            Framing::Length(left) => ready!(body.poll_length(cx, left)),
            Framing::Chunked(chunk) => ready!(body.poll_chunked(cx, chunk)),
            Framing::Close => ready!(body.poll_to_close(cx)),
        };
        if matches!(bytes, Some(Err(_))) {
            body.stream = None;
        }
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }
}
