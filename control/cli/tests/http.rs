//! `eft` against a server that answers as it is told to, and keeps what it was asked.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};

/// A request: its line, its headers in small letters, and its body.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }
}

/// How a request is answered; with none the connection is closed without a word.
type Scripted = Option<(u16, Vec<(&'static str, &'static str)>, Value)>;

fn ok(body: Value) -> Scripted {
    Some((200, Vec::new(), body))
}

fn problem(status: u16, code: &str, retryable: bool) -> Scripted {
    let body = json!({ "type": "x", "code": code, "detail": "this is why", "status": status, "retryable": retryable });
    Some((status, vec![("retry-after", "0")], body))
}

/// Runs `eft` with these words; gives what became of it and what the server was asked. All that was scripted is asked for.
fn eft(words: &[&str], script: impl IntoIterator<Item = Scripted>) -> (Output, Vec<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let script: Vec<_> = script.into_iter().collect();
    let server = std::thread::spawn({
        let ended = Arc::clone(&ended);
        move || {
            let mut asked = Vec::new();
            for answer in script {
                let (stream, _) = listener.accept().unwrap();
                assert!(!ended.load(Ordering::SeqCst), "not all that was scripted was asked for: {asked:?}");
                asked.push(request(&mut BufReader::new(stream.try_clone().unwrap())));
                if let Some(answer) = answer {
                    write(&stream, answer);
                }
            }
            asked
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_eft"))
        .args(words)
        .env_clear()
        .env("EFT_API", format!("http://{address}/stage"))
        .env("EFT_TOKEN", "secret-token")
        .output()
        .unwrap();
    ended.store(true, Ordering::SeqCst);
    // Wakes the server where it still waits.
    drop(TcpStream::connect(address));
    let asked = server.join().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains("secret-token"));
    (output, asked)
}

fn write(mut stream: &TcpStream, (status, headers, body): (u16, Vec<(&str, &str)>, Value)) {
    let body = body.to_string();
    let mut text = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
}

fn request(reader: &mut impl BufRead) -> Asked {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut headers = Vec::new();
    loop {
        let mut text = String::new();
        reader.read_line(&mut text).unwrap();
        let Some((name, value)) = text.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Asked { line: line.trim_end().to_owned(), headers, body: String::from_utf8(body).unwrap() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// A file that is gone with what it returns.
fn file(name: &str, content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn an_act_whose_answer_is_lost_is_sent_again_under_the_same_key() {
    let job = json!({ "job": "j", "state": "ACCEPTED" });
    let script = [None, problem(409, "idempotency.running", true), ok(job)];
    let (output, asked) = eft(&["jobs", "replay", "j", "--reason", "again"], script);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|asked| asked.line == "POST /stage/v1/jobs/j:replay HTTP/1.1"), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.body == r#"{"reason":"again","route":"same"}"#), "{asked:?}");
    let key = asked[0].header("idempotency-key");
    assert!(key.len() == 36 && asked.iter().all(|asked| asked.header("idempotency-key") == key));
    assert!(asked.iter().all(|asked| asked.header("authorization") == "Bearer secret-token"));
}

#[test]
fn what_the_api_refuses_for_good_is_asked_once() {
    let body = json!({ "type": "/v1/problems/job.state", "code": "job.state", "detail": "this is why", "retryable": false });
    let script = [Some((409, Vec::new(), body)), ok(json!({ "remedy": "look at it" }))];
    let (output, asked) = eft(&["jobs", "cancel", "j", "--reason", "no"], script);
    assert_eq!(code(&output), 4);
    assert_eq!(asked[1].line, "GET /stage/v1/problems/job.state HTTP/1.1", "and not the act again");
    assert_eq!(text(&output.stderr), "eft: job.state: this is why\neft: what to do: look at it\n");
}

#[test]
fn what_stays_away_is_given_up() {
    let (output, _) =
        eft(&["fleet"], std::iter::repeat_with(|| problem(503, "store.unavailable", true)).take(4));
    assert_eq!(code(&output), 4);
}

#[test]
fn a_list_is_read_page_by_page_up_to_its_limit() {
    let item = |job: &str| json!({ "job": job, "state": "FAILED", "key": "a\u{1b}[2J" });
    let script = [
        ok(json!({ "items": [item("one")], "nextCursor": "a b/c" })),
        ok(json!({ "items": [], "nextCursor": "d" })),
        ok(json!({ "items": [item("two"), item("three")], "nextCursor": "e" })),
    ];
    let (output, asked) = eft(&["jobs", "list", "--state", "FAILED", "--limit", "2"], script);
    assert_eq!(asked[0].line, "GET /stage/v1/jobs?limit=2&state=FAILED HTTP/1.1");
    assert_eq!(asked[1].line, "GET /stage/v1/jobs?limit=1&state=FAILED&cursor=a%20b%2Fc HTTP/1.1");
    let shown = text(&output.stdout);
    assert!(shown.contains("one") && shown.contains("two") && !shown.contains("three"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "what a sender calls a file steers no terminal");
    assert!(text(&output.stderr).contains("there are more"));
}

const USER: &str = "name: erp\nkeys: [ssh-ed25519 AAAA]\npassword: correct horse battery\n";

fn standing() -> Scripted {
    let user = json!({ "name": "erp", "keys": ["ssh-ed25519 AAAA"], "home": "", "sources": ["192.0.2.0/24"], "paused": true });
    Some((200, vec![("etag", "\"e1\"")], json!({ "name": "erp", "user": user })))
}

#[test]
fn a_plan_says_what_a_file_would_take_away_and_no_password() {
    let (_folder, path) = file("user.yaml", USER);
    let (output, asked) = eft(&["users", "plan", "-f", &path], [standing()]);
    assert_eq!((code(&output), asked.len()), (0, 1), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let lines: Vec<_> = shown.lines().collect();
    let wanted =
        ["user erp: changed", "  - /paused: true", "  - /sources: [\"192.0.2.0/24\"]", "  + /password: set"];
    assert_eq!(lines, wanted);
}

#[test]
fn an_apply_changes_only_what_was_read() {
    let (_folder, path) = file("user.yaml", USER);
    let saved = json!({ "name": "erp", "user": { "keys": ["ssh-ed25519 AAAA"], "home": "", "sources": [], "paused": false } });
    let (output, asked) = eft(&["users", "apply", "-f", &path], [standing(), ok(saved)]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(
        (asked[1].line.as_str(), asked[1].header("if-match")),
        ("PUT /stage/v1/sftp-users/erp HTTP/1.1", "\"e1\"")
    );
    assert!(asked[1].body.contains("correct horse battery"), "it is sent");
    let shown = text(&output.stdout);
    assert!(shown.contains("/sources/0: 192.0.2.0/24") && !shown.contains("battery"), "{shown}");
    let new = [problem(404, "user.not_found", false), ok(json!({ "name": "erp", "user": {} }))];
    let (_, asked) = eft(&["users", "apply", "-f", &path], new);
    assert_eq!(asked[1].header("if-none-match"), "*");
}

#[test]
fn a_write_whose_answer_was_lost_is_not_called_refused() {
    let (_folder, path) = file("user.yaml", USER);
    let script = [standing(), None, problem(412, "precondition.failed", false)];
    let (output, _) = eft(&["users", "apply", "-f", &path], script);
    assert_eq!(code(&output), 4);
    assert!(text(&output.stderr).contains("may be as it was to be"), "{}", text(&output.stderr));
}

#[test]
fn a_watched_job_ends_with_the_code_of_its_state() {
    let event = |n: u64, after: &str| json!({ "sequence": n, "generation": 1, "at": "t", "actor": "a", "before": "x", "after": after });
    let job = |state: &str| ok(json!({ "job": "j", "state": state, "generation": 1, "changedAt": state }));
    let events = |last: u64| ok(json!({ "items": (1..=last).map(|n| event(n, "STEP")).collect::<Vec<_>>() }));
    let script = [job("RUNNING"), events(1), job("REJECTED"), events(2), events(3)];
    let (output, asked) = eft(&["jobs", "watch", "j"], script);
    assert_eq!(code(&output), 3, "{}", text(&output.stderr));
    assert_eq!(asked[1].line, "GET /stage/v1/jobs/j/events?limit=200 HTTP/1.1");
    assert_eq!(text(&output.stdout).matches("STEP").count(), 3, "each change once, also the last");
}

#[test]
fn routes_are_sent_as_they_are_written() {
    let (_folder, path) = file("r.yaml", "id: orders # ours\n");
    let checked =
        json!({ "valid": true, "errors": [], "revision": "0", "route": { "id": "orders", "small": 2 } });
    let stands = Some((200, vec![("etag", "\"e\"")], json!({ "route": { "id": "orders", "small": 1 } })));
    let (output, asked) = eft(&["routes", "apply", "-f", &path], [ok(checked), stands, ok(json!({}))]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(
        (asked[2].body.as_str(), asked[2].header("content-type")),
        ("id: orders # ours\n", "application/yaml")
    );
    assert_eq!(asked[2].header("if-match"), "\"e\"");
    assert_eq!(text(&output.stdout), "route orders: changed\n  - /small: 1\n  + /small: 2\n");
}

#[test]
fn what_is_removed_is_what_was_read() {
    let (output, asked) =
        eft(&["users", "remove", "erp"], [standing(), Some((204, Vec::new(), Value::Null))]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "user erp: removed\n"));
    let found = (asked[1].line.as_str(), asked[1].header("if-match"));
    assert_eq!(found, ("DELETE /stage/v1/sftp-users/erp HTTP/1.1", "\"e1\""));
}

#[test]
fn the_audit_trail_is_read_between_times() {
    let entry = json!({ "at": "2026-11-27T09:00:00Z", "who": "ann", "what": "putRoute", "on": "/v1/routes/a", "outcome": "done" });
    let words = ["audit", "--since", "2026-11-27T09:00:00+01:00", "--limit", "1"];
    let (output, asked) = eft(&words, [ok(json!({ "items": [entry] }))]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(asked[0].line, "GET /stage/v1/audit?limit=1&since=2026-11-27T09%3A00%3A00%2B01%3A00 HTTP/1.1");
    let shown = text(&output.stdout);
    assert!(shown.contains("putRoute") && shown.contains("/v1/routes/a"), "{shown}");
}
