//! The router Lambda function.

use std::process::ExitCode;

use eft_router::{
    Batch, Config,
    handler::{handle, stdout},
};
use lambda_runtime::{LambdaEvent, service_fn};

#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let (router, _) = config.open("router").await;
    let (router, log) = (&router, &stdout());
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        Ok::<_, lambda_runtime::Error>(handle(router, event.payload, log).await)
    }));
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
