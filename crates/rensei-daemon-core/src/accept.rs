//! Why a session is not accepted.

/// Why a session is not accepted, in the order of the checks.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// A variable of the session's environment cannot be one.
    #[error("env has an impossible variable `{name}`")]
    InvalidEnv {
        /// Its name, escaped.
        name: String,
    },
    /// The daemon is starting, paused, draining, being updated or stopping.
    #[error("daemon is not running (state \"{state}\")")]
    NotRunning {
        /// Internal state.
        state: &'static str,
    },
    /// The host no longer works for the organisation that sent it.
    #[error("the host no longer works for the organisation of {file}")]
    Leaving {
        /// Its file.
        file: String,
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
    /// The session's directory or its files could not be made.
    #[error("prepare session directory")]
    Prepare(#[source] std::io::Error),
    /// The embedder's pre-spawn hook refused it.
    #[error("pre-spawn hook")]
    Hook(#[source] crate::hook::HookError),
    /// The embedder's pre-spawn hook took too long.
    #[error("pre-spawn hook took longer than {} ms", limit.as_millis())]
    HookTimedOut {
        /// How long it may take.
        limit: std::time::Duration,
    },
    /// The worker could not be started.
    #[error("start worker")]
    Spawn(#[source] std::io::Error),
}

impl AcceptError {
    /// Every [`AcceptError::reason`].
    pub(crate) const REASONS: [&str; 10] = [
        "invalid_env",
        "not_running",
        "duplicate",
        "full",
        "not_allowed",
        "prepare",
        "hook",
        "hook_timed_out",
        "spawn",
        "leaving",
    ];

    /// One word for statistics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InvalidEnv { .. } => "invalid_env",
            Self::NotRunning { .. } => "not_running",
            Self::Duplicate { .. } => "duplicate",
            Self::Full { .. } => "full",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Prepare(_) => "prepare",
            Self::Hook(_) => "hook",
            Self::HookTimedOut { .. } => "hook_timed_out",
            Self::Spawn(_) => "spawn",
            Self::Leaving { .. } => "leaving",
        }
    }

    /// Status of the HTTP answer.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::InvalidEnv { .. } | Self::NotAllowed { .. } => 400,
            Self::Duplicate { .. } => 409,
            Self::NotRunning { .. } | Self::Leaving { .. } | Self::Full { .. } => 503,
            Self::Prepare(_) | Self::Hook(_) | Self::HookTimedOut { .. } | Self::Spawn(_) => 500,
        }
    }

    /// Whether the host is the reason and not the session: another host, or this one later, may take it.
    #[must_use]
    pub const fn is_host_fault(&self) -> bool {
        match self {
            Self::InvalidEnv { .. } | Self::NotAllowed { .. } => false,
            Self::NotRunning { .. }
            | Self::Leaving { .. }
            | Self::Duplicate { .. }
            | Self::Full { .. }
            | Self::Prepare(_)
            | Self::Hook(_)
            | Self::HookTimedOut { .. }
            | Self::Spawn(_) => true,
        }
    }

    /// Whether the next session would fare no better: something on this host is broken.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::Prepare(_) | Self::HookTimedOut { .. } | Self::Spawn(_) => true,
            Self::InvalidEnv { .. }
            | Self::NotAllowed { .. }
            | Self::NotRunning { .. }
            | Self::Leaving { .. }
            | Self::Duplicate { .. }
            | Self::Full { .. }
            | Self::Hook(_) => false,
        }
    }

    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotRunning { state: "paused" } => "run `rensei host resume`".to_owned(),
            Self::NotRunning { state: "updating" } => {
                "the host is being replaced by a newer version; try again, or cancel with `rensei host resume`"
                    .to_owned()
            }
            Self::NotAllowed { .. } => {
                "add it under `projects:` in daemon.yaml (id and repository); the host takes it in at once".to_owned()
            }
            Self::Prepare(_) => "check space and permissions of the state directory".to_owned(),
            Self::Full { .. } => "wait for a session to end, or raise `capacity.maxConcurrentSessions`".to_owned(),
            Self::Duplicate { .. } => "use another sessionId".to_owned(),
            Self::InvalidEnv { .. }
            | Self::NotRunning { .. }
            | Self::Leaving { .. }
            | Self::Hook(_)
            | Self::HookTimedOut { .. }
            | Self::Spawn(_) => return None,
        })
    }
}
