//! What an answer of AWS, or the want of one, means for whoever asked.
//!
//! # Failure handling
//! The SDK's own retries hide which attempt an error is about, so they are off for conditional writes: an attempt whose
//! answer was lost and a second one that is refused would look like a refusal. Here one attempt is judged.

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
use hyper_util::client::legacy::Error as HyperError;

use crate::port::{Put, StoreError, StoreErrorKind, StoreResult};

/// Whether asking has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// None: nothing is lost with an answer.
    Read,
    /// It may have had it when the answer is lost.
    Write,
}

impl Deed {
    const fn lost(self) -> StoreErrorKind {
        match self {
            Self::Read => StoreErrorKind::Unavailable,
            Self::Write => StoreErrorKind::Indeterminate,
        }
    }
}

/// Codes as [`plain`] has them, of DynamoDB, SQS, SNS, Step Functions and the KMS behind them.
const THROTTLED: &[&str] = &[
    "executionlimitexceeded",
    "kmsthrottled",
    "kmsthrottling",
    "limitexceeded",
    "provisionedthroughputexceeded",
    "requestlimitexceeded",
    "requestthrottled",
    "slowdown",
    "throttled",
    "throttling",
    "toomanyrequests",
];

/// Refused because somebody else is at it; nothing was done.
const CONFLICTS: &[&str] = &["replicatedwriteconflict", "transactionconflict", "transactioninprogress"];

/// A disabled key is a matter of access as well: it is mended by the same people, and the job waits for them.
const DENIED: &[&str] = &[
    "accessdenied",
    "authorizationerror",
    "expiredtoken",
    "incompletesignature",
    "invalidclienttokenid",
    "invalidsecurity",
    "invalidsignature",
    "kmsaccessdenied",
    "kmsdisabled",
    "kmsinvalidstate",
    "kmsnotfound",
    "kmsoptinrequired",
    "missingauthenticationtoken",
    "notauthorized",
    "optinrequired",
    "signaturedoesnotmatch",
    "unrecognizedclient",
];

const SERVER: &[&str] =
    &["internalerror", "internalfailure", "internalserver", "internalservererror", "serviceunavailable"];

/// A code without what differs between protocols: name space, punctuation, case, and the word `Exception`.
fn plain(code: &str) -> String {
    let name = code.rsplit('#').next().unwrap_or(code);
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    name.strip_suffix("exception").map_or_else(|| name.clone(), ToOwned::to_owned)
}

fn kind_of_code(code: &str, status: u16, deed: Deed) -> StoreErrorKind {
    let code = plain(code);
    let is = |codes: &[&str]| codes.contains(&code.as_str());
    if is(THROTTLED) || status == 429 {
        StoreErrorKind::Throttled
    } else if is(CONFLICTS) {
        StoreErrorKind::Unavailable
    } else if is(DENIED) || matches!(status, 401 | 403) {
        StoreErrorKind::Denied
    } else if status >= 500 || is(SERVER) {
        deed.lost()
    } else {
        StoreErrorKind::Permanent
    }
}

/// No connection came to stand: nothing was sent. The SDK knows and does not say, hyper does.
fn never_connected(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<HyperError>().is_some_and(HyperError::is_connect) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What an error of the SDK means. `what` says what was asked, such as `put job …`.
pub(crate) fn store_error<E>(what: &str, deed: Deed, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let kind = match error {
        SdkError::ConstructionFailure(_) => StoreErrorKind::Permanent,
        SdkError::DispatchFailure(failure) if failure.is_user() => StoreErrorKind::Permanent,
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(connector) if never_connected(connector) => StoreErrorKind::Unavailable,
            _ => deed.lost(),
        },
        SdkError::ServiceError(answer) => {
            kind_of_code(error.code().unwrap_or_default(), answer.raw().status().as_u16(), deed)
        }
        // Timed out, or an answer that cannot be read; and whatever the SDK learns to say.
        _ => deed.lost(),
    };
    let why = match (error, error.code()) {
        (SdkError::ServiceError(_), Some(code)) => match error.message() {
            Some(message) => format!("{code}: {message}"),
            None => code.to_owned(),
        },
        _ => DisplayErrorContext(error).to_string(),
    };
    StoreError::new(kind, format!("cannot {what}: {why}"))
}

/// Whether a condition of the request did not hold.
pub(crate) fn is_stale<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.code().is_some_and(|code| plain(code) == "conditionalcheckfailed")
}

