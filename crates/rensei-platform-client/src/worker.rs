//! What a daemon and its workers call.

use crate::body::decode;
use crate::error::ClientError;
use crate::http::{Http, Timeouts};
use crate::operation::Operation;
use crate::options::ClientOptions;
use rensei_proto::platform::{
    ActivityRequest, ClaimRequest, ClaimResponse, CompletionRequest, HeartbeatRequest, HeartbeatResponse,
    LockRefreshRequest, LockRefreshResponse, NackRequest, PollResponse, RegisterRequest, RegisterResponse,
    StatusRequest,
};
use rensei_proto::{Secret, SessionStatus, USER_AGENT};
use serde::de::Error as _;
use std::time::Duration;

/// Longest worker id that is accepted, in bytes; it becomes part of URLs.
const MAX_WORKER_ID: usize = 1024;
/// Longest runtime token that is accepted, in bytes; it becomes a header.
const MAX_TOKEN: usize = 16 * 1024;

/// Client of the platform API, worker side. Cloning is cheap and shares the connections.
///
/// An empty token sends no `Authorization` header.
#[derive(Debug, Clone)]
pub struct PlatformClient {
    http: Http,
}

impl PlatformClient {
    /// A client of the control plane at `base_url` (`http` or `https`, a path prefix is kept, trailing slashes are
    /// dropped). Nothing is sent.
    ///
    /// # Errors
    /// [`ClientError::InvalidUrl`], or [`ClientError::Setup`] when the proxy settings of the system are unusable.
    pub fn new(base_url: &str) -> Result<Self, ClientError> {
        Self::with_timeouts(base_url, Timeouts::default())
    }

    /// Like [`PlatformClient::new`], with other timeouts.
    ///
    /// # Errors
    /// As [`PlatformClient::new`].
    pub fn with_timeouts(base_url: &str, timeouts: Timeouts) -> Result<Self, ClientError> {
        Self::with_options(base_url, &ClientOptions { timeouts, ..ClientOptions::default() })
    }

    /// Like [`PlatformClient::new`], with other options.
    ///
    /// # Errors
    /// As [`PlatformClient::new`]; [`ClientError::Setup`] also when the options are unusable.
    pub fn with_options(base_url: &str, options: &ClientOptions) -> Result<Self, ClientError> {
        Ok(Self { http: Http::new(base_url, USER_AGENT, options)? })
    }

