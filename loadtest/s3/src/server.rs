//! The HTTP side: accepting, one request's life, and the handle that tests hold.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Builder,
    sync::oneshot,
    time::sleep,
};

use crate::{
    admin,
    body::ResponseBody,
    config::{Config, Profile},
    error::{Code, S3Error},
    faults::{Fault, Faults, Outcome, Plan},
    log::{Log, Record, Stats},
    ops::{self, Answer, Call},
    receive::Upload,
    router::{Op, Target},
    store::{self, Object, Store},
    tls::Tls,
};

/// Largest read and write of a connection: below 128 KiB costs CPU, above saves too little to measure and costs memory.
const BUFFER: usize = 256 << 10;

/// Kernel send buffer of a connection. Left to itself it grows to megabytes, and the bytes of eight bodies have left
/// the processor's caches before the client reads them: 128 KiB halves the CPU of both sides on loopback. From 64 to
/// 208 KiB it makes no difference.
const SEND_BUFFER: u32 = 128 << 10;

/// Connections waiting to be accepted, as many as mio asks for.
const BACKLOG: u32 = 1024;

/// What every request sees.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) profile: Profile,
    pub(crate) min_part_size: u64,
    pub(crate) region: String,
    addr: SocketAddr,
    tls: Option<Tls>,
    denied: Vec<String>,
    requests: AtomicU64,
}

impl State {
    pub(crate) fn stats(&self) -> Stats {
        self.log.stats(self.faults.held())
    }

    pub(crate) fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Whether the configuration denies this place.
    pub(crate) fn denies(&self, bucket: &str, key: &str) -> bool {
        self.denied.iter().any(|denied| match denied.split_once('/') {
            None => denied == bucket,
            Some((in_bucket, prefix)) => in_bucket == bucket && key.starts_with(prefix),
        })
    }
}

/// An object as the server holds it; see [`Server::object`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Version id (`null` without versioning).
    pub version_id: String,
    /// Bytes.
    pub size: u64,
    /// ETag without quotes.
    pub etag: String,
    /// CRC-64/NVME of the full object.
    pub crc64: u64,
    /// `content-type` and its kin and `x-amz-meta-*`, in lower case, as sent.
    pub headers: Vec<(String, String)>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Storage class, unless `STANDARD`.
    pub storage_class: Option<String>,
    /// Parts it was completed from; 0 for an object in one piece.
    pub parts: usize,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OpenUpload {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Upload id.
    pub upload_id: String,
    /// Part numbers and sizes.
    pub parts: Vec<(u32, u64)>,
}

