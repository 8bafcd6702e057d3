//! The Lambda function of the status API.

use std::process::ExitCode;

use eft_api::lambda::serve;
use eft_status::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    match Settings::from_environment() {
        Ok(settings) => serve(&settings.open().await, &settings.tenant_claim).await,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
