//! What the routes need of a daemon.

use super::reply::Refusal;
use rensei_proto::control::{DrainRequest, PostSession, SessionHandle, SessionView, Status, StopResponse, Workarea};
use rensei_proto::{SessionDetail, SessionId};
use std::path::PathBuf;
use std::time::Duration;

/// A daemon, with its errors already in the words of HTTP.
pub(super) trait Host: Clone + Send + Sync + 'static {
    /// Whether it serves more than `/healthz`.
    fn is_started(&self) -> bool;
    /// Whether only its own user and root may change anything or see details.
    fn same_user_only(&self) -> bool;
    fn status(&self) -> Status;
    fn pause(&self) -> Result<(), Refusal>;
    fn resume(&self) -> Result<(), Refusal>;
    /// The answer is the deadline that applies.
    fn drain(&self, request: DrainRequest) -> Result<Duration, Refusal>;
    fn stop(&self);
    fn live_sessions(&self) -> Vec<SessionHandle>;
    fn all_sessions(&self) -> Vec<SessionView>;
    fn post_session(&self, post: PostSession) -> impl Future<Output = Result<SessionHandle, Refusal>> + Send;
    fn session_detail(&self, id: &SessionId) -> Option<SessionDetail>;
    fn session_view(&self, id: &SessionId) -> Option<SessionView>;
    fn stop_session(&self, id: &SessionId, reason: Option<String>) -> Option<StopResponse>;
    fn session_output(&self, id: &SessionId) -> Option<PathBuf>;
    fn acquire_workarea(&self, id: &SessionId) -> impl Future<Output = Result<Workarea, Refusal>> + Send;
}