/// A running server, on threads of its own. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct Server {
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds and serves. Needs no runtime and does not see a paused clock.
    pub fn start(config: Config) -> io::Result<Self> {
        let socket = bind(config.listen)?;
        let store = Store::new(!config.profile.without_versions);
        config.buckets.iter().for_each(|name| {
            store.lock().create(name);
        });
        let state = Arc::new(State {
            store,
            faults: Faults::new(config.seed, config.faults),
            log: Log::default(),
            profile: config.profile,
            min_part_size: config.min_part_size,
            region: config.region,
            addr: socket.local_addr()?,
            tls: config.tls,
            denied: config.denied,
            requests: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let (report, ready) = mpsc::sync_channel(1);
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("eft-s3".to_owned())
            .spawn(move || run(config.threads, socket, &shared, stopped, &report))?;
        ready.recv().map_err(io::Error::other)??;
        Ok(Self { state, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.state.addr
    }

    /// `http://127.0.0.1:PORT`, or `https`.
    pub fn endpoint(&self) -> String {
        self.state.endpoint()
    }

    /// Stops the server and waits until its connections are closed.
    pub async fn shutdown(mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Neither a cancelled wait nor a panic in the server has anything left to clean up.
            tokio::task::spawn_blocking(move || thread.join()).await.ok();
        }
    }

    /// Makes a bucket unless it is there.
    pub fn create_bucket(&self, name: &str) {
        self.state.store.lock().create(name);
    }

    /// Stores an object, making the bucket if needed; gives the version id.
    pub fn put_object(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> String {
        let object = store::plain(bytes.into());
        let mut buckets = self.state.store.lock();
        let id = buckets.fresh_id();
        buckets.create(bucket).insert(key, object, id).version_id.clone()
    }

    /// Stores the bytes at `from` at `to` as well, without their metadata, in no time however many they are; gives the version
    /// id, or `None` where nothing stands. Bucket and key each.
    pub fn copy_object(&self, from: (&str, &str), to: (&str, &str)) -> Option<String> {
        let mut buckets = self.state.store.lock();
        let object = buckets.get(from.0).ok()?.current(from.1)?;
        let copy = Object::new(object.body.clone(), object.etag.clone(), Some(object.crc64()));
        let id = buckets.fresh_id();
        Some(buckets.create(to.0).insert(to.1, copy, id).version_id.clone())
    }

    /// The bytes of the current version; `None` when there is none or its bytes were discarded.
    pub fn get_object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let object = self.state.store.lock().get(bucket).ok()?.current(key)?;
        object.body.is_readable().then(|| object.body.concat())
    }

    /// What the server knows of the current version.
    pub fn object(&self, bucket: &str, key: &str) -> Option<ObjectInfo> {
        let object = self.state.store.lock().get(bucket).ok()?.current(key)?;
        Some(ObjectInfo {
            version_id: object.version_id.clone(),
            size: object.size(),
            etag: object.etag.clone(),
            crc64: object.crc64(),
            headers: object.meta.headers.clone(),
            tags: object.meta.tags.clone(),
            storage_class: object.meta.storage_class.clone(),
            parts: object.parts.len(),
        })
    }

    /// Ids of all versions and delete markers of a key, oldest first.
    pub fn versions(&self, bucket: &str, key: &str) -> Vec<String> {
        let mut buckets = self.state.store.lock();
        let history = buckets.get(bucket).ok().and_then(|bucket| bucket.keys.get(key));
        history.into_iter().flatten().map(|entry| entry.version_id().to_owned()).collect()
    }

    /// Keys with a current object, in order.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let mut buckets = self.state.store.lock();
        let Ok(bucket) = buckets.get(bucket) else { return Vec::new() };
        bucket.keys.keys().filter(|key| bucket.current(key).is_some()).cloned().collect()
    }

    /// Uploads that were neither completed nor aborted.
    pub fn open_uploads(&self) -> Vec<OpenUpload> {
        open_uploads(&self.state)
    }

    /// Every answered request, oldest first.
    pub fn request_log(&self) -> Vec<Record> {
        self.state.log.records()
    }

    /// Requests by operation.
    pub fn counts(&self) -> BTreeMap<Op, u64> {
        self.state.log.counts()
    }

    /// Requests of one operation.
    pub fn count(&self, op: Op) -> u64 {
        self.counts().get(&op).copied().unwrap_or(0)
    }

    /// Gauges and totals.
    pub fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// Most connections that were open at once.
    pub fn peak_connections(&self) -> u64 {
        self.stats().peak_connections
    }

    /// Replaces the faults; an empty list heals.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.set(faults.into_iter().collect());
    }

    /// Lets go what `Action::Hold` holds now; the fault holds what comes after.
    pub fn release(&self) {
        self.state.faults.release();
    }

    /// Forgets log, counts and peaks, and heals. Objects stay.
    pub fn reset_log(&self) {
        self.state.log.reset();
        self.state.faults.set(Vec::new());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic in the server has been printed already.
            thread.join().ok();
        }
    }
}

pub(crate) fn open_uploads(state: &State) -> Vec<OpenUpload> {
    let buckets = state.store.lock();
    let uploads = buckets.all.values().flat_map(|bucket| {
        bucket.uploads.iter().map(|(id, upload)| OpenUpload {
            bucket: bucket.name.clone(),
            key: upload.key.clone(),
            upload_id: id.clone(),
            parts: upload.parts.iter().map(|(number, part)| (*number, part.body.len())).collect(),
        })
    });
    uploads.collect()
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(addr)?;
    Ok(socket)
}

