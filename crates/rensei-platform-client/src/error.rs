//! Why a call failed.

use crate::operation::Operation;
use rensei_proto::ErrorBody;
use rensei_proto::platform::RUNTIME_TOKEN_EXPIRED;
use std::time::Duration;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL cannot be used.
    #[error("invalid control plane URL {url:?}: {reason}")]
    InvalidUrl {
        /// As given, without user and password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client could not be built.
    #[error("failed to set up the HTTP client")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An id that has no place in a URL path. Nothing was sent.
    #[error("{operation}: {id:?} is not an id")]
    InvalidId {
        /// The call.
        operation: Operation,
        /// The id.
        id: String,
    },
    /// The token has characters that no header may carry. Nothing was sent.
    #[error("{operation}: the token has characters that cannot be sent, such as a line break")]
    InvalidToken {
        /// The call.
        operation: Operation,
    },
    /// No complete answer: not reachable, timed out, or cut off.
    #[error("{operation}: no answer from {url}")]
    Transport {
        /// The call.
        operation: Operation,
        /// Base URL.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// An answer other than 2xx.
    #[error("{operation}: HTTP {status}: {}", body.error)]
    Status {
        /// The call.
        operation: Operation,
        /// HTTP status.
        status: u16,
        /// What the control plane said, shortened, without the caller's token.
        body: Box<ErrorBody>,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// A 2xx answer that is not what the call is answered with.
    #[error("{operation}: the answer cannot be read")]
    Decode {
        /// The call.
        operation: Operation,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is larger than the limit.
    #[error("{operation}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// The call.
        operation: Operation,
        /// The limit.
        limit: usize,
    },
}

/// How a control plane rejected a worker's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFailure {
    /// 401 that says so: ask for a new token.
    RuntimeTokenExpired,
    /// Any other 401.
    Unauthorized,
    /// 404 on a worker's own route: the registration is gone.
    WorkerNotFound,
    /// 403: known, but not allowed.
    AuthFailure,
}

impl AuthFailure {
    /// The reason as logs and control planes spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RuntimeTokenExpired => "runtime-token-expired",
            Self::Unauthorized => "unauthorized",
            Self::WorkerNotFound => "worker-not-found",
            Self::AuthFailure => "auth-failure",
        }
    }
}

impl std::fmt::Display for AuthFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl ClientError {
    /// Whether the same call may succeed later without anybody changing anything.
    ///
    /// Redirects and answers that cannot be read count: a captive portal or a proxy in trouble sends them.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { source, .. } => !source.is_builder(),
            Self::Status { status, .. } => matches!(status, 300..=399 | 408 | 425 | 429 | 500..),
            Self::Decode { .. } => true,
            Self::InvalidUrl { .. }
            | Self::Setup(_)
            | Self::InvalidId { .. }
            | Self::InvalidToken { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// Status of the answer; `None` when there was none, or when it was a success that could not be read.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::InvalidUrl { .. }
            | Self::Setup(_)
            | Self::InvalidId { .. }
            | Self::InvalidToken { .. }
            | Self::Transport { .. }
            | Self::Decode { .. }
            | Self::TooLarge { .. } => None,
        }
    }

    /// How long the control plane asked to wait, at most a day.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// How the credentials were rejected, if that is what happened. A 404 counts only on a worker's own routes
    /// (heartbeat and poll): elsewhere it is about something else.
    #[must_use]
    pub fn auth_failure(&self) -> Option<AuthFailure> {
        let Self::Status { operation, status, body, .. } = self else { return None };
        match status {
            401 if body.error.contains(RUNTIME_TOKEN_EXPIRED) => Some(AuthFailure::RuntimeTokenExpired),
            401 => Some(AuthFailure::Unauthorized),
            403 => Some(AuthFailure::AuthFailure),
            404 if operation.is_worker_lane() => Some(AuthFailure::WorkerNotFound),
            _ => None,
        }
    }

    /// Whether it is the answer to a call on a worker's own routes (heartbeat and poll), which know best who that is.
    #[must_use]
    pub const fn is_of_worker_route(&self) -> bool {
        matches!(self, Self::Status { operation, .. } if operation.is_worker_lane())
    }

    /// Whether a report about a session has become pointless: the session is gone (404), has ended, or belongs to
    /// another worker (409).
    #[must_use]
    pub const fn is_moot(&self) -> bool {
        matches!(self, Self::Status { operation, status: 404 | 409, .. } if operation.is_report())
    }

    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidUrl { .. } => Some("use a URL such as https://platform.example.com".to_owned()),
            Self::Transport { url, .. } => Some(format!("check that a control plane listens on {url}")),
            Self::Status { body, .. } => body.hint.clone(),
            Self::InvalidToken { .. } => Some("copy the token again, without spaces and line breaks".to_owned()),
            Self::Decode { .. } => Some("check that the URL is the control plane's own, not a login page".to_owned()),
            Self::Setup(_) | Self::InvalidId { .. } | Self::TooLarge { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(operation: Operation, status: u16, error: &str) -> ClientError {
        ClientError::Status { operation, status, body: Box::new(ErrorBody::new(error)), retry_after: None }
    }

    #[test]
    fn rejected_credentials_are_classified() {
        use AuthFailure::{AuthFailure as Other, RuntimeTokenExpired, Unauthorized, WorkerNotFound};
        for (operation, status, text, expected) in [
            (Operation::Poll, 401, "Runtime token expired; register again", Some(RuntimeTokenExpired)),
            (Operation::Status, 401, "Runtime token expired", Some(RuntimeTokenExpired)),
            (Operation::Heartbeat, 401, "runtime token expired", Some(Unauthorized)),
            (Operation::Heartbeat, 401, "", Some(Unauthorized)),
            (Operation::Heartbeat, 404, "worker not found", Some(WorkerNotFound)),
            (Operation::Poll, 404, "Runtime token expired", Some(WorkerNotFound)),
            (Operation::RefreshToken, 404, "not found", None),
            (Operation::Status, 404, "session not found", None),
            (Operation::Poll, 403, "no", Some(Other)),
            (Operation::Poll, 500, "Runtime token expired", None),
            (Operation::Poll, 429, "slow down", None),
        ] {
            assert_eq!(refused(operation, status, text).auth_failure(), expected, "{operation} {status} {text}");
        }
    }

    #[test]
    fn retry_and_moot_by_status() {
        for (status, retryable, moot) in [
            (302, true, false),
            (400, false, false),
            (401, false, false),
            (404, false, true),
            (408, true, false),
            (409, false, true),
            (413, false, false),
            (429, true, false),
            (500, true, false),
            (503, true, false),
        ] {
            let error = refused(Operation::Status, status, "x");
            assert_eq!((error.is_retryable(), error.is_moot()), (retryable, moot), "{status}");
        }
        assert!(!refused(Operation::Poll, 404, "x").is_moot());
    }
}
