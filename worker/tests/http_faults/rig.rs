//! One delivery through an S3 with faults, and what is asked of it afterwards.

use std::{
    io::{Read, Write},
    net::TcpStream,
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use eft_domain::{
    ByteSize, Code,
    route::{Limits, OnExisting},
};
use eft_fakes::pattern;
use eft_pipeline::{
    budget::Budget,
    checksum::Crc64,
    concurrency::Concurrency,
    error::{of_sink, of_source},
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{Frames, ObjectSource, Part, PortResult, SinkLimits},
    progress::Progress,
    retry::RetryPolicy,
    stored::Stored,
    transfer::{Outcome, Stopped, Transfer},
};
use eft_s3::{Action, Config, Fault, Op, Profile, Record, Server};
use eft_worker::s3::{Client, Method, S3Sink, S3Source, ServerCopy, Target, Timeouts};
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;
const LIMITS: SinkLimits = SinkLimits { min_part: 1 << 20, ..SinkLimits::S3 };
const KEY: &str = "dir/object";
/// Long enough for a server that answers at all, most of the time; too short is tried again.
const SHORT: Duration = Duration::from_millis(400);

/// Requests are tried again as often as they are, and hardly waited for in between.
const RETRY: RetryPolicy = RetryPolicy {
    attempts: 5,
    base: Duration::from_millis(1),
    throttle_base: Duration::from_millis(2),
    cap: Duration::from_millis(5),
    idle: Duration::from_secs(30),
};

/// How the object is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In one request.
    Put,
    /// In several parts.
    Parts,
    /// The same, of a source whose size is not known.
    Stream,
    /// By S3, in one request.
    Copy,
    /// By S3, in several parts.
    CopyParts,
    /// In several parts, and stopped by its user after this many answers to an `UploadPart`.
    Stopped(u64),
}

impl Way {
    fn object(self) -> Bytes {
        static LARGE: LazyLock<Bytes> = LazyLock::new(|| pattern(1, 3 * MIB + 7));
        static SMALL: LazyLock<Bytes> = LazyLock::new(|| pattern(2, 40_001));
        if self == Self::Put { SMALL.clone() } else { LARGE.clone() }
    }

    fn parts(self) -> u32 {
        if matches!(self, Self::Put | Self::Copy) { 1 } else { 4 }
    }
}

/// A delivery and its faults.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) way: Way,
    pub(crate) faults: Vec<Fault>,
    pub(crate) profile: Profile,
    /// Another's object stands under the name, unless this is to fail.
    pub(crate) policy: OnExisting,
    pub(crate) seed: u64,
}

impl Case {
    pub(crate) fn new(way: Way, faults: impl Into<Vec<Fault>>) -> Self {
        let (profile, policy) = (Profile::default(), OnExisting::Fail);
        Self { way, faults: faults.into(), profile, policy, seed: 1 }
    }

    /// What stands under the name before.
    fn theirs(&self) -> Option<Bytes> {
        (self.policy != OnExisting::Fail).then(|| Bytes::from_static(b"theirs"))
    }

    fn hangs(&self, ops: &[Op]) -> bool {
        let hangs =
            |action: &Action| matches!(action, Action::DoneThenHang | Action::StallBody { ms: None, .. });
        self.faults.iter().any(|fault| fault.op.is_some_and(|op| ops.contains(&op)) && hangs(&fault.action))
    }

    /// Short where a fault lets requests hang; elsewhere a server is waited for as long as it takes.
    fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts {
            abort_pause: Duration::from_millis(5),
            backoff: Duration::from_millis(1),
            ..Timeouts::DEFAULT
        };
        if self.hangs(&[Op::UploadPart, Op::PutObject]) {
            timeouts.part_base = SHORT;
        }
        if self.hangs(&[Op::CompleteMultipartUpload, Op::CopyObject, Op::UploadPartCopy]) {
            timeouts.complete = SHORT;
        }
        if self.hangs(&ANSWERED) {
            timeouts.answer = SHORT;
        }
        timeouts
    }

    /// What is opened is asked for once. Given up for another request's sake, it is asked for again.
    async fn unless_hasty<T, F: Future<Output = PortResult<T>>>(
        &self,
        open: impl Fn() -> F,
    ) -> PortResult<T> {
        let waited_for = self.hangs(&[Op::HeadObject, Op::GetObjectTagging]);
        loop {
            match open().await {
                Err(error) if !waited_for && error.message.contains("no answer in") => {}
                opened => return opened,
            }
        }
    }

    /// A request without a body may be given up although it would have been answered.
    pub(crate) fn is_hasty(&self) -> bool {
        self.hangs(&ANSWERED)
    }
}

/// What [`Timeouts::answer`] is of.
const ANSWERED: [Op; 7] = [
    Op::HeadObject,
    Op::GetObject,
    Op::GetObjectTagging,
    Op::CreateMultipartUpload,
    Op::AbortMultipartUpload,
    Op::ListParts,
    Op::ListMultipartUploads,
];

