//! Calls about sessions.

use super::ControlClient;
use super::error::ControlError;
use super::http::Request;
use super::output::{OutputQuery, OutputStream};
use rensei_proto::control::{PostSession, SessionHandle, SessionView, StopRequest, StopResponse, Workarea};
use rensei_proto::{SessionDetail, SessionId};
use std::time::Duration;

/// Time for making a workarea, which may clone a large repository.
const WORKAREA: Duration = Duration::from_secs(15 * 60);

impl ControlClient {
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
}
