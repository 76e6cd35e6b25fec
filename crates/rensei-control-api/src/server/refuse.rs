//! The daemon's errors in the words of HTTP. A handler says `?`.

use super::reply::Refusal;
use axum::http::StatusCode;
use rensei_daemon_core::{AcceptError, AcquireError, TransitionError, UpdateError};
use rensei_proto::{ErrorBody, error_chain};

/// Seconds after which a session that found no slot may be posted again.
const RETRY_POST: u32 = 5;
/// Seconds after which a workarea may be asked for again when its remote or the disk was not ready.
const RETRY_WORKAREA: u32 = 30;

impl From<TransitionError> for Refusal {
    fn from(error: TransitionError) -> Self {
        let body = ErrorBody { status: Some(error.state.to_owned()), ..ErrorBody::new(error_chain(&error)) };
        Self::new(StatusCode::CONFLICT, body)
    }
}

impl From<UpdateError> for Refusal {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Transition(error) => error.into(),
            UpdateError::NoUpdater => {
                let body = ErrorBody::new(error_chain(&error))
                    .code("not_implemented")
                    .hint("install the new version, run `rensei host drain`, and start it again");
                Self::new(StatusCode::NOT_IMPLEMENTED, body)
            }
        }
    }
}

impl From<AcceptError> for Refusal {
    fn from(error: AcceptError) -> Self {
        let status = match error {
            AcceptError::NotRunning { state } => Some(state.to_owned()),
            _ => None,
        };
        let body = ErrorBody { hint: error.hint(), status, ..ErrorBody::new(error_chain(&error)) };
        let refusal = with_status(error.http_status(), body);
        if refusal.status == StatusCode::SERVICE_UNAVAILABLE { refusal.retry_after(RETRY_POST) } else { refusal }
    }
}

impl From<AcquireError> for Refusal {
    fn from(error: AcquireError) -> Self {
        match &error {
            AcquireError::UnknownSession => Self::not_found(ErrorBody::new(error_chain(&error))),
            AcquireError::Workarea(cause) => {
                let body = ErrorBody { hint: cause.hint(), ..ErrorBody::new(error_chain(&error)) };
                let refusal = with_status(cause.http_status(), body);
                if cause.is_retryable() { refusal.retry_after(RETRY_WORKAREA) } else { refusal }
            }
        }
    }
}

/// A refusal with the status that an error names.
pub(super) fn with_status(status: u16, body: ErrorBody) -> Refusal {
    Refusal::new(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::SessionId;

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
            let refusal = Refusal::from(error).of_session(&id);
            assert_eq!((refusal.status.as_u16(), refusal.retry_after), (status, retry_after), "{refusal:?}");
            assert_eq!(refusal.body.session_id.as_deref(), Some("s1"));
        }
        let spawn = Refusal::from(AcceptError::Spawn(std::io::Error::other("no fork")));
        assert_eq!(spawn.body.error, "start worker: no fork");
    }
}
