//! Where a session stands.

use serde::{Deserialize, Serialize};

/// Life cycle of a session as the control plane sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionStatus {
    /// Queued; nobody owns it.
    Pending,
    /// Handed to a worker, which has not started it yet.
    Claimed,
    /// A worker runs it.
    Running,
    /// The agent has ended; its work is being committed and pushed.
    Finalizing,
    /// Ended as wanted.
    Completed,
    /// Ended otherwise.
    Failed,
    /// Ended because an operator asked for it.
    Stopped,
}

impl SessionStatus {
    /// Whether the session has ended. Terminal states are absorbing.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped)
    }

    /// The wire word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Running => "running",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// The status that the wire word stands for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "pending" => Self::Pending,
            "claimed" => Self::Claimed,
            "running" => Self::Running,
            "finalizing" => Self::Finalizing,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "stopped" => Self::Stopped,
            _ => return None,
        })
    }

    /// Whether a worker that owns the session may move it from `self` to `next`. The same status again is no move
    /// and is answered as a success by the caller of this function.
    ///
    /// A worker may report the end of a session whose `running` report got lost, hence `claimed → completed`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Stopped),
            Self::Claimed => !matches!(next, Self::Claimed | Self::Pending),
            Self::Running => matches!(next, Self::Finalizing | Self::Completed | Self::Failed | Self::Stopped),
            Self::Finalizing => matches!(next, Self::Completed | Self::Failed | Self::Stopped),
            Self::Completed | Self::Failed | Self::Stopped => false,
        }
    }
}

impl std::fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SessionStatus::{Claimed, Completed, Failed, Finalizing, Pending, Running, Stopped};

    #[test]
    fn terminal_states_are_absorbing_and_nothing_goes_back() {
        let all = [Pending, Claimed, Running, Finalizing, Completed, Failed, Stopped];
        for (rank, from) in all.into_iter().enumerate() {
            for to in &all[..=rank] {
                assert!(!from.may_become(*to), "{from} -> {to}");
            }
            if from.is_terminal() {
                assert!(all.into_iter().all(|to| !from.may_become(to)), "{from}");
            }
            assert_eq!(SessionStatus::parse(from.as_str()), Some(from));
        }
        assert!(Claimed.may_become(Running) && Running.may_become(Completed) && Finalizing.may_become(Failed));
    }
}
