//! A small raw client: one connection a request, no S3 library between the test and the wire.

use std::time::Duration;

use bytes::Bytes;
use eft_s3::{Config, Server};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// Longer than any answer takes, shorter than a test runner's patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// A response read to its end, or to where it broke.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body ended before its length.
    pub(crate) cut: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first such element.
    pub(crate) fn element(&self, name: &str) -> String {
        let text = self.text();
        let rest = text.split_once(&format!("<{name}>")).map(|(_, rest)| rest).unwrap_or_default();
        let inner = rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner).unwrap_or_default();
        inner.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    }

    /// How often the element occurs.
    pub(crate) fn elements(&self, name: &str) -> usize {
        self.text().matches(&format!("<{name}>")).count()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// Checks status and error code.
    #[track_caller]
    pub(crate) fn fails(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.element("Code").as_str()), (status, code), "{self:?}");
        self
    }
}

/// A server with bucket `b` that takes small parts.
pub(crate) fn server() -> Server {
    server_with(Config::default())
}

pub(crate) fn server_with(config: Config) -> Server {
    Server::start(Config { buckets: vec!["b".to_owned()], min_part_size: 4, ..config }).expect("a free port")
}

/// Sends one request; an error when the connection closes without an answer.
pub(crate) async fn try_send(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Reply, hyper::Error> {
    let exchange = async {
        let stream = TcpStream::connect(server.addr()).await.expect("server listens");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("host", server.addr().to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            sender.send_request(request.body(Full::new(body.into())).expect("well formed")).await?;
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(frame) = incoming.frame().await {
            match frame {
                Ok(frame) => body.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => {
                    cut = true;
                    break;
                }
            }
        }
        connection.abort();
        Ok(Reply { status: head.status, headers: head.headers, body: body.into(), cut })
    };
    timeout(PATIENCE, exchange).await.expect("an answer in time")
}

/// Sends one request that must be answered.
pub(crate) async fn send(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Reply {
    try_send(server, method, path, headers, body).await.expect("an answer")
}

pub(crate) async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Reply {
    send(server, "GET", path, headers, "").await
}

/// Creates an upload of `b/<key>`; gives its id.
pub(crate) async fn create_upload(server: &Server, key: &str, headers: &[(&str, &str)]) -> String {
    send(server, "POST", &format!("/b/{key}?uploads"), headers, "").await.is(200).element("UploadId")
}

/// Uploads parts 1, 2, 3 …; gives the document that completes them.
pub(crate) async fn upload_parts(server: &Server, key: &str, id: &str, parts: &[&'static str]) -> String {
    let mut document = String::new();
    for (number, part) in (1..).zip(parts) {
        let path = format!("/b/{key}?partNumber={number}&uploadId={id}");
        let etag = send(server, "PUT", &path, &[], *part).await.is(200).header("etag").to_owned();
        document.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    format!("<CompleteMultipartUpload>{document}</CompleteMultipartUpload>")
}

pub(crate) async fn complete(
    server: &Server,
    key: &str,
    id: &str,
    headers: &[(&str, &str)],
    document: impl Into<Bytes>,
) -> Reply {
    send(server, "POST", &format!("/b/{key}?uploadId={id}"), headers, document).await
}

/// Base64 of the CRC-64/NVME, as headers carry it.
pub(crate) fn crc64(bytes: &[u8]) -> String {
    use base64::Engine;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes);
    base64::prelude::BASE64_STANDARD.encode(crc.to_be_bytes())
}
