//! Protection of a task that works from being scaled in.

use std::time::Duration;

use eft_store::{StoreError, StoreErrorKind, StoreResult};
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Uri, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

/// How long protection lasts without being renewed, in minutes: five heartbeats.
const MINUTES: u32 = 5;

/// The agent is on the same host.
const ANSWER: Duration = Duration::from_secs(5);

/// Keeps the service from stopping this task while it works. Reclaimed Spot capacity and retired hosts stop it all the same,
/// which the drain is for.
pub trait Protection: Send + Sync {
    /// Protect the task, or stop protecting it. Renewed with every heartbeat.
    ///
    /// # Errors
    /// The agent was not reached: the task may be stopped while it works, and what it does is then handed back.
    fn set(&self, protected: bool) -> BoxFuture<'_, StoreResult<()>>;
}

/// Outside a service there is nothing to be protected from.
pub struct Unprotected;

impl Protection for Unprotected {
    fn set(&self, _: bool) -> BoxFuture<'_, StoreResult<()>> {
        async { Ok(()) }.boxed()
    }
}

/// The agent of ECS, by its task protection endpoint.
pub struct EcsAgent {
    client: Client<HttpConnector, String>,
    endpoint: Uri,
}

impl EcsAgent {
    /// The agent at `ECS_AGENT_URI`.
    ///
    /// # Errors
    /// It is no URI.
    pub fn new(agent: &str) -> Result<Self, String> {
        let endpoint = format!("{}/task-protection/v1/state", agent.trim_end_matches('/'));
        let endpoint = endpoint.parse().map_err(|error| format!("{agent}: {error}"))?;
        Ok(Self { client: Client::builder(TokioExecutor::new()).build_http(), endpoint })
    }
}

impl Protection for EcsAgent {
    fn set(&self, protected: bool) -> BoxFuture<'_, StoreResult<()>> {
        async move {
            let failed = |why: String| {
                StoreError::new(StoreErrorKind::Unavailable, format!("ECS agent, task protection: {why}"))
            };
            let mut body = serde_json::json!({ "ProtectionEnabled": protected });
            if protected {
                body["ExpiresInMinutes"] = MINUTES.into();
            }
            let request = Request::put(&self.endpoint)
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string())
                .map_err(|error| failed(error.to_string()))?;
            let answer = timeout(ANSWER, self.client.request(request)).await;
            let answer = answer.map_err(|_| failed("no answer".to_owned()))?;
            let answer = answer.map_err(|error| failed(error.to_string()))?;
            if answer.status().is_success() { Ok(()) } else { Err(failed(answer.status().to_string())) }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn the_agent_is_asked_as_its_documentation_says() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = EcsAgent::new(&format!("http://{}/api/abc", listener.local_addr().unwrap())).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let mut read = 0;
            while !String::from_utf8_lossy(&request[..read]).contains("}") {
                read += stream.read(&mut request[read..]).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        };
        let (asked, request) = tokio::join!(agent.set(true), serve);
        asked.unwrap();
        assert!(request.starts_with("PUT /api/abc/task-protection/v1/state HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with(r#"{"ExpiresInMinutes":5,"ProtectionEnabled":true}"#), "{request}");
    }

    #[tokio::test]
    async fn an_agent_that_is_not_there_is_an_error_and_no_more() {
        let agent = EcsAgent::new("http://127.0.0.1:1").unwrap();
        assert_eq!(agent.set(false).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    }
}