    /// Registers this host. `token` is the registration token. The answer always has a worker id; its runtime token
    /// may be empty.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn register(&self, token: &Secret, request: &RegisterRequest) -> Result<RegisterResponse, ClientError> {
        let operation = Operation::Register;
        let call = self.http.post(operation, token, &["api", "workers", "register"])?.json(request)?;
        let answer: RegisterResponse = decode(operation, &self.http.fetch(call).await?)?;
        usable(operation, answer)
    }

    /// Asks for a new runtime token under the same worker id. `token` is the registration token. The answer always
    /// has a runtime token, and `worker_id` when the control plane left it out.
    ///
    /// # Errors
    /// Any [`ClientError`]; status 404 or 405 says that the control plane has no such route.
    pub async fn refresh_token(&self, token: &Secret, worker_id: &str) -> Result<RegisterResponse, ClientError> {
        let operation = Operation::RefreshToken;
        let segments = ["api", "workers", worker_id, "refresh-token"];
        let call = self.http.post(operation, token, &segments)?.json(&serde_json::Map::new())?;
        let mut answer: RegisterResponse = decode(operation, &self.http.fetch(call).await?)?;
        if answer.runtime_token.is_empty() {
            return Err(missing(operation, "runtimeToken"));
        }
        if answer.worker_id.is_empty() {
            worker_id.clone_into(&mut answer.worker_id);
        }
        usable(operation, answer)
    }

    /// Says that the host is alive. A 2xx answer that is not JSON is a success with nothing to do.
    ///
    /// # Errors
    /// Any [`ClientError`] except [`ClientError::Decode`] of the answer.
    pub async fn heartbeat(
        &self,
        jwt: &Secret,
        worker_id: &str,
        request: &HeartbeatRequest,
    ) -> Result<HeartbeatResponse, ClientError> {
        let operation = Operation::Heartbeat;
        let call = self.http.post(operation, jwt, &["api", "workers", worker_id, "heartbeat"])?.json(request)?;
        let body = self.http.fetch(call.timeout(self.http.timeouts.short)).await?;
        Ok(decode(operation, &body).unwrap_or_else(|error| {
            if !body.is_empty() {
                tracing::warn!(%error, "heartbeat was accepted with an unreadable answer");
            }
            HeartbeatResponse::default()
        }))
    }

    /// Asks for work. With `wait` the control plane may hold the request that long (whole seconds); only for control
    /// planes that announced [`rensei_proto::platform::EXTENSION_LONG_POLL`].
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn poll(
        &self,
        jwt: &Secret,
        worker_id: &str,
        wait: Option<Duration>,
    ) -> Result<PollResponse, ClientError> {
        let operation = Operation::Poll;
        let call = self.http.get(operation, jwt, &["api", "workers", worker_id, "poll"])?;
        let call = call.timeout(self.http.timeouts.long);
        decode(operation, &self.http.fetch(self.http.waiting(call, wait)).await?)
    }

    /// Claims a session that a poll offered unclaimed. A refused claim is an answer, not an error.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn claim(
        &self,
        jwt: &Secret,
        session_id: &str,
        request: &ClaimRequest,
    ) -> Result<ClaimResponse, ClientError> {
        let operation = Operation::Claim;
        let call = self.http.post(operation, jwt, &["api", "sessions", session_id, "claim"])?.json(request)?;
        decode(operation, &self.http.fetch(call).await?)
    }

    /// Gives a claimed session back.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn nack(&self, jwt: &Secret, session_id: &str, request: &NackRequest) -> Result<(), ClientError> {
        let call = self.http.post(Operation::Nack, jwt, &["api", "sessions", session_id, "nack"])?.json(request)?;
        self.http.deliver(call.timeout(self.http.timeouts.short)).await
    }

    /// Renews the session's lease and learns of a wish to stop it. With `wait` the control plane may hold the request
    /// until there is such a wish. An empty 2xx answer means that the lease was renewed.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn lock_refresh(
        &self,
        jwt: &Secret,
        session_id: &str,
        request: &LockRefreshRequest,
        wait: Option<Duration>,
    ) -> Result<LockRefreshResponse, ClientError> {
        let operation = Operation::LockRefresh;
        let call = self.http.post(operation, jwt, &["api", "sessions", session_id, "lock-refresh"])?.json(request)?;
        let body = self.http.fetch(self.http.waiting(call, wait)).await?;
        if body.trim_ascii().is_empty() {
            return Ok(LockRefreshResponse { refreshed: true, ..LockRefreshResponse::default() });
        }
        decode(operation, &body)
    }

    /// Reports a session's status.
    ///
    /// # Errors
    /// Any [`ClientError`]; see [`ClientError::is_moot`].
    pub async fn status(&self, jwt: &Secret, session_id: &str, request: &StatusRequest) -> Result<(), ClientError> {
        let terminal = SessionStatus::parse(&request.status).is_some_and(SessionStatus::is_terminal);
        let timeout = if terminal { self.http.timeouts.long } else { self.http.timeouts.short };
        let call = self.http.post(Operation::Status, jwt, &["api", "sessions", session_id, "status"])?.json(request)?;
        self.http.deliver(call.timeout(timeout)).await
    }

    /// Reports something that happened in a session.
    ///
    /// # Errors
    /// Any [`ClientError`]; see [`ClientError::is_moot`].
    pub async fn activity(&self, jwt: &Secret, session_id: &str, request: &ActivityRequest) -> Result<(), ClientError> {
        let segments = ["api", "sessions", session_id, "activity"];
        let call = self.http.post(Operation::Activity, jwt, &segments)?.json(request)?;
        self.http.deliver(call.timeout(self.http.timeouts.short)).await
    }

    /// Reports what a session has done.
    ///
    /// # Errors
    /// Any [`ClientError`]; see [`ClientError::is_moot`].
    pub async fn completion(
        &self,
        jwt: &Secret,
        session_id: &str,
        request: &CompletionRequest,
    ) -> Result<(), ClientError> {
        let segments = ["api", "sessions", session_id, "completion"];
        let call = self.http.post(Operation::Completion, jwt, &segments)?.json(request)?;
        self.http.deliver(call.timeout(self.http.timeouts.long)).await
    }
}

/// Refuses an identity that no later request could carry: a host that kept it would never be heard again.
fn usable(operation: Operation, answer: RegisterResponse) -> Result<RegisterResponse, ClientError> {
    let (worker, token) = (&answer.worker_id, &answer.runtime_token);
    if worker.is_empty() {
        return Err(missing(operation, "workerId"));
    }
    if worker.len() > MAX_WORKER_ID || matches!(worker.as_str(), "." | "..") {
        return Err(unfit(operation, "workerId"));
    }
    if token.expose().len() > MAX_TOKEN || crate::http::bearer(operation, token).is_err() {
        return Err(unfit(operation, "runtimeToken"));
    }
    Ok(answer)
}

fn unfit(operation: Operation, field: &str) -> ClientError {
    let source = serde_json::Error::custom(format_args!("{field} is not one that a request could carry"));
    ClientError::Decode { operation, source }
}

fn missing(operation: Operation, field: &str) -> ClientError {
    let source = serde_json::Error::custom(format_args!("{field} is missing"));
    ClientError::Decode { operation, source }
}
