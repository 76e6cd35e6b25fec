//! States of the daemon.

/// A transition that the current state does not allow. Answered with 409.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} while the daemon is {state}")]
pub struct TransitionError {
    /// What was asked for.
    pub action: &'static str,
    /// Current state.
    pub state: &'static str,
}
