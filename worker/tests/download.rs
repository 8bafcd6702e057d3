//! Ranged reads against a server that answers as it is told, byte for byte.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use eft_pipeline::{
    concurrency::Concurrency,
    port::{ObjectSource, PortResult},
};
use eft_worker::s3::{Client, S3Source};
use futures::{StreamExt, TryStreamExt};
use proptest::{prelude::*, test_runner::TestRunner};

/// What the server does with one request.
#[derive(Clone, Debug, Default)]
struct Answer {
    /// Written one after the other, with a pause that lets each arrive alone.
    pieces: Vec<Vec<u8>>,
    /// Close the connection afterwards.
    close: bool,
}

impl Answer {
    fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self { pieces: vec![bytes.into()], close: false }
    }

    fn then_close(self) -> Self {
        Self { close: true, ..self }
    }
}

/// A server that answers every HEAD with an object of `size` bytes and the n-th GET with `answers[n]`.
struct Scripted {
    url: String,
    connections: Arc<AtomicUsize>,
    gets: Arc<AtomicUsize>,
}

impl Scripted {
    fn start(size: usize, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (connections, gets) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, asked, answers) = (Arc::clone(&connections), Arc::clone(&gets), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
                counted.fetch_add(1, SeqCst);
                thread::spawn(move || serve(stream.unwrap(), size, &asked, &answers));
            }
        });
        Self { url, connections, gets }
    }

    async fn open(&self) -> S3Source {
        let client = Client::for_endpoint(&self.url, Concurrency::new(1));
        S3Source::open(client, &"s3://bucket/key".parse().unwrap()).await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, with no runtime to block")]
fn serve(mut stream: TcpStream, size: usize, gets: &AtomicUsize, answers: &[Answer]) {
    stream.set_nodelay(true).unwrap();
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        if head.starts_with(b"HEAD") {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\netag: \"e\"\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            continue;
        }
        let answer = answers.get(gets.fetch_add(1, SeqCst)).cloned().unwrap_or_default();
        for (n, piece) in answer.pieces.iter().enumerate() {
            if n > 0 {
                thread::sleep(Duration::from_millis(1));
            }
            if stream.write_all(piece).is_err() {
                return;
            }
        }
        if answer.close || answer.pieces.is_empty() {
            return;
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 % 251) as u8).collect()
}

