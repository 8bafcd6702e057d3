//! The stage Lambda function.

use std::{process::ExitCode, time::SystemTime};

use eft_stage::{Config, Error, Until};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

// As in the worker: part buffers are large, equal and recycled at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let stages = match Config::from_environment() {
        Ok(config) => config.open().await,
        Err(error) => Err(error),
    };
    let stages = match stages {
        Ok(stages) => stages,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let stages = &stages;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        let answer: Result<Value, Error> = stages.handle(&event.payload, Until::after(left)).await;
        answer.inspect_err(|error| eprintln!("{}: {error}", error.name()))
    }));
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
