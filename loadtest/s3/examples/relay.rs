//! The raw relay: each part a ranged GET whose body is piped into an unsigned PUT of known length, N in flight, with
//! nothing between but hyper. No checksum, no retry, no verification: the limit that the worker is compared to.
//!
//! ```text
//! cargo run --release -p eft-s3 --example relay -- --endpoint http://127.0.0.1:9000 --src synthetic/a-2GiB \
//!     --dst discard/a
//! ```

use std::{
    collections::VecDeque,
    error::Error,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use mimalloc::MiMalloc;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpSocket,
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, crypto,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

type AnyError = Box<dyn Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, hyper::Error>;

#[derive(Debug, Parser)]
struct Args {
    /// `http://HOST:PORT` or `https://HOST:PORT`
    #[arg(long)]
    endpoint: String,
    /// `bucket/key` to read
    #[arg(long)]
    src: String,
    /// `bucket/key` to write
    #[arg(long)]
    dst: String,
    /// Bytes of a part, with KiB, MiB or GiB
    #[arg(long, default_value = "16MiB", value_parser = size)]
    part_size: u64,
    /// Parts at once
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    /// Read buffer of a connection
    #[arg(long, default_value = "256KiB", value_parser = size)]
    buffer: u64,
    /// Kernel send buffer of a connection: bytes in flight should not outgrow the caches. 0 leaves it to the kernel
    #[arg(long, default_value = "256KiB", value_parser = size)]
    send_buffer: u64,
    /// Who has signed the server's certificate, as PEM; for https
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Runtime threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let unit = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("unknown unit `{unit}`")),
    };
    count.parse::<u64>().map(|count| count * unit).map_err(|error| error.to_string())
}

/// Where the server is.
#[derive(Clone)]
struct Endpoint {
    /// `HOST:PORT`.
    host: String,
    tls: Option<TlsConnector>,
}

impl Endpoint {
    fn of(args: &Args) -> Result<Self, AnyError> {
        if let Some(host) = args.endpoint.strip_prefix("http://") {
            return Ok(Self { host: host.to_owned(), tls: None });
        }
        let host =
            args.endpoint.strip_prefix("https://").ok_or("endpoint must start with http:// or https://")?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(args.ca.as_ref().ok_or("https needs --ca")?)? {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { host: host.to_owned(), tls: Some(Arc::new(config).into()) })
    }
}

/// One keep-alive connection.
struct Connection {
    host: String,
    sender: SendRequest<Body>,
}

impl Connection {
    async fn open(endpoint: &Endpoint, args: &Args) -> Result<Self, AnyError> {
        let host = &endpoint.host;
        let socket = TcpSocket::new_v4()?;
        if args.send_buffer > 0 {
            socket.set_send_buffer_size(args.send_buffer as u32)?;
        }
        let stream = socket.connect(host.parse()?).await?;
        stream.set_nodelay(true)?;
        let sender = match &endpoint.tls {
            None => Self::handshake(stream, args).await?,
            Some(tls) => {
                let name = host.split(':').next().unwrap_or(host).to_owned().try_into()?;
                Self::handshake(tls.connect(name, stream).await?, args).await?
            }
        };
        Ok(Self { host: host.clone(), sender })
    }

    async fn handshake(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        args: &Args,
    ) -> Result<SendRequest<Body>, AnyError> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(args.buffer as usize).handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends one request; anything but success is an error.
    async fn send(
        &mut self,
        request: http::request::Builder,
        body: Body,
    ) -> Result<Response<Incoming>, AnyError> {
        self.sender.ready().await?;
        let request = request.header(header::HOST, &self.host).body(body)?;
        let what = format!("{} {}", request.method(), request.uri());
        let response = self.sender.send_request(request).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            status => {
                Err(format!("{what}: {status}: {:?}", response.into_body().collect().await?.to_bytes())
                    .into())
            }
        }
    }
}

fn full(text: String) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed_unsync()
}

fn header_text<B>(response: &Response<B>, name: &str) -> Result<String, AnyError> {
    Ok(response.headers().get(name).ok_or(format!("no {name}"))?.to_str()?.to_owned())
}

/// A part to move: its number, first byte, and length.
type Work = (u64, u64, u64);

/// Moves parts over one pair of connections until none is left; gives their ETags.
async fn lane(
    args: Arc<Args>,
    endpoint: Endpoint,
    upload: String,
    work: Arc<Mutex<VecDeque<Work>>>,
) -> Result<Vec<(u64, String)>, AnyError> {
    let mut source = Connection::open(&endpoint, &args).await?;
    let mut target = Connection::open(&endpoint, &args).await?;
    let mut done = Vec::new();
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((number, start, len)) = next else { return Ok(done) };
        let get = Request::get(format!("/{}", args.src))
            .header(header::RANGE, format!("bytes={start}-{}", start + len - 1));
        let body = source.send(get, full(String::new())).await?.into_body();
        let put = Request::put(format!("/{}?partNumber={number}&uploadId={upload}", args.dst))
            .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
            .header(header::CONTENT_LENGTH, len);
        let answer = target.send(put, body.boxed_unsync()).await?;
        done.push((number, header_text(&answer, "etag")?));
        answer.into_body().collect().await?;
    }
}

async fn run(args: Args) -> Result<(u64, Duration), AnyError> {
    let args = Arc::new(args);
    let endpoint = Endpoint::of(&args)?;
    let mut control = Connection::open(&endpoint, &args).await?;
    let started = Instant::now();
    let head = control.send(Request::head(format!("/{}", args.src)), full(String::new())).await?;
    let total: u64 = header_text(&head, "content-length")?.parse()?;
    let create = control.send(Request::post(format!("/{}?uploads", args.dst)), full(String::new())).await?;
    let document = String::from_utf8(create.into_body().collect().await?.to_bytes().into())?;
    let upload =
        document.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).ok_or("no upload id")?;

    let starts = (0..total).step_by(args.part_size as usize);
    let work: VecDeque<Work> =
        (1..).zip(starts).map(|(number, start)| (number, start, args.part_size.min(total - start))).collect();
    let work = Arc::new(Mutex::new(work));
    let mut lanes = JoinSet::new();
    for _ in 0..args.in_flight {
        lanes.spawn(lane(Arc::clone(&args), endpoint.clone(), upload.to_owned(), Arc::clone(&work)));
    }
    let mut parts = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        parts.extend(lane??);
    }
    parts.sort_unstable();
    let parts: String = parts
        .into_iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    let complete = Request::builder().method(Method::POST).uri(format!("/{}?uploadId={upload}", args.dst));
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    control.send(complete, full(document)).await?.into_body().collect().await?;
    Ok((total, started.elapsed()))
}

fn main() -> Result<(), AnyError> {
    let args = Args::parse();
    let runtime = match args.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        threads => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?
        }
    };
    let (bytes, took) = runtime.block_on(run(args))?;
    let gib = bytes as f64 / (1_u64 << 30) as f64;
    println!("{bytes} bytes in {:.3} s, {:.2} GiB/s", took.as_secs_f64(), gib / took.as_secs_f64());
    Ok(())
}
