//! Why a call of the control API failed.

use rensei_proto::ErrorBody;
use std::time::Duration;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The base URL cannot be used.
    #[error("invalid daemon URL {url:?}: {reason}")]
    InvalidUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody listens there.
    #[error("no daemon is running at {url}")]
    NotRunning {
        /// Base URL.
        url: String,
    },
    /// The daemon said no.
    #[error("{}", body.error)]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        body: Box<ErrorBody>,
    },
    /// No complete answer.
    #[error("no answer from the daemon at {url}")]
    Transport {
        /// Base URL.
        url: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No complete answer in time.
    #[error("no answer from the daemon at {url} within {} s", limit.as_secs_f64())]
    TimedOut {
        /// Base URL.
        url: String,
        /// The time that was given.
        limit: Duration,
    },
    /// The answer is not what the call is answered with, or too large.
    #[error("the answer of {url} cannot be read")]
    Decode {
        /// Base URL.
        url: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ControlError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NotRunning { .. } | Self::Transport { .. } | Self::TimedOut { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::InvalidUrl { .. } | Self::Decode { .. } => false,
        }
    }

    /// Status of the daemon's refusal.
    #[must_use]
    pub const fn http_status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::InvalidUrl { .. }
            | Self::NotRunning { .. }
            | Self::Transport { .. }
            | Self::TimedOut { .. }
            | Self::Decode { .. } => None,
        }
    }

    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidUrl { .. } => Some("use a URL such as http://127.0.0.1:7734".to_owned()),
            Self::NotRunning { .. } => Some("start one with `rensei host run`".to_owned()),
            Self::Refused { body, .. } => body.hint.clone(),
            Self::Decode { url, .. } => Some(format!("check that it is a rensei daemon that listens on {url}")),
            Self::Transport { .. } | Self::TimedOut { .. } => None,
        }
    }
}
