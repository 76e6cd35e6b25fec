//! The calls of the platform API.

use std::fmt;

/// One call of the platform API; names the failed step in errors and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /api/workers/register`
    Register,
    /// `POST /api/workers/{id}/refresh-token`
    RefreshToken,
    /// `POST /api/workers/{id}/heartbeat`
    Heartbeat,
    /// `GET /api/workers/{id}/poll`
    Poll,
    /// `POST /api/sessions/{id}/claim`
    Claim,
    /// `POST /api/sessions/{id}/nack`
    Nack,
    /// `POST /api/sessions/{id}/lock-refresh`
    LockRefresh,
    /// `POST /api/sessions/{id}/status`
    Status,
    /// `POST /api/sessions/{id}/activity`
    Activity,
    /// `POST /api/sessions/{id}/completion`
    Completion,
    /// `POST /api/sessions`
    CreateSession,
    /// `GET /api/sessions`
    ListSessions,
    /// `GET /api/sessions/{id}`
    ShowSession,
    /// `POST /api/sessions/{id}/cancel`
    CancelSession,
    /// `GET /api/sessions/{id}/activities`
    ListActivities,
}

impl Operation {
    /// Name for people and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::RefreshToken => "refresh token",
            Self::Heartbeat => "heartbeat",
            Self::Poll => "poll",
            Self::Claim => "claim session",
            Self::Nack => "give session back",
            Self::LockRefresh => "refresh lock",
            Self::Status => "report status",
            Self::Activity => "report activity",
            Self::Completion => "report completion",
            Self::CreateSession => "create session",
            Self::ListSessions => "list sessions",
            Self::ShowSession => "show session",
            Self::CancelSession => "cancel session",
            Self::ListActivities => "list activities",
        }
    }

    /// Whether a 404 means that the control plane does not know the calling worker.
    pub(crate) const fn is_worker_lane(self) -> bool {
        matches!(self, Self::Heartbeat | Self::Poll)
    }

    /// Whether the call reports about a session, so that a 404 or 409 says that the report is of no interest any more.
    pub(crate) const fn is_report(self) -> bool {
        matches!(self, Self::Nack | Self::LockRefresh | Self::Status | Self::Activity | Self::Completion)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
