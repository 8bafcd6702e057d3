//! The connections to S3: ranged reads through [`super::download`], everything else through hyper.
//!
//! Both are behind the SDK's connector interface, so signing, retries, endpoints and errors stay the SDK's. The SDK's own
//! connector would do, but for memory: its read buffer grows to 400 KiB and is pinned whole by every frame cut from it,
//! so a worker held up to twice the bytes it had leased.

use std::{
    error::Error,
    fmt,
    future::{poll_fn, ready},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use aws_sdk_s3::config::{
    RuntimeComponents, SharedHttpClient,
    http::{HttpRequest, HttpResponse},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector as SdkConnector, HttpConnectorFuture, HttpConnectorSettings,
        SharedHttpConnector,
    },
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use futures::future::BoxFuture;
use http::{Method, Uri, header, uri::Scheme};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};
use tower_service::Service;

use super::{download::Downloads, slabs::SLAB};

/// Longest wait for a connection: the SDK's own default.
const CONNECT: Duration = Duration::from_millis(3100);

/// An idle connection older than this is not used again: S3 drops them at about 20 s, and a request sent into a
/// connection that is being closed costs a retry.
pub(super) const KEEP_IDLE: Duration = Duration::from_secs(15);

/// The send buffer towards a server that is near. The kernel's own choice grows to megabytes, and a part is then written
/// to memory and read back twice before it is on the wire. Linux doubles it, as far as `net.core.wmem_max` lets it, and counts
/// its own overhead in it, so that a slab goes in whole: of half as much a transfer of 2 GiB took 1.11 times the CPU (medians
/// of 9 runs in turns, 512 KiB of second-level cache).
const NEAR_BUFFER: usize = SLAB;

/// Bytes of a body that hyper queues before it writes them. With its own 408 KiB a second slab is received before the first
/// is sent, which has then left the cache: 1.04 times the CPU.
const QUEUED: usize = SLAB;

/// A server is near when connecting took less than this, names included: one round trip. A slab each 2 ms is 128 MB/s a
/// connection, and requests run in parallel. Farther away the buffer is the kernel's to size.
const NEAR: Duration = Duration::from_millis(2);

/// A connection, in the clear or over TLS.
pub(super) type Stream = TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>;

type BoxError = Box<dyn Error + Send + Sync>;

/// TCP connections, tuned.
#[derive(Clone, Debug)]
struct Tuned(HttpConnector);

impl Service<Uri> for Tuned {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        let asked = Instant::now();
        Box::pin(async move {
            let stream = connecting.await?;
            if asked.elapsed() < NEAR {
                SockRef::from(stream.inner()).set_send_buffer_size(NEAR_BUFFER)?;
            }
            Ok(stream)
        })
    }
}

/// Opens connections. Certificates are read when the first connection needs them: an endpoint in the clear needs none,
/// and the smallest container images have none.
#[derive(Clone)]
pub(super) struct Connect {
    tcp: Tuned,
    tls: Arc<OnceLock<Result<HttpsConnector<Tuned>, String>>>,
}

impl Connect {
    fn new() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        Self { tcp: Tuned(tcp), tls: Arc::default() }
    }

    fn tls(&self) -> Result<HttpsConnector<Tuned>, String> {
        let made = self.tls.get_or_init(|| {
            let provider = rustls::crypto::ring::default_provider();
            let tls = HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(provider)
                .map_err(|error| format!("the system's certificates cannot be read: {error}"))?;
            // S3 speaks HTTP/1.1 only.
            Ok(tls.https_only().enable_http1().wrap_connector(self.tcp.clone()))
        });
        made.clone()
    }

    pub(super) async fn connect(mut self, uri: Uri) -> Result<Stream, BoxError> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.call(uri).await.map(TokioIo::new)
    }
}

impl Service<Uri> for Connect {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return match self.tls() {
                Ok(mut tls) => tls.call(uri),
                Err(error) => Box::pin(ready(Err(error.into()))),
            };
        }
        let connecting = self.tcp.call(uri);
        Box::pin(async move { connecting.await.map(MaybeHttpsStream::Http) })
    }
}

/// How the SDK reaches S3.
#[derive(Clone)]
struct Http {
    others: legacy::Client<Connect, SdkBody>,
    downloads: Arc<Downloads>,
    /// Longest wait for the head of an answer.
    within: Option<Duration>,
}

/// An HTTP client for the SDK.
pub(super) fn http_client() -> SharedHttpClient {
    let connect = Connect::new();
    let others = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEEP_IDLE)
        .http1_max_buf_size(QUEUED)
        .build(connect.clone());
    SharedHttpClient::new(Http { others, downloads: Arc::new(Downloads::new(connect)), within: None })
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl HttpClient for Http {
    /// Requests for objects have no timeouts here: connecting has its own ([`CONNECT`]), and answers are timed by the
    /// callers. Those for credentials have: an instance's metadata service that is not there must not hold a start up.
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let within =
            settings.read_timeout().map(|read| read + settings.connect_timeout().unwrap_or_default());
        SharedHttpConnector::new(Self { within, ..self.clone() })
    }
}

impl SdkConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            if request.method() == Method::GET && request.headers().contains_key(header::RANGE) {
                return http.downloads.get(request).await;
            }
            let answer = http.others.request(request);
            let answer = match http.within {
                Some(within) => tokio::time::timeout(within, answer)
                    .await
                    .map_err(|late| ConnectorError::timeout(late.into()))?,
                None => answer.await,
            };
            let answer = answer.map_err(of_hyper)?;
            sdk_response(answer.map(SdkBody::from_body_1_x))
        })
    }
}

/// An answer as the SDK wants it.
pub(super) fn sdk_response(answer: http::Response<SdkBody>) -> Result<HttpResponse, ConnectorError> {
    HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
}

/// All of these may be tried again, unless the request itself was wrong.
fn of_hyper(error: legacy::Error) -> ConnectorError {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    match cause {
        Some(cause) if cause.is_user() => ConnectorError::user(error.into()),
        Some(cause) if cause.is_timeout() => ConnectorError::timeout(error.into()),
        _ => ConnectorError::io(error.into()),
    }
}
