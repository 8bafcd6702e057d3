//! The Lambda function of the config API.

use std::process::ExitCode;

use eft_config::{Settings, lambda};
use eft_telemetry::log::print;
use lambda_http::service_fn;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let (api, claim) = (&settings.open().await, settings.tenant_claim.as_str());
    let served = lambda_http::run(service_fn(move |request: lambda_http::Request| async move {
        Ok::<_, lambda_http::Error>(lambda::answer(api, claim, request, print).await)
    }));
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
