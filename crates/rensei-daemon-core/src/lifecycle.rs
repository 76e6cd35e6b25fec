//! States of the daemon and the moves between them.
//!
//! | from \ action | pause | resume | drain | stop | emptied |
//! |---|---|---|---|---|---|
//! | starting | refused | refused | draining | stopping | – |
//! | running | paused | – | draining | stopping | – |
//! | paused | – | running | draining | stopping | – |
//! | draining | refused | running | new deadline | stopping | stopping, or paused with keep-alive |
//! | stopping | refused | refused | refused | – | stopped |
//! | stopped | refused | refused | refused | – | – |

use rensei_proto::control::HostState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Where the daemon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Taking over what a predecessor left; nothing is accepted yet.
    Starting,
    /// Accepts work.
    Running,
    /// Accepts nothing, keeps what runs.
    Paused,
    /// Accepts nothing and ends, or pauses, when the last session has ended.
    Draining {
        /// When what is left is forced.
        deadline: Instant,
        /// Pause instead of ending.
        keep_alive: bool,
    },
    /// Ends what runs, then itself.
    Stopping,
    /// Ended.
    Stopped,
}

/// What can be asked of the daemon, or happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start-up is complete.
    Started,
    /// Take no more work.
    Pause,
    /// Take work again.
    Resume,
    /// Finish what runs.
    Drain {
        /// When what is left is forced.
        deadline: Instant,
        /// Pause instead of ending.
        keep_alive: bool,
    },
    /// End now.
    Stop,
    /// The last session has ended.
    Emptied,
}

/// A move that the current phase does not allow. Answered with 409.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} while the daemon is {state}")]
pub struct TransitionError {
    /// What was asked for.
    pub action: &'static str,
    /// Current state.
    pub state: &'static str,
}

impl Phase {
    /// The internal state word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining { .. } => "draining",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The state that the wire has for it.
    #[must_use]
    pub const fn wire(self) -> HostState {
        match self {
            Self::Running => HostState::Ready,
            Self::Paused => HostState::Paused,
            Self::Draining { .. } | Self::Stopping => HostState::Draining,
            Self::Starting | Self::Stopped => HostState::Stopped,
        }
    }

    /// The phase after `action`.
    ///
    /// # Errors
    /// [`TransitionError`] when `action` is not possible now.
    pub const fn after(self, action: Action) -> Result<Self, TransitionError> {
        Ok(match (self, action) {
            (Self::Starting, Action::Started) => Self::Running,
            (Self::Running | Self::Paused, Action::Pause) => Self::Paused,
            (Self::Running | Self::Paused | Self::Draining { .. }, Action::Resume) => Self::Running,
            (
                Self::Starting | Self::Running | Self::Paused | Self::Draining { .. },
                Action::Drain { deadline, keep_alive },
            ) => Self::Draining { deadline, keep_alive },
            (Self::Stopped, Action::Stop) | (Self::Stopping, Action::Emptied) => Self::Stopped,
            (Self::Draining { keep_alive: true, .. }, Action::Emptied) => Self::Paused,
            (_, Action::Stop) | (Self::Draining { .. }, Action::Emptied) => Self::Stopping,
            (_, Action::Started | Action::Emptied) => self,
            (_, Action::Pause) => return Err(TransitionError { action: "pause", state: self.name() }),
            (_, Action::Resume) => return Err(TransitionError { action: "resume", state: self.name() }),
            (_, Action::Drain { .. }) => return Err(TransitionError { action: "drain", state: self.name() }),
        })
    }
}

/// The daemon's phase, shared by all its parts.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    phase: Arc<watch::Sender<Phase>>,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Starting)) }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Performs `action`; watchers wake only when the phase really changed.
    pub(crate) fn apply(&self, action: Action) -> Result<Phase, TransitionError> {
        let mut outcome = Ok(Phase::Stopped);
        self.phase.send_if_modified(|phase| {
            outcome = phase.after(action);
            match outcome {
                Ok(next) if next != *phase => {
                    tracing::info!(event = "state", from = phase.name(), to = next.name(), "daemon is {}", next.name());
                    *phase = next;
                    true
                }
                _ => false,
            }
        });
        outcome
    }

    /// Waits until `wanted` holds.
    pub(crate) async fn wait_for(&self, wanted: impl FnMut(&Phase) -> bool) -> Phase {
        let mut receiver = self.phase.subscribe();
        match receiver.wait_for(wanted).await {
            Ok(phase) => *phase,
            // Unreachable: `self` holds the sender.
            Err(_closed) => Phase::Stopped,
        }
    }

    /// Waits until the phase is no longer `known`.
    pub(crate) async fn changed_from(&self, known: Phase) -> Phase {
        self.wait_for(|phase| *phase != known).await
    }
}

/// Deadline `timeout` from now, at most a week away so that no sum overflows.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    Instant::now() + timeout.min(WEEK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_phase_against_every_action() {
        let deadline = deadline_in(Duration::from_secs(60));
        let drain = Action::Drain { deadline, keep_alive: false };
        let draining = Phase::Draining { deadline, keep_alive: false };
        let keeping = Phase::Draining { deadline, keep_alive: true };
        let actions = [Action::Started, Action::Pause, Action::Resume, drain, Action::Stop, Action::Emptied];
        use Phase::{Paused, Running, Starting, Stopped, Stopping};
        let table = [
            (Starting, [Some(Running), None, None, Some(draining), Some(Stopping), Some(Starting)]),
            (Running, [Some(Running), Some(Paused), Some(Running), Some(draining), Some(Stopping), Some(Running)]),
            (Paused, [Some(Paused), Some(Paused), Some(Running), Some(draining), Some(Stopping), Some(Paused)]),
            (draining, [Some(draining), None, Some(Running), Some(draining), Some(Stopping), Some(Stopping)]),
            (keeping, [Some(keeping), None, Some(Running), Some(draining), Some(Stopping), Some(Paused)]),
            (Stopping, [Some(Stopping), None, None, None, Some(Stopping), Some(Stopped)]),
            (Stopped, [Some(Stopped), None, None, None, Some(Stopped), Some(Stopped)]),
        ];
        for (from, expected) in table {
            for (action, next) in actions.into_iter().zip(expected) {
                assert_eq!(from.after(action).ok(), next, "{from:?} {action:?}");
            }
        }
    }
}
