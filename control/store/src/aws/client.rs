//! The clients: region, endpoints and credentials as the AWS environment and profiles say, and what we set and why.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

/// How long a connection may take to come to stand: the SDK's own default.
const CONNECT: Duration = Duration::from_millis(3_100);

/// How long one request may take. DynamoDB answers within tens of milliseconds, across regions within hundreds; what has
/// not been answered by now will not be, and a worker's heartbeat has to learn of it. Receiving from a queue with a wait
/// takes longer and has to set its own.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long all attempts together may take: less than a lease, or whoever waits has lost it meanwhile.
const ALL_ATTEMPTS: Duration = Duration::from_secs(20);

/// Attempts of one request that may be repeated without harm, the first included: the SDK's own default.
const ATTEMPTS: u32 = 3;

/// One HTTP client over rustls with ring, the one cryptography of the workspace.
pub fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(ALL_ATTEMPTS)
        .build()
}

/// None: an attempt's time is bounded as a whole, and its messages are small. The SDK's would look at each request ten times a
/// second while it waits for its answer, and a worker that waits for work has one in each slot.
fn stalls() -> StalledStreamProtectionConfig {
    StalledStreamProtectionConfig::disabled()
}

/// What all clients share. `AWS_ENDPOINT_URL`, also by service, and profiles are read as everywhere.
pub async fn sdk_config(region: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(http_client())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts())
        .stalled_stream_protection(stalls())
        .load()
        .await
}

/// A client of each service that the control plane asks.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The tables.
    pub dynamo: aws_sdk_dynamodb::Client,
    /// The queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The state machine.
    pub sfn: aws_sdk_sfn::Client,
    /// The topics.
    pub sns: aws_sdk_sns::Client,
}

impl Clients {
    /// Clients that share a configuration.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            dynamo: aws_sdk_dynamodb::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            sfn: aws_sdk_sfn::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
        }
    }

    /// Clients of an emulator on loopback. MiniStack takes an access key of 12 digits for the account.
    pub fn for_endpoint(url: &str, region: &str, access_key: &str) -> Self {
        let credentials = Credentials::new(access_key, "test", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(url)
            .http_client(http_client())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts())
            .stalled_stream_protection(stalls())
            .build();
        Self::new(&config)
    }
}
