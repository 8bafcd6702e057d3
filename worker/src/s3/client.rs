//! The client: endpoint, credentials and retries as the AWS environment and profiles say, and what we set and why.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_s3::config::{
    ConfigBag, Intercept, RequestChecksumCalculation, ResponseChecksumValidation, RuntimeComponents,
    SharedHttpClient, StalledStreamProtectionConfig,
    interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
    retry::RetryPartition,
};
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::Metadata};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use aws_types::service_config::ServiceConfigKey;
use eft_pipeline::concurrency::Concurrency;
use tokio::time::Instant;

use super::{
    Timeouts,
    clock::StoreClock,
    http::http_client,
    permit::{Asked, Permit},
};

/// Attempts of one request by the SDK, the first included; bodies and whole parts are retried above it.
const SDK_ATTEMPTS: u32 = 4;

/// Grace of the SDK's stalled-stream protection for uploads. It counts time in which the socket takes no byte, or a body that
/// is still being read has none; the default of 5 s ends healthy uploads on a busy small task, and S3 itself gives up at
/// about 20 s.
const UPLOAD_GRACE: Duration = Duration::from_secs(20);

/// Requests by operation, and throttled answers.
#[derive(Debug, Default)]
pub struct Requests(Mutex<(BTreeMap<String, u64>, u64)>);

impl Requests {
    /// Requests sent so far, by operation; each attempt counts.
    pub fn by_operation(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Answers that asked to slow down.
    pub fn throttles(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// An S3 client that counts its requests.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) sdk: aws_sdk_s3::Client,
    /// The endpoint is Amazon's own.
    pub(super) is_aws: bool,
    pub(super) timeouts: Timeouts,
    pub(super) clock: Arc<StoreClock>,
    pub(super) permit: Asked,
    requests: Arc<Requests>,
}

/// Clients over the same connections and credentials: each run has its own, which counts its requests.
#[derive(Clone, Debug)]
pub struct Clients {
    config: SdkConfig,
    http: SharedHttpClient,
}

impl Clients {
    /// As the environment and profiles say.
    pub async fn from_environment() -> Self {
        let http = http_client();
        Self { config: environment(http.clone()).await, http }
    }

    /// Of an S3-compatible endpoint, with made-up credentials: for tests on loopback.
    pub fn for_endpoint(url: &str) -> Self {
        Self { config: loopback(url), http: http_client() }
    }

    /// Another one. Throttled answers shrink `window`, also those the SDK retries.
    pub fn client(&self, window: Concurrency) -> Client {
        Client::new(&self.config, window, Timeouts::DEFAULT, self.http.clone())
    }
}

async fn environment(http: SharedHttpClient) -> SdkConfig {
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    config.retry_config(RetryConfig::standard().with_max_attempts(SDK_ATTEMPTS)).load().await
}

fn loopback(url: &str) -> SdkConfig {
    let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .build()
}

impl Client {
    /// A client as the environment and profiles say. Throttled answers shrink `window`, also those the SDK retries.
    pub async fn from_environment(window: Concurrency) -> Self {
        Clients::from_environment().await.client(window)
    }

    /// A client of an S3-compatible endpoint, with made-up credentials: for tests on loopback.
    pub fn for_endpoint(url: &str, window: Concurrency) -> Self {
        Self::for_endpoint_within(url, window, Timeouts::DEFAULT)
    }

    /// The same, with waits of one's own.
    pub fn for_endpoint_within(url: &str, window: Concurrency, timeouts: Timeouts) -> Self {
        Self::of_endpoint(url, window, timeouts, http_client())
    }

    pub(super) fn of_endpoint(
        url: &str,
        window: Concurrency,
        timeouts: Timeouts,
        http: SharedHttpClient,
    ) -> Self {
        Self::new(&loopback(url), window, timeouts, http)
    }

    fn new(config: &SdkConfig, window: Concurrency, timeouts: Timeouts, http: SharedHttpClient) -> Self {
        let (requests, clock) = (Arc::<Requests>::default(), Arc::<StoreClock>::default());
        let retry = RetryConfig::standard().with_max_attempts(SDK_ATTEMPTS);
        let mut builder = aws_sdk_s3::config::Builder::from(config);
        // The SDK stops retrying when too many requests of the process fail. An endpoint that is down must not spoil it for
        // the others.
        builder.set_retry_partition(endpoint_of(config).map(RetryPartition::new));
        // S3-compatible endpoints are reached by path; AWS's own by host name.
        let custom = endpoint_of(config).is_some_and(|url| !url.contains(".amazonaws.com"));
        let sdk = builder
            .http_client(http)
            .retry_config(retry.with_initial_backoff(timeouts.backoff))
            .region(config.region().cloned().unwrap_or_else(|| Region::from_static("us-east-1")))
            .force_path_style(custom)
            // We send a CRC-64 with every part and compare whole objects ourselves; the SDK's CRC-32 on top would be a
            // second pass for nothing.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // Downloads have a watchdog of their own, which resumes from the last good byte (`range.rs`).
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .download_enabled(false)
                    .grace_period(UPLOAD_GRACE)
                    .build(),
            )
            .interceptor(Watching { requests: Arc::clone(&requests), clock: Arc::clone(&clock), window })
            .build();
        let (sdk, permit) = (aws_sdk_s3::Client::from_conf(sdk), Asked::default());
        Self { sdk, is_aws: !custom, timeouts, clock, permit, requests }
    }

    /// The same, which asks before anything becomes visible.
    #[must_use]
    pub fn asking(self, permit: Option<Arc<dyn Permit>>) -> Self {
        Self { permit: Asked::of(permit), ..self }
    }

    /// What it has sent.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }
}

/// The endpoint that the environment or the profile names for S3, or for every service.
fn endpoint_of(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let of_s3 = config.service_config().and_then(|settings| settings.load_config(key));
    of_s3.or_else(|| config.endpoint_url().map(ToOwned::to_owned))
}

/// When an attempt was sent.
#[derive(Debug)]
struct Sent(Instant);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

/// Looks at every attempt and its answer.
#[derive(Debug)]
struct Watching {
    requests: Arc<Requests>,
    clock: Arc<StoreClock>,
    window: Concurrency,
}

impl Intercept for Watching {
    fn name(&self) -> &'static str {
        "Watching"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Sent(Instant::now()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("unknown", |metadata| metadata.name());
        let status = context.response().map(|response| response.status().as_u16());
        let throttled = matches!(status, Some(429 | 503));
        let mut counts = self.requests.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.0.entry(operation.to_owned()).or_default() += 1;
        counts.1 += u64::from(throttled);
        drop(counts);
        if throttled {
            self.window.throttled();
        }
        let date = context.response().and_then(|response| response.headers().get("date"));
        if let (Some(date), Some(Sent(sent))) = (date, config.load::<Sent>()) {
            self.clock.read(date, *sent, Instant::now());
        }
        Ok(())
    }
}
