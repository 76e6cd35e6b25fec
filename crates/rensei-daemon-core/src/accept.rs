//! Why a session is not accepted.

/// Why a session is not accepted, in the order of the checks.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The daemon is starting, paused, draining or stopping.
    #[error("daemon is not running (state \"{state}\")")]
    NotRunning {
        /// Internal state.
        state: &'static str,
    },
    /// The id is live already.
    #[error("session \"{id}\" is already active")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// All slots are taken.
    #[error("at capacity ({active}/{max} sessions)")]
    Full {
        /// Taken.
        active: usize,
        /// All.
        max: usize,
    },
    /// No allowlisted project matches.
    #[error("repository {repository:?} is not in the project allowlist")]
    NotAllowed {
        /// As posted.
        repository: String,
    },
    /// The session directory or its files could not be made.
    #[error("failed to prepare session directory")]
    Prepare(#[source] std::io::Error),
    /// The worker could not be started.
    #[error("start worker")]
    Spawn(#[source] std::io::Error),
}

impl AcceptError {
    /// Status of the HTTP answer.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::NotRunning { .. } | Self::Full { .. } => 503,
            Self::Duplicate { .. } => 409,
            Self::NotAllowed { .. } => 400,
            Self::Prepare(_) | Self::Spawn(_) => 500,
        }
    }
}
