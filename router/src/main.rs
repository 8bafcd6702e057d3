//! The router Lambda function.

use std::process::ExitCode;

use eft_router::{
    Batch, Config, Observer,
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
    let (observer, tracer) = match Observer::new("eft-router", &config.settings.region) {
        Ok(made) => made,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let (router, _) = config.open("router").await;
    let (router, observer, log) = (&router.with_tracer(tracer), &observer, &stdout());
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        let response = handle(router, event.payload, log).await;
        router.metrics.spans_dropped.raise(router.tracer.dropped());
        observer.called(&router.metrics, log).await;
        Ok::<_, lambda_runtime::Error>(response)
    }));
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