/// What became of a conditional write.
pub(crate) fn conditional<T, E>(what: &str, answer: Result<T, SdkError<E, HttpResponse>>) -> StoreResult<Put>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match answer {
        Ok(_) => Ok(Put::Done),
        Err(error) if is_stale(&error) => Ok(Put::Stale),
        Err(error) => Err(store_error(what, Deed::Write, &error)),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::{error::ErrorMetadata, operation::put_item::PutItemError};
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use StoreErrorKind::{Denied, Indeterminate, Permanent, Throttled, Unavailable};

    type Sdk = SdkError<PutItemError, HttpResponse>;

    fn answered(code: &str, status: u16) -> Sdk {
        let raw = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        let meta = ErrorMetadata::builder().code(code).message("why").build();
        SdkError::service_error(PutItemError::generic(meta), raw)
    }

    fn kinds(error: &Sdk) -> (StoreErrorKind, StoreErrorKind) {
        let kind = |deed| store_error("put a job", deed, error).kind;
        (kind(Deed::Write), kind(Deed::Read))
    }

    #[test]
    fn an_answer_says_what_was_done() {
        for (code, status, write, read) in [
            ("ThrottlingException", 400, Throttled, Throttled),
            ("ProvisionedThroughputExceededException", 400, Throttled, Throttled),
            ("RequestLimitExceeded", 400, Throttled, Throttled),
            ("com.amazonaws.sqs#RequestThrottled", 400, Throttled, Throttled),
            ("KMS.ThrottlingException", 400, Throttled, Throttled),
            ("", 429, Throttled, Throttled),
            ("ReplicatedWriteConflictException", 400, Unavailable, Unavailable),
            ("TransactionConflictException", 400, Unavailable, Unavailable),
            ("AccessDeniedException", 400, Denied, Denied),
            ("KMSAccessDenied", 400, Denied, Denied),
            ("KMS.DisabledException", 400, Denied, Denied),
            ("ExpiredToken", 403, Denied, Denied),
            ("", 403, Denied, Denied),
            ("ValidationException", 400, Permanent, Permanent),
            ("ResourceNotFoundException", 400, Permanent, Permanent),
            ("ItemCollectionSizeLimitExceededException", 400, Permanent, Permanent),
            ("QueueDoesNotExist", 400, Permanent, Permanent),
            ("InternalServerError", 500, Indeterminate, Unavailable),
            ("ServiceUnavailable", 503, Indeterminate, Unavailable),
            ("InternalFailure", 400, Indeterminate, Unavailable),
            ("", 502, Indeterminate, Unavailable),
        ] {
            assert_eq!(kinds(&answered(code, status)), (write, read), "{code} {status}");
        }
    }

    #[test]
    fn a_condition_that_does_not_hold_is_no_error() {
        let refused: Result<(), _> = Err(answered("ConditionalCheckFailedException", 400));
        assert_eq!(conditional("put a job", refused), Ok(Put::Stale));
        assert_eq!(conditional::<_, PutItemError>("put a job", Ok(())), Ok(Put::Done));
        let error = conditional::<(), _>("put a job", Err(answered("ValidationException", 400))).unwrap_err();
        assert_eq!(error.message, "cannot put a job: ValidationException: why");
    }

    #[test]
    fn the_want_of_an_answer_leaves_a_write_open() {
        let raw = || HttpResponse::new(200.try_into().unwrap(), SdkBody::empty());
        for (error, write, read) in [
            (Sdk::construction_failure("no"), Permanent, Permanent),
            (Sdk::timeout_error("late"), Indeterminate, Unavailable),
            (Sdk::response_error("half", raw()), Indeterminate, Unavailable),
            (Sdk::dispatch_failure(ConnectorError::io("cut".into())), Indeterminate, Unavailable),
            (Sdk::dispatch_failure(ConnectorError::timeout("late".into())), Indeterminate, Unavailable),
            (Sdk::dispatch_failure(ConnectorError::other("?".into(), None)), Indeterminate, Unavailable),
            (Sdk::dispatch_failure(ConnectorError::user("no".into())), Permanent, Permanent),
        ] {
            assert_eq!(kinds(&error), (write, read), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_leaves_nothing_open() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let clients =
            crate::aws::Clients::for_endpoint(&format!("http://127.0.0.1:{port}"), "eu-west-1", "test");
        let request = clients.dynamo.put_item().table_name("t").item("pk", crate::dynamo::text("x"));
        let once = aws_sdk_dynamodb::config::Config::builder()
            .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled());
        let error = request.customize().config_override(once).send().await.unwrap_err();
        assert_eq!(kinds(&error), (Unavailable, Unavailable), "{error:?}");
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_leaves_a_write_open() {
        use tokio::io::AsyncReadExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 100]).await.unwrap(), 0);
        });
        let clients =
            crate::aws::Clients::for_endpoint(&format!("http://127.0.0.1:{port}"), "eu-west-1", "test");
        let ledger =
            crate::dynamo::DynamoLedger::new(&clients.dynamo, "t", eft_domain::job::Retention::default());
        let error = ledger.put_raw("x").await.unwrap_err();
        assert_eq!(error.kind, Indeterminate, "{error}");
        server.await.unwrap();
    }
}