/// A delivery that has ended.
pub(crate) struct Ended {
    pub(crate) case: Case,
    pub(crate) server: Server,
    pub(crate) result: Result<Outcome, Stopped>,
}

/// Carry it out, as the worker does.
pub(crate) async fn deliver(case: Case) -> Ended {
    let config = Config {
        profile: case.profile,
        min_part_size: LIMITS.min_part,
        seed: case.seed,
        ..Config::with_buckets(["source", "target"])
    };
    let server = Server::start(config).unwrap();
    server.put_object("source", KEY, case.way.object());
    if let Some(theirs) = case.theirs() {
        server.put_object("target", "copy", theirs);
    }
    tag(&server);
    server.reset_log();
    let mut faults = case.faults.clone();
    if let Way::Stopped(after) = case.way {
        // It must not end before it is stopped.
        faults.push(Fault::on(Op::UploadPart, Action::DoneThenHang).skip(after));
    }
    server.set_faults(faults);
    let result = run(&case, &server).await;
    // What a request that was given up still does, but for those that hang.
    let hung = |record: &Record| record.faults.iter().any(|fault| fault == Action::DoneThenHang.kind());
    let over = async {
        while server.stats().in_flight
            > server.request_log().iter().filter(|record| hung(record)).count() as u64
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let over = tokio::time::timeout(Duration::from_secs(30), over).await;
    assert!(over.is_ok(), "{case:?}: a request is still under way: {result:?}");
    Ended { case, server, result }
}

async fn run(case: &Case, server: &Server) -> Result<Outcome, Stopped> {
    let window = Concurrency::new(3);
    let client = Client::for_endpoint_within(&server.endpoint(), window.clone(), case.timeouts());
    let uri = format!("s3://source/{KEY}").parse().unwrap();
    let source = case.unless_hasty(|| S3Source::open(client.clone(), &uri)).await;
    let source = Arc::new(source.map_err(|error| of_source(&error))?);
    let target = Target {
        uri: "s3://target/copy".parse().unwrap(),
        on_existing: case.policy,
        delivery_id: "ours".to_owned(),
        attributes: source.attributes().clone(),
    };
    let sink = case.unless_hasty(|| S3Sink::open(client.clone(), target.clone())).await;
    let (sink, found) = sink.map_err(|error| of_sink(&error))?;
    assert_eq!(found, None);
    let cancel = CancellationToken::new();
    let method = match case.way {
        Way::Copy => Some(Method::Whole),
        Way::CopyParts => {
            let size = case.way.object().len() as u64;
            Method::parts([size], LIMITS.min_part)
        }
        _ => None,
    };
    if let Some(method) = method {
        let copy = ServerCopy {
            sources: vec![Arc::clone(&source)],
            sink: sink.clone(),
            method,
            concurrency: window.clone(),
            retry: RETRY,
            progress: Arc::new(Progress::default()),
            cancel: cancel.clone(),
        };
        if let Some(copied) = copy.run().await? {
            return Ok(copied);
        }
    }
    let request = Request {
        archive: None,
        size: Some(case.way.object().len() as u64).filter(|_| case.way != Way::Stream),
        stages: &[],
        limits: &Limits::default(),
        sha256: false,
        given: Given::default(),
        sink: LIMITS,
        memory: ByteSize::mib(16),
        concurrency: 3,
        part_size: Some(ByteSize(LIMITS.min_part)),
        threads: 1,
        near: false,
        refuse_empty: false,
    };
    let plan = Plan::new(&request).unwrap();
    let idle = if case.hangs(&[Op::GetObject]) { SHORT } else { RETRY.idle };
    let transfer = Transfer {
        source: match case.way {
            Way::Stream => Arc::new(Unsized(source)),
            _ => source,
        },
        sinks: vec![Arc::new(sink)],
        more: None,
        budget: Budget::new(plan.memory),
        reading: window.clone(),
        writing: window,
        plan,
        pool: Pool::new(NonZeroUsize::MIN),
        retry: RetryPolicy { idle, ..RETRY },
        keeper: None,
        progress: Arc::new(Progress::default()),
        cancel: cancel.clone(),
    };
    let stop = async {
        if let Way::Stopped(after) = case.way {
            while server.count(Op::UploadPart) < after {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            cancel.cancel();
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = transfer.run() => ended,
        () = stop => unreachable!("it only asks"),
    };
    assert_eq!(transfer.budget.available(), transfer.budget.bytes(), "{case:?}: a lease is not given back");
    ended
}

/// An object that does not say how large it is.
struct Unsized(Arc<S3Source>);

impl ObjectSource for Unsized {
    fn uri(&self) -> String {
        self.0.uri()
    }

    fn size(&self) -> Option<u64> {
        None
    }

    fn checksum(&self) -> Option<Stored> {
        None
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        let end = range.end.min(Way::Stream.object().len() as u64);
        self.0.read(range.start..end)
    }
}

/// Tags for the source: the adapter reads and carries them.
fn tag(server: &Server) {
    let body = "<Tagging><TagSet><Tag><Key>team</Key><Value>a b</Value></Tag></TagSet></Tagging>";
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let head = format!("PUT /source/{KEY}?tagging HTTP/1.1\r\nhost: s3\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

impl Ended {
    /// `None`: delivered.
    pub(crate) fn code(&self) -> Option<Code> {
        self.result.as_ref().err().map(|stopped| stopped.failure.code)
    }

    pub(crate) fn said(&self) -> String {
        match &self.result {
            Ok(_) => "delivered".to_owned(),
            Err(stopped) => stopped.failure.to_string(),
        }
    }

    /// Uploads that are left. Not one whose create was given up too early, and may have come to the server at any time.
    pub(crate) fn open(&self) -> usize {
        let log = self.server.request_log();
        let by_haste = |id: &str| {
            let created = log.iter().find(|record| record.upload_id.as_deref() == Some(id));
            self.case.is_hasty() && created.is_some_and(|created| created.faults.is_empty())
        };
        self.server.open_uploads().iter().filter(|open| !by_haste(&open.upload_id)).count()
    }

    fn visible(&self) -> Option<Bytes> {
        self.server.get_object("target", "copy")
    }

    /// How often a fault has fired.
    pub(crate) fn fired(&self, fault: &Fault) -> usize {
        let (op, kind) = (fault.op.map(Op::name), fault.action.kind());
        let log = self.server.request_log();
        let hit = log.iter().filter(|record| Some(record.op.as_str()) == op);
        hit.filter(|record| record.faults.iter().any(|fired| fired == kind)).count()
    }

    /// What holds whatever the faults: the right object, once, as the receipt says; or none, and nothing left behind
    /// without a word.
    pub(crate) fn check(&self) {
        let case = &self.case;
        let object = case.way.object();
        // A distinct message beats a diff of megabytes.
        let (visible, theirs) = (self.visible(), case.theirs());
        let is_ours = visible.as_ref() == Some(&object);
        assert!(is_ours || visible == theirs, "{case:?}: other bytes are visible");
        let versions = self.server.versions("target", "copy").len();
        let kept = usize::from(theirs.is_some() && !case.profile.without_versions);
        assert!(versions <= kept.max(1) + usize::from(kept > 0 && is_ours), "{case:?}: {versions} versions");
        match &self.result {
            Ok(outcome) => {
                let crc = Crc64::of(&object);
                assert!(is_ours, "{case:?}: it is not visible");
                assert_eq!((outcome.source, outcome.output), (crc, crc), "{case:?}");
                let [delivery] = &outcome.deliveries[..] else { panic!("{case:?}: {outcome:?}") };
                assert!(
                    delivery.parts == case.way.parts() || case.way == Way::Copy,
                    "{case:?}: {delivery:?}"
                );
                let committed = delivery.result.as_ref().unwrap();
                assert!(delivery.is_verified() && !committed.already_there, "{case:?}: {committed:?}");
                assert_eq!(committed.whole, Some(crc), "{case:?}");
                let stands = self.server.object("target", "copy").unwrap();
                let version = (!case.profile.without_versions).then(|| stands.version_id.clone());
                assert_eq!(committed.version, version, "{case:?}");
                assert_eq!((stands.size, stands.crc64), (crc.len(), crc.value()), "{case:?}");
                assert_eq!(committed.etag, Some(format!("\"{}\"", stands.etag)), "{case:?}");
                assert_eq!(stands.tags, [("team".to_owned(), "a b".to_owned())], "{case:?}");
                let ours = ("x-amz-meta-eft-delivery-id".to_owned(), "ours".to_owned());
                assert!(stands.headers.contains(&ours), "{case:?}: {stands:?}");
            }
            Err(stopped) => {
                let unclear = stopped.failure.code == Code::DestinationIndeterminate;
                assert!(!is_ours || unclear, "{case:?}: visible, but {}", stopped.failure);
                assert!(!stopped.resumable, "{case:?}");
                let message = &stopped.failure.message;
                // One each time, or as many as are named.
                let several =
                    message.split("up to ").nth(1).and_then(|said| said.split(' ').next()?.parse().ok());
                let said = several.unwrap_or(0).max(message.matches("left behind").count());
                assert!(said >= stopped.leftovers.len(), "{case:?}: {}", stopped.failure);
                assert!(self.open() <= said, "{case:?}: left without a word: {}", stopped.failure);
            }
        }
    }
}

/// A part of bytes.
pub(crate) fn part(number: u32, offset: usize, bytes: Bytes) -> Part {
    let crc = Crc64::of(&bytes);
    Part { number, offset: offset as u64, segments: [bytes].into(), crc, leases: Arc::new([]) }
}
