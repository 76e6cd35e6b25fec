//! What an operator calls.

use crate::body::decode;
use crate::error::ClientError;
use crate::http::{Call, Http, Timeouts};
use crate::operation::Operation;
use crate::options::ClientOptions;
use rensei_proto::operator::{ActivityPage, CancelSession, CreateSession, Session, SessionList};
use rensei_proto::{Secret, SessionStatus};
use serde::de::DeserializeOwned;
use std::time::Duration;

const USER_AGENT: &str = concat!("rensei/", env!("CARGO_PKG_VERSION"));

/// Client of the platform API, operator side. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct OperatorClient {
    http: Http,
    api_key: Secret,
}

/// Which sessions to list; the default is all, up to the control plane's own limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Of this project only: slug or id.
    pub project: Option<String>,
    /// In this status only.
    pub status: Option<SessionStatus>,
    /// At most so many.
    pub limit: Option<u32>,
}

impl OperatorClient {
    /// A client of the control plane at `base_url`; see [`crate::PlatformClient::new`].
    ///
    /// # Errors
    /// [`ClientError::InvalidUrl`], or [`ClientError::Setup`] when the proxy settings of the system are unusable.
    pub fn new(base_url: &str, api_key: Secret) -> Result<Self, ClientError> {
        Self::with_timeouts(base_url, api_key, Timeouts::default())
    }

    /// Like [`OperatorClient::new`], with other timeouts.
    ///
    /// # Errors
    /// As [`OperatorClient::new`].
    pub fn with_timeouts(base_url: &str, api_key: Secret, timeouts: Timeouts) -> Result<Self, ClientError> {
        let options = ClientOptions { timeouts, ..ClientOptions::default() };
        Ok(Self { http: Http::new(base_url, USER_AGENT, &options)?, api_key })
    }

    /// Queues a session.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn create_session(&self, request: &CreateSession) -> Result<Session, ClientError> {
        let operation = Operation::CreateSession;
        let call = self.http.post(operation, &self.api_key, &["api", "sessions"])?.json(request)?;
        self.ask(operation, call).await
    }

    /// Lists sessions, newest first.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn list_sessions(&self, query: &ListQuery) -> Result<SessionList, ClientError> {
        let operation = Operation::ListSessions;
        let mut call = self.http.get(operation, &self.api_key, &["api", "sessions"])?;
        if let Some(project) = &query.project {
            call = call.query("project", project);
        }
        if let Some(status) = query.status {
            call = call.query("status", status.as_str());
        }
        if let Some(limit) = query.limit {
            call = call.query("limit", &limit.to_string());
        }
        self.ask(operation, call).await
    }

    /// The session as it is now.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn session(&self, id: &str) -> Result<Session, ClientError> {
        let operation = Operation::ShowSession;
        let call = self.http.get(operation, &self.api_key, &["api", "sessions", id])?;
        self.ask(operation, call).await
    }

    /// The session as soon as its `updated_at` is later than `after_updated_at`, or as it is after `wait`.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn wait_session(&self, id: &str, after_updated_at: i64, wait: Duration) -> Result<Session, ClientError> {
        let operation = Operation::ShowSession;
        let call = self.http.get(operation, &self.api_key, &["api", "sessions", id])?;
        let call = call.query("after", &after_updated_at.to_string());
        self.ask(operation, self.http.waiting(call, Some(wait))).await
    }

    /// Asks for the session to end.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn cancel(&self, id: &str, reason: Option<&str>) -> Result<Session, ClientError> {
        let operation = Operation::CancelSession;
        let request = CancelSession { reason: reason.map(str::to_owned) };
        let call = self.http.post(operation, &self.api_key, &["api", "sessions", id, "cancel"])?.json(&request)?;
        self.ask(operation, call).await
    }

    /// Activities behind the cursor `after` (0: from the start). With `wait` the control plane may hold the request
    /// until there is one.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn activities(&self, id: &str, after: i64, wait: Option<Duration>) -> Result<ActivityPage, ClientError> {
        let operation = Operation::ListActivities;
        let call = self.http.get(operation, &self.api_key, &["api", "sessions", id, "activities"])?;
        let call = call.query("after", &after.to_string());
        self.ask(operation, self.http.waiting(call, wait)).await
    }

    async fn ask<T: DeserializeOwned>(&self, operation: Operation, call: Call<'_>) -> Result<T, ClientError> {
        decode(operation, &self.http.fetch(call).await?)
    }
}
