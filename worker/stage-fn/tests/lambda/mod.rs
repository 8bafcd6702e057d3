//! Lambda's API as far as the tests need it: four calls are not worth the SDK of it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Lambda in one account.
pub(crate) struct Lambda {
    pub(crate) endpoint: String,
    pub(crate) account: String,
    pub(crate) region: &'static str,
}

impl Lambda {
    /// A function that is one of our programs; its ARN.
    pub(crate) async fn create(&self, program: &str, environment: &Value) -> String {
        // Programs of other packages stand beside ours: all are built with the tests of the workspace.
        let path = Path::new(env!("CARGO_BIN_EXE_eft-stage")).with_file_name(program);
        assert!(path.exists(), "{}: build it with `cargo test --workspace --no-run`", path.display());
        // The program itself has a hundred megabytes with its debug information.
        let bootstrap = format!("#!/bin/sh\nexec '{}'\n", path.display());
        let function = json!({
            "FunctionName": program,
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Role": format!("arn:aws:iam::{}:role/eft", self.account),
            "Code": { "ZipFile": STANDARD.encode(zip("bootstrap", bootstrap.as_bytes())) },
            "Timeout": 60,
            "MemorySize": 512,
            "Environment": { "Variables": environment },
        });
        let created = self.post("/2015-03-31/functions", &function).await;
        created["FunctionArn"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
    }

    /// Messages of a queue are given to a function.
    pub(crate) async fn feed(&self, function: &str, queue: &str) {
        let mapping = json!({
            "FunctionName": function,
            "EventSourceArn": queue,
            "BatchSize": 10,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        });
        let created = self.post("/2015-03-31/event-source-mappings", &mapping).await;
        assert!(created["UUID"].is_string(), "{created}");
    }

    /// What a function answers.
    pub(crate) async fn invoke(&self, function: &str, payload: &Value) -> Value {
        self.post(&format!("/2015-03-31/functions/{function}/invocations"), payload).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let host = self.endpoint.trim_start_matches("http://").to_owned();
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={}/20261127/{}/lambda/aws4_request, SignedHeaders=host, \
             Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
            self.account,
            self.region,
            body.len(),
        );
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(&host).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            // In one chunk or in none.
            let json = &body[body.find('{').unwrap_or_else(|| panic!("{answer}"))..=body.rfind('}').unwrap()];
            serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}"))
        })
        .await
        .unwrap()
    }
}

/// A zip archive of one stored file that may be executed (APPNOTE 6.3.10, §4.3).
fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let (crc, size) = (crc32(content).to_le_bytes(), u32::try_from(content.len()).unwrap().to_le_bytes());
    let length = u16::try_from(name.len()).unwrap().to_le_bytes();
    // Version, flags, method, time and date, checksum, sizes, lengths of name and extra field.
    let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x5b], &crc[..], &size, &size, &length, &[0, 0]].concat();
    let local = [b"PK\x03\x04", &common[..], name.as_bytes(), content].concat();
    let mode = (0o100_755_u32 << 16).to_le_bytes();
    let central = [b"PK\x01\x02\x14\x03", &common[..], &[0; 6], &mode[..], &[0; 4], name.as_bytes()].concat();
    let lengths = [central.len(), local.len()].map(|length| u32::try_from(length).unwrap().to_le_bytes());
    let end = [b"PK\x05\x06", &[0, 0, 0, 0, 1, 0, 1, 0][..], &lengths.concat(), &[0, 0]].concat();
    [local, central, end].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
