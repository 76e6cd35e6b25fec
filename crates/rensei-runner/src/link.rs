//! The session's line to its control plane.

use crate::daemon::Daemon;
use rensei_platform_client::{ClientError, PlatformClient};
use rensei_proto::platform::{
    Activity, ActivityRequest, CompletionRequest, LockRefreshRequest, LockRefreshResponse, StatusRequest,
};
use rensei_proto::{Secret, SessionDetail, SessionId, SessionStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How the worker identifies itself; the daemon replaces both over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Credentials {
    worker_id: String,
    token: Secret,
}

impl Credentials {
    fn of(detail: &SessionDetail) -> Self {
        Self { worker_id: detail.worker_id.clone(), token: detail.auth_token.clone().unwrap_or_default() }
    }
}

/// Calls about one session, with credentials that follow the daemon's.
#[derive(Debug)]
pub(crate) struct Link {
    client: PlatformClient,
    daemon: Daemon,
    session_id: SessionId,
    issue_id: String,
    attempt: Option<u64>,
    credentials: Mutex<Arc<Credentials>>,
}

/// Whether a report may be accepted later. A rejected token is replaced by the daemon sooner or later.
pub(crate) fn is_transient(error: &ClientError) -> bool {
    error.is_retryable() || error.status() == Some(401)
}

/// The pause that the control plane asked for. Asking for none counts as not asking: nothing here may spin.
pub(crate) fn patience(error: &ClientError) -> Option<Duration> {
    error.retry_after().filter(|asked| !asked.is_zero())
}

/// Whether the answer may be about the credentials and not about the session.
fn is_rejection(error: &ClientError) -> bool {
    matches!(error.status(), Some(401 | 403))
}

impl Link {
    /// The line of the session, or none when it has no control plane.
    ///
    /// # Errors
    /// When the control plane's URL cannot be used.
    pub(crate) fn open(detail: &SessionDetail, daemon: &Daemon) -> Result<Option<Arc<Self>>, ClientError> {
        if detail.platform_url.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Self {
            client: PlatformClient::new(detail.platform_url.trim())?,
            daemon: daemon.clone(),
            session_id: detail.session_id.clone(),
            issue_id: detail.issue_id.clone(),
            attempt: detail.attempt,
            credentials: Mutex::new(Arc::new(Credentials::of(detail))),
        })))
    }

    /// Renews the lease; `wait` lets the control plane hold the answer until there is something to say.
    pub(crate) async fn lock_refresh(&self, wait: Duration) -> Result<LockRefreshResponse, ClientError> {
        self.call(|credentials| async move {
            let request = LockRefreshRequest {
                worker_id: credentials.worker_id.clone(),
                issue_id: self.issue_id.clone(),
                attempt: self.attempt,
            };
            self.client.lock_refresh(&credentials.token, self.session_id.as_str(), &request, Some(wait)).await
        })
        .await
    }

    /// Posts one activity.
    pub(crate) async fn activity(&self, activity: &Activity) -> Result<(), ClientError> {
        self.call(|credentials| async move {
            let (worker_id, activity) = (credentials.worker_id.clone(), activity.clone());
            let request = ActivityRequest { worker_id, attempt: self.attempt, activity };
            self.client.activity(&credentials.token, self.session_id.as_str(), &request).await
        })
        .await
    }

    /// A status to be filled and posted. Who reports it is added when it is posted.
    pub(crate) fn status_request(&self, status: SessionStatus) -> StatusRequest {
        StatusRequest::new("", status, self.attempt)
    }

    /// Posts a status.
    pub(crate) async fn status(&self, request: &StatusRequest) -> Result<(), ClientError> {
        self.call(|credentials| async move {
            let request = StatusRequest { worker_id: credentials.worker_id.clone(), ..request.clone() };
            self.client.status(&credentials.token, self.session_id.as_str(), &request).await
        })
        .await
    }

    /// Posts what was done.
    pub(crate) async fn completion(&self, summary: &str) -> Result<(), ClientError> {
        self.call(|credentials| async move {
            let (worker_id, summary) = (credentials.worker_id.clone(), summary.to_owned());
            let request = CompletionRequest { worker_id, attempt: self.attempt, summary };
            self.client.completion(&credentials.token, self.session_id.as_str(), &request).await
        })
        .await
    }

    /// Makes a call; when its credentials are rejected and the daemon has others, once more with those.
    async fn call<T, F>(&self, operation: impl Fn(Arc<Credentials>) -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let used = self.current();
        match operation(Arc::clone(&used)).await {
            Err(error) if is_rejection(&error) => match self.replacement(&used).await {
                Some(fresh) => operation(fresh).await,
                None => Err(error),
            },
            result => result,
        }
    }

    fn current(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Credentials other than the rejected ones: those that another call has got meanwhile, or the daemon's.
    async fn replacement(&self, rejected: &Arc<Credentials>) -> Option<Arc<Credentials>> {
        let current = self.current();
        if current != *rejected {
            return Some(current);
        }
        let detail = match self.daemon.detail(&self.session_id).await {
            Ok(detail) => detail,
            Err(error) => {
                tracing::warn!(%error, "no new credentials from the daemon; keeping the last ones");
                return None;
            }
        };
        // The attempt is not taken over: a later claim of the same session is somebody else's.
        let fresh = Arc::new(Credentials::of(&detail));
        if fresh == *rejected || fresh.token.is_empty() {
            return None;
        }
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Some(fresh)
    }
}