fn whole(body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nX-Some: thing\r\n\r\n", body.len())
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn chunked(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 206 Partial Content\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let mut rest = body;
    for size in sizes.iter().copied().chain([body.len()]) {
        let (chunk, left) = rest.split_at(size.min(rest.len()));
        if !chunk.is_empty() {
            answer.extend_from_slice(format!("{:x};name=value\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        rest = left;
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

async fn read(source: &S3Source, len: usize) -> PortResult<Vec<u8>> {
    let frames = source.read(0..len as u64).await?;
    let frames: Vec<Bytes> = frames.try_collect().await?;
    assert!(frames.iter().all(|frame| !frame.is_empty()), "an empty frame");
    Ok(frames.concat())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// However an answer is cut on its way, the same bytes come out, with a length and in chunks.
#[test]
fn any_cut_of_an_answer_gives_the_same_bytes() {
    let strategy = (
        1usize..700_000,
        any::<bool>(),
        prop::collection::vec(0.0f64..1.0, 0..6),
        prop::collection::vec(1usize..200_000, 0..5),
    );
    let mut runner = TestRunner::new(ProptestConfig { cases: 60, ..ProptestConfig::default() });
    runner
        .run(&strategy, |(len, in_chunks, cuts, sizes)| {
            let body = pattern(len);
            let answer = if in_chunks { chunked(&body, &sizes) } else { whole(&body) };
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| (cut * answer.len() as f64) as usize).collect();
            cuts.extend([0, answer.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| answer[cut[0]..cut[1]].to_vec()).collect();
            let server = Scripted::start(len, vec![Answer { pieces, close: false }]);
            let got = runtime().block_on(async { read(&server.open().await, len).await.unwrap() });
            prop_assert!(got == body, "{} bytes of {len} differ", got.len());
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_connection_is_used_again_and_replaced_when_it_was_closed() {
    let body = pattern(300_000);
    let answers =
        vec![Answer::of(whole(&body)), Answer::of(whole(&body)).then_close(), Answer::of(whole(&body))];
    let server = Scripted::start(body.len(), answers);
    let source = server.open().await;
    for expected in [2, 2, 3] {
        assert!(read(&source, body.len()).await.unwrap() == body);
        // One connection for HEAD, one for the GETs, and one after it was closed.
        assert_eq!(server.connections.load(SeqCst), expected);
    }
    assert_eq!(server.gets.load(SeqCst), 3);
}

#[tokio::test]
async fn a_provisional_answer_is_not_the_answer() {
    let body = pattern(1000);
    let mut answer = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec();
    answer.extend(whole(&body));
    let server = Scripted::start(body.len(), vec![Answer::of(answer)]);
    assert_eq!(read(&server.open().await, body.len()).await.unwrap(), body);
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let body = pattern(500_000);
    let mut answer = b"HTTP/1.1 206 Partial Content\r\n\r\n".to_vec();
    answer.extend_from_slice(&body);
    let server = Scripted::start(body.len(), vec![Answer::of(answer).then_close()]);
    assert!(read(&server.open().await, body.len()).await.unwrap() == body);
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error_after_its_bytes() {
    for answer in [whole(&pattern(1000)), chunked(&pattern(1000), &[300])] {
        let cut = answer[..answer.len() - 400].to_vec();
        let server = Scripted::start(1000, vec![Answer::of(cut).then_close()]);
        let mut frames = server.open().await.read(0..1000).await.unwrap();
        let mut body = Vec::new();
        let error = loop {
            match frames.next().await.unwrap() {
                Ok(frame) => body.extend_from_slice(&frame),
                Err(error) => break error,
            }
        };
        assert!(error.message.contains("unexpected end of file"), "{}", error.message);
        // Chunks have frames of their own.
        assert!(body.len() > 550 && pattern(1000).starts_with(&body), "{} bytes", body.len());
    }
}

#[tokio::test]
async fn an_answer_out_of_step_is_refused() {
    let mut long = whole(&pattern(1000));
    long.extend_from_slice(b"and more");
    let mut endless = b"HTTP/1.1 206 Partial Content\r\n".to_vec();
    endless.extend(vec![b'x'; 300_000]);
    let cases = [
        (long, "more bytes than the answer announced"),
        (endless, "the head of the answer is larger than"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(), "invalid"),
        (b"HTTP/1.1 206 Partial Content\r\ncontent-length: many\r\n\r\n".to_vec(), "content length"),
        (b"HTTP/1.1 206 Partial Content\r\ntransfer-encoding: gzip\r\n\r\n".to_vec(), "transfer encoding"),
        (
            b"HTTP/1.1 206 Partial Content\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            "size of a chunk",
        ),
    ];
    for (answer, expected) in cases {
        // The SDK asks up to four times.
        let server = Scripted::start(1000, vec![Answer::of(answer).then_close(); 8]);
        let error = read(&server.open().await, 1000).await.unwrap_err();
        assert!(error.message.contains(expected), "{expected}: {}", error.message);
    }
}

/// Bytes from elsewhere in the object would pass every checksum that is made of them.
#[tokio::test]
async fn an_answer_that_is_another_range_is_refused() {
    let ranged = |range: &str| {
        let head =
            format!("HTTP/1.1 206 Partial Content\r\ncontent-length: 100\r\ncontent-range: {range}\r\n\r\n");
        Answer::of([head.as_bytes(), &pattern(100)[..]].concat())
    };
    let cases = [
        (ranged("bytes 100-199/1000"), true),
        (ranged("bytes 100-199/*"), true),
        (ranged("bytes 0-99/1000"), false),
        (ranged("bytes 100-199/1001"), false),
        (Answer::of(whole(&pattern(1000))), false),
    ];
    for (answer, good) in cases {
        let server = Scripted::start(1000, vec![answer; 8]);
        let frames = server.open().await.read(100..200).await;
        assert_eq!(frames.is_ok(), good, "{:?}", frames.err());
    }
}
