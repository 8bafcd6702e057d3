//! The Lambda function that Transfer Family asks who somebody is.

use std::process::ExitCode;

use eft_identity::{Request, Settings, handler::answer};
use eft_store::Clock;
use eft_telemetry::log::print;
use lambda_runtime::{LambdaEvent, service_fn};

#[tokio::main]
async fn main() -> ExitCode {
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let login = &settings.open().await;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<Request>| async move {
        answer(login, &event.payload, Clock::System, print).await.map_err(lambda_runtime::Error::from)
    }));
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
