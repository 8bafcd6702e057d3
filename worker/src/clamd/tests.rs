//! The adapter against a clamd that does what it is told, over a pipe in memory, with the clock paused.

use proptest::prelude::*;
use tokio::io::DuplexStream;

use super::*;

fn session(room: usize) -> (Box<Session>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(room);
    (Box::new(Session::new("clamd".to_owned(), Box::new(ours))), theirs)
}

/// The chunks of a stream, until its end.
async fn chunks(socket: &mut DuplexStream) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    loop {
        let len = socket.read_u32().await.unwrap() as usize;
        if len == 0 {
            return chunks;
        }
        let mut chunk = vec![0; len];
        socket.read_exact(&mut chunk).await.unwrap();
        chunks.push(chunk);
    }
}

#[test]
fn addresses_are_those_of_clamd() {
    for text in ["127.0.0.1:3310", "scanner.internal:3310", "[::1]:3310", "unix:/run/clamav/clamd.ctl"] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "3310",
        ":3310",
        "host:",
        "host:0",
        "host:+1",
        "host:65536",
        "::1:3310",
        "a b:1",
        "unix:run/x",
        "tcp://h:1",
    ] {
        assert!(text.parse::<Address>().unwrap_err().contains("is not where clamd listens"), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However the bytes come, the chunks are these bytes, none is empty, and none is longer than agreed.
    #[test]
    fn any_arrival_is_one_stream(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        repeat in prop_oneof![Just(1usize), Just(9_000)],
        room in 64usize..100_000,
    ) {
        let pieces: Vec<Bytes> = pieces.into_iter().map(|piece| piece.repeat(repeat).into()).collect();
        let whole = pieces.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (verdict, seen) = runtime.block_on(async {
            let (mut session, mut clamd) = session(room);
            let scan = async {
                for piece in pieces {
                    assert_eq!(session.feed(piece).await.unwrap(), None);
                }
                session.finish().await.unwrap()
            };
            let answer = async {
                let seen = chunks(&mut clamd).await;
                clamd.write_all(b"stream: OK\0").await.unwrap();
                seen
            };
            tokio::join!(scan, answer)
        });
        prop_assert_eq!(verdict, Verdict::Clean);
        prop_assert!(seen.iter().all(|chunk| chunk.len() <= CHUNK));
        prop_assert!(seen.concat() == whole);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_early_and_in_pieces() {
    let (mut session, mut clamd) = session(64);
    let scan = session.feed(vec![1; 1000].into());
    let answer = async {
        clamd.read_u32().await.unwrap();
        for byte in b"INSTREAM size limit exceeded. ERROR\0" {
            clamd.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (verdict, ()) = tokio::join!(scan, answer);
    assert!(matches!(verdict, Ok(Some(Verdict::TooLarge(_)))));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_the_end_of_the_connection_counts() {
    let (mut session, mut clamd) = session(64);
    clamd.write_all(b"INSTREAM size limit exceeded. ERROR\0").await.unwrap();
    drop(clamd);
    assert!(matches!(session.feed(vec![1; 1000].into()).await, Ok(Some(Verdict::TooLarge(_)))));
}

async fn refused(said: &[u8], closed: bool) -> String {
    let (session, mut clamd) = session(64 << 10);
    clamd.write_all(said).await.unwrap();
    let open = (!closed).then_some(clamd);
    let error = session.finish().await.unwrap_err();
    drop(open);
    assert_eq!(error.kind, ErrorKind::Transient);
    error.message
}

#[tokio::test(start_paused = true)]
async fn what_is_no_verdict_is_none() {
    for said in [&b""[..], b"stream: OK", b"stream: Eicar FOUND"] {
        // Without the NUL more could have come.
        assert_eq!(refused(said, true).await, "clamd closed the connection without an answer");
        assert_eq!(refused(said, false).await, "clamd has not answered for 600 s");
    }
    assert_eq!(refused(b"stream: OK\0", false).await, "clamd called the file clean before its end");
    let long = vec![b'x'; MAX_ANSWER + 1];
    assert_eq!(refused(&long, false).await, "clamd answers with more than 4096 bytes");
    assert_eq!(
        refused(b"Command Read Timed Out ERROR\0", false).await,
        "clamd gave no verdict: `Command Read Timed Out ERROR`"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_nothing_is_not_waited_for() {
    let (mut session, clamd) = session(64);
    let error = session.feed(vec![1; 1000].into()).await.unwrap_err();
    assert_eq!(error.message, "clamd has taken no bytes for 60 s");
    drop(clamd);
}
