//! Ranges by a request that was signed for an earlier one, against a server that keeps what it was asked.
#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    ops::Range,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bytes::Bytes;
use eft_pipeline::{
    concurrency::Concurrency,
    port::{ErrorKind, ObjectSource, PortResult},
};
use eft_worker::s3::{Client, S3Source, Timeouts};
use futures::TryStreamExt;

const SIZE: u64 = 1000;

/// How a GET is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// With the bytes.
    Bytes,
    /// With other bytes, which it says.
    Others,
    /// With an error.
    Status(u16),
    /// Not at all.
    Closed,
}

#[derive(Clone, Debug, PartialEq)]
struct Asked {
    range: String,
    authorization: String,
    signed_headers: String,
}

/// A server that answers GETs as it was told, then with their bytes.
#[derive(Clone, Default)]
struct Server {
    ways: Arc<Mutex<VecDeque<Way>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    async fn source(&self, ways: &[Way]) -> (Client, S3Source) {
        self.ways.lock().unwrap().extend(ways);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = server.clone();
                thread::spawn(move || server.serve(stream.unwrap()));
            }
        });
        let timeouts = Timeouts { backoff: Duration::from_millis(1), ..Timeouts::DEFAULT };
        let client = Client::for_endpoint_within(&url, Concurrency::new(8), timeouts);
        let source = S3Source::open(client.clone(), &"s3://bucket/key".parse().unwrap()).await.unwrap();
        (client, source)
    }

    fn serve(&self, mut stream: TcpStream) {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => return,
                }
            }
            let head = String::from_utf8(head).unwrap();
            if head.starts_with("HEAD") {
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\netag: \"e\"\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
                continue;
            }
            let line = |name: &str| {
                let found = head.lines().filter_map(|line| line.split_once(": ")).find(|(is, _)| *is == name);
                found.map(|(_, value)| value.to_owned()).unwrap_or_default()
            };
            let (range, authorization) = (line("range"), line("authorization"));
            let signed_headers = authorization.split("SignedHeaders=").nth(1).unwrap_or_default().to_owned();
            self.asked.lock().unwrap().push(Asked { range: range.clone(), authorization, signed_headers });
            let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (start, end) = (start.parse::<u64>().unwrap(), end.parse::<u64>().unwrap() + 1);
            let way = self.ways.lock().unwrap().pop_front().unwrap_or(Way::Bytes);
            let start = start + u64::from(way == Way::Others);
            let answer = match way {
                Way::Closed => return,
                Way::Status(status) => {
                    let body = "<Error><Code>Some</Code><Message>said</Message></Error>";
                    format!("HTTP/1.1 {status} No\r\ncontent-length: {}\r\n\r\n{body}", body.len())
                        .into_bytes()
                }
                Way::Bytes | Way::Others => {
                    let said = format!("content-range: bytes {start}-{}/{SIZE}", end - 1);
                    let head =
                        format!("HTTP/1.1 206 OK\r\n{said}\r\ncontent-length: {}\r\n\r\n", end - start);
                    [head.into_bytes(), content(start..end)].concat()
                }
            };
            stream.write_all(&answer).unwrap();
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn content(range: Range<u64>) -> Vec<u8> {
    range.map(|n| (n * 31 % 251) as u8).collect()
}

async fn read(source: &S3Source, range: Range<u64>) -> PortResult<Vec<u8>> {
    let frames: Vec<Bytes> = source.read(range).await?.try_collect().await?;
    Ok(frames.concat())
}

async fn reads(source: &S3Source, ranges: &[Range<u64>]) {
    for range in ranges {
        assert_eq!(read(source, range.clone()).await.unwrap(), content(range.clone()), "{range:?}");
    }
}

fn gets(client: &Client) -> u64 {
    client.requests().by_operation()["GetObject"]
}

#[tokio::test]
async fn one_signature_serves_every_range_of_an_object() {
    let server = Server::default();
    let (client, source) = server.source(&[]).await;
    reads(&source, &[0..100, 100..200, 900..1000]).await;
    let asked = server.asked();
    let ranges: Vec<_> = asked.iter().map(|asked| asked.range.as_str()).collect();
    assert_eq!(ranges, ["bytes=0-99", "bytes=100-199", "bytes=900-999"]);
    assert!(asked[0].authorization.starts_with("AWS4-HMAC-SHA256 "), "{asked:?}");
    assert!(asked.iter().all(|one| one.authorization == asked[0].authorization), "{asked:?}");
    assert!(!asked[0].signed_headers.contains("range"), "{asked:?}");
    assert!(asked[0].signed_headers.contains("if-match"), "what pins the version is signed: {asked:?}");
    assert_eq!(gets(&client), 3, "each is counted");
}

#[tokio::test]
async fn what_is_not_answered_with_bytes_is_asked_for_anew() {
    for way in [Way::Status(403), Way::Status(400), Way::Status(500), Way::Others] {
        let server = Server::default();
        let (client, source) = server.source(&[Way::Bytes, way]).await;
        reads(&source, &[0..100, 100..200, 200..300]).await;
        let asked = server.asked();
        let ranges: Vec<_> = asked.iter().map(|asked| asked.range.as_str()).collect();
        assert_eq!(ranges, ["bytes=0-99", "bytes=100-199", "bytes=100-199", "bytes=200-299"], "{way:?}");
        let same = |a: usize, b: usize| asked[a].authorization == asked[b].authorization;
        assert_eq!((same(0, 1), same(2, 3)), (true, true), "{way:?}: {asked:?}");
        assert_eq!(gets(&client), 4, "{way:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let server = Server::default();
    let (client, source) = server.source(&[Way::Bytes, Way::Closed]).await;
    reads(&source, &[0..100, 100..200, 200..300]).await;
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|one| one.authorization == asked[0].authorization), "{asked:?}");
    assert_eq!(gets(&client), 3);
}

#[tokio::test]
async fn to_slow_down_is_heard() {
    let server = Server::default();
    let (client, source) = server.source(&[Way::Bytes, Way::Status(503)]).await;
    reads(&source, &[0..100, 100..200]).await;
    assert_eq!((client.requests().throttles(), gets(&client)), (1, 3));
}

#[tokio::test]
async fn an_object_that_was_replaced_is_told() {
    let server = Server::default();
    let (_, source) = server.source(&[Way::Bytes, Way::Status(412), Way::Status(412)]).await;
    assert_eq!(read(&source, 0..100).await.unwrap(), content(0..100));
    let error = read(&source, 100..200).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Changed, "{error:?}");
    assert!(error.message.contains("replaced while it was read"), "{error:?}");
}

/// An endpoint that takes each signature once is asked with a new one each time, in the end without a try.
#[tokio::test]
async fn who_takes_no_signature_twice_is_asked_anew_each_time() {
    let server = Server::default();
    let once = [Way::Bytes, Way::Status(403), Way::Bytes, Way::Status(403), Way::Bytes, Way::Status(403)];
    let (client, source) = server.source(&once).await;
    let ranges: Vec<_> = (0..10).map(|n| n * 100..(n + 1) * 100).collect();
    reads(&source, &ranges).await;
    assert_eq!(gets(&client), 10 + 3);
}
