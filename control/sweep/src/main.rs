//! The sweep Lambda function, called by a schedule.

use std::{process::ExitCode, sync::Arc};

use eft_router::handler::stdout;
use eft_sweep::{Sweep, config, s3::S3};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> ExitCode {
    let (config, settings) = match config::from_environment() {
        Ok(read) => read,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let (router, s3) = config.open("sweep").await;
    let s3 = Arc::new(S3(s3));
    let sweep = Sweep { router, listing: s3.clone(), uploads: s3, settings, log: stdout() };
    let (sweep, region) = (&sweep, config.settings.region.as_str());
    let served = lambda_runtime::run(service_fn(move |_: LambdaEvent<Value>| async move {
        let report = sweep.run().await;
        (sweep.log)(report.to_line(region, sweep.router.desk.clock.now()));
        Ok::<_, lambda_runtime::Error>(serde_json::to_value(&report)?)
    }));
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
