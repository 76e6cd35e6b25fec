//! Typed client of the control API.

mod error;
mod http;
mod output;

pub use error::ControlError;
pub use output::{OutputQuery, OutputStream};

use http::{Http, Request};
use rensei_proto::control::{
    ActionResponse, DrainRequest, PostSession, SessionHandle, SessionView, Status, StopRequest, StopResponse, Workarea,
};
use rensei_proto::{SessionDetail, SessionId};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Time for an ordinary call.
const CALL: Duration = Duration::from_secs(10);
/// Time for making a workarea, which may clone a large repository.
const WORKAREA: Duration = Duration::from_secs(15 * 60);

/// Client of a daemon's control API. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct ControlClient {
    http: Http,
    call_timeout: Duration,
}

impl ControlClient {
    /// A client of the daemon at `base_url`, such as `http://127.0.0.1:7734`. Nothing is sent.
    ///
    /// # Errors
    /// [`ControlError::InvalidUrl`] unless it is `http://` with a host.
    pub fn new(base_url: &str) -> Result<Self, ControlError> {
        Ok(Self { http: Http::new(base_url)?, call_timeout: CALL })
    }

    /// Replaces the time that an ordinary call may take (10 s). Workareas and followed output have their own.
    #[must_use]
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Base URL without trailing slashes.
    #[must_use]
    pub fn url(&self) -> &str {
        self.http.url()
    }

    /// Whether the daemon is alive. It may still be starting.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn healthz(&self) -> Result<(), ControlError> {
        self.http.fetch(Request::get("/healthz"), self.call_timeout).await.map(drop)
    }

    /// State of the daemon.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.ask(Request::get("/api/daemon/status")).await
    }

    /// Stops taking work.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn pause(&self) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/pause")).await
    }

    /// Takes work again.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn resume(&self) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/resume")).await
    }

    /// Starts a drain; the answer comes at once.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn drain(&self, request: &DrainRequest) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/drain").json(request)).await
    }

    /// Starts an immediate stop; the answer comes at once.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn stop(&self) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/stop")).await
    }

    /// Live sessions, oldest first.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn sessions(&self) -> Result<Vec<SessionHandle>, ControlError> {
        self.ask(Request::get("/api/daemon/sessions")).await
    }

    /// Live and ended sessions, oldest first.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn all_sessions(&self) -> Result<Vec<SessionView>, ControlError> {
        self.ask(Request::get("/api/daemon/sessions?all=true")).await
    }

    /// Runs a session on this host.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn post_session(&self, session: &PostSession) -> Result<SessionHandle, ControlError> {
        self.ask(Request::post("/api/daemon/sessions").json(session)).await
    }

    /// Everything the worker of a live session needs.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn session_detail(&self, id: &SessionId) -> Result<SessionDetail, ControlError> {
        self.ask(Request::get(format!("/api/daemon/sessions/{id}"))).await
    }

    /// The host's record of a session, live or ended.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn session_record(&self, id: &SessionId) -> Result<SessionView, ControlError> {
        self.ask(Request::get(format!("/api/daemon/sessions/{id}/record"))).await
    }

    /// Stops a session; the answer comes at once.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn stop_session(&self, id: &SessionId, reason: Option<&str>) -> Result<StopResponse, ControlError> {
        let request = StopRequest { reason: reason.map(str::to_owned) };
        self.ask(Request::post(format!("/api/daemon/sessions/{id}/stop")).json(&request)).await
    }

    /// Makes the session's workarea, or returns the one it has. May take as long as a clone does.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn workarea(&self, id: &SessionId) -> Result<Workarea, ControlError> {
        self.http.ask(Request::post(format!("/api/daemon/sessions/{id}/workarea")), WORKAREA).await
    }

    /// Raw output of a session.
    ///
    /// # Errors
    /// Any [`ControlError`]; the stream yields them too.
    pub async fn output(&self, id: &SessionId, query: OutputQuery) -> Result<OutputStream, ControlError> {
        let path = format!("/api/daemon/sessions/{id}/output{}", query.to_query());
        let response = self.http.send(Request::get(path), self.call_timeout).await?;
        let chunk_timeout = (!query.follow).then_some(self.call_timeout);
        Ok(OutputStream::new(response, self.url().to_owned(), chunk_timeout))
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, ControlError> {
        self.http.ask(request, self.call_timeout).await
    }
}
