//! `/health`, `/ready` and `/metrics` over HTTP, and the metrics on standard output.

use std::{io::Write as _, sync::Arc, time::Duration};

use eft_store::Clock;
use eft_telemetry::{emf::Emf, prometheus};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::health::Pulse;

/// Longest time for one who asks.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most of a request that is looked at: its first line says all.
const REQUEST: usize = 4_096;

/// Answer for ever.
pub async fn answer(pulse: Arc<Pulse>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            // One after the other: there are two who ask, and neither may hold up the other for long.
            Ok((stream, _)) => drop(timeout(PATIENCE, one(&pulse, stream)).await),
            // No more files, for instance.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn one(pulse: &Pulse, mut stream: TcpStream) -> std::io::Result<()> {
    let (mut request, mut read) = ([0; REQUEST], 0);
    while read < REQUEST && !request[..read].contains(&b'\n') {
        match stream.read(&mut request[read..]).await? {
            0 => break,
            more => read += more,
        }
    }
    let json = "application/json";
    let (status, kind, body) = match &request[..read] {
        request if request.starts_with(b"GET /health ") => {
            let (goes_on, body) = pulse.health();
            (if goes_on { "200 OK" } else { "503 Service Unavailable" }, json, format!("{body}\n"))
        }
        request if request.starts_with(b"GET /ready ") => match pulse.is_ready() {
            true => ("200 OK", json, "{\"ready\":true}\n".to_owned()),
            false => ("503 Service Unavailable", json, "{\"ready\":false}\n".to_owned()),
        },
        request if request.starts_with(b"GET /metrics ") => {
            pulse.observe();
            ("200 OK", prometheus::CONTENT_TYPE, prometheus::text(&pulse.metrics))
        }
        _ => ("404 Not Found", "text/plain", "there are /health, /ready and /metrics\n".to_owned()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).await
}

/// Write the metrics to standard output once a period, and once more when it is stopped; with no period not at all.
pub async fn emit(pulse: Arc<Pulse>, mut emf: Emf, period: Duration, stop: CancellationToken) {
    if period.is_zero() {
        return;
    }
    loop {
        let stopped = timeout(period, stop.cancelled()).await.is_ok();
        pulse.observe();
        for line in emf.lines(&pulse.metrics, Clock::System.now().0) {
            // Nobody can be told of it.
            drop(writeln!(std::io::stdout().lock(), "{line}"));
        }
        if stopped {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(pulse: &Arc<Pulse>, paths: &[&str]) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let answering = tokio::spawn(answer(Arc::clone(pulse), listener));
        let mut answers = Vec::new();
        for path in paths {
            let mut stream = TcpStream::connect(at).await.unwrap();
            // In two pieces, as it may come.
            stream.write_all(b"GET ").await.unwrap();
            stream.write_all(format!("{path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answers.push(answer);
        }
        answering.abort();
        answers
    }

    #[tokio::test]
    async fn whoever_asks_is_answered() {
        let pulse = Arc::new(Pulse::new(Duration::from_secs(60)));
        assert!(ask(&pulse, &["/ready"]).await[0].starts_with("HTTP/1.1 503 "));
        pulse.beat(0);
        pulse.metrics.runs.count(["SUCCEEDED", "none"]);
        let answers = ask(&pulse, &["/health", "/metrics", "/ready", "/x"]).await;
        assert!(answers[0].starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/json"));
        let health: serde_json::Value =
            serde_json::from_str(answers[0].split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(
            (&health["status"], &health["slots"], &health["ready"]),
            (&"ok".into(), &1.into(), &true.into())
        );
        assert!(answers[1].contains("text/plain; version=0.0.4"), "{}", answers[1]);
        assert!(answers[1].contains("\neft_worker_runs_total{state=\"SUCCEEDED\",code=\"none\"} 1\n"));
        assert!(answers[1].contains("\neft_worker_slots 1\n"));
        assert!(answers[2].starts_with("HTTP/1.1 200") && answers[3].starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn a_worker_that_is_stuck_says_so_with_503() {
        let pulse = Arc::new(Pulse::new(Duration::ZERO));
        pulse.beat(0);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let answers = ask(&pulse, &["/health"]).await;
        assert!(answers[0].starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{}", answers[0]);
        assert!(answers[0].contains("slot 0 has not come round"), "{}", answers[0]);
    }
}
