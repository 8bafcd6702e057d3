//! The queues, for those who run the platform.

use eft_api::{Answer, Call, Code, Problem, call::shown};
use eft_store::{Depth, QueueState, Redrive};
use eft_telemetry::log::print;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Api, jobs::reason_of};

fn depth(depth: Depth) -> Value {
    json!({ "visible": depth.visible, "inFlight": depth.in_flight, "delayed": depth.delayed })
}

fn queue(state: &QueueState) -> Value {
    let mut value = depth(state.depth);
    value["name"] = state.name.into();
    if let Some(dead) = state.dead {
        value["dead"] = depth(dead);
    }
    value
}

pub(crate) async fn show(api: &Api, _: &Call) -> Result<Answer, Problem> {
    let queues: Vec<_> = api.queues.states().await?.iter().map(queue).collect();
    Ok(Answer::ok(json!({ "queues": queues })))
}

pub(crate) async fn redrive(api: &Api, call: &Call) -> Result<Answer, Problem> {
    let name = call.value(0);
    let reason = reason_of(call)?;
    match api.queues.redrive(name).await? {
        Redrive::Started(task) => {
            // It is of no job, whose history would have it.
            let by = &call.principal()?.subject;
            print(
                json!({ "event": "redrive", "level": "INFO", "queue": name, "subject": by, "reason": reason }),
            );
            Ok(Answer::new(StatusCode::ACCEPTED, json!({ "queue": name, "task": task })))
        }
        Redrive::Running => {
            Err(Problem::new(Code::QueueBusy, format!("messages are being moved back into `{name}`")))
        }
        Redrive::Unknown => {
            let detail = format!("there is no queue `{}` that can be redriven", shown(name));
            Err(Problem::new(Code::QueueNotFound, detail))
        }
    }
}
