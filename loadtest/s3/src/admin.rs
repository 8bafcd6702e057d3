//! The endpoints under `/_`, for tests that run the server as a process.
//!
//! | request | answer |
//! |---|---|
//! | `POST /_faults` | replaces the faults by the JSON list (or single fault) in the body |
//! | `GET /_log` | the request log as a JSON list |
//! | `GET /_stats` | gauges, totals and counts by operation |
//! | `GET /_uploads` | uploads neither completed nor aborted |
//! | `POST /_release` | lets go what a fault of the kind `hold` holds now |
//! | `POST /_reset` | forgets log, counts, peaks and faults; objects stay |

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;

use crate::{body::ResponseBody, faults::Fault, ops::Answer, server::State};

/// Largest list of faults.
const DOCUMENT: usize = 1 << 20;

pub(crate) async fn answer(state: &State, method: &Method, path: &str, body: Incoming) -> Answer {
    match (method.as_str(), path) {
        ("POST", "/_faults") => {
            let Ok(text) = Limited::new(body, DOCUMENT).collect().await else {
                return failure(StatusCode::BAD_REQUEST, "cannot read the body");
            };
            match Fault::list_from_json(&text.to_bytes()) {
                Ok(faults) => {
                    let count = faults.len();
                    state.faults.set(faults);
                    json_answer(&json!({ "faults": count }))
                }
                Err(error) => failure(StatusCode::BAD_REQUEST, &error),
            }
        }
        ("GET", "/_log") => json_answer(&state.log.records()),
        ("GET", "/_stats") => json_answer(&state.stats()),
        ("GET", "/_uploads") => json_answer(&crate::server::open_uploads(state)),
        ("POST", "/_release") => {
            state.faults.release();
            json_answer(&json!({}))
        }
        ("POST", "/_reset") => {
            state.log.reset();
            state.faults.set(Vec::new());
            json_answer(&json!({}))
        }
        _ => {
            failure(StatusCode::NOT_FOUND, "GET /_log, /_stats, /_uploads; POST /_faults, /_release, /_reset")
        }
    }
}

fn json_answer(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(text) => Answer { body: ResponseBody::text(text), ..Answer::ok() }
            .header("content-type", "application/json"),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn failure(status: StatusCode, message: &str) -> Answer {
    Answer { status, ..json_answer(&json!({ "error": message })) }
}
