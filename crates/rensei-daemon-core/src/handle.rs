//! The daemon as its control API and its embedder see it.

use crate::accept::AcceptError;
use crate::lifecycle::TransitionError;
use rensei_proto::control::{DrainRequest, PostSession, SessionHandle, SessionView, Status, StopResponse, Workarea};
use rensei_proto::{SessionDetail, SessionId};
use rensei_workarea::WorkareaError;
use std::path::PathBuf;
use std::time::Duration;

/// Cloneable front of a running daemon.
#[derive(Debug, Clone)]
pub struct DaemonHandle {}

/// Why a session got no workarea.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// No live session of that id.
    #[error("session not found")]
    UnknownSession,
    /// Git or the disk refused.
    #[error("failed to make a workarea")]
    Workarea(#[source] WorkareaError),
}

/// Who may call the control API (`control.auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlAuth {
    /// Processes of the daemon's own user, or root.
    SameUser,
    /// Anyone on this machine.
    Open,
}

#[allow(clippy::todo, clippy::unused_async, missing_docs)]
impl DaemonHandle {
    pub fn status(&self) -> Status { todo!() }
    /// True once work is accepted; before that every route but /healthz answers 503.
    pub fn is_started(&self) -> bool { todo!() }
    pub fn control_auth(&self) -> ControlAuth { todo!() }
    pub fn pause(&self) -> Result<(), TransitionError> { todo!() }
    pub fn resume(&self) -> Result<(), TransitionError> { todo!() }
    /// Starts a drain; the answer is the deadline that applies.
    pub fn drain(&self, _request: DrainRequest) -> Result<Duration, TransitionError> { todo!() }
    /// Starts an immediate stop.
    pub fn stop(&self) { todo!() }
    pub fn live_sessions(&self) -> Vec<SessionHandle> { todo!() }
    pub fn all_sessions(&self) -> Vec<SessionView> { todo!() }
    pub async fn post_session(&self, _post: PostSession) -> Result<SessionHandle, AcceptError> { todo!() }
    pub fn session_detail(&self, _id: &SessionId) -> Option<SessionDetail> { todo!() }
    pub fn session_view(&self, _id: &SessionId) -> Option<SessionView> { todo!() }
    /// None: no session of that id.
    pub fn stop_session(&self, _id: &SessionId, _reason: Option<String>) -> Option<StopResponse> { todo!() }
    /// Path of the raw output, live or ended.
    pub fn session_output(&self, _id: &SessionId) -> Option<PathBuf> { todo!() }
    pub async fn acquire_workarea(&self, _id: &SessionId) -> Result<Workarea, AcquireError> { todo!() }
}