/// The server's thread. Reports once whether it listens. The runtime lives and dies here, because the handle may be
/// used inside another one.
fn run(
    threads: usize,
    socket: TcpSocket,
    state: &Arc<State>,
    stopped: oneshot::Receiver<()>,
    report: &mpsc::SyncSender<io::Result<()>>,
) {
    let runtime = match threads {
        0 | 1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    let listening = runtime.and_then(|runtime| {
        let listener = runtime.block_on(async { socket.listen(BACKLOG) })?;
        Ok((runtime, listener))
    });
    // The receiver waits for exactly this message.
    let (runtime, listener) = match listening {
        Ok(listening) => listening,
        Err(error) => return report.send(Err(error)).unwrap_or_default(),
    };
    report.send(Ok(())).unwrap_or_default();
    runtime.block_on(async {
        tokio::select! {
            // Resolves when the handle sends or is dropped.
            _ = stopped => {}
            () = accept(listener, state) => {}
        }
    });
}

async fn accept(listener: TcpListener, state: &Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(state)))),
            // Of the connection, not of the listener; out of descriptors gets a moment to pass.
            Err(_) => sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    let _open = state.log.connections.enter();
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match &state.tls {
        None => serve(stream, &state).await,
        // An error is a client that does not trust us, or does not speak TLS.
        Some(tls) => {
            if let Ok(stream) = tls.0.accept(stream).await {
                serve(stream, &state).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: &State) {
    let service = service_fn(|request| respond(state, request));
    // An error is the client gone, or a fault that closes the connection.
    http1::Builder::new().max_buf_size(BUFFER).serve_connection(TokioIo::new(stream), service).await.ok();
}

/// One request's life. An error closes the connection without an answer.
async fn respond(state: &State, request: Request<Incoming>) -> io::Result<Response<ResponseBody>> {
    let (head, body) = request.into_parts();
    if head.uri.path().starts_with("/_") {
        return Ok(finish(admin::answer(state, &head.method, head.uri.path(), body).await, "admin"));
    }
    let _in_flight = state.log.requests.enter();
    let serial = state.requests.fetch_add(1, Relaxed);
    let request_id = format!("{serial:016X}");
    let mut record = Record { method: head.method.to_string(), ..Record::default() };
    let target = match Target::parse(&head.method, &head.uri, &head.headers) {
        Ok(target) => target,
        Err(error) => {
            let mut upload = Upload::new(body, &head.headers, &Plan::default());
            upload.drain().await;
            let answer = refusal(&mut record, &error, head.uri.path(), &request_id);
            state.log.push(Op::Unknown, record);
            return Ok(finish(answer, &request_id));
        }
    };
    describe(&mut record, &target, &head.headers);
    let plan = state.faults.plan(&target);
    record.faults = plan.fired.clone();
    let upload = Upload::new(body, &head.headers, &plan);
    record.chunked = upload.is_aws_chunked();
    let mut call = Call { state, target: &target, headers: &head.headers, body: upload, upload_id: None };
    let result = work(&mut call, &plan).await;
    record.bytes_in = call.body.received;
    record.upload_id = call.upload_id.take().or(record.upload_id);
    let closes =
        matches!(plan.outcome, Some(Outcome::Close | Outcome::DoneThenClose | Outcome::DoneThenHang));
    if closes {
        state.log.push(target.op, record);
        if plan.outcome == Some(Outcome::DoneThenHang) {
            std::future::pending::<()>().await;
        }
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => refusal(&mut record, &error, head.uri.path(), &request_id),
    };
    record.status = answer.status.as_u16();
    record.bytes_out = answer.body.len();
    state.log.push(target.op, record);
    let answer = Answer { body: answer.body.shaped(&plan), ..answer };
    Ok(finish(answer, &request_id))
}

/// Does the work between the faults that surround it.
async fn work(call: &mut Call<'_>, plan: &Plan) -> Result<Answer, S3Error> {
    if !plan.latency.is_zero() {
        sleep(plan.latency).await;
    }
    call.state.faults.hold(plan).await;
    let target = call.target;
    let refused = if state_denies(call) { Some(Code::AccessDenied.into()) } else { plan.refusal() };
    let mut result = match refused {
        Some(error) => Err(error),
        None if plan.outcome == Some(Outcome::Close) => Err(Code::InternalError.into()),
        None => ops::dispatch(call).await,
    };
    if result.is_err() {
        call.body.drain().await;
    }
    if plan.replace && result.is_ok() {
        call.state.store.lock().replace(&target.bucket, &target.key)?;
    }
    if let (Ok(_), Some(error)) = (&result, plan.denial()) {
        result = Err(error);
    }
    result
}

fn state_denies(call: &Call<'_>) -> bool {
    call.state.denies(&call.target.bucket, &call.target.key)
}

fn describe(record: &mut Record, target: &Target, headers: &HeaderMap) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    record.op = target.op.name().to_owned();
    record.bucket = target.bucket.clone();
    record.key = target.key.clone();
    record.range = text("range").or_else(|| text("x-amz-copy-source-range"));
    record.version_id = target.query.text("versionId").map(str::to_owned);
    record.part_number = target.part_number();
    record.upload_id = target.query.text("uploadId").map(str::to_owned);
}

/// The answer that carries an error. HEAD and 304 have no document.
fn refusal(record: &mut Record, error: &S3Error, resource: &str, request_id: &str) -> Answer {
    let status = error.status();
    record.error = Some(format!("{:?}", error.code));
    let mut answer = match record.method.as_str() {
        "HEAD" => Answer::empty(status),
        _ if status.as_u16() == 304 => Answer::empty(status),
        _ => Answer { status, ..Answer::xml(error.document(resource, request_id)) },
    };
    for (name, value) in &error.headers {
        answer = answer.header(name, value);
    }
    answer
}

fn finish(answer: Answer, request_id: &str) -> Response<ResponseBody> {
    let answer = answer.header("x-amz-request-id", request_id).header("x-amz-id-2", request_id);
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
