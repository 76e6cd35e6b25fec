//! The real daemon behind the routes.

use super::host::Host;
use super::reply::{Refusal, chain};
use axum::http::StatusCode;
use rensei_daemon_core::{AcceptError, AcquireError, ControlAuth, DaemonHandle, TransitionError};
use rensei_proto::control::{DrainRequest, PostSession, SessionHandle, SessionView, Status, StopResponse, Workarea};
use rensei_proto::{ErrorBody, SessionDetail, SessionId};
use std::path::PathBuf;
use std::time::Duration;

/// Seconds after which a session that found no slot may be posted again.
const RETRY_POST: u32 = 5;

impl Host for DaemonHandle {
    fn is_started(&self) -> bool {
        self.is_started()
    }

    fn same_user_only(&self) -> bool {
        match self.control_auth() {
            ControlAuth::SameUser => true,
            ControlAuth::Open => false,
        }
    }

    fn status(&self) -> Status {
        self.status()
    }

    fn pause(&self) -> Result<(), Refusal> {
        self.pause().map_err(|error| not_now(&error))
    }

    fn resume(&self) -> Result<(), Refusal> {
        self.resume().map_err(|error| not_now(&error))
    }

    fn drain(&self, request: DrainRequest) -> Result<Duration, Refusal> {
        self.drain(request).map_err(|error| not_now(&error))
    }

    fn stop(&self) {
        self.stop();
    }

    fn live_sessions(&self) -> Vec<SessionHandle> {
        self.live_sessions()
    }

    fn all_sessions(&self) -> Vec<SessionView> {
        self.all_sessions()
    }

    async fn post_session(&self, post: PostSession) -> Result<SessionHandle, Refusal> {
        let id = post.spec.session_id.clone();
        self.post_session(post).await.map_err(|error| not_accepted(&error, &id))
    }

    fn session_detail(&self, id: &SessionId) -> Option<SessionDetail> {
        self.session_detail(id)
    }

    fn session_view(&self, id: &SessionId) -> Option<SessionView> {
        self.session_view(id)
    }

    fn stop_session(&self, id: &SessionId, reason: Option<String>) -> Option<StopResponse> {
        self.stop_session(id, reason)
    }

    fn session_output(&self, id: &SessionId) -> Option<PathBuf> {
        self.session_output(id)
    }

    async fn acquire_workarea(&self, id: &SessionId) -> Result<Workarea, Refusal> {
        self.acquire_workarea(id).await.map_err(|error| no_workarea(&error, id))
    }
}

fn not_now(error: &TransitionError) -> Refusal {
    let body = ErrorBody { status: Some(error.state.to_owned()), ..ErrorBody::new(chain(error)) };
    Refusal::new(StatusCode::CONFLICT, body)
}

fn not_accepted(error: &AcceptError, id: &SessionId) -> Refusal {
    let status = match error {
        AcceptError::NotRunning { state } => Some((*state).to_owned()),
        _ => None,
    };
    let session_id = Some(id.to_string());
    let refusal = with_status(
        error.http_status(),
        ErrorBody { hint: error.hint(), status, session_id, ..ErrorBody::new(chain(error)) },
    );
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE { refusal.retry_after(RETRY_POST) } else { refusal }
}

fn no_workarea(error: &AcquireError, id: &SessionId) -> Refusal {
    match error {
        AcquireError::UnknownSession => Refusal::session_not_found(id),
        AcquireError::Workarea(cause) => {
            let session_id = Some(id.to_string());
            let body = ErrorBody { hint: cause.hint(), session_id, ..ErrorBody::new(chain(error)) };
            with_status(cause.http_status(), body)
        }
    }
}

fn with_status(status: u16, body: ErrorBody) -> Refusal {
    Refusal::new(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_sessions_say_when_to_try_again() {
        let id = SessionId::parse("s1").unwrap();
        for (error, status, retry_after) in [
            (AcceptError::NotRunning { state: "paused" }, 503, Some(5)),
            (AcceptError::Full { active: 4, max: 4 }, 503, Some(5)),
            (AcceptError::Duplicate { id: "s1".into() }, 409, None),
            (AcceptError::NotAllowed { repository: "x".into() }, 400, None),
            (AcceptError::Spawn(std::io::Error::other("no fork")), 500, None),
        ] {
            let refusal = not_accepted(&error, &id);
            assert_eq!((refusal.status.as_u16(), refusal.retry_after), (status, retry_after), "{error}");
            assert_eq!(refusal.body.session_id.as_deref(), Some("s1"));
        }
        let spawn = not_accepted(&AcceptError::Spawn(std::io::Error::other("no fork")), &id);
        assert_eq!(spawn.body.error, "start worker: no fork");
    }
}
